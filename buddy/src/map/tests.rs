// SPDX-License-Identifier: MIT OR Apache-2.0
//! One map alone: blocks that are taken, described anew, given back, and damage.

use super::*;
use handoff::SECTION_FRAMES;
use std::vec::Vec;

const TOP_BLOCKS: u64 = SECTION_FRAMES >> MAX_ORDER;

fn free() -> (FrameMap, [FreeArea; ORDERS]) {
    let mut map = FrameMap::UNUSED;
    map.start_free(3, 5);
    let mut area = [FreeArea::EMPTY; ORDERS];
    area[10].blocks = TOP_BLOCKS;
    (map, area)
}

#[test]
fn every_order_can_be_taken_and_comes_back() {
    for order in 0..=MAX_ORDER {
        let (mut map, mut area) = free();
        assert_eq!(map.take(10, order, &mut area), Some(0));
        assert!(map.is_allocated(0, order) && map.broken_at().is_none());
        let left: u64 = (0..).zip(&area).map(|(order, area)| area.blocks << order).sum();
        assert_eq!(left, SECTION_FRAMES - (1 << order));
        assert_eq!(map.orders().count_ones(), u32::from(MAX_ORDER - order) + 1);
        map.release(0, order, &mut area);
        assert!(map.is_free() && map.broken_at().is_none(), "{order}");
        assert_eq!((area[10].blocks, map.orders()), (TOP_BLOCKS, 1 << 10));
    }
}

#[test]
fn a_block_is_described_anew_in_parts() {
    let (mut map, mut area) = free();
    let block = map.block_of(1500).unwrap();
    assert_eq!(block, Block { start: 1024, order: 10, leaf: Leaf::Free });
    map.withdraw(block, &mut area);
    for (frame, order, leaf) in [(1024, 0, Leaf::Kept), (1025, 0, Leaf::Allocated), (1026, 1, Leaf::Allocated)] {
        map.describe(frame, order, leaf);
    }
    for order in 2..10 {
        map.describe(1024 + (1 << order), order, Leaf::Allocated);
    }
    assert_eq!(map.broken_at(), None);
    assert_eq!(map.blocks(1024..2048).map(|block| block.order).collect::<Vec<_>>(), [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    map.release(1026, 1, &mut area);
    map.release(1025, 0, &mut area);
    assert_eq!((map.free_blocks(0).next(), map.free_blocks(1).next()), (Some(1025), Some(1026)));
    map.describe(1024, 0, Leaf::Allocated);
    map.release(1024, 0, &mut area);
    assert_eq!((map.free_blocks(2).next(), map.broken_at()), (Some(1024), None));
}

#[test]
fn damage_is_found() {
    type Damage = fn(&mut FrameMap);
    let table: &[Damage] = &[
        |map| map.orders = 0,
        |map| map.free_groups[3] = 3,
        |map| map.groups[2].with[1] = 8,
        |map| map.groups[7].tree = Tree::KEPT,
        |map| map.tiles[0] = Tree::BLANK,
        |map| map.tiles[0].set(0, 6, Leaf::Free),
    ];
    for (i, damage) in table.iter().enumerate() {
        let (mut map, mut area) = free();
        map.take(10, 0, &mut area);
        assert_eq!(map.broken_at(), None);
        damage(&mut map);
        assert!(map.broken_at().is_some(), "{i}");
    }
}
