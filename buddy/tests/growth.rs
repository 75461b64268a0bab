// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sections that are split need maps, and a zone gets more of them from its own frames.
#![cfg(feature = "serde")]
#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;

use buddy::{Buddy, Error, FrameMap, Request};
use handoff::{FRAME_BYTES, Ledger, PhysRange, Zones};
use layout::{Layout, SECTION, check, dormant, frames, pfn, sections};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

const MAP_BYTES: u64 = size_of::<FrameMap>() as u64;

/// Maps in memory of the host.
fn leak(range: PhysRange) -> Option<&'static mut [FrameMap]> {
    assert_eq!(range.size() % (9 * FRAME_BYTES), 0, "whole frames, whole maps");
    Some(vec![FrameMap::UNUSED; (range.size() / MAP_BYTES) as usize].leak())
}

fn refuse(_: PhysRange) -> Option<&'static mut [FrameMap]> {
    None
}

thread_local! {
    /// How often [`refuse_some`] still refuses.
    static REFUSALS: Cell<u32> = const { Cell::new(0) };
}

fn refuse_some(range: PhysRange) -> Option<&'static mut [FrameMap]> {
    let left = REFUSALS.get();
    REFUSALS.set(left.saturating_sub(1));
    if left > 0 { None } else { leak(range) }
}

/// Takes all there is, block by block, and gives it back.
#[test]
fn maps_come_from_the_zone() {
    let mut layout = sections(24, &[]);
    let mut buddy: Buddy<'_> = layout.started();
    let before = buddy.table_bytes();
    buddy.set_growth(leak);
    let mut taken = Vec::new();
    for order in (0..=10).rev() {
        while let Ok(block) = buddy.allocate(order) {
            taken.push((block, order));
            if taken.len() % 16 == 0 {
                check(&buddy, taken.iter().map(|(_, order)| 1 << order).sum());
            }
        }
    }
    let own = buddy.zones()[0].map_frames;
    assert_eq!(buddy.table_bytes(), before + own * FRAME_BYTES);
    assert_eq!((dormant(&buddy), buddy.statistics().free_frames()), (0, 0));
    check(&buddy, 24 * SECTION - own);
    taken.into_iter().for_each(|(block, order)| buddy.free(block, order).unwrap());
    check(&buddy, 0);
    let whole = (0..24).filter(|at| buddy.take_range(frames(at * SECTION..(at + 1) * SECTION)).is_ok()).count();
    assert!(whole >= 22, "{own} frames of maps lie in {} sections", 24 - whole);
}

#[test]
fn refusals_lose_nothing() {
    let mut layout = sections(6, &[0..1]);
    let mut buddy: Buddy<'_> = layout.started();
    buddy.set_growth(refuse);
    let mut taken: Vec<_> = std::iter::from_fn(|| buddy.allocate(9).ok()).collect();
    check(&buddy, taken.len() as u64 * 512);
    // The last map is kept for the day when there are more.
    assert_eq!((buddy.allocate(9), taken.len(), dormant(&buddy)), (Err(Error::NoMap), 63, 5));
    assert_eq!(buddy.take_range(frames(3 * SECTION..3 * SECTION + 9)), Err(Error::NoMap));
    assert_eq!(buddy.allocate_exact(1000, Request::order(10)), Err(Error::NoMap));
    assert_eq!(buddy.allocate_giant(Request::order(15)).map(pfn), Ok(SECTION));
    check(&buddy, 63 * 512 + SECTION);

    buddy.set_growth(refuse_some);
    REFUSALS.set(5);
    let results: Vec<_> = (0..9).map(|_| buddy.allocate(9)).collect();
    let served = results.iter().skip_while(|result| **result == Err(Error::NoMap)).map(|result| result.unwrap());
    taken.extend(served);
    assert!(results[0].is_err() && taken.len() > 63, "{results:?}");
    check(&buddy, taken.len() as u64 * 512 + SECTION);
    taken.into_iter().for_each(|block| buddy.free(block, 9).unwrap());
    buddy.free_exact(frames(SECTION..2 * SECTION)).unwrap();
    check(&buddy, 0);
}

/// A fixed place can be had even when that section is the next to be split: maps go elsewhere.
#[test]
fn maps_stay_out_of_a_range_that_is_taken() {
    for at in [0, SECTION - 1, SECTION + 7, 4 * SECTION - 1] {
        let mut layout = sections(4, &[]);
        let mut buddy: Buddy<'_> = layout.started();
        buddy.set_growth(leak);
        assert_eq!(buddy.take_range(frames(at..at + 1)), Ok(()), "{at}");
        check(&buddy, 1);
    }
}

/// Holes too small for many maps do not use up the few stretches of maps that a zone can have.
#[test]
fn holes_do_not_stop_growth() {
    let mut layout = sections(160, &[]);
    let mut buddy: Buddy<'_> = layout.started();
    buddy.set_growth(leak);
    let mut allocated = 0;
    while let Ok(block) = buddy.allocate(7) {
        // All of it but a hole of 16 frames.
        buddy.free(block, 7).unwrap();
        buddy.take_range(frames(pfn(block)..pfn(block) + 112)).unwrap();
        allocated += 112;
    }
    assert_eq!(dormant(&buddy), 0);
    check(&buddy, allocated);
}

/// What the host keeps of an allocator that grew: its tables as bytes, one after another, as the kernel maps them.
fn tables(layout: &Layout, grown: &[&[FrameMap]]) -> Vec<FrameMap> {
    let pieces: &[u8] = bytemuck::cast_slice(&layout.pieces);
    let mut bytes = pieces.to_vec();
    bytes.resize(pieces.len().next_multiple_of(FRAME_BYTES as usize), 0);
    bytes.extend_from_slice(bytemuck::cast_slice(&layout.maps));
    grown.iter().for_each(|maps| bytes.extend_from_slice(bytemuck::cast_slice(maps)));
    let mut aligned = vec![FrameMap::UNUSED; bytes.len().div_ceil(MAP_BYTES as usize)];
    bytemuck::cast_slice_mut(&mut aligned)[..bytes.len()].copy_from_slice(&bytes);
    aligned
}

