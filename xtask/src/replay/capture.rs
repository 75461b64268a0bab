// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a recorded boot comes from: a folder, a file or standard input.

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A recorded boot: the log, and what else was kept of the machine.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// What to call it.
    pub name: String,
    /// The kernel's log as it was kept.
    pub dmesg: Vec<u8>,
    /// The page in which the loader passed the firmware's map.
    pub boot_params: Option<Vec<u8>>,
    /// The whole command line; the log cuts it at 1024 bytes.
    pub command_line: Option<String>,
    /// What the firmware was made to say (JSON).
    pub synth: Option<Vec<u8>>,
    /// The ACPI table that gives memory to nodes.
    pub srat: Option<Vec<u8>>,
    /// The page allocator as it was when early memory had been handed over (JSON).
    pub handover: Option<Vec<u8>>,
    /// The descriptors at that moment, in runs.
    pub handover_pages: Option<Vec<u8>>,
    /// The state of every frame after the boot, in runs.
    pub pagemap: Option<Vec<u8>>,
    /// The kernel's table of zones after the boot.
    pub zoneinfo: Option<Vec<u8>>,
}

impl Capture {
    /// Returns a capture of nothing but a log.
    pub fn from_log(name: impl Into<String>, dmesg: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), dmesg: dmesg.into(), ..Self::default() }
    }

    /// Reads a folder with a `dmesg.txt`, a log file, or standard input for `-`. Any file may be packed with gzip.
    ///
    /// # Errors
    /// What could not be read.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("reading standard input")?;
            return Ok(Self::from_log("standard input", unpack(bytes)?));
        }
        if !path.is_dir() {
            return Ok(Self::from_log(name, unpack(fs_err::read(path)?)?));
        }

        let dmesg = member(path, "dmesg.txt")?.with_context(|| format!("{}: there is no dmesg.txt", path.display()))?;
        let whole_line = match member(path, "proc_cmdline.txt")? {
            Some(line) => Some(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()),
            None => member(path, "cmdline.txt")?.and_then(|text| {
                let text = String::from_utf8_lossy(&text).into_owned();
                text.lines().find_map(|l| l.strip_prefix("append: ")).map(str::to_owned)
            }),
        };
        Ok(Self {
            name,
            dmesg,
            boot_params: member(path, "boot_params.bin")?,
            command_line: whole_line,
            synth: member(path, "synth.json")?,
            srat: member(path, "acpi_SRAT.bin")?,
            handover: member(path, "handover.json")?,
            handover_pages: member(path, "handover_pages.txt")?,
            pagemap: member(path, "pagemap_rle.txt")?,
            zoneinfo: member(path, "zoneinfo.txt")?,
        })
    }

    /// Returns the captures at a path: the folder itself, or those in it.
    ///
    /// # Errors
    /// A folder that cannot be read, or that has no capture in it.
    pub fn find(path: &Path) -> Result<Vec<PathBuf>> {
        if !path.is_dir() || is_capture(path) {
            return Ok(vec![path.to_owned()]);
        }
        let mut found = Vec::new();
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(&folder)? {
                let path = entry?.path();
                match (path.is_dir(), is_capture(&path)) {
                    (true, true) => found.push(path),
                    (true, false) => folders.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        ensure!(!found.is_empty(), "{}: there is no folder with a dmesg.txt in it", path.display());
        Ok(found)
    }
}

fn is_capture(folder: &Path) -> bool {
    folder.join("dmesg.txt").is_file() || folder.join("dmesg.txt.gz").is_file()
}

/// Reads a file of a folder, packed or not.
pub(crate) fn member(folder: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    for path in [folder.join(name), folder.join(format!("{name}.gz"))] {
        if path.is_file() {
            return unpack(fs_err::read(&path)?).with_context(|| path.display().to_string()).map(Some);
        }
    }
    Ok(None)
}

pub(crate) fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>> {
    /// More than any log: what a small file may unpack to.
    const LARGEST: u64 = 256 << 20;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(&bytes[..]).take(LARGEST).read_to_end(&mut unpacked).context("unpacking")?;
    Ok(unpacked)
}
