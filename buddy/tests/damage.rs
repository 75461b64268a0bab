// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables that somebody overwrote: `validate` finds damage, and nothing panics meanwhile.
#![cfg(feature = "serde")]
#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;
mod model;

use buddy::{Buddy, Counter, Error, Fault, FrameMap};
use handoff::{MapShare, Run, ZoneKind, ZoneState};
use layout::{Layout, SECTION, frame, frames};
use proptest::prelude::*;

const FRAMES: u64 = 2048;
/// Where the parts of a map begin: tiles of frames, groups of tiles, the words that sum up, links.
const GROUPS: usize = 8192;
const SUMS: usize = GROUPS + 512;
const LINKS: usize = SUMS + 32;

/// Two zones with an allocated block of order 3 at 8 and free blocks from 16 on; then five whole sections, two of them dormant.
struct Live {
    layout: Layout,
    zones: Vec<ZoneState>,
    runs: Vec<Run>,
    shares: Vec<MapShare>,
}

impl Live {
    fn new() -> Self {
        let end = 7 * SECTION;
        let zones =
            [(0, ZoneKind::DMA, 0..1024), (0, ZoneKind::DMA32, 1024..FRAMES), (0, ZoneKind::NORMAL, 2 * SECTION..end)];
        let mut layout = Layout::new(&zones, &[(0, 0..FRAMES), (0, 2 * SECTION..end)], &[0..8]).lazy();
        layout.spare = 2;
        let mut buddy = layout.started::<3>();
        buddy.take_range(frames(8..16)).unwrap();
        buddy.take_range(frames(3 * SECTION..4 * SECTION)).unwrap();
        buddy.take_range(frames(5 * SECTION..5 * SECTION + 1)).unwrap();
        buddy.take_range(frames(6 * SECTION..6 * SECTION + 1)).unwrap();
        let (zones, runs, shares) = (buddy.zones().to_vec(), buddy.runs().to_vec(), buddy.shares().collect());
        assert_eq!((buddy.validate(), buddy.statistics().dormant_sections), (Ok(()), 2));
        drop(buddy);
        Self { layout, zones, runs, shares }
    }

    fn attach(&mut self) -> Result<Buddy<'_, 3>, Error> {
        let Layout { pieces, maps, .. } = &mut self.layout;
        Buddy::from_parts(pieces, maps, &self.zones, &self.runs, &self.shares)
    }

    fn map(&mut self, map: usize) -> &mut [u8] {
        bytemuck::bytes_of_mut(&mut self.layout.maps[map])
    }

    fn pieces(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.layout.pieces)
    }
}

#[test]
fn every_kind_of_damage_is_found() {
    type Damage = fn(&mut Live);
    let corrupt = |pfn, fault| Error::Corrupt { pfn, fault };
    let count = |what, kept, counted| Error::Count { node: 0, kind: ZoneKind::DMA, what, kept, counted };
    let table: &[(Damage, Error)] = &[
        // The first tile: a block begins in the middle of another; free frames belong to no block; the first frame of a block is kept.
        (|live| live.map(0)[1] |= 0x02, corrupt(9, Fault::Overlap)),
        (|live| live.map(0)[8 + 2] = 0, corrupt(8, Fault::Overlap)),
        (|live| live.map(0)[8 + 1] |= 1, corrupt(9, Fault::Overlap)),
        // The words that sum up, and the rings.
        (|live| live.map(0)[SUMS + 10] = 0, corrupt(0, Fault::Overlap)),
        (|live| live.map(0)[SUMS] ^= 1 << 5, corrupt(0, Fault::Overlap)),
        (|live| live.map(0)[SUMS + 2] ^= 1 << 4, corrupt(0, Fault::Unlisted)),
        (|live| live.map(0)[SUMS + 24] = 1, corrupt(0, Fault::Owner)),
        (|live| live.map(0)[SUMS + 28] = 1, corrupt(0, Fault::Owner)),
        (|live| live.map(0)[LINKS + 4 * 8] = 1, corrupt(0, Fault::Links)),
        (|live| live.map(0)[LINKS + 4 * 8 + 4] = 1, corrupt(0, Fault::Links)),
        (|live| live.zones[0].free_area[4].first_map = 9, corrupt(0, Fault::Missing)),
        (|live| live.zones[0].free_area[10].first_map = 0, corrupt(0, Fault::Links)),
        (|live| live.zones[0].free_area[4].blocks = 0, count(Counter::Free, 992, 1008)),
        // Another zone's memory: the map of DMA says that frame 1024 is free.
        (|live| live.map(0)[GROUPS + 8 + 2] = 0, corrupt(1024, Fault::Overlap)),
        // Pieces: no such map; dormant where it cannot be; a ring that does not close.
        (|live| live.pieces()[0] = 2 << 30 | 9, corrupt(0, Fault::Missing)),
        (|live| live.pieces()[0] = 1 << 30, corrupt(0, Fault::Zone)),
        (|live| live.pieces()[0] = 3 << 30, corrupt(0, Fault::Zone)),
        (|live| live.pieces()[2 * 2] = 1 << 30 | 3, corrupt(0, Fault::Links)),
        (|live| live.pieces()[2 * 2 + 1] = 3, corrupt(0, Fault::Links)),
        (|live| live.zones[0].managed = 1023, count(Counter::Managed, 1023, 1016)),
        (|live| live.zones[0].map_frames = 1, count(Counter::MapFrames, 1, 0)),
        (|live| live.zones[0].idle_maps.count = 1, count(Counter::Maps, 1, 2)),
        (|live| live.runs[0].end_pfn = 1023, corrupt(1023, Fault::Zone)),
        (|live| live.zones[0].span.present = 1023, count(Counter::Present, 1023, 1024)),
    ];
    for (i, (damage, error)) in table.iter().enumerate() {
        let mut live = Live::new();
        damage(&mut live);
        assert_eq!(live.attach().unwrap().validate(), Err(*error), "damage {i}");
    }
}

