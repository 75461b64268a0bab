// SPDX-License-Identifier: MIT OR Apache-2.0
//! What users of such allocators asked for, one test each; the model test covers the rest (leaks, wrong frees, every
//! order).

#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;

use buddy::{Buddy, Counter, Error, FrameMap, HandedOver, Mode, Node, Piece, Plan, Request, Statistics};
use handoff::{FRAME_BYTES, PhysRange, Region, Run, ZoneKind, ZoneSpan, ZoneState};
use layout::{Layout, SECTION, frame, frames, pfn};

const NORMAL: ZoneKind = ZoneKind::NORMAL;

/// One zone, one node, `end` frames.
fn plain(end: u64) -> Layout {
    Layout::new(&[(0, NORMAL, 0..end)], &[(0, 0..end)], &[])
}

/// The free blocks of a zone as (first frame, order), by address.
fn free_blocks(buddy: &Buddy<'_>, zone: usize) -> Vec<(u64, u8)> {
    let of = |order| buddy.free_blocks(zone, order).map(move |block| (pfn(block), order));
    let mut blocks: Vec<_> = (0..=10).flat_map(of).collect();
    blocks.sort_unstable();
    blocks
}

#[test]
fn the_largest_order_does_not_merge() {
    let mut layout = plain(4 * 1024);
    let mut buddy: Buddy<'_> = layout.started();
    let blocks: Vec<_> = (0..4).map(|_| buddy.allocate(10).unwrap()).collect();
    assert_eq!(buddy.allocate(0), Err(Error::OutOfMemory { order: 0, largest: None, free: 0 }));
    blocks.iter().for_each(|block| buddy.free(*block, 10).unwrap());
    assert_eq!(free_blocks(&buddy, 0), [(0, 10), (1024, 10), (2048, 10), (3072, 10)]);
    assert_eq!(buddy.allocate(11), Err(Error::Order { order: 11, max: 10 }));
    assert_eq!(buddy.free(frame(0), 11), Err(Error::Order { order: 11, max: 10 }));
}

#[test]
fn an_alignment_larger_than_the_size() {
    let mut layout = plain(4 * 1024);
    let mut buddy: Buddy<'_> = layout.started();
    buddy.allocate(0).unwrap();
    let block = buddy.allocate_with(Request::bytes(4096, 64 << 10)).unwrap();
    assert_eq!(pfn(block) % 16, 0);
    let exact = buddy.allocate_exact(3, Request::order(9)).unwrap();
    assert_eq!((exact.start() % (2 << 20), exact.size()), (0, 3 * FRAME_BYTES));
}

#[test]
fn a_fixed_range_is_cut_out_exactly() {
    let mut layout = plain(1024);
    let mut buddy: Buddy<'_> = layout.started();
    buddy.take_range(frames(5..11)).unwrap();
    assert_eq!(
        free_blocks(&buddy, 0),
        [(0, 2), (4, 0), (11, 0), (12, 2), (16, 4), (32, 5), (64, 6), (128, 7), (256, 8), (512, 9)]
    );
    // What is in the way is named, with the block it belongs to; nothing was taken.
    assert_eq!(buddy.take_range(frames(3..6)), Err(Error::InUse { pfn: 5, block: 5, order: 0 }));
    assert_eq!(buddy.take_range(frames(7..20)), Err(Error::InUse { pfn: 7, block: 6, order: 1 }));
    assert_eq!(buddy.take_range(frames(1000..1025)), Err(Error::Foreign { pfn: 1024 }));
    let odd = PhysRange::new(4096, 8000).unwrap();
    assert_eq!(buddy.take_range(odd), Err(Error::NotFrames { range: odd }));
    assert_eq!(buddy.validate(), Ok(()));
    buddy.free_exact(frames(5..11)).unwrap();
    assert_eq!(free_blocks(&buddy, 0), [(0, 10)]);
}

#[test]
fn a_failure_says_what_there_is() {
    let mut layout = plain(1024);
    let mut buddy: Buddy<'_> = layout.started();
    buddy.take_range(frames(500..501)).unwrap();
    let error = buddy.allocate(10).unwrap_err();
    assert_eq!(error, Error::OutOfMemory { order: 10, largest: Some(9), free: 1023 });
    assert_eq!(
        error.to_string(),
        "no free block of order 10 in the allowed zones: 1023 frames are free, in blocks of order 9 and less"
    );
}