thread_local! {
    /// Where [`remember`] put maps.
    static GROWN: Cell<Vec<*mut [FrameMap]>> = const { Cell::new(Vec::new()) };
}

/// Maps that the test can read when the allocator is gone.
fn remember(range: PhysRange) -> Option<&'static mut [FrameMap]> {
    let maps: *mut [FrameMap] = leak(range)?;
    let mut grown = GROWN.take();
    grown.push(maps);
    GROWN.set(grown);
    // SAFETY: The memory is leaked, and nobody uses it before the allocator that gets this slice is gone.
    #[allow(unsafe_code)]
    Some(unsafe { &mut *maps })
}

#[test]
fn another_kernel_gets_the_grown_maps() {
    let mut layout = sections(40, &[3..5]);
    let mut buddy: Buddy<'_> = layout.started();
    buddy.set_growth(remember);
    let taken: Vec<_> = (0..250).map(|at| (at % 11, buddy.allocate(at % 11).unwrap())).collect();
    (20..30).for_each(|at| buddy.take_range(frames(at * SECTION + 7..at * SECTION + 70)).unwrap());
    let allocated = buddy.statistics().allocated_frames();
    let (free, own) = (buddy.statistics().free_frames(), buddy.zones()[0].map_frames);
    let before = Zones { tables: [frames(3..5)].into_iter().collect(), ..Zones::default() };
    let zones = buddy.detach(&before, Ledger::default()).unwrap();
    assert_eq!(zones.table_bytes(), (own + 2) * FRAME_BYTES);

    let grown = GROWN.take();
    assert_eq!(grown.len(), zones.shares.len() - 1);
    // SAFETY: The allocator that had them is gone.
    #[allow(unsafe_code)]
    let grown: Vec<&[FrameMap]> = grown.into_iter().map(|maps| unsafe { &*maps }).collect();
    let mut bytes = tables(&layout, &grown);
    let mut buddy = Buddy::attach(bytemuck::cast_slice_mut(&mut bytes), &zones).unwrap();
    check(&buddy, allocated);
    assert_eq!(buddy.statistics().free_frames(), free);
    taken.into_iter().for_each(|(order, block)| buddy.free(block, order).unwrap());
    (20..30).for_each(|at| buddy.free_exact(frames(at * SECTION + 7..at * SECTION + 70)).unwrap());
    check(&buddy, 0);
}

const COUNT: u64 = 6;

/// Does something to an allocator, and to the list of what is allocated: where it starts and ends.
fn step(buddy: &mut Buddy<'_>, live: &mut BTreeMap<u64, u64>, op: [u8; 4]) {
    let [kind, a, b, c] = op;
    let wide = u64::from(u16::from_le_bytes([b, c]));
    let block = |first: u64, order: u8| first..first + (1 << order);
    let free = |live: &BTreeMap<u64, u64>, range: &Range<u64>| {
        live.range(..range.end).next_back().is_none_or(|(_, end)| *end <= range.start)
    };
    let result = match kind % 16 {
        0..=5 => buddy.allocate(a % 11).map(|first| block(pfn(first), a % 11)),
        6..=7 => {
            let start = wide * 3 % (COUNT * SECTION - 4400);
            let range = start..start + u64::from(a) * 17 + 1;
            buddy.take_range(frames(range.clone())).map(|()| range)
        }
        8 => buddy.allocate_giant(Request::order(15)).map(|first| block(pfn(first), 15)),
        _ => {
            if let Some((start, end)) = live.iter().nth(wide as usize % live.len().max(1)).map(|(s, e)| (*s, *e)) {
                buddy.free_exact(frames(start..end)).unwrap();
                assert!(buddy.free_exact(frames(start..end)).is_err());
                live.remove(&start);
            }
            return;
        }
    };
    match result {
        Ok(range) => {
            assert!(free(live, &range), "{range:?} was not free");
            live.insert(range.start, range.end);
        }
        Err(Error::InUse { pfn, .. }) => assert!(!free(live, &(pfn..pfn + 1)), "{pfn} is not in use"),
        Err(error) => {
            assert!(matches!(error, Error::NoMap | Error::OutOfMemory { .. } | Error::Reserved { .. }), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_given_twice(ops in proptest::collection::vec(any::<[u8; 4]>(), 0..200), hook in 0..4) {
        let mut layout = sections(COUNT, &[5..9]);
        let mut buddy: Buddy<'_> = layout.started();
        match hook {
            0 => {}
            1 => buddy.set_growth(refuse),
            2 => buddy.set_growth(refuse_some),
            _ => buddy.set_growth(leak),
        }
        REFUSALS.set(7);
        let mut live = BTreeMap::new();
        for op in ops {
            step(&mut buddy, &mut live, op);
            check(&buddy, live.iter().map(|(start, end)| end - start).sum());
        }
        live.into_iter().for_each(|(start, end)| buddy.free_exact(frames(start..end)).unwrap());
        check(&buddy, 0);
        // What no maps lie in can be had as a whole again.
        let own = buddy.shares().filter(|share| share.own.is_some()).count() as u64;
        let whole = std::iter::from_fn(|| buddy.allocate_giant(Request::order(15)).ok()).count() as u64;
        prop_assert!(whole + own + 1 >= COUNT, "{whole} sections are whole, maps lie in {own} places");
    }
}
