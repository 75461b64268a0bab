// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's map as boot itself needs it, before any stage has put it in order: entries may overlap, wrap, be empty.

use handoff::{FRAME_BYTES, MemoryKind, PhysRange, RAW_ENTRIES, RawEntry, memparse, parameters};
use heapless::Vec;

/// The least and the most that is mapped: firmware tables and devices lie below 4 GiB; 4-level page tables reach, as
/// Linux uses them, 64 TiB.
const MAPPED: (u64, u64) = (1 << 32, 1 << 46);

/// Returns the entries in the firmware's order. If there are too many, neighbours of one kind become one entry; if that is
/// not enough, the smallest entries of RAM are left out, and told.
///
/// # Errors
/// There are too many entries that are not RAM, which must not be left out.
pub(crate) fn collect(
    entries: impl Iterator<Item = RawEntry> + Clone,
    mut left_out: impl FnMut(RawEntry),
) -> Result<Vec<RawEntry, RAW_ENTRIES>, &'static str> {
    let crowded = entries.clone().count() > RAW_ENTRIES;
    let mut map = Vec::<RawEntry, RAW_ENTRIES>::new();
    for entry in entries {
        let touches =
            |last: &&mut RawEntry| last.kind == entry.kind && last.addr.checked_add(last.size) == Some(entry.addr);
        if crowded && let Some(last) = map.last_mut().filter(touches) {
            last.size = last.size.saturating_add(entry.size);
            continue;
        }
        if map.is_full() {
            let ram = map.iter().enumerate().filter(|(_, e)| e.kind == MemoryKind::RAM);
            let smallest = ram.min_by_key(|(_, e)| e.size);
            if entry.kind == MemoryKind::RAM && smallest.is_none_or(|(_, e)| entry.size <= e.size) {
                left_out(entry);
                continue;
            }
            let (index, _) = smallest.ok_or("the memory map has over 128 entries that are not RAM")?;
            left_out(map.remove(index));
        }
        let _ = map.push(entry); // there is room: see above
    }
    Ok(map)
}

/// Returns the address after the last byte that the map or the user calls RAM, or the nearest one up to which boot can map
/// memory.
pub(crate) fn ram_end(map: &[RawEntry], command_line: &str) -> u64 {
    let ram = map.iter().filter(|entry| entry.kind == MemoryKind::RAM);
    let ends = ram.map(|entry| entry.addr.saturating_add(entry.size)).chain(added(command_line).map(PhysRange::end));
    ends.max().unwrap_or(0).clamp(MAPPED.0, MAPPED.1)
}

/// Returns the ranges that `memmap=size@start` or `memmap=size%start…` may turn into RAM.
pub(crate) fn added(command_line: &str) -> impl Iterator<Item = PhysRange> + '_ {
    let values = parameters(command_line).filter_map(|(name, value)| value.filter(|_| name == "memmap"));
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).filter_map(|word| {
        let (size, used) = memparse(word);
        let [b'@' | b'%', start @ ..] = word.get(used..)? else { return None };
        PhysRange::capped(memparse(start).0, size)
    })
}

/// Returns the lowest place for so many bytes `within` a range that is RAM and not `taken`.
pub(crate) fn lowest_place(bytes: u64, within: PhysRange, map: &[RawEntry], taken: &[PhysRange]) -> Option<PhysRange> {
    let ranges = |ram| {
        let entries = map.iter().filter(move |entry| (entry.kind == MemoryKind::RAM) == ram);
        entries.filter_map(|entry| PhysRange::capped(entry.addr, entry.size))
    };
    let obstacles = || ranges(false).chain(taken.iter().copied());
    // The lowest free place starts at the start of RAM or at the end of an obstacle.
    let starts = ranges(true).map(PhysRange::start).chain(obstacles().map(PhysRange::end));

    starts
        .filter_map(|start| {
            PhysRange::from_size(start.max(within.start()).checked_next_multiple_of(FRAME_BYTES)?, bytes)
        })
        .filter(|place| within.covers(*place) && !obstacles().any(|obstacle| obstacle.overlaps(*place)))
        .filter(|place| ranges(true).any(|ram| ram.covers(*place)))
        .min()
}
