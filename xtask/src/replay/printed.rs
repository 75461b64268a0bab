// SPDX-License-Identifier: MIT OR Apache-2.0
//! Maps as the log shows them, taken for what the loader passed where nothing else is known.

use super::boot::Boot;
use crate::dmesg::{Edit, Event};
use e820::SetupData;
use handoff::{FRAME_BYTES, MemoryKind, PhysRange, RawEntry, Rules};

/// Returns the entries that the log shows of a map, with whose it is.
pub(super) fn entries<'a>(boot: &Boot<'a>, whose: &str) -> Vec<(&'a str, RawEntry)> {
    let entries = boot.events().filter_map(|event| match event {
        Event::MapEntry { who, start, last, kind } if who.starts_with(whose) => {
            let size = last.wrapping_sub(*start).wrapping_add(1);
            Some((*who, RawEntry { addr: *start, size, kind: kind_of(kind) }))
        }
        _ => None,
    });
    entries.collect()
}

/// Returns the firmware's entries as printed. RAM that the firmware itself calls set aside (type 128) is printed like any
/// RAM; it is told from it where nothing is kept free behind it.
pub(super) fn firmware_entries<'a>(boot: &Boot<'a>) -> Vec<(&'a str, RawEntry)> {
    let mut printed = entries(boot, "BIOS-");
    let ordinary = [MemoryKind::RAM, MemoryKind::RESERVED, MemoryKind::ACPI, MemoryKind::NVS];
    let is_exotic = printed.iter().any(|(_, e)| !ordinary.contains(&e.kind));
    let has_buffers = boot.events().any(|e| *e == Event::PciResources);
    let end = |e: &RawEntry| e.addr.wrapping_add(e.size);

    for i in 0..printed.len() {
        let entry = printed[i].1;
        let next = printed.get(i + 1).map(|(_, next)| *next);
        let is_ram = |e: &RawEntry| e.kind == MemoryKind::RAM;
        if !is_ram(&entry) {
            continue;
        }
        let behind = e820::Table::<2>::from_entries([entry]).ok().and_then(|t| t.ram_buffers().next());
        let told = |start: u64| boot.events().any(|e| matches!(e, Event::RamBuffer { start: s } if *s == start));
        let unkept = has_buffers && behind.is_some_and(|buffer| !told(buffer.start()));
        // Two that touch and were not merged are not of the same type.
        let touches = next.is_some_and(|next| is_ram(&next) && next.addr == end(&entry));
        if touches || unkept && is_exotic {
            printed[i].1.kind = MemoryKind::RESERVED_KERN;
        }
    }
    printed
}

/// Returns what the loader left in memory, from the lines that set it aside, and the rules by which they do: before 6.10
/// they appear twice, for the kernel's own table and for that of kexec.
pub(super) fn setup_data(boot: &Boot<'_>) -> (Vec<SetupData>, Rules) {
    const NOT_FOR_KEXEC: u32 = 9;
    let mut nodes: Vec<SetupData> = Vec::new();
    for event in boot.events() {
        let Event::Edit(Edit::Update { start, last, old: "usable", new: "usable" }) = event else { continue };
        let size = last.wrapping_sub(*start).wrapping_add(1);
        let node = SetupData { addr: *start, size, kind: NOT_FOR_KEXEC, target: None };
        match nodes.last_mut().filter(|n| (n.addr, n.size) == (node.addr, node.size)) {
            Some(twice) => twice.kind = 0,
            None => nodes.push(node),
        }
    }
    let twice = nodes.iter().any(|n| n.kind == 0);
    (nodes, if twice { Rules::V6_1 } else { Rules::V6_12 })
}

/// Returns the lines of what hibernation leaves out, in the form of kernels before the one that gets partial frames right
/// (6.1.192, 6.12.117): a line for each entry that is not RAM and for each gap between entries.
pub(super) fn nosave_by_entry(entries: &[RawEntry], limit_pfn: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |from: u64, to: u64| {
        if let Some(range) = PhysRange::new(from.saturating_mul(FRAME_BYTES), to.saturating_mul(FRAME_BYTES)) {
            let (start, last) = (range.start(), range.end() - 1);
            lines.push(format!("PM: hibernation: Registered nosave memory: [mem {start:#010x}-{last:#010x}]"));
        }
    };
    let mut next = 0;
    for e in entries {
        let first = e.addr.div_ceil(FRAME_BYTES);
        tell(next, first);
        next = e.addr.wrapping_add(e.size) / FRAME_BYTES;
        if !e.kind.is_ram() {
            tell(first, next);
        }
        if next >= limit_pfn {
            break;
        }
    }
    lines
}

/// Returns the type that prints like that.
pub(super) fn kind_of(words: &str) -> MemoryKind {
    const KINDS: [MemoryKind; 8] = [
        MemoryKind::RAM,
        MemoryKind::RESERVED,
        MemoryKind::ACPI,
        MemoryKind::NVS,
        MemoryKind::UNUSABLE,
        MemoryKind::PMEM,
        MemoryKind::PRAM,
        MemoryKind::SOFT_RESERVED,
    ];
    let number = || words.strip_prefix("type ").and_then(|n| n.parse().ok()).map(MemoryKind);
    KINDS.into_iter().find(|kind| kind.to_string() == words).or_else(number).unwrap_or(MemoryKind::RESERVED)
}
