// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's map: as much of it as boot can hold, and a place for the boot pool.

use crate::map::{collect, lowest_place, ram_end};
use handoff::{MemoryKind, PhysRange, RAW_ENTRIES, RawEntry};
use proptest::prelude::*;

const RAM: MemoryKind = MemoryKind::RAM;
const RESERVED: MemoryKind = MemoryKind::RESERVED;
const MIB: u64 = 1 << 20;

fn entry((addr, size, kind): (u64, u64, MemoryKind)) -> RawEntry {
    RawEntry { addr, size, kind }
}

fn taken(ranges: &[(u64, u64)]) -> Vec<PhysRange> {
    ranges.iter().map(|(start, end)| PhysRange::new(*start, *end).unwrap()).collect()
}

fn above_1m() -> PhysRange {
    PhysRange::new(1 << 20, 1 << 32).unwrap()
}

#[test]
fn the_pool_lies_as_low_as_it_can() {
    let usual = [(0, 0x9_fc00, RAM), (0xf_0000, 0x1_0000, RESERVED), (MIB, 511 * MIB, RAM)];
    let unsorted = [usual[2], usual[0], (8 * MIB, MIB, RESERVED), usual[1], (0, 0, RAM), (u64::MAX, 5, RAM)];
    for (map, taken, start) in [
        (&usual[..], taken(&[]), Some(MIB)),
        (&usual, taken(&[(MIB, 2 * MIB + 1)]), Some(2 * MIB + 4096)),
        (&usual, taken(&[(MIB, 2 * MIB), (5 * MIB, 6 * MIB), (3 * MIB, 4 * MIB)]), Some(6 * MIB)),
        (&usual, taken(&[(MIB, 510 * MIB + 1)]), None),
        (&unsorted, taken(&[(MIB, 7 * MIB)]), Some(9 * MIB)),
        (&[(4096 * MIB, 1024 * MIB, RAM)], taken(&[]), None),
        (&[(4095 * MIB, 1024 * MIB, RAM)], taken(&[]), None),
        (&[], taken(&[]), None),
    ] {
        let map: Vec<_> = map.iter().copied().map(entry).collect();
        assert_eq!(lowest_place(2 * MIB, above_1m(), &map, &taken).map(PhysRange::start), start, "{map:x?} {taken:x?}");
    }
}

#[test]
fn ram_ends_where_boot_can_map_it() {
    for (map, end) in [
        (&[][..], 1 << 32),
        (&[(0, 512 * MIB, RAM), (5 << 30, 1 << 30, RESERVED)], 1 << 32),
        (&[(1 << 32, 1 << 34, RAM), (0, MIB, RAM)], 5 << 32),
        (&[(1 << 50, 1 << 50, RAM)], 1 << 46),
        (&[(u64::MAX, u64::MAX, RAM)], 1 << 46),
    ] {
        assert_eq!(ram_end(&map.iter().copied().map(entry).collect::<Vec<_>>(), "memmap=1G$16G"), end, "{map:x?}");
    }
    assert_eq!(ram_end(&[], "memmap=exactmap,64M@8G,1G@4G"), (8 << 30) + (64 << 20));
}

fn collected(entries: &[RawEntry]) -> (Vec<RawEntry>, Vec<RawEntry>) {
    let mut left_out = Vec::new();
    let map = collect(entries.iter().copied(), |entry| left_out.push(entry)).unwrap();
    (map.to_vec(), left_out)
}

#[test]
fn a_map_that_fits_stays_as_it_is() {
    let entries: Vec<_> = (0..RAW_ENTRIES as u64).rev().map(|i| entry((i * MIB, MIB, RAM))).collect();
    assert_eq!(collected(&entries), (entries, vec![]));
}

#[test]
fn a_map_that_does_not_fit_loses_neighbours_first_and_then_the_least_ram() {
    let touching: Vec<_> = (0..1000).map(|i| entry((i * MIB, MIB, RAM))).collect();
    assert_eq!(collected(&touching), (vec![entry((0, 1000 * MIB, RAM))], vec![]));

    let kind = |i| if i % 2 == 0 { RAM } else { RESERVED };
    let apart: Vec<_> = (0..140).map(|i| entry((i * 1024 * MIB, MIB + (i + 4) % 140 * 4096, kind(i)))).collect();
    let (map, left_out) = collected(&apart);
    assert_eq!(map.len(), RAW_ENTRIES);
    let smallest: Vec<_> = apart.iter().filter(|e| e.kind == RAM && e.size < MIB + 24 * 4096).copied().collect();
    assert_eq!(left_out.len(), 12);
    assert!(smallest.iter().all(|e| left_out.contains(e)), "{left_out:x?}");
    assert!(map.is_sorted_by_key(|e| e.addr));

    let reserved: Vec<_> = (0..129).map(|i| entry((i * 2 * MIB, MIB, RESERVED))).collect();
    assert!(collect(reserved.into_iter(), |_| ()).is_err());
}

proptest! {
    /// Against a search page by page, in a small space.
    #[test]
    fn no_lower_place_is_missed(
        map in prop::collection::vec((240..330_u64, 0..60_u64, prop::bool::weighted(0.7)), 0..6),
        taken in prop::collection::vec((250..330_u64, 1..10_u64), 0..5),
        pages in 1..20_u64,
    ) {
        let map: Vec<_> = map.iter().map(|(at, size, ram)| entry((at * 4096, size * 4096, if *ram { RAM } else { RESERVED }))).collect();
        let taken: Vec<_> = taken.iter().map(|(at, size)| PhysRange::from_size(at * 4096, size * 4096).unwrap()).collect();
        let is_place = |place: &PhysRange| {
            let ranges = |ram| map.iter().filter(move |e| (e.kind == RAM) == ram).filter_map(|e| PhysRange::from_size(e.addr, e.size));
            ranges(true).any(|r| r.covers(*place)) && !ranges(false).chain(taken.iter().copied()).any(|r| r.overlaps(*place))
        };
        let expected = (256..400).filter_map(|page| PhysRange::from_size(page * 4096, pages * 4096)).find(is_place);
        prop_assert_eq!(lowest_place(pages * 4096, above_1m(), &map, &taken), expected);
    }

    /// Nothing is lost but what is told, and what is told is RAM.
    #[test]
    fn nothing_is_lost_silently(entries in prop::collection::vec((0..1000_u64, 1..4_u64, prop::bool::weighted(0.8)), 0..300)) {
        let entries: Vec<_> = entries.iter().map(|(at, size, ram)| entry((at * 4096, size * 4096, if *ram { RAM } else { RESERVED }))).collect();
        let mut left_out = Vec::new();
        let bytes = |entries: &[RawEntry], kind| entries.iter().filter(|e| e.kind == kind).map(|e| e.size).sum::<u64>();
        if let Ok(map) = collect(entries.iter().copied(), |entry| left_out.push(entry)) {
            prop_assert_eq!(bytes(&map, RAM) + bytes(&left_out, RAM), bytes(&entries, RAM));
            prop_assert_eq!(bytes(&map, RESERVED), bytes(&entries, RESERVED));
            prop_assert!(left_out.is_empty() || entries.len() > RAW_ENTRIES);
        }
    }
}
