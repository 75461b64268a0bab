// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run of `cargo xtask qemu` and what is known of it afterwards.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A run that is not started yet.
pub(crate) struct Boot {
    arguments: Vec<String>,
    directory: TempDir,
}

/// A run that is over.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) json: Value,
    directory: TempDir,
}

impl Boot {
    pub(crate) fn new() -> Self {
        Self { arguments: Vec::new(), directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    /// Puts a file where the run can find it and returns its path.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn run(self) -> Run {
        let json = self.directory.path().join("run.json");
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["qemu", "--no-install", "--json"])
            .arg(&json)
            .arg("--record")
            .arg(self.directory.path())
            .args(&self.arguments)
            .output()
            .unwrap();
        let json = fs_err::read(json).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Run {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            json: json.unwrap_or(Value::Null),
            directory: self.directory,
        }
    }
}

impl Run {
    /// Checks the exit status; shows everything if it is another.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status\n{}\n{}", self.stderr, self.stdout);
        self
    }

    /// Returns the lines of the log without their timestamps.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.stdout.lines().map(without_timestamp)
    }

    /// Checks that each of the lines is there, in this order.
    #[track_caller]
    pub(crate) fn expect_lines(&self, expected: &[&str]) {
        let mut lines = self.lines();
        for line in expected {
            assert!(lines.any(|l| l == *line), "no line {line:?} at its place in\n{}", self.stdout);
        }
    }

    /// Checks that some line contains all of the words.
    #[track_caller]
    pub(crate) fn expect_words(&self, words: &[&str]) {
        let found = self.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line with {words:?} in\n{}", self.stdout);
    }

    /// Returns the encoded hand-off of that name.
    pub(crate) fn handoff(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.directory.path().join(format!("{name}.bin"))).unwrap()
    }

    /// Returns the file of the program that ran as that stage.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.json["programs"][name].as_str().unwrap().into()
    }

    /// Returns a number of the JSON file.
    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let value = self.json.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("no number at {pointer} in {:#}", self.json))
    }

    /// Checks the identity from installed to free, to the byte, from what the run left.
    #[track_caller]
    pub(crate) fn expect_identity(&self) {
        let sum = |account: &str| -> u64 {
            let owners = self.json["ledger"]["owners"].as_array().unwrap().iter();
            owners.filter(|o| o["account"] == account).map(|o| o["bytes"].as_u64().unwrap()).sum()
        };
        let zones = self.json["handoffs"]["buddy"]["value"]["zones"].as_array().unwrap();
        let managed: u64 = zones.iter().map(|z| z["managed"].as_u64().unwrap() * 4096).sum();
        let ram = self.number("/ledger/firmware_ram") + self.number("/ledger/added");
        assert_eq!(ram, sum("Lost") + sum("Reserved") + managed, "{:#}", self.json["ledger"]);

        let free: u64 = zones.iter().map(free_frames).sum();
        assert_eq!(managed, free * 4096, "nothing is allocated yet when buddy hands over");
    }
}

/// Returns the free frames of a zone: blocks times frames of a block, by order, and dormant sections.
fn free_frames(zone: &Value) -> u64 {
    let areas = zone["free_area"].as_array().unwrap().iter().enumerate();
    let blocks: u64 = areas.map(|(order, area)| area["blocks"].as_u64().unwrap() << order).sum();
    blocks + (zone["dormant"]["count"].as_u64().unwrap() << 15)
}

fn without_timestamp(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((stamp, text)) if stamp.trim().parse::<f64>().is_ok() => text,
        _ => line,
    }
}

/// Returns the workspace's `boot/image.toml` with paths that work from anywhere.
pub(crate) fn image_toml() -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs_err::read_to_string(workspace.join("boot/image.toml")).unwrap()
}
