// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask ci`: everything that can be said about the sources without running them. The tests are `cargo xtask test`.

use crate::cargo::{Cargo, workspace};
use crate::install::find;
use crate::progress::{skipped, timed};
use anyhow::{Context as _, Result, bail, ensure};
use std::process::Command;

/// The crates others use: they build on the host and on bare metal, with any features.
pub(crate) const LIBRARIES: [&str; 6] =
    ["bootmem-e820", "bootmem-memblock", "bootmem-crashkernel", "bootmem-memmap", "bootmem-buddy", "bootmem-handoff"];

/// The crates that exist in the image only.
const PRIVILEGED: [&str; 4] = ["bootmem-boot", "bootmem-rt", "bootmem-stages", "bootmem-successor"];

/// The oldest Rust the libraries promise to build with; `rust-version` in Cargo.toml.
const MSRV: &str = "1.87";

const FEATURES: [&[&str]; 4] = [&[], &["serde"], &["defmt"], &["serde", "defmt"]];

/// What single libraries have beyond that.
pub(crate) const OWN_FEATURES: [(&str, &[&str]); 3] =
    [("bootmem-buddy", &["spin"]), ("bootmem-buddy", &["heap"]), ("bootmem-buddy", &["spin", "heap", "serde"])];

/// A name and what it checks.
type Check = (&'static str, fn() -> Result<()>);

const CHECKS: [Check; 7] = [
    ("format", format),
    ("licence lines", licence_lines),
    ("lints", lints),
    ("features", features),
    ("oldest Rust", oldest_rust),
    ("documentation", documentation),
    ("dependencies", dependencies),
];

/// Checks everything, also after a check that failed; names those that did.
pub(crate) fn run() -> Result<()> {
    let failed = CHECKS.into_iter().filter_map(|(name, check)| Some((name, timed(name, check).err()?)));
    let failed: Vec<_> = failed.map(|(name, error)| format!("{name}: {error:#}")).collect();
    ensure!(failed.is_empty(), "{} of {} checks failed:\n{}", failed.len(), CHECKS.len(), failed.join("\n"));
    Ok(())
}

fn format() -> Result<()> {
    Cargo::new("fmt").arg("--all").last("--check").run()
}

/// Every source file starts with its licence.
fn licence_lines() -> Result<()> {
    let output = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard", "-z"])
        .current_dir(workspace())
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    let files = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;

    let mut without = Vec::new();
    for file in files.split_terminator('\0').filter(|file| wants_licence(file)) {
        // A file may be deleted but not committed yet.
        let Ok(text) = fs_err::read_to_string(workspace().join(file)) else { continue };
        let mut lines = text.lines().filter(|line| !line.starts_with("#!"));
        if !lines.next().is_some_and(|line| line.contains("SPDX-License-Identifier: MIT OR Apache-2.0")) {
            without.push(file);
        }
    }
    if !without.is_empty() {
        bail!("no SPDX line on top of: {}", without.join(", "));
    }
    Ok(())
}

fn wants_licence(file: &str) -> bool {
    let endings = [".rs", ".toml", ".s", ".S", ".ld", ".x", ".sh", ".yml"];
    (endings.iter().any(|ending| file.ends_with(ending)) || file == ".ci/run") && !file.contains("/fixtures/")
}

fn lints() -> Result<()> {
    Cargo::new("clippy").arg("--all-targets").deny_warnings().run()?;
    // Left out by --all-targets, because a plain `cargo test` leaves it out.
    Cargo::new("clippy").package("xtask").arg("--test").arg("boot").deny_warnings().run()?;
    for features in FEATURES {
        // With their tests, which a feature can break too.
        Cargo::new("clippy").arg("--tests").packages(LIBRARIES).features(features).deny_warnings().run()?;
    }
    for feature in ["bootmem-boot/smp", "bootmem-boot/misbehave"] {
        Cargo::new("clippy").for_image().package("bootmem-boot").features(&[feature]).deny_warnings().run()?;
    }
    Cargo::new("clippy").for_image().packages(PRIVILEGED).arg("--bins").arg("--lib").deny_warnings().run()?;
    Cargo::new("clippy").for_image().packages(["bootmem-rt", "bootmem-stages"]).arg("--examples").deny_warnings().run()
}

/// Each library alone, since crates built together lend each other features.
fn features() -> Result<()> {
    for library in LIBRARIES {
        for features in FEATURES {
            Cargo::new("check").arg("--quiet").package(library).features(features).run()?;
            Cargo::new("build").arg("--quiet").package(library).features(features).bare_metal().run()?;
        }
    }
    for (library, features) in OWN_FEATURES {
        Cargo::new("clippy").arg("--all-targets").package(library).features(features).deny_warnings().run()?;
        Cargo::new("build").arg("--quiet").package(library).features(features).bare_metal().run()?;
    }
    Ok(())
}

fn oldest_rust() -> Result<()> {
    let mut version = Command::new("rustup");
    version.args(["run", MSRV, "rustc", "--version"]).env("RUSTUP_AUTO_INSTALL", "0");
    if !version.output().is_ok_and(|output| output.status.success()) {
        skipped(&format!("build with Rust {MSRV}"), &format!("type `rustup toolchain install {MSRV}` to have it"));
        return Ok(());
    }
    Cargo::with_toolchain(MSRV, "check").packages(LIBRARIES).features(&["serde"]).run()
}

fn documentation() -> Result<()> {
    Cargo::new("doc").arg("--no-deps").env("RUSTDOCFLAGS", "--deny warnings").run()
}

fn dependencies() -> Result<()> {
    if find(&["cargo-deny"]).is_none() {
        skipped("licences and origins of dependencies", "type `cargo install --locked cargo-deny` to have it");
        return Ok(());
    }
    Cargo::new("deny").arg("check").run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promise_is_the_one_in_the_manifest() {
        let manifest = fs_err::read_to_string(workspace().join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("rust-version = \"{MSRV}\"")));
    }

    #[test]
    fn sources_want_a_licence_and_fixtures_do_not() {
        for (file, expected) in [
            ("e820/src/lib.rs", true),
            ("boot/stage.ld", true),
            (".ci/run", true),
            ("README.md", false),
            ("e820/tests/fixtures/a.toml", false),
        ] {
            assert_eq!(wants_licence(file), expected, "{file}");
        }
    }
}