/// A damaged map is not used: the allocator refuses before it changes anything.
#[test]
fn damaged_maps_are_refused() {
    let mut live = Live::new();
    live.zones[0].free_area[4].first_map = 9;
    // The sums say that there is a block of order 6, and the tiles have none.
    live.map(0)[GROUPS..GROUPS + 16].fill(0);
    let mut buddy = live.attach().unwrap();
    let before = buddy.statistics();
    let low = |order| buddy::Request::order(order).zone(ZoneKind::DMA);
    assert_eq!(buddy.allocate_with(low(4)), Err(Error::Corrupt { pfn: 0, fault: Fault::Missing }));
    assert_eq!(buddy.allocate_with(low(6)), Err(Error::OutOfMemory { order: 6, largest: Some(5), free: 1008 }));
    assert_eq!(buddy.free(frame(64), 6), Err(Error::Corrupt { pfn: 64, fault: Fault::Overlap }));
    assert_eq!(buddy.statistics(), before);
}

/// What a damaged map says is free is not handed out where the zone has no memory.
#[test]
fn nothing_but_memory_is_handed_out() {
    let mut live = Live::new();
    let mut all = [0; size_of::<FrameMap>()];
    all.copy_from_slice(live.map(0));
    // The map says that it is another section's.
    all[SUMS + 28] = 1;
    live.map(0).copy_from_slice(&all);
    let mut buddy = live.attach().unwrap();
    let request = buddy::Request::order(0).zone(ZoneKind::DMA);
    assert!(matches!(buddy.allocate_with(request), Err(Error::Foreign { .. } | Error::Corrupt { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 200 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_damage(
        // A word in the first tiles, or behind them, of any map; and in the pieces.
        scribbles in proptest::collection::vec((0..5usize, prop_oneof![0..512usize, GROUPS..9216], any::<u8>()), 1..60),
        pieces in proptest::collection::vec((0..14usize, prop_oneof![0..8u32, any::<u32>()]), 0..3),
        lists in proptest::collection::vec((0..3usize, 0..11usize, 0..6u32, 0..4u64), 0..4),
        ops in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut live = Live::new();
        for (map, at, byte) in scribbles {
            let maps = live.layout.maps.len();
            live.map(map % maps)[at] = byte;
        }
        for (at, word) in pieces {
            live.pieces()[at] = word;
        }
        for (zone, order, first_map, blocks) in lists {
            live.zones[zone].free_area[order] = handoff::FreeArea { first_map, blocks };
        }
        let Ok(mut buddy) = live.attach() else { return Ok(()) };
        let _ = buddy.validate();
        for op in model::decode(&ops) {
            use model::Op;
            let range = |start: u16, count: u16| frames(start.into()..u64::from(start) + u64::from(count) + 1);
            // Whatever comes of it is right, as long as it comes back.
            let _ = match op {
                Op::Allocate { order, zone, .. } => buddy.allocate_with(buddy::Request::order(order).zone(ZoneKind(zone % 4))).map(|_| ()),
                Op::Exact { frames, order } => buddy.allocate_exact(frames.into(), buddy::Request::order(order)).map(|_| ()),
                Op::Take { start, frames } => buddy.take_range(range(start % 2100, frames)),
                Op::Giant { zone } => buddy.allocate_giant(buddy::Request::order(11 + zone % 6)).map(|_| ()),
                Op::Free { which } => buddy.free(frame(u64::from(which) % FRAMES), (which % 11) as u8),
                Op::Wild { pfn, order } => buddy.free(frame(u64::from(pfn) * 4), order),
                Op::FreeReserved { start, frames } => buddy.free_reserved(range(start % 2100, frames)).map(|_| ()),
            };
        }
        for (zone, order) in (0..3).flat_map(|zone| (0..=11).map(move |order| (zone, order))) {
            assert!(buddy.free_blocks(zone, order).count() as u64 <= 7 * SECTION);
        }
        let _ = (buddy.free_ranges(0).count(), buddy.largest_free_range());
        let _ = buddy.allocate_contiguous(100, buddy::Request::order(3).above(500 << 12));
        let _ = buddy.allocate_with(buddy::Request::order(2).below(600 << 12));
        let _ = buddy.free_exact(frames(3 * SECTION..4 * SECTION));
        let _ = (buddy.remove_range(frames(1500..1600)), buddy.add_range(frames(900..910), 0, ZoneKind::DMA));
        let _ = (buddy.validate(), buddy.statistics());
    }
}
