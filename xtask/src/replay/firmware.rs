// SPDX-License-Identifier: MIT OR Apache-2.0
//! What firmware and loader said, from the files beside a log.

use super::capture::Capture;
use crate::dmesg::{Entry, Event};
use e820::SetupData;
use handoff::{MemoryKind, PhysRange, RawEntry};
use serde_json::Value;

/// A range of the EFI memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EfiRange {
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) kind: EfiKind,
    pub(super) mirrored: bool,
    pub(super) special: bool,
    pub(super) write_back: bool,
}

/// What Linux tells apart when it makes entries of the firmware's map of an EFI map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EfiKind {
    /// Free, or free after the firmware's boot services are gone; whether those hold it.
    Usable {
        boot_services: bool,
        conventional: bool,
    },
    Acpi,
    Nvs,
    Unusable,
    Persistent,
    Reserved,
}

/// What is known beside the log.
#[derive(Debug, Default)]
pub(super) struct Firmware {
    /// The map as the loader passed it.
    pub(super) raw: Option<Vec<RawEntry>>,
    /// KiB above 1 MiB by the older BIOS calls, and the name of the one that counts.
    pub(super) fallback: Option<(u64, &'static str)>,
    /// What `SETUP_E820_EXT` adds.
    pub(super) extended: Vec<RawEntry>,
    pub(super) setup_data: Option<Vec<SetupData>>,
    /// What the MTRRs let the CPU cache, if they were set for the boot and do not cache by default.
    pub(super) write_back: Option<Vec<PhysRange>>,
    pub(super) efi: Vec<EfiRange>,
    /// Where the loader put the initial RAM disk.
    pub(super) ramdisk: Option<PhysRange>,
    /// Its bytes; the range above ends with a page.
    pub(super) ramdisk_size: Option<u64>,
    /// Where the EFI memory map lies.
    pub(super) efi_memmap: Option<PhysRange>,
    /// Memory of nodes: node, proximity domain, first and last address, and the words behind.
    pub(super) srat: Option<Vec<String>>,
}

impl Firmware {
    pub(super) fn read(capture: &Capture, entries: &[Entry<'_>]) -> Self {
        let mut firmware = Self::default();
        if let Some(page) = &capture.boot_params {
            firmware.boot_params(page);
        }
        if let Some(synth) = capture.synth.as_deref().and_then(|text| serde_json::from_slice::<Value>(text).ok()) {
            firmware.synth(&synth);
        }
        // With `efi=debug` the map is printed after `efi_fake_mem=` changed it.
        let printed: Vec<_> = entries.iter().filter_map(efi_line).collect();
        let is_faked = entries.iter().any(|e| matches!(e.event, Event::CommandLine(l) if l.contains("efi_fake_mem=")));
        if firmware.efi.is_empty() || is_faked && !printed.is_empty() {
            firmware.efi = printed;
        }
        firmware.srat = capture.srat.as_deref().and_then(srat_lines);
        firmware
    }

    fn boot_params(&mut self, page: &[u8]) {
        let u32_at = |at: usize| page.get(at..at + 4).map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        let pair = |low, high| Some(u32_at(low)? | u32_at(high)? << 32);
        let count = usize::from(page.get(0x1e8).copied().unwrap_or(0));
        self.raw = Some(entries(page.get(0x2d0..).unwrap_or_default()).take(count).collect());

        let ext_mem = page.get(2..4).map_or(0, |b| u64::from(u16::from_le_bytes([b[0], b[1]])));
        let alt_mem = u32_at(0x1e0).unwrap_or(0);
        self.fallback = Some(if alt_mem < ext_mem { (ext_mem, "BIOS-88") } else { (alt_mem, "BIOS-e801") });

        let (image, size) = (pair(0x218, 0xc0).unwrap_or(0), pair(0x21c, 0xc4).unwrap_or(0));
        self.ramdisk_size = Some(size).filter(|size| *size > 0);
        let end = image.checked_add(size).and_then(|end| end.checked_next_multiple_of(4096));
        self.ramdisk = end.filter(|_| image > 0 && size > 0).and_then(|end| PhysRange::new(image, end));
        // Whole descriptors only.
        let (size, each) = (u32_at(0x1d4).unwrap_or(0), u32_at(0x1c8).unwrap_or(0));
        let bytes = size - size.checked_rem(each).unwrap_or(0);
        self.efi_memmap = pair(0x1d0, 0x1d8).filter(|at| *at > 0).and_then(|at| PhysRange::from_size(at, bytes));
        if u32_at(0x250) == Some(0) && u32_at(0x254) == Some(0) {
            self.setup_data = Some(Vec::new());
        }
    }

    fn synth(&mut self, synth: &Value) {
        if let Some(nodes) = synth["setup_data"].as_array() {
            let nodes: Vec<_> = nodes.iter().filter_map(setup_data).collect();
            self.extended = nodes
                .iter()
                .filter(|(n, _)| n.kind == 1)
                .flat_map(|(_, bytes)| entries(bytes).collect::<Vec<_>>())
                .collect();
            self.setup_data = Some(nodes.into_iter().map(|(node, _)| node).collect());
        }
        if let Some(ranges) = synth["efi_memory_map"].as_array() {
            self.efi = ranges.iter().filter_map(efi_range).collect();
        }
        self.write_back = synth["msr"].as_array().and_then(|writes| cached(writes));
    }
}

/// Reads entries of 20 bytes: address, size, type.
fn entries(bytes: &[u8]) -> impl Iterator<Item = RawEntry> {
    bytes.chunks_exact(20).map(|e| {
        let u64_at = |at: usize| e[at..at + 8].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let kind = e[16..20].iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
        RawEntry { addr: u64_at(0), size: u64_at(8), kind: MemoryKind(kind) }
    })
}

fn setup_data(node: &Value) -> Option<(SetupData, Vec<u8>)> {
    /// `SETUP_RNG_SEED`: its length is zero by the time it is reserved; `SETUP_INDIRECT`.
    const RNG_SEED: u32 = 9;
    const INDIRECT: u32 = 1 << 31;
    let addr = hex(&node[0])?;
    let kind = node[1].as_u64()? as u32;
    let bytes: Vec<u8> = unhex(node[2].as_str()?)?;
    let payload = if kind == RNG_SEED { 0 } else { bytes.len() as u64 };
    let u64_at = |at: usize| bytes.get(at..at + 8).map(|b| b.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)));
    // Type, reserved, length, address.
    let target = if kind == INDIRECT { u64_at(16).zip(u64_at(8)) } else { None };
    Some((SetupData { addr, size: 16 + payload, kind, target }, bytes))
}

