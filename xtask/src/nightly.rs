// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only a nightly compiler can do: Miri and fuzzing. What of it is missing is installed after saying so.

use crate::arguments::{FuzzArgs, MiriArgs};
use crate::cargo::{Cargo, target_directory, workspace};
use crate::install::{self, find};
use crate::progress::{skipped, timed};
use anyhow::{Context as _, Result, bail, ensure};
use std::process::Command;

/// The newest compiler; the one of `rust-toolchain.toml` stays what builds everything else.
const NIGHTLY: &str = "nightly";

/// Sees to it that a nightly compiler with these components is there.
fn ensure_nightly(components: &[&str], forbidden: bool) -> Result<()> {
    let rustup = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(arguments).current_dir(workspace()).env("RUSTUP_AUTO_INSTALL", "0");
        command
    };
    let is_there = |mut command: Command, wanted: &str| {
        command.output().is_ok_and(|o| o.status.success() && String::from_utf8_lossy(&o.stdout).contains(wanted))
    };
    let mut needs = Vec::new();
    if !is_there(rustup(&["run", NIGHTLY, "rustc", "--version"]), "nightly") {
        needs.push(vec!["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
    }
    let installed = ["component", "list", "--toolchain", NIGHTLY, "--installed"];
    let missing = components.iter().copied().filter(|component| !is_there(rustup(&installed), component));
    needs.extend(missing.map(|component| vec!["component", "add", "--toolchain", NIGHTLY, component]));
    for arguments in needs {
        let line = format!("rustup {}", arguments.join(" "));
        ensure!(!forbidden && find(&["rustup"]).is_some(), "missing; type:\n{line}");
        install::run(&mut rustup(&arguments)).with_context(|| format!("type:\n{line}"))?;
    }
    Ok(())
}

/// Returns the names of the fuzz targets.
fn targets() -> Result<Vec<String>> {
    let files = fs_err::read_dir(workspace().join("xtask/fuzz/fuzz_targets"))?;
    let names = files.filter_map(|file| Some(file.ok()?.path().file_stem()?.to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

/// `cargo xtask fuzz`: feeds each target with what a fuzzer thinks of. What makes one fail is kept in `target/fuzz`.
pub(crate) fn fuzz(args: &FuzzArgs) -> Result<()> {
    let all = targets()?;
    let chosen = match &args.target {
        Some(target) if all.contains(target) => vec![target.clone()],
        Some(target) => bail!("there is no fuzz target `{target}`; there are {}", all.join(", ")),
        None => all,
    };
    ensure_nightly(&[], args.no_install)?;
    if find(&["cargo-fuzz"]).is_none() && !has_cargo_fuzz() {
        let line = "cargo install --locked cargo-fuzz";
        ensure!(!args.no_install, "cargo-fuzz is missing; type:\n{line}");
        install::run(Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]))
            .with_context(|| format!("type:\n{line}"))?;
    }

    let mut failed = Vec::new();
    for target in chosen {
        let found = timed(&format!("fuzz target {target} for {} s", args.seconds), || fuzz_one(&target, args.seconds));
        failed.extend(found.err().map(|error| format!("{target}: {error:#}")));
    }
    ensure!(failed.is_empty(), "{} fuzz targets failed:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

fn has_cargo_fuzz() -> bool {
    Command::new("cargo").args(["fuzz", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// For how long one input may keep a target busy.
const INPUT_SECONDS: u32 = 10;

fn fuzz_one(target: &str, seconds: u32) -> Result<()> {
    let directory = target_directory().join("fuzz");
    let (corpus, artifacts) = (directory.join("corpus").join(target), directory.join("artifacts").join(target));
    fs_err::create_dir_all(&corpus)?;
    fs_err::create_dir_all(&artifacts)?;
    let build = directory.join("build").display().to_string();
    let features: &[&str] = if target == "dmesg" { &["xtask"] } else { &[] };
    let cargo = Cargo::with_toolchain(NIGHTLY, "fuzz").arg("run").arg("--fuzz-dir").arg("xtask/fuzz");
    let cargo = cargo
        .arg("--sanitizer")
        .arg("none")
        .arg("--target-dir")
        .arg(build)
        .features(features)
        .arg(target)
        .arg(corpus.display().to_string());
    // Without a sanitizer: there is no unsafe code in what is fuzzed. The firmware's tables live for ever, as at a boot.
    let cargo = cargo.last("-rss_limit_mb=8192").last("-max_len=4096");
    // No input takes longer than this; one that does is kept as a failure.
    let cargo = cargo.last(format!("-timeout={INPUT_SECONDS}"));
    let cargo = cargo.last(format!("-max_total_time={seconds}")).last("-print_final_stats=1").last("-verbosity=0");
    let done = cargo.last(format!("-artifact_prefix={}/", artifacts.display())).run();
    done.with_context(|| format!("what failed is in {}", artifacts.display()))
}

/// What Miri runs: a package, its features, and the tests that are small enough for an interpreter.
const MIRI: [(&str, &[&str], &[&str]); 4] = [
    ("bootmem-handoff", &["serde", "std"], &["--lib", "--test", "envelope"]),
    ("bootmem-e820", &[], &["--lib"]),
    ("bootmem-memblock", &[], &["--lib", "--test", "linux_basic", "--test", "linux_alloc", "--test", "linux_nid"]),
    ("bootmem-buddy", &["spin", "heap"], &["--lib", "--test", "requests", "--test", "heap", "--test", "shared"]),
];

/// `cargo xtask miri`: runs tests in an interpreter that notices undefined behaviour and data races. Some tests leak on purpose.
pub(crate) fn miri(args: &MiriArgs) -> Result<()> {
    ensure_nightly(&["miri", "rust-src"], args.no_install)?;
    skipped("all other tests", "they read files, run programs or take an interpreter hours");
    for (package, features, tests) in MIRI {
        let cargo = Cargo::with_toolchain(NIGHTLY, "miri").arg("test").package(package).features(features);
        let cargo = tests.iter().fold(cargo, |cargo, test| cargo.arg(*test));
        // Proptest asks for the directory and the time.
        let cargo = cargo.env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-ignore-leaks").env("PROPTEST_CASES", "4");
        timed(package, || cargo.run())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fuzz_target_is_in_the_manifest() {
        let manifest = fs_err::read_to_string(workspace().join("xtask/fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() >= 8);
        assert!(targets.iter().all(|target| manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\""))));
    }
}
