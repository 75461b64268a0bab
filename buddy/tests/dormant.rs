// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sections that are free or allocated as a whole have no map.
#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;

use buddy::{Buddy, Error, FrameMap, Request};
use layout::{SECTION, check, dormant, frame, frames, pfn, sections};

const MAP_BYTES: u64 = size_of::<FrameMap>() as u64;

#[test]
fn sixteen_tebibytes_cost_a_mebibyte() {
    const COUNT: u64 = 1 << 17;
    let mut layout = sections(COUNT, &[0..0x100, 5 * SECTION..5 * SECTION + 1]);
    let mut buddy: Buddy<'_> = layout.started();
    // Two sections that are reserved in part, and one map to spare.
    assert_eq!(buddy.table_bytes(), COUNT * 8 + 3 * MAP_BYTES);
    assert_eq!(dormant(&buddy), COUNT - 2);
    check(&buddy, 0);
    let giant = buddy.allocate_giant(Request::order(18)).unwrap();
    let small = buddy.allocate(0).unwrap();
    assert_eq!((pfn(giant), pfn(small)), (1 << 18, 5 * SECTION + 1));
    assert_eq!(buddy.table_bytes(), COUNT * 8 + 3 * MAP_BYTES);
    check(&buddy, (1 << 18) + 1);
}

#[test]
fn giant_blocks_need_no_maps() {
    let mut layout = sections(32, &[]);
    let mut buddy: Buddy<'_> = layout.started();
    for (order, count) in [(15, 32), (16, 16), (17, 8), (18, 4)] {
        let blocks: Vec<_> = (0..count).map(|_| buddy.allocate_giant(Request::order(order)).unwrap()).collect();
        assert_eq!((dormant(&buddy), buddy.zones()[0].used_maps), (0, 0), "order {order}");
        assert!(blocks.iter().zip(0..).all(|(block, at)| pfn(*block) == at << order));
        assert!(matches!(buddy.allocate(0), Err(Error::OutOfMemory { largest: None, free: 0, .. })));
        check(&buddy, 32 * SECTION);
        for block in blocks {
            let start = pfn(block);
            let wrong = Error::WrongOrder { pfn: start, order: 10, allocated: 15 };
            assert_eq!(buddy.free(block, 10), Err(wrong));
            let inside = Error::InUse { pfn: start + 1, block: start, order: 15 };
            assert_eq!(buddy.free(frame(start + 1), 0), Err(inside));
            let range = frames(start..start + (1 << order));
            buddy.free_exact(range).unwrap();
            assert_eq!(buddy.free_exact(range), Err(Error::AlreadyFree { pfn: start, block: start, order: 15 }));
        }
        assert_eq!(dormant(&buddy), 32);
        check(&buddy, 0);
    }
}

#[test]
fn sections_are_split_until_the_last_map() {
    let mut layout = sections(8, &[]);
    layout.spare = 2;
    let mut buddy: Buddy<'_> = layout.started();
    let mut blocks = Vec::new();
    let error = loop {
        match buddy.allocate(10) {
            Ok(block) => blocks.push(block),
            Err(error) => break error,
        }
        check(&buddy, blocks.len() as u64 * 1024);
    };
    // Three maps, 32 blocks each; five sections sleep on, and can be had as a whole.
    assert_eq!((error, blocks.len(), dormant(&buddy)), (Error::NoMap, 96, 5));
    assert_eq!(buddy.take_range(frames(7 * SECTION..7 * SECTION + 1)), Err(Error::NoMap));
    let giant = buddy.allocate_giant(Request::order(17)).unwrap();
    check(&buddy, 96 * 1024 + 4 * SECTION);
    buddy.free_exact(frames(pfn(giant)..pfn(giant) + 4 * SECTION)).unwrap();
    blocks.iter().for_each(|block| buddy.free(*block, 10).unwrap());
    check(&buddy, 0);
    // Every block that there was at first can be had again, and then the maps are unused.
    assert_eq!(buddy.allocate_giant(Request::order(18)).map(pfn), Ok(0));
    buddy.free_exact(frames(0..8 * SECTION)).unwrap();
    assert_eq!(dormant(&buddy), 8);
    assert_eq!(buddy.allocate(0).map(pfn).map(|pfn| pfn % SECTION), Ok(0));
    check(&buddy, 1);
}