fn efi_range(range: &Value) -> Option<EfiRange> {
    const WRITE_BACK: u64 = 1 << 3;
    const MORE_RELIABLE: u64 = 1 << 16;
    const SPECIAL_PURPOSE: u64 = 1 << 18;
    let attributes = hex(&range[3])?;
    let has = |flag| attributes & flag != 0;
    Some(EfiRange {
        start: hex(&range[0])?,
        size: hex(&range[1])?,
        kind: match range[2].as_u64()? {
            1 | 2 => EfiKind::Usable { boot_services: false, conventional: false },
            3 | 4 => EfiKind::Usable { boot_services: true, conventional: false },
            7 => EfiKind::Usable { boot_services: false, conventional: true },
            8 => EfiKind::Unusable,
            9 => EfiKind::Acpi,
            10 => EfiKind::Nvs,
            14 => EfiKind::Persistent,
            _ => EfiKind::Reserved,
        },
        mirrored: has(MORE_RELIABLE),
        special: has(SPECIAL_PURPOSE),
        write_back: has(WRITE_BACK),
    })
}

/// Reads a line of `efi=debug`.
fn efi_line(entry: &Entry<'_>) -> Option<EfiRange> {
    let Event::EfiRange { kind, mirrored, special, start, last } = entry.event else { return None };
    let usable = |boot_services, conventional| EfiKind::Usable { boot_services, conventional };
    let kind = match kind {
        "Loader Code" | "Loader Data" => usable(false, false),
        "Boot Code" | "Boot Data" => usable(true, false),
        "Conventional" => usable(false, true),
        "Unusable" => EfiKind::Unusable,
        "ACPI Reclaim" => EfiKind::Acpi,
        "ACPI Mem NVS" => EfiKind::Nvs,
        "Persistent" => EfiKind::Persistent,
        _ => EfiKind::Reserved,
    };
    let size = last.checked_sub(start)?.checked_add(1)?;
    Some(EfiRange { start, size, kind, mirrored, special, write_back: entry.text.contains("|WB|") })
}

/// Returns what the variable MTRRs cache, or `None` if they cache by default or are off.
fn cached(writes: &[Value]) -> Option<Vec<PhysRange>> {
    const DEFAULT: u64 = 0x2ff;
    const ENABLED: u64 = 1 << 11;
    let writes: Vec<_> = writes.iter().filter_map(|w| Some((hex(&w[0])?, hex(&w[1])?))).collect();
    let value = |register| writes.iter().rev().find(|(r, _)| *r == register).map(|(_, v)| *v);
    let default = value(DEFAULT)?;
    if default & 0xff != 0 || default & ENABLED == 0 {
        return None;
    }
    let ranges = |kind| -> Vec<PhysRange> {
        let pairs = (0..32).filter_map(|i| Some((value(0x200 + 2 * i)?, value(0x201 + 2 * i)?)));
        let valid = pairs.filter(|(base, mask)| base & 0xff == kind && mask & ENABLED != 0);
        valid
            .filter_map(|(base, mask)| {
                PhysRange::from_size(base & !0xfff, 1 << (mask & !0xfff).trailing_zeros().min(63))
            })
            .collect()
    };
    let uncached = ranges(0);
    let mut cached = ranges(6);
    for hole in uncached {
        cached = cached
            .into_iter()
            .flat_map(|r| {
                [
                    PhysRange::new(r.start(), r.end().min(hole.start())),
                    PhysRange::new(r.start().max(hole.end()), r.end()),
                ]
            })
            .flatten()
            .collect();
    }
    // Sorted, and what touches as one.
    cached.sort_unstable_by_key(|r| r.start());
    let mut fused: Vec<PhysRange> = Vec::new();
    for range in cached {
        match fused.pop() {
            Some(last) if range.start() <= last.end() => {
                fused.extend(PhysRange::new(last.start(), last.end().max(range.end())));
            }
            last => fused.extend(last.into_iter().chain([range])),
        }
    }
    Some(fused)
}

