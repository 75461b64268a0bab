// SPDX-License-Identifier: MIT OR Apache-2.0
//! Typed requests: where, how much, how urgent; many at once; memory that comes and goes.

#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;

use buddy::{
    Buddy, Counters, Distances, Error, FullZoneInfo, MinFree, Node, Priority, Request, Statistics, WatermarkPolicy,
};
use handoff::{FRAME_BYTES, PhysRange, ZoneKind};
use layout::{Layout, frame, frames, pfn};
use std::cell::Cell;

const NORMAL: ZoneKind = ZoneKind::NORMAL;

/// Zone DMA32 with 1024 frames, Normal with 3072.
fn two_zones() -> Layout {
    Layout::new(&[(0, ZoneKind::DMA32, 0..1024), (0, NORMAL, 1024..4096)], &[(0, 0..4096)], &[])
}

/// Frames a request gets, one by one, until it gets none, and the error then.
fn drain<const Z: usize>(buddy: &mut Buddy<'_, Z>, request: Request) -> (u64, Error) {
    let mut count = 0;
    loop {
        match buddy.allocate_with(request) {
            Ok(_) => count += 1,
            Err(error) => return (count, error),
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "four thousand allocations")]
fn watermarks_keep_what_they_say() {
    let mut layout = two_zones();
    let mut buddy: Buddy<'_, 2> = layout.started();
    let policy = WatermarkPolicy {
        min_free: MinFree::Kilobytes(4 * 64),
        lowmem_reserve_ratio: [256, 30, 32, 0],
        ..WatermarkPolicy::default()
    };
    buddy.set_watermarks(&policy);
    let marks = buddy.watermarks().to_vec();
    assert_eq!((marks[0].min, marks[1].min, marks[0].lowmem_reserve[2]), (16, 48, 102));

    // Usual requests stop at min, in DMA32 also above what is kept from those that could use Normal.
    let (count, error) = drain(&mut buddy, Request::order(0));
    assert_eq!(count, 4096 - 48 - (16 + 102));
    assert_eq!(error, Error::BelowWatermark { order: 0, largest: Some(6), free: 166 });
    assert!(error.to_string().contains("166 free frames are kept"), "{error}");
    // Those that can use nothing else get that too.
    assert_eq!(drain(&mut buddy, Request::order(0).zone(ZoneKind::DMA32)).0, 102);
    // Urgent ones go to half of min, an emergency to the end.
    assert_eq!(drain(&mut buddy, Request::order(0).priority(Priority::High)).0, 24);
    assert_eq!(drain(&mut buddy, Request::order(0).priority(Priority::High).zone(ZoneKind::DMA32)).0, 8);
    let (count, error) = drain(&mut buddy, Request::order(0).priority(Priority::Emergency));
    assert_eq!((count, error), (32, Error::OutOfMemory { order: 0, largest: None, free: 0 }));
    assert_eq!(buddy.validate(), Ok(()));
}

/// Down to the low watermark in every zone before any zone goes below its own.
#[test]
#[cfg_attr(miri, ignore = "three thousand allocations")]
fn the_next_zone_before_the_reserve() {
    let mut layout = two_zones();
    let mut buddy: Buddy<'_, 2> = layout.started();
    buddy.set_watermarks(&WatermarkPolicy { min_free: MinFree::Kilobytes(4 * 64), ..WatermarkPolicy::default() });
    let low = buddy.watermarks()[1].low;
    let taken: Vec<_> = (0..3072 - low + 1).map(|_| pfn(buddy.allocate(0).unwrap())).collect();
    let (last, before) = taken.split_last().unwrap();
    assert!(before.iter().all(|pfn| *pfn >= 1024) && *last < 1024);
    let info = FullZoneInfo(&buddy).to_string();
    assert!(info.contains(&format!("        low      {low}\n")) && info.contains("numa_hit     1\n"), "{info}");
}

/// Three nodes; the second one is far from the first.
#[test]
fn nearer_nodes_are_tried_first() {
    let zones = [(0, NORMAL, 0..1024), (1, NORMAL, 1024..2048), (2, NORMAL, 2048..4096)];
    let memory = [(0, 0..1024), (1, 1024..2048), (2, 2048..4096)];
    let mut layout = Layout::new(&zones, &memory, &[]);
    let mut buddy: Buddy<'_, 3> = layout.started();
    let matrix = [10, 40, 20, 40, 10, 30, 20, 30, 10];
    buddy.set_distances(&[0, 1, 2], Distances::new(3, &matrix).unwrap()).unwrap();
    assert_eq!(buddy.fallback_order(0).collect::<Vec<_>>(), [0, 2, 1]);
    assert_eq!(buddy.zonelist(1, NORMAL).collect::<Vec<_>>(), [1, 2, 0]);
    let wish = Request::order(10).prefer(0);
    let taken: Vec<_> = (0..4).map(|_| buddy.allocate_with(wish).map(pfn).unwrap()).collect();
    assert_eq!(taken, [0, 2048, 3072, 1024]);
    assert_eq!(
        buddy.counters(),
        [
            Counters { hit: 1, miss: 0, foreign: 3 },
            Counters { hit: 0, miss: 1, foreign: 0 },
            Counters { hit: 0, miss: 2, foreign: 0 }
        ]
    );
    buddy.free(frame(2048), 10).unwrap();
    let strict = Error::OutOfMemory { order: 10, largest: None, free: 0 };
    assert_eq!(buddy.allocate_with(Request::order(10).bind(1)), Err(strict));
    let node: Statistics = buddy.node_statistics(2);
    assert_eq!(
        (node.free_frames(), node.managed_frames, buddy.node_statistics(7)),
        (1024, 2048, Statistics::default())
    );
    assert_eq!(buddy.nodes().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn addresses_are_limited() {
    let mut layout = two_zones();
    let mut buddy: Buddy<'_, 2> = layout.started();
    // Below a limit inside Normal: that zone first, the lowest place that is aligned.
    assert_eq!(buddy.allocate_with(Request::order(2).below(2000 * FRAME_BYTES)).map(pfn), Ok(1024));
    assert_eq!(buddy.allocate_with(Request::order(2).below(1030 * FRAME_BYTES)).map(pfn), Ok(0));
    assert_eq!(buddy.allocate_with(Request::order(2).above(3001 * FRAME_BYTES - 1)).map(pfn), Ok(3004));
    let between = Request::order(3).above(50 * FRAME_BYTES).below(64 * FRAME_BYTES);
    assert_eq!(buddy.allocate_with(between).map(pfn), Ok(56));
    let error = buddy.allocate_with(between).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { order: 3, largest: Some(10), .. }), "{error:?}");
    assert!(buddy.allocate_with(Request::order(0).below(4095)).is_err(), "no whole frame lies below");
    assert!(buddy.allocate_with(Request::order(0).above(u64::MAX)).is_err());
    for (start, order) in [(1024, 2), (0, 2), (3004, 2), (56, 3)] {
        buddy.free(frame(start), order).unwrap();
    }
    assert_eq!(buddy.statistics().free_blocks[10], 4);
    assert_eq!(buddy.validate(), Ok(()));
}

/// What lies between the alignment and the size stays free.
#[test]
fn alignment_costs_no_memory() {
    let mut layout = two_zones();
    let mut buddy: Buddy<'_, 2> = layout.started();
    let request = Request::order(1).aligned(64 << 10);
    let blocks = [(); 3].map(|()| pfn(buddy.allocate_with(request).unwrap()));
    assert!(blocks.iter().all(|pfn| pfn % 16 == 0), "{blocks:?}");
    assert_eq!(buddy.statistics().allocated_frames(), 6);
    assert_eq!(buddy.allocate_with(Request::order(0).aligned(8 << 20)), Err(Error::Order { order: 11, max: 10 }));
    assert_eq!(buddy.validate(), Ok(()));
    blocks.iter().for_each(|pfn| buddy.free(frame(*pfn), 1).unwrap());
    assert_eq!(buddy.statistics().free_blocks[10], 4);
}

thread_local! {
    static ZEROED: Cell<Option<PhysRange>> = const { Cell::new(None) };
}

#[test]
fn zeros_are_written_by_who_can() {
    let mut layout = two_zones();
    let mut buddy: Buddy<'_, 2> = layout.started();
    assert_eq!(buddy.allocate_with(Request::order(1).zeroed()), Err(Error::CannotZero));
    assert_eq!(buddy.allocate_exact(3, Request::order(1).zeroed()), Err(Error::CannotZero));
    assert_eq!(buddy.allocate_contiguous(3, Request::order(1).zeroed()), Err(Error::CannotZero));
    assert_eq!(buddy.statistics().allocated_frames(), 0);

    buddy.set_zeroing(|range| ZEROED.set(Some(range)));
    buddy.allocate(1).unwrap();
    assert_eq!(ZEROED.get(), None);
    let block = pfn(buddy.allocate_with(Request::order(1).zeroed()).unwrap());
    assert_eq!(ZEROED.take(), Some(frames(block..block + 2)));
    let exact = buddy.allocate_exact(3, Request::order(0).zeroed()).unwrap();
    assert_eq!(ZEROED.take(), Some(exact));
    let long = buddy.allocate_contiguous(1500, Request::order(0).zeroed()).unwrap();
    assert_eq!(ZEROED.take(), Some(long));
    let giant = pfn(buddy.allocate_giant(Request::order(11).zeroed()).unwrap_or(frame(0)));
    assert_eq!((giant, ZEROED.take()), (0, None), "there is no room");
}

#[test]
fn runs_longer_than_a_block() {
    let mut layout = Layout::new(&[(0, NORMAL, 1..8192)], &[(0, 1..8192)], &[2000..2001]);
    let mut buddy: Buddy<'_, 1> = layout.started();
    assert_eq!(buddy.largest_free_range(), Some(frames(2001..8192)));
    assert_eq!(buddy.free_ranges(0).collect::<Vec<_>>(), [frames(1..2000), frames(2001..8192)]);
    assert_eq!(buddy.allocate_contiguous(1999, Request::order(0)), Ok(frames(1..2000)));
    assert_eq!(buddy.allocate_contiguous(3000, Request::order(6)), Ok(frames(2048..5048)));
    assert_eq!(buddy.allocate_contiguous(100, Request::order(0).above(6000 << 12)), Ok(frames(6000..6100)));
    assert_eq!(buddy.allocate_contiguous(0, Request::order(0)), Err(Error::FrameCount { frames: 0 }));
    let error = buddy.allocate_contiguous(5000, Request::order(0)).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { largest: Some(10), free: 3091, .. }), "{error:?}");
    assert!(buddy.allocate_contiguous(u64::MAX, Request::order(200)).is_err());
    assert_eq!(buddy.validate(), Ok(()));
    for range in [1..2000, 2048..5048, 6000..6100] {
        buddy.free_exact(frames(range)).unwrap();
    }
    assert_eq!(buddy.largest_free_range(), Some(frames(2001..8192)));
    assert_eq!(buddy.free_ranges(9).count(), 0);
}

