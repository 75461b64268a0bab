// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine this runs on.

use super::proc::iomem;
use super::record::{COMMAND_LINE, DMI, FIRMWARE_MAP, FREE, IOMEM, Kind, LOG, MEMINFO, Record, ZONEINFO};
use anyhow::{Context as _, Result, bail, ensure};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

impl Record {
    /// Reads what the running kernel lets the user see.
    pub(crate) fn live() -> Self {
        let name = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut record = Self { name: name.trim().to_owned(), ..Self::default() };
        record.dmesg = record.note(&LOG, log());
        record.dmi = record.note(&DMI, fs_err::read(DMI.name).map_err(Into::into));
        record.firmware_map = record.text(&FIRMWARE_MAP, firmware_map());
        record.iomem = record.text(&IOMEM, addresses());
        for (kind, to) in [(MEMINFO, 0), (ZONEINFO, 1), (COMMAND_LINE, 2)] {
            let read = record.text(&kind, fs_err::read(kind.name).map_err(Into::into));
            *[&mut record.meminfo, &mut record.zoneinfo, &mut record.command_line][to] = read;
        }
        record.command_line.truncate(record.command_line.trim_end().len());
        let loaded = fs_err::read_to_string("/sys/kernel/kexec_crash_loaded").ok();
        record.crash_loaded = loaded.map(|loaded| loaded.trim() != "0");
        record.free = record.text(&FREE, run("free", &["-m"]));
        record
    }

    fn text(&mut self, kind: &Kind, read: Result<Vec<u8>>) -> String {
        String::from_utf8_lossy(&self.note(kind, read)).into_owned()
    }
}

/// Returns the first log that has its beginning, else the longest.
fn log() -> Result<Vec<u8>> {
    let mut best = Vec::new();
    let mut why = None;
    for (program, arguments) in [
        ("dmesg", &[][..]),
        ("journalctl", &["--dmesg", "--boot", "--no-pager", "--output=short-monotonic"]),
        ("cat", &["/var/log/dmesg"]),
    ] {
        match run(program, arguments) {
            Ok(log) if has_beginning(&log) => return Ok(log),
            Ok(log) if log.len() > best.len() && is_log(&log) => best = log,
            Ok(_) => {}
            Err(error) => _ = why.get_or_insert(error),
        }
    }
    if best.is_empty() {
        return Err(why.unwrap_or_else(|| anyhow::anyhow!("there is none")));
    }
    Ok(best)
}

fn has_beginning(log: &[u8]) -> bool {
    const WORDS: &[u8] = b"Linux version ";
    log.windows(WORDS.len()).any(|window| window == WORDS)
}

fn is_log(log: &[u8]) -> bool {
    crate::dmesg::parse(&crate::dmesg::text(log)).iter().any(|boot| !boot.entries.is_empty())
}

fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("running {program}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", words.lines().next().unwrap_or("failed"));
    Ok(output.stdout)
}

/// Returns `/proc/iomem`, which shows zeros to who is not root.
fn addresses() -> Result<Vec<u8>> {
    let text = fs_err::read(IOMEM.name)?;
    let areas = iomem(&String::from_utf8_lossy(&text));
    if !areas.is_empty() && areas.iter().all(|area| area.range.end() == 1) {
        bail!("the addresses are hidden from all but root");
    }
    Ok(text)
}

/// Returns the entries as lines of index, first address, last address and type.
fn firmware_map() -> Result<Vec<u8>> {
    let mut text = String::new();
    for entry in fs_err::read_dir(FIRMWARE_MAP.name)? {
        let folder = entry?.path();
        let member = |name: &str| fs_err::read_to_string(folder.join(name));
        let index = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (start, end, kind) = (member("start")?, member("end")?, member("type")?);
        writeln!(text, "{index} {} {} {}", start.trim(), end.trim(), kind.trim())?;
    }
    ensure!(Path::new(FIRMWARE_MAP.name).is_dir() && !text.is_empty(), "it has no entries");
    Ok(text.into_bytes())
}