#[test]
fn the_tail_of_an_odd_size_comes_back() {
    let mut layout = plain(1024);
    let mut buddy: Buddy<'_> = layout.started();
    let range = buddy.allocate_exact(5, Request::order(0)).unwrap();
    assert_eq!(range, frames(0..5));
    assert_eq!(free_blocks(&buddy, 0)[..2], [(5, 0), (6, 1)]);
    // A part that ends inside a block is refused, and nothing is freed.
    assert_eq!(buddy.free_exact(frames(0..3)), Err(Error::InUse { pfn: 0, block: 0, order: 2 }));
    assert_eq!(buddy.free_exact(frames(0..6)), Err(Error::AlreadyFree { pfn: 5, block: 5, order: 0 }));
    buddy.free_exact(range).unwrap();
    assert_eq!(free_blocks(&buddy, 0), [(0, 10)]);
    assert_eq!(buddy.allocate_exact(0, Request::order(0)), Err(Error::FrameCount { frames: 0 }));
    assert_eq!(buddy.allocate_exact(1025, Request::order(0)), Err(Error::FrameCount { frames: 1025 }));
}

#[test]
fn a_wrong_free_is_named() {
    let mut layout = plain(2048);
    let mut buddy: Buddy<'_, 1> = layout.empty();
    buddy.hand_over_range(frames(0..1024)).unwrap();
    let block = buddy.allocate(3).unwrap();
    let zones = buddy.zones().to_vec();
    for (start, order, error) in [
        (pfn(block), 2, Error::WrongOrder { pfn: 0, order: 2, allocated: 3 }),
        (3, 1, Error::Misaligned { pfn: 3, order: 1 }),
        (6, 1, Error::InUse { pfn: 6, block: 0, order: 3 }),
        (8, 3, Error::AlreadyFree { pfn: 8, block: 8, order: 3 }),
        (700, 2, Error::AlreadyFree { pfn: 700, block: 512, order: 9 }),
        (1500, 0, Error::Reserved { pfn: 1500 }),
        (5000, 0, Error::Foreign { pfn: 5000 }),
    ] {
        assert_eq!(buddy.free(frame(start), order), Err(error));
        assert_eq!(buddy.zones()[..], zones, "nothing changed");
    }
    assert_eq!(buddy.free(block, 3), Ok(()));
}

#[test]
fn statistics_have_units() {
    let mut layout = plain(1024);
    let mut buddy: Buddy<'_> = layout.started();
    buddy.allocate(3).unwrap();
    let s: Statistics = buddy.statistics();
    assert_eq!((s.present_frames, s.managed_frames, s.free_frames(), s.allocated_frames()), (1024, 1024, 1016, 8));
    assert_eq!((s.free_bytes(), s.largest_free_order()), (1016 * 4096, Some(9)));
}

#[test]
fn regions_far_apart_and_the_last_address() {
    let last = (1u64 << 40) - SECTION;
    let mut layout = Layout::new(
        &[(0, ZoneKind::DMA, 1..4096), (0, NORMAL, 1 << 20..1 << 40)],
        &[(0, 1..0x9f), (0, 0x100..0x200), (0, last..1 << 40)],
        &[],
    );
    let mut buddy: Buddy<'_> = layout.started();
    assert_eq!(buddy.statistics().free_frames(), 0x9e + 0x100 + SECTION);
    buddy.take_range(frames((1 << 40) - 1..1 << 40)).unwrap();
    assert_eq!(buddy.free(frame((1 << 40) - 1), 0), Ok(()));
    assert_eq!(buddy.free(frame(0x8000), 0), Err(Error::Foreign { pfn: 0x8000 }));
    assert_eq!(buddy.free(frame(0xa0), 0), Err(Error::Foreign { pfn: 0xa0 }));
    assert_eq!(buddy.validate(), Ok(()));
}

/// Two modules in one page, and a reservation of one byte: the page is nobody's to give.
#[test]
fn a_page_that_is_partly_reserved_is_not_given() {
    let reserved = [(0x5010, 0x20), (0x5800, 0x900), (0x8000, 1)].map(|(base, size)| Region::new(base, size)).to_vec();
    let memory = vec![Region { nid: 0.into(), ..Region::new(0, 1024 * 4096) }];
    let mut layout = Layout::from_regions(&[(0, NORMAL, 0..1024)], memory, reserved);
    let mut buddy: Buddy<'_> = layout.started();
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.statistics().free_frames(), 1021);
    for pfn in [5, 6, 8] {
        assert_eq!(buddy.free(frame(pfn), 0), Err(Error::Reserved { pfn }));
        assert_eq!(buddy.take_range(frames(pfn..pfn + 1)), Err(Error::Reserved { pfn }));
    }
}

