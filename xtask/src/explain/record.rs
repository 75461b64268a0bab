// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was kept of a boot: files as they are, and which of them are missing.

use super::model::{Source, SourceState};
use crate::replay::{member, unpack};
use anyhow::{Context as _, Result};
use std::io::Read as _;
use std::path::Path;

/// Everything there is to read of one boot. Whatever is missing is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) dmesg: Vec<u8>,
    pub(crate) command_line: String,
    pub(crate) meminfo: String,
    pub(crate) zoneinfo: String,
    pub(crate) iomem: String,
    pub(crate) free: String,
    /// Index, first and last address, and type of each entry, as a line each.
    pub(crate) firmware_map: String,
    /// The structures of SMBIOS.
    pub(crate) dmi: Vec<u8>,
    /// Whether a crash kernel is loaded into its memory.
    pub(crate) crash_loaded: Option<bool>,
    /// What was looked for.
    pub(crate) sources: Vec<Source>,
}

/// What is read, where it lies on a machine, in a folder, and how to get it.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) file: &'static str,
    pub(super) remedy: &'static str,
}

pub(super) const LOG: Kind = Kind {
    name: "kernel log",
    file: "dmesg.txt",
    remedy: "sudo dmesg > dmesg.txt, right after the boot; journalctl -k -b keeps it longer",
};
pub(super) const COMMAND_LINE: Kind =
    Kind { name: "/proc/cmdline", file: "proc_cmdline.txt", remedy: "cat /proc/cmdline > proc_cmdline.txt" };
pub(super) const MEMINFO: Kind =
    Kind { name: "/proc/meminfo", file: "meminfo.txt", remedy: "cat /proc/meminfo > meminfo.txt" };
pub(super) const ZONEINFO: Kind =
    Kind { name: "/proc/zoneinfo", file: "zoneinfo.txt", remedy: "cat /proc/zoneinfo > zoneinfo.txt" };
pub(super) const IOMEM: Kind =
    Kind { name: "/proc/iomem", file: "iomem.txt", remedy: "sudo cat /proc/iomem > iomem.txt" };
pub(super) const FREE: Kind = Kind { name: "free -m", file: "free.txt", remedy: "free -m > free.txt" };
pub(super) const FIRMWARE_MAP: Kind = Kind {
    name: "/sys/firmware/memmap",
    file: "firmware_memmap.txt",
    remedy: "cd /sys/firmware/memmap; for i in *; do echo $i $(cat $i/start $i/end $i/type); done > firmware_memmap.txt",
};
pub(super) const DMI: Kind = Kind {
    name: "/sys/firmware/dmi/tables/DMI",
    file: "dmi.bin",
    remedy: "sudo cat /sys/firmware/dmi/tables/DMI > dmi.bin",
};

impl Record {
    /// Reads a folder of such files, a log, or standard input for `-`; any of them may be packed with gzip.
    ///
    /// # Errors
    /// A path that cannot be read at all.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::read_folder(path));
        }
        let (name, bytes) = if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("reading standard input")?;
            ("standard input".to_owned(), bytes)
        } else {
            (path.display().to_string(), fs_err::read(path)?)
        };
        Ok(Self::from_log(&name, unpack(bytes).with_context(|| name.clone())?))
    }

    /// Returns a record of nothing but a log.
    pub(crate) fn from_log(name: &str, dmesg: Vec<u8>) -> Self {
        Self { name: name.to_owned(), dmesg, ..Self::default() }
    }

    fn read_folder(path: &Path) -> Self {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        let mut record = Self { name, ..Self::default() };
        let bytes = |record: &mut Self, kind: &Kind| {
            record.note(kind, member(path, kind.file).and_then(|found| found.context("not in the folder")))
        };
        let text = |record: &mut Self, kind: &Kind| String::from_utf8_lossy(&bytes(record, kind)).into_owned();
        record.dmesg = bytes(&mut record, &LOG);
        record.dmi = bytes(&mut record, &DMI);
        record.firmware_map = text(&mut record, &FIRMWARE_MAP);
        record.iomem = text(&mut record, &IOMEM);
        record.zoneinfo = text(&mut record, &ZONEINFO);
        record.meminfo = text(&mut record, &MEMINFO);
        record.free = text(&mut record, &FREE);
        let kexec = member(path, "kexec.txt").ok().flatten().unwrap_or_default();
        record.crash_loaded = String::from_utf8_lossy(&kexec)
            .lines()
            .find_map(|l| l.split_once("crash_loaded ").map(|(_, loaded)| loaded.trim() != "0"));
        record.command_line = match member(path, COMMAND_LINE.file) {
            Ok(Some(line)) => String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned(),
            _ => member(path, "cmdline.txt").ok().flatten().map_or_else(String::new, |text| {
                let text = String::from_utf8_lossy(&text);
                text.lines().find_map(|l| l.strip_prefix("append: ")).unwrap_or_default().to_owned()
            }),
        };
        record
    }

    /// Notes whether something could be read, and returns it or nothing.
    pub(super) fn note(&mut self, kind: &Kind, read: Result<Vec<u8>>) -> Vec<u8> {
        let (state, detail, bytes) = match read {
            Ok(bytes) if !bytes.is_empty() => (SourceState::Found, format!("{} bytes", bytes.len()), bytes),
            Ok(bytes) => (SourceState::Missing, "empty".to_owned(), bytes),
            Err(error) => (SourceState::Missing, format!("{error:#}"), Vec::new()),
        };
        let remedy = (state == SourceState::Missing).then(|| kind.remedy.to_owned());
        self.sources.push(Source { name: kind.name.to_owned(), state, detail, remedy });
        bytes
    }
}
