// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cargo command; no other file spells cargo's flags.

use crate::progress;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The target of everything that runs in the image.
pub(crate) const BARE_METAL: &str = "x86_64-unknown-none";

/// Returns the directory of the workspace.
pub(crate) fn workspace() -> PathBuf {
    // Set by `cargo run`, and right even if the tree was moved since the build.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = PathBuf::from(xtask);
    xtask.parent().map_or(xtask.clone(), PathBuf::from)
}

/// Returns the directory of what cargo builds.
pub(crate) fn target_directory() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Returns the directory of the images that are kept, which is made if it is not there.
pub(crate) fn image_directory() -> Result<PathBuf> {
    let directory = target_directory().join("image");
    fs_err::create_dir_all(&directory)?;
    Ok(directory)
}

/// Returns the directories of the crates that cargo downloaded; one with a blank in it could not be passed on.
fn registries() -> impl Iterator<Item = PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let directories = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    let paths = directories.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.to_str().is_some_and(|path| !path.contains(char::is_whitespace)))
}

/// A cargo command under construction.
#[derive(Debug)]
pub(crate) struct Cargo {
    toolchain: Option<&'static str>,
    action: &'static str,
    arguments: Vec<String>,
    last: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

/// A program that cargo built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Artifact {
    pub(crate) package: String,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl Cargo {
    /// Returns `cargo action`.
    pub(crate) fn new(action: &'static str) -> Self {
        Self { toolchain: None, action, arguments: Vec::new(), last: Vec::new(), environment: Vec::new() }
    }

    /// Returns `cargo +toolchain action`.
    pub(crate) fn with_toolchain(toolchain: &'static str, action: &'static str) -> Self {
        Self { toolchain: Some(toolchain), ..Self::new(action) }
    }

    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn package(self, name: impl Into<String>) -> Self {
        self.arg("--package").arg(name)
    }

    pub(crate) fn packages<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(self, Self::package)
    }

    pub(crate) fn features(self, names: &[&str]) -> Self {
        if names.is_empty() { self } else { self.arg("--features").arg(names.join(",")) }
    }

    pub(crate) fn bare_metal(self) -> Self {
        self.arg("--target").arg(BARE_METAL)
    }

    /// As the image is built: small, with the log of the level that is shown, and with no path of this machine in it.
    pub(crate) fn for_image(self) -> Self {
        let flags: Vec<_> = registries().map(|path| format!("--remap-path-prefix={}=", path.display())).collect();
        let image = self.arg("--profile").arg("image").bare_metal().env("DEFMT_LOG", "info");
        image.env("CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS", flags.join(" "))
    }

    /// Adds an argument for what cargo calls, after `--`.
    pub(crate) fn last(mut self, argument: impl Into<String>) -> Self {
        self.last.push(argument.into());
        self
    }

    pub(crate) fn deny_warnings(self) -> Self {
        self.last("--deny").last("warnings")
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Runs it; its output is the user's.
    pub(crate) fn run(self) -> Result<()> {
        let text = self.to_string();
        progress::step("Running", &text);
        let status = self.command().status().with_context(|| format!("cannot run {text}"))?;
        ensure!(status.success(), "{text} failed ({status})");
        Ok(())
    }

    /// Runs it and returns what it printed.
    pub(crate) fn output(self) -> Result<String> {
        let text = self.to_string();
        progress::step("Running", &text);
        let output = self.command().stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {text}"))?;
        ensure!(output.status.success(), "{text} failed ({})", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it and returns the programs it built.
    pub(crate) fn artifacts(self) -> Result<Vec<Artifact>> {
        let text = self.to_string();
        progress::step("Running", &text);
        let mut command = self.arg("--message-format=json-render-diagnostics").command();
        let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {text}"))?;
        ensure!(output.status.success(), "{text} failed ({})", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(artifact).collect())
    }

    fn command(&self) -> Command {
        let own = || env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = match self.toolchain {
            Some(toolchain) => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", toolchain, "cargo"]);
                rustup
            }
            None => Command::new(own()),
        };
        command.current_dir(workspace()).arg(self.action).args(&self.arguments);
        if !self.last.is_empty() {
            command.arg("--").args(&self.last);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // `cargo run` tells us about the package xtask; that is not what the next cargo is about.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_BIN_NAME" {
                command.env_remove(name);
            }
        }
        command
    }
}

impl std::fmt::Display for Cargo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in &self.environment {
            write!(f, "{name}={value:?} ")?;
        }
        let toolchain = self.toolchain.map(|name| format!("+{name} ")).unwrap_or_default();
        write!(f, "cargo {toolchain}{}", self.action)?;
        self.arguments.iter().try_for_each(|a| write!(f, " {a}"))?;
        if !self.last.is_empty() {
            write!(f, " --")?;
        }
        self.last.iter().try_for_each(|a| write!(f, " {a}"))
    }
}

/// Reads one line of cargo's JSON messages.
fn artifact(line: &str) -> Option<Artifact> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        package_id: String,
        target: Target,
        executable: PathBuf,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }

    // Other messages have other fields, so they do not parse as this one.
    let message: Message = serde_json::from_str(line).ok().filter(|m: &Message| m.reason == "compiler-artifact")?;
    Some(Artifact { package: package(&message.package_id)?, name: message.target.name, path: message.executable })
}

/// Returns the package name in `path+file:///dir#name@1.0.0` or `path+file:///name#1.0.0`.
fn package(id: &str) -> Option<String> {
    let (url, fragment) = id.split_once('#')?;
    let name = fragment.split_once('@').map_or_else(|| url.rsplit('/').next(), |(name, _)| Some(name));
    name.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_names_package_and_program() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/boot#bootmem-boot@0.1.0","target":{"kind":["bin"],"name":"boot"},"executable":"/t/boot","fresh":true}"#;
        let expected = Artifact { package: "bootmem-boot".into(), name: "boot".into(), path: "/t/boot".into() };
        assert_eq!(artifact(line), Some(expected));
        assert_eq!(artifact(&line.replace("\"/t/boot\"", "null")), None);
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(package("path+file:///w/xtask#0.1.0").as_deref(), Some("xtask"));
    }

    #[test]
    fn the_text_is_what_one_would_type() {
        let cargo = Cargo::new("clippy").package("a").features(&["serde", "defmt"]).bare_metal().deny_warnings();
        assert_eq!(
            cargo.to_string(),
            "cargo clippy --package a --features serde,defmt --target x86_64-unknown-none -- --deny warnings"
        );
    }
}