#[test]
fn reserved_memory_comes_back_once() {
    let mut layout = Layout::new(&[(0, NORMAL, 0..1024)], &[(0, 0..1024)], &[100..200]);
    let mut buddy: Buddy<'_> = layout.started();
    assert_eq!(buddy.statistics().managed_frames, 924);
    // Rounded inward: the frames at both ends are still needed.
    let range = PhysRange::new(100 * 4096 + 1, 200 * 4096 - 1).unwrap();
    assert_eq!(buddy.free_reserved(range).map(|given| given.frames), Ok(98));
    assert_eq!(buddy.free_reserved(range), Err(Error::NotReserved { pfn: 101 }));
    assert_eq!(buddy.free_reserved(PhysRange::new(1, 4095).unwrap()), Ok(HandedOver { frames: 0, blocks: 0 }));
    for end in [100, 199] {
        buddy.free_reserved(frames(end..end + 1)).unwrap();
    }
    assert_eq!((buddy.statistics().managed_frames, free_blocks(&buddy, 0)), (1024, vec![(0, 10)]));
    assert_eq!(buddy.validate(), Ok(()));
}

#[test]
fn memory_for_old_devices_is_taken_last() {
    let mut layout =
        Layout::new(&[(0, ZoneKind::DMA, 1..4096), (0, ZoneKind::DMA32, 4096..6144)], &[(0, 1..6144)], &[]);
    let mut buddy: Buddy<'_> = layout.started();
    assert_eq!(buddy.allocate(10).map(pfn), Ok(4096));
    assert_eq!(buddy.allocate_with(Request::order(10).zone(ZoneKind::DMA)).map(pfn), Ok(1024));
    assert_eq!(buddy.allocate(10).map(pfn), Ok(5120));
    assert_eq!(buddy.allocate(10).map(pfn), Ok(2048));
}

#[test]
fn nodes_are_kept_apart() {
    let layout = || {
        let zones = [(0, NORMAL, 0..1536), (1, NORMAL, 1536..4096)];
        Layout::new(&zones, &[(0, 0..1536), (1, 1536..4096)], &[])
    };
    let mut layout = layout();
    let mut buddy: Buddy<'_> = layout.started();
    // [1024, 1536) and [1536, 2048) are buddies, but of different nodes.
    assert_eq!(free_blocks(&buddy, 0), [(0, 10), (1024, 9)]);
    assert_eq!(free_blocks(&buddy, 1), [(1536, 9), (2048, 10), (3072, 10)]);
    let one = Request::order(9).node(Node::Bind(1));
    assert_eq!(buddy.allocate_with(one).map(pfn), Ok(1536));
    buddy.free(frame(1536), 9).unwrap();
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.allocate_with(Request::order(10).node(Node::Preferred(1))).map(pfn), Ok(2048));
    assert_eq!(buddy.allocate_with(Request::order(10).node(Node::Preferred(1))).map(pfn), Ok(3072));
    assert_eq!(buddy.allocate_with(Request::order(10).node(Node::Preferred(1))).map(pfn), Ok(0));
    assert_eq!(
        buddy.allocate_with(Request::order(10).node(Node::Bind(1))),
        Err(Error::OutOfMemory { order: 10, largest: Some(9), free: 512 })
    );
}

/// Nodes that alternate inside one zone type, with a reservation over both borders.
#[test]
fn what_comes_back_stays_in_its_node() {
    let zones = [(0, NORMAL, 0..2048), (1, NORMAL, 600..1300)];
    let memory = [(0, 0..600), (1, 600..1300), (0, 1300..2048)];
    let mut layout = Layout::new(&zones, &memory, &[256..1800]);
    let mut buddy: Buddy<'_> = layout.started();
    assert_eq!(buddy.free_reserved(frames(256..1800)).map(|given| given.frames), Ok(1544));
    assert_eq!(buddy.zones().iter().map(ZoneState::free).collect::<Vec<_>>(), [1348, 700]);
    assert_eq!(buddy.validate(), Ok(()));
}

#[test]
fn zones_are_kept_apart() {
    // The border of a zone type is a multiple of the largest block on x86-64, but need not be elsewhere.
    let zones = [(0, ZoneKind::DMA, 0..96), (0, NORMAL, 96..1024)];
    let mut layout = Layout::new(&zones, &[(0, 0..1024)], &[]);
    let buddy: Buddy<'_> = layout.started();
    assert_eq!(free_blocks(&buddy, 0), [(0, 6), (64, 5)]);
    assert_eq!(free_blocks(&buddy, 1), [(96, 5), (128, 7), (256, 8), (512, 9)]);
    assert_eq!(buddy.validate(), Ok(()));
}

