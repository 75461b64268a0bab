// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the files of `/proc` and `/sys` say. Lines that say nothing are left out.

use handoff::{FRAME_BYTES, MemoryKind, PhysRange};

/// An area of `/proc/iomem`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Area {
    pub(super) range: PhysRange,
    pub(super) name: String,
    /// Line of the file, from 1.
    pub(super) line: usize,
}

/// Returns the areas in the order of the file: an area, then those inside it.
pub(super) fn iomem(text: &str) -> Vec<Area> {
    let area = |(i, line): (usize, &str)| {
        let (range, name) = line.trim_start().split_once(" : ")?;
        let (start, last) = range.split_once('-')?;
        let range = PhysRange::new(hex(start)?, hex(last)?.checked_add(1)?)?;
        Some(Area { range, name: name.trim_end().to_owned(), line: i + 1 })
    };
    text.lines().enumerate().filter_map(area).collect()
}

/// An entry of the firmware's map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) range: PhysRange,
    pub(super) kind: String,
    pub(super) line: usize,
}

/// Returns the entries of `/sys/firmware/memmap` as lines of index, first address, last address and type, sorted.
pub(super) fn firmware_map(text: &str) -> Vec<Entry> {
    let entry = |(i, line): (usize, &str)| {
        let mut words = line.splitn(4, ' ').skip(1);
        let (start, last) = (hex(words.next()?)?, hex(words.next()?)?);
        let range = PhysRange::new(start, last.checked_add(1)?)?;
        Some(Entry { range, kind: words.next()?.trim_end().to_owned(), line: i + 1 })
    };
    let mut entries: Vec<_> = text.lines().enumerate().filter_map(entry).collect();
    entries.sort_by_key(|e| e.range.start());
    entries
}

/// Returns the number of a type by its name in the log or in `/sys/firmware/memmap`.
pub(super) fn memory_kind(words: &str) -> MemoryKind {
    match words {
        "usable" | "System RAM" => MemoryKind::RAM,
        "ACPI data" | "ACPI Tables" => MemoryKind::ACPI,
        "ACPI NVS" | "ACPI Non-volatile Storage" => MemoryKind::NVS,
        "unusable" | "Unusable memory" => MemoryKind::UNUSABLE,
        "soft reserved" | "Soft Reserved" => MemoryKind::SOFT_RESERVED,
        words if words.starts_with("persistent") || words.starts_with("Persistent") => {
            if words.contains("type 12") || words.contains("legacy") { MemoryKind::PRAM } else { MemoryKind::PMEM }
        }
        _ => MemoryKind::RESERVED,
    }
}

/// A zone. Numbers are frames.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Zone {
    pub(super) node: u32,
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) spanned: u64,
    pub(super) present: u64,
    pub(super) managed: u64,
    pub(super) line: usize,
}

/// Returns the zones of `/proc/zoneinfo`.
pub(super) fn zoneinfo(text: &str) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if let Some((node, name)) = line.strip_prefix("Node ").and_then(|rest| rest.split_once(", zone")) {
            let node = node.parse().unwrap_or(0);
            zones.push(Zone { node, name: name.trim().to_owned(), line: i + 1, ..Zone::default() });
        }
        let (Some(zone), Some((name, number))) = (zones.last_mut(), line.trim().split_once(' ')) else { continue };
        let Ok(number) = number.trim().parse() else { continue };
        match name {
            "spanned" => zone.spanned = number,
            "present" => zone.present = number,
            "managed" => zone.managed = number,
            "start_pfn:" => zone.start = number,
            _ => {}
        }
    }
    zones
}

/// Returns the bytes of frames.
pub(super) fn frames(count: u64) -> u64 {
    count.saturating_mul(FRAME_BYTES)
}

/// Returns the bytes that `/proc/meminfo` says of something, and the line.
pub(super) fn meminfo(text: &str, name: &str) -> Option<(u64, usize)> {
    text.lines().enumerate().find_map(|(i, line)| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        let kib: u64 = value.trim().trim_end_matches("kB").trim_end().parse().ok()?;
        Some((kib.checked_mul(1024)?, i + 1))
    })
}

/// Returns the total that `free -m` shows, in MiB: the first number of the first line with several, in any language.
pub(super) fn free_total_mib(text: &str) -> Option<(u64, usize)> {
    text.lines().enumerate().find_map(|(i, line)| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (numbers.len() >= 3).then(|| (numbers[0], i + 1))
    })
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let areas = iomem(
            "00001000-0009fbff : System RAM\n  00002000-00002fff : Kernel code\nrubbish\n0-ffffffffffffffff : all",
        );
        assert_eq!(
            areas.iter().map(|a| (a.range.size(), a.name.as_str(), a.line)).collect::<Vec<_>>(),
            [(0x9_ec00, "System RAM", 1), (0x1000, "Kernel code", 2)]
        );
        let map = firmware_map("1 0x2000 0x2fff Reserved\n0 0x0 0x1fff System RAM\n2 0x5\n");
        assert_eq!(
            map.iter().map(|e| (e.range.start(), e.kind.as_str(), e.line)).collect::<Vec<_>>(),
            [(0, "System RAM", 2), (0x2000, "Reserved", 1)]
        );
        let zones = zoneinfo(
            "Node 1, zone   DMA32\n  pages free 7\n        spanned  9\n        present  8\n        managed  5\n  start_pfn:           4096\n",
        );
        assert_eq!((zones[0].node, zones[0].name.as_str(), zones[0].start), (1, "DMA32", 4096));
        assert_eq!((zones[0].spanned, zones[0].present, zones[0].managed), (9, 8, 5));
        assert_eq!(meminfo("MemFree: 1 kB\nMemTotal:   16 kB\n", "MemTotal"), Some((16384, 2)));
        let german = "           gesamt  benutzt  frei\nSpeicher:    1852       26  1815\n";
        assert_eq!(free_total_mib(german), Some((1852, 2)));
        assert_eq!(free_total_mib("nothing\n1 2\n"), None);
    }
}
