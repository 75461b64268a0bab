// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorded boots of real kernels: every decision equal, every change to a log noticed, and nothing that makes the
//! command stumble.
//!
//! `tests/fixtures` holds boots of Debian's Linux 6.1 and 6.12 under QEMU, each a folder with the log and what else was
//! kept of the machine, packed. With `BOOTMEM_ORACLE` naming a folder, all captures below it are replayed too.

mod beside;
mod logs;
mod mutations;
mod recorded;

use std::path::{Path, PathBuf};
use xtask::{Capture, Report, replay};

/// The folder of the fixtures.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every capture below a folder.
fn captures(folder: &Path) -> Vec<Capture> {
    let found = Capture::find(folder).unwrap();
    found.iter().map(|path| Capture::read(path).unwrap()).collect()
}

fn fixture(name: &str) -> Capture {
    Capture::read(&fixtures().join(name)).unwrap()
}

/// Replays a capture with one boot in it.
fn one(capture: &Capture) -> Report {
    let mut reports = replay(capture);
    assert_eq!(reports.len(), 1, "{}", capture.name);
    reports.remove(0)
}

/// Returns a capture with another log.
fn with_log(capture: &Capture, lines: &[impl AsRef<str>]) -> Capture {
    let text: String = lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect();
    Capture { dmesg: text.into_bytes(), ..capture.clone() }
}

fn lines_of(capture: &Capture) -> Vec<String> {
    String::from_utf8_lossy(&capture.dmesg).lines().map(str::to_owned).collect()
}