/// What an allocator leaves is all that another one needs.
#[test]
fn another_kernel_goes_on() {
    let mut layout = plain(2048);
    let mut first: Buddy<'_> = layout.started();
    let block = first.allocate(5).unwrap();
    let (zones, runs) = (first.zones().to_vec(), first.runs().to_vec());
    let shares: Vec<_> = first.shares().collect();
    drop(first);
    let mut second = Buddy::<4>::from_parts(&mut layout.pieces, &mut layout.maps, &zones, &runs, &shares).unwrap();
    assert_eq!(second.validate(), Ok(()));
    second.free(block, 5).unwrap();
    assert_eq!(second.statistics().largest_free_order(), Some(10));
}

#[test]
fn plans_that_do_not_fit() {
    let plan = |memory: &[Region], spans: &[ZoneSpan]| Plan::<2>::new(memory, &[], spans, Mode::Lazy);
    let memory = [Region { nid: 0.into(), ..Region::new(0, 1024 * FRAME_BYTES) }];
    let span = ZoneSpan { node: 0, kind: NORMAL, start_pfn: 0, spanned: 1024, present: 1024 };
    let spans: Vec<_> = (0..3).map(|node| ZoneSpan { node, ..span }).collect();
    assert_eq!(plan(&memory, &spans).err(), Some(Error::Capacity { capacity: 2 }));
    assert_eq!(plan(&memory, &spans[1..2]).err(), Some(Error::NoZone { pfn: 0 }));
    let short = ZoneSpan { spanned: 4, present: 4, ..span };
    assert_eq!(plan(&memory, &[short]).err(), Some(Error::NoZone { pfn: 4 }));
    let small = ZoneSpan { present: 7, ..span };
    let what = Counter::Present;
    let present = Error::Count { node: 0, kind: NORMAL, what, kept: 7, counted: 1024 };
    assert_eq!(plan(&memory, &[small]).err(), Some(present));
    let many: Vec<_> = (0..200).map(|i| Region { nid: 0.into(), ..Region::new(i * 8192, 4096) }).collect();
    assert_eq!(plan(&many, &[ZoneSpan { present: 200, ..span }]).err(), Some(Error::Capacity { capacity: 192 }));

    let plan = plan(&memory, &[span]).unwrap();
    assert_eq!((plan.pieces(), plan.maps()), (1, 1));
    let needed = Err(Error::Tables { pieces: 1, maps: 1 });
    assert_eq!(Buddy::new(&plan, &mut [], &mut [FrameMap::UNUSED]).map(|_| ()), needed);
    assert_eq!(Buddy::new(&plan, &mut [Piece::UNUSED], &mut []).map(|_| ()), needed);
    assert!(plan.room(0, ZoneKind::DMA, 1).is_err());
}

#[test]
fn states_that_cannot_be() {
    let mut layout = plain(1024);
    let buddy: Buddy<'_> = layout.started();
    let (zones, runs) = (buddy.zones().to_vec(), buddy.runs().to_vec());
    let shares: Vec<_> = buddy.shares().collect();
    drop(buddy);
    let mut from_parts = |zone: ZoneState, runs: &[Run]| {
        Buddy::<1>::from_parts(&mut layout.pieces, &mut layout.maps, &[zone], runs, &shares).err()
    };
    for (managed, blocks, counted) in [(1025, 0, 1024), (7, 1, 8), (1024, u64::MAX, u64::MAX)] {
        let mut zone = ZoneState { managed, ..ZoneState::new(zones[0].span) };
        zone.free_area[3].blocks = blocks;
        let what = Counter::Managed;
        assert_eq!(from_parts(zone, &runs), Some(Error::Count { node: 0, kind: NORMAL, what, kept: managed, counted }));
    }
    assert_eq!(from_parts(ZoneState { pieces: 2, ..zones[0] }, &runs), Some(Error::Tables { pieces: 2, maps: 1 }));
    assert_eq!(from_parts(ZoneState { used_pieces: 0, ..zones[0] }, &runs), Some(Error::Run { index: 0 }));
    assert_eq!(from_parts(zones[0], &[Run { zone: 1, ..runs[0] }]), Some(Error::Run { index: 0 }));
    assert_eq!(from_parts(zones[0], &runs), None);
}

/// Handed over twice: all of it, or a part.
#[test]
fn memory_is_handed_over_once() {
    let mut layout = plain(1024);
    let mut buddy: Buddy<'_, 1> = layout.empty();
    assert_eq!(buddy.hand_over_range(frames(512..1024)).map(|given| given.frames), Ok(512));
    for range in [512..513, 600..601, 0..513] {
        let pfn = range.start.max(512);
        assert_eq!(buddy.hand_over_range(frames(range)), Err(Error::AlreadyFree { pfn, block: 512, order: 9 }));
    }
    assert_eq!(buddy.hand_over_range(frames(1000..1025)), Err(Error::Foreign { pfn: 1024 }));
    assert_eq!((buddy.statistics().free_frames(), buddy.validate()), (512, Ok(())));
}