/// Returns the lines that Linux prints for the memory in an SRAT.
fn srat_lines(table: &[u8]) -> Option<Vec<String>> {
    const HEADER_BYTES: usize = 48;
    let u32_at = |entry: &[u8], at: usize| entry.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let mut entries = Vec::new();
    let mut rest = table.get(HEADER_BYTES..)?;
    while rest.len() >= 2 {
        let length = usize::from(rest[1]);
        if length < 2 || length > rest.len() {
            return None;
        }
        entries.push(&rest[..length]);
        rest = &rest[length..];
    }

    // Nodes are numbered as their domains appear: first those of processors, then those of memory.
    let mut domains: Vec<u32> = Vec::new();
    let mut node_of = |domain: u32| {
        domains.iter().position(|d| *d == domain).unwrap_or_else(|| {
            domains.push(domain);
            domains.len() - 1
        })
    };
    for entry in &entries {
        match entry[0] {
            0 if u32_at(entry, 4)? & 1 == 1 => {
                let high = [entry.get(9), entry.get(10), entry.get(11)].map(|b| b.copied().unwrap_or(0));
                node_of(u32::from_le_bytes([entry[2], high[0], high[1], high[2]]));
            }
            2 if u32_at(entry, 12)? & 1 == 1 => _ = node_of(u32_at(entry, 4)?),
            _ => {}
        }
    }
    let mut lines = Vec::new();
    for entry in entries.iter().filter(|e| e[0] == 1) {
        let (domain, flags) = (u32_at(entry, 2)?, u32_at(entry, 28)?);
        let wide = |at| Some(u64::from(u32_at(entry, at)?) | u64::from(u32_at(entry, at + 4)?) << 32);
        let (start, size) = (wide(8)?, wide(16)?);
        if flags & 1 == 0 {
            continue;
        }
        let hotplug = if flags & 2 != 0 { " hotplug" } else { "" };
        let volatile = if flags & 4 != 0 { " non-volatile" } else { "" };
        let (node, last) = (node_of(domain), start.wrapping_add(size).wrapping_sub(1));
        lines.push(format!("ACPI: SRAT: Node {node} PXM {domain} [mem {start:#010x}-{last:#010x}]{hotplug}{volatile}"));
    }
    Some(lines)
}

fn hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mtrrs() {
        let of = |default: &str| {
            let writes = json!([
                ["0x2ff", "0x0"],
                ["0x200", "0x6"],
                ["0x201", "0xffc0000800"],
                ["0x202", "0x20000000"],
                ["0x203", "0xfff0000800"],
                ["0x2ff", default]
            ]);
            cached(writes.as_array().unwrap())
        };
        let range = |start: u64, end: u64| PhysRange::new(start << 20, end << 20).unwrap();
        assert_eq!(of("0x800"), Some(vec![range(0, 512), range(768, 1024)]));
        assert_eq!(of("0x806"), None, "cached by default");
        assert_eq!(of("0x0"), None, "off");
    }

    #[test]
    fn nodes_are_numbered_by_processors_first() {
        let mut table = vec![0; 48];
        let memory = |domain: u8, gib: u8, flags: u8| {
            let mut entry = vec![0; 40];
            (entry[0], entry[1], entry[2], entry[11], entry[19], entry[28]) = (1, 40, domain, gib << 6, 1 << 6, flags);
            entry
        };
        let mut cpu = vec![0; 16];
        (cpu[0], cpu[1], cpu[2], cpu[4]) = (0, 16, 7, 1);
        table.extend([memory(3, 0, 1), memory(7, 1, 3), memory(9, 2, 0), cpu].concat());
        assert_eq!(
            srat_lines(&table).unwrap(),
            [
                "ACPI: SRAT: Node 1 PXM 3 [mem 0x00000000-0x3fffffff]",
                "ACPI: SRAT: Node 0 PXM 7 [mem 0x40000000-0x7fffffff] hotplug",
            ]
        );
    }
}