#[test]
fn many_at_once() {
    let mut layout = two_zones();
    let mut buddy: Buddy<'_, 2> = layout.started();
    let mut blocks = [frame(0); 9];
    assert_eq!(buddy.allocate_bulk(Request::order(9), &mut blocks), Ok(8));
    assert_eq!(blocks.iter().collect::<std::collections::BTreeSet<_>>().len(), 8, "all different, the last is not set");
    assert!(matches!(buddy.allocate_bulk(Request::order(9), &mut blocks[..1]), Err(Error::OutOfMemory { .. })));
    let mut wrong = blocks;
    wrong[3] = frame(1);
    assert_eq!(buddy.free_bulk(9, &wrong[..8]), Err(Error::Misaligned { pfn: 1, order: 9 }));
    assert_eq!(buddy.statistics().allocated_frames(), 5 * 512);
    buddy.free_bulk(9, &blocks[3..8]).unwrap();
    assert_eq!(buddy.statistics().free_blocks[10], 4);
    assert_eq!(buddy.allocate_bulk(Request::order(0), &mut []), Ok(0));
}

#[test]
fn memory_comes_and_goes() {
    let mut layout = Layout::new(&[(0, NORMAL, 0..2048)], &[(0, 0..2048)], &[]);
    let mut buddy: Buddy<'_, 1> = layout.started();
    assert_eq!(buddy.add_range(frames(2000..2100), 0, NORMAL), Err(Error::NotHole { pfn: 2000 }));
    assert_eq!(buddy.add_range(frames(3000..0x10000), 0, NORMAL), Err(Error::Capacity { capacity: 1 }));
    let absent = Err(Error::Zone { node: 1, kind: NORMAL });
    assert_eq!(buddy.add_range(frames(3000..4000), 1, NORMAL), absent);

    assert_eq!(buddy.add_range(frames(3000..4096), 0, NORMAL).map(|given| given.frames), Ok(1096));
    let span = buddy.zones()[0].span;
    assert_eq!((span.spanned, span.present, buddy.zones()[0].managed), (4096, 3144, 3144));
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.add_range(frames(2048..3000), 0, NORMAL).map(|given| given.frames), Ok(952));
    assert_eq!(buddy.statistics().free_blocks[10], 4, "it merges with what was there");

    let block = buddy.allocate_with(Request::order(0).above(3000 << 12).node(Node::Bind(0))).unwrap();
    let in_use = Error::InUse { pfn: pfn(block), block: pfn(block), order: 0 };
    assert_eq!(buddy.remove_range(frames(2500..4096)), Err(in_use));
    buddy.free(block, 0).unwrap();
    buddy.remove_range(frames(2500..4096)).unwrap();
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.runs().last().map(|run| run.end_pfn), Some(2500));
    assert_eq!((buddy.zones()[0].span.present, buddy.statistics().free_frames()), (2500, 2500));
    assert_eq!(buddy.free(frame(3000), 0), Err(Error::Foreign { pfn: 3000 }));
    assert_eq!(buddy.add_range(frames(2500..4096), 0, NORMAL).map(|given| given.frames), Ok(1596));
    assert_eq!(buddy.statistics().free_blocks[10], 4);
}
