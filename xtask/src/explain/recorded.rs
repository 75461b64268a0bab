// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorded boots of Linux: the fixtures of this crate, and with `BOOTMEM_ORACLE` all there are.

use super::explain;
use super::model::{Figure, Line, LineKind, Owner, SourceState};
use super::record::Record;
use crate::arguments::WhatIf;
use std::path::{Path, PathBuf};

/// Returns the folders of the fixtures, or of all captures.
fn folders() -> Vec<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let captures = std::env::var_os("BOOTMEM_ORACLE").map(|oracle| vec![Path::new(&oracle).join("captures")]);
    let places = captures.unwrap_or_else(|| vec![tests.join("fixtures"), tests.join("explain")]);
    let inside = |place: &PathBuf| fs_err::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = places.iter().flat_map(inside).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

/// Returns a recorded boot that lies in the repository.
pub(super) fn fixture(name: &str) -> Record {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folder = ["fixtures", "explain"].map(|folder| tests.join(folder).join(name)).into_iter().find(|f| f.is_dir());
    Record::read(&folder.unwrap_or_else(|| panic!("there is no {name}"))).unwrap()
}

/// Returns whether each total is what the lines before it make of the one before.
pub(super) fn adds_up(lines: &[Line]) -> bool {
    let mut balance = None;
    lines.iter().all(|line| {
        let bytes = i128::from(line.bytes);
        match (line.kind, &mut balance) {
            (LineKind::Total, None) => balance = Some(bytes),
            (LineKind::Total, Some(sum)) => return *sum == bytes,
            (LineKind::Taken, Some(sum)) => *sum -= bytes,
            (LineKind::Returned, Some(sum)) => *sum += bytes,
            (_, None) => return false,
        }
        true
    })
}

fn unexplained_percent(lines: &[Line]) -> f64 {
    lines.iter().filter(|l| l.owner == Owner::Unexplained).map(|l| l.percent).sum()
}

/// Returns the record as a kernel without `memblock=debug` would have left it.
fn without_debug(record: &Record) -> Record {
    const STARTS: [&str; 5] = ["memblock", "   memblock", "MEMBLOCK", " memory", " reserved"];
    let text = String::from_utf8_lossy(&record.dmesg);
    let words = |line: &str| line.split_once("] ").map_or(line.to_owned(), |(_, words)| words.to_owned());
    let kept = text.lines().filter(|line| !STARTS.iter().any(|start| words(line).starts_with(start)));
    let dmesg = kept.map(|line| line.replace("memblock=debug", "quiet") + "\n").collect::<String>().into_bytes();
    Record { dmesg, command_line: record.command_line.replace("memblock=debug", "quiet"), ..record.clone() }
}

/// Returns the MemTotal that a boot reported, in KiB.
fn reported_kib(folder: &Path, record: &Record) -> u64 {
    let first = record.meminfo.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let name = folder.file_name().unwrap().to_str().unwrap();
    let kept = || include_str!("mem_total.txt").lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    first.or_else(|| kept()?.parse().ok()).unwrap_or_else(|| panic!("{name} is not in mem_total.txt"))
}

/// With every reservation logged, everything is explained, with or without `/proc/meminfo`.
#[test]
fn every_byte_is_explained_with_memblock_debug() {
    for folder in folders() {
        let record = Record::read(&folder).unwrap();
        let reported = reported_kib(&folder, &record);
        let log_alone = Record::from_log("log", record.dmesg.clone());
        for record in [record, log_alone] {
            let explanation = explain(&record, &WhatIf::default());
            let lines = explanation.waterfall;
            assert!(adds_up(&lines), "{folder:?}: {lines:#?}");
            assert_eq!(lines.last().unwrap().bytes / 1024, reported, "{folder:?}");
            assert!(unexplained_percent(&lines) < 0.1, "{folder:?}: {lines:#?}");
            assert!(
                explanation.sources.iter().all(|s| s.name != "free -m" || s.state != SourceState::Partial),
                "{folder:?}"
            );
        }
    }
}

/// Without it, at most 1 % is not.
#[test]
fn almost_everything_is_explained_without() {
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let record = Record::read(&folder).unwrap();
        let reported = reported_kib(&folder, &record);
        let all = without_debug(&record);
        let log_alone = Record::from_log("log", all.dmesg.clone());
        for record in [all, log_alone] {
            let lines = explain(&record, &WhatIf::default()).waterfall;
            assert!(adds_up(&lines), "{name}: {lines:#?}");
            let unexplained = unexplained_percent(&lines);
            assert!(unexplained < 1.0, "{name}: {unexplained} %: {lines:#?}");
            // Arrays that memblock gave back are not told of.
            let total = lines.last().unwrap().bytes / 1024;
            assert!(reported - total <= 8, "{name}: {total} for {reported}");
        }
    }
}

/// From the map and the command line alone: the crash kernel's areas and the zones as they were, MemTotal within 0.5 %.
#[test]
fn predictions_come_true() {
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let record = Record::read(&folder).unwrap();
        let predictions = explain(&record, &WhatIf::default()).predictions;
        assert!(!predictions.is_empty(), "{name}");
        for row in &predictions {
            let of_zone = row.name.contains("spanned") || row.name.contains("present");
            let exact = of_zone || row.name.starts_with("Crash");
            // Without /proc/iomem, the log tells to the MiB.
            let is_rounded = record.iomem.is_empty() && row.name.starts_with("Crash");
            assert!(!exact || is_rounded || row.equal != Some(false), "{name}: {row:#?}");
        }
        let Some(Figure::Bytes { bytes }) = predictions.last().map(|row| &row.predicted) else { panic!("{name}") };
        let reported = reported_kib(&folder, &record) << 10;
        assert!(bytes.abs_diff(reported) * 200 <= reported, "{name}: {bytes} for {reported}");
    }
}
