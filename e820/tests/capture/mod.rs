// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorded boots of real kernels: what the loader passed, and the lines of the log that the table is behind.
#![allow(dead_code, reason = "each test uses its part")]

use e820::SetupData;
use handoff::{Lines, MemoryKind, PhysRange, RawEntry, Rules};
use std::{fs, path::Path};

/// A recorded boot.
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) rules: Rules,
    pub(crate) command_line: String,
    pub(crate) raw: Vec<RawEntry>,
    pub(crate) extended: Vec<RawEntry>,
    pub(crate) setup_data: Vec<SetupData>,
    pub(crate) write_back: Vec<PhysRange>,
    pub(crate) log: Vec<String>,
}

impl Capture {
    /// Reads a file of `tests/fixtures`.
    pub(crate) fn from_fixture(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (input, log) = text.split_once("\n\n").expect("input and log");
        let mut capture = Self::new(path);
        capture.log = log.lines().map(String::from).collect();

        for line in input.lines().filter(|l| !l.starts_with('#')) {
            let (key, value) = line.split_once(' ').unwrap();
            let numbers = || value.split(' ').map(number).collect::<Vec<_>>();
            let entry = || RawEntry { addr: numbers()[0], size: numbers()[1], kind: MemoryKind(numbers()[2] as u32) };
            match key {
                "linux" => capture.rules = rules(value),
                "command_line" => capture.command_line = value.into(),
                "raw" => capture.raw.push(entry()),
                "extended" => capture.extended.push(entry()),
                "setup_data" => {
                    let RawEntry { addr, size, kind } = entry();
                    capture.setup_data.push(SetupData { addr, size, kind: kind.0, target: None });
                }
                "write_back" => capture.write_back.push(PhysRange::from_size(numbers()[0], numbers()[1]).unwrap()),
                _ => panic!("{}: {line}", capture.name),
            }
        }
        capture
    }

    /// Reads a folder with a kernel's `dmesg.txt` and its `boot_params.bin`, the page in which the loader passed the map.
    pub(crate) fn from_folder(path: &Path) -> Self {
        let mut capture = Self::new(path);
        let params = fs::read(path.join("boot_params.bin")).unwrap();
        capture.raw = params[0x2d0..]
            .chunks_exact(20)
            .take(params[0x1e8].into())
            .map(|e| RawEntry {
                addr: u64::from_le_bytes(e[..8].try_into().unwrap()),
                size: u64::from_le_bytes(e[8..16].try_into().unwrap()),
                kind: MemoryKind(u32::from_le_bytes(e[16..].try_into().unwrap())),
            })
            .collect();

        let dmesg = fs::read(path.join("dmesg.txt")).unwrap();
        let dmesg = String::from_utf8_lossy(&dmesg);
        let lines = || dmesg.lines().filter_map(|l| Some(l.split_once("] ")?.1));
        let after = |start: &str| lines().find_map(|l| l.strip_prefix(start)).unwrap().to_string();
        capture.command_line = after("Command line: ");
        capture.rules = rules(after("Linux version ").splitn(3, '.').take(2).collect::<Vec<_>>().join(".").as_str());
        // Who called memblock is a function and an offset: the offset is of one build.
        let bare = |line: &str| match line.contains(" e820__memblock_setup+0x") {
            true => line.rsplit_once('+').unwrap().0.to_string(),
            false => line.to_string(),
        };
        capture.log = lines().filter(|l| is_compared(l)).map(bare).collect();
        capture
    }

    fn new(path: &Path) -> Self {
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().into(),
            rules: Rules::default(),
            command_line: String::new(),
            raw: Vec::new(),
            extended: Vec::new(),
            setup_data: Vec::new(),
            write_back: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(crate) fn max_arch_pfn(&self) -> u64 {
        let last = self.log.iter().find(|l| l.starts_with("last_pfn")).unwrap();
        number(last.rsplit(' ').next().unwrap())
    }
}

/// Every recorded boot of `tests/fixtures`.
pub(crate) fn fixtures() -> Vec<Capture> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 30, "fixtures are missing");
    files.iter().map(|f| Capture::from_fixture(f)).collect()
}

/// Returns whether a line of a log is one that the table is behind.
pub(crate) fn is_compared(line: &str) -> bool {
    const STARTS: &[&str] = &[
        "BIOS-e820: ",
        "extended: ",
        "reserve setup_data: ",
        "user: ",
        "modified: ",
        "e820: ",
        "last_pfn = ",
        "Malformed early option 'mem",
        "mem=nopentium ignored!",
        "WARNING: BIOS bug: CPU MTRRs",
        "update e820 for mtrr",
        "CPU MTRRs all blank",
        "Cannot find an available gap",
        "PCI devices with unassigned",
        "PM: hibernation: Registered nosave",
        ".text .data .bss",
        "too many entries",
    ];
    STARTS.iter().any(|s| line.starts_with(s))
        || line.ends_with(" physical RAM map:")
        || line.ends_with(" available for PCI devices")
        || line.starts_with("memblock_") && line.contains("] e820__memblock_setup")
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn rules(version: &str) -> Rules {
    Rules::from_command_line(&format!("linux={version}")).unwrap()
}

/// Returns the lines that a kernel prints too.
pub(crate) fn compared(log: &Lines) -> Vec<String> {
    log.all().into_iter().filter(|l| is_compared(l)).collect()
}

/// Fails with the first line that differs.
pub(crate) fn assert_same_lines(name: &str, ours: &[String], linux: &[String]) {
    for i in 0..ours.len().max(linux.len()) {
        assert_eq!(ours.get(i), linux.get(i), "{name}: line {i}: ours, Linux's");
    }
}
