// SPDX-License-Identifier: MIT OR Apache-2.0
//! One map alone: blocks that are taken, described anew, given back, and damage.

use super::*;
use handoff::SECTION_FRAMES;
use std::vec::Vec;

const TOP_BLOCKS: u64 = SECTION_FRAMES >> MAX_ORDER;

fn free() -> FrameMap {
    let mut map = FrameMap::UNUSED;
    map.start_free(3, 5);
    map
}

/// Takes the first block of an order out of one of the largest order.
fn take(map: &mut FrameMap, order: u8) -> u32 {
    let tile = map.take_tiles(10, order.max(TILE_ORDER)).unwrap();
    if order >= TILE_ORDER {
        return tile << TILE_ORDER;
    }
    map.cut(tile);
    map.take_in_tile(tile, order).unwrap()
}

fn blocks(map: &FrameMap) -> [u64; ORDERS] {
    let mut blocks = [0; ORDERS];
    map.count(&mut blocks);
    blocks
}

#[test]
fn every_order_can_be_taken_and_comes_back() {
    for order in 0..=MAX_ORDER {
        let mut map = free();
        assert_eq!(take(&mut map, order), 0);
        assert!(map.is_allocated(0, order) && map.broken_at().is_none());
        let found: Vec<_> = (0..=MAX_ORDER).map(|order| map.free_blocks(order).count() as u64).collect();
        assert_eq!(found, blocks(&map));
        let left: u64 = (0..).zip(found).map(|(order, blocks)| blocks << order).sum();
        assert_eq!(left, SECTION_FRAMES - (1 << order));
        map.release(0, order);
        assert!(map.is_free() && map.broken_at().is_none(), "{order}");
        assert_eq!((blocks(&map)[10], blocks(&map).iter().sum()), (TOP_BLOCKS, TOP_BLOCKS));
    }
}

#[test]
fn a_tile_stays_cut_until_another_one_is_whole() {
    let mut map = free();
    let first = take(&mut map, 0);
    let other = take(&mut map, 0);
    map.release(first, 0);
    assert_eq!((map.spare_in(0), map.groups[0].tree.leaf(0)), (Some(0), Leaf::Kept));
    assert_eq!(map.free_blocks(10).next(), Some(0), "it counts as part of its block");
    // It is used again.
    assert_eq!((map.find_tile(3), map.take_in_tile(0, 3)), (Some(0), Some(0)));
    assert_eq!((map.spare_in(0), map.broken_at()), (None, None));
    assert_eq!(blocks(&map), [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, TOP_BLOCKS - 2]);
    map.release(0, 3);

    map.release(other, 0);
    let tile = other >> TILE_ORDER;
    assert_eq!((map.spare, map.groups[0].tree.leaf(0), map.broken_at()), (tile as u16 + 1, Leaf::Free, None));
    // Large blocks are taken of what is whole.
    assert_eq!((map.take_tiles(10, 10), map.spare, map.find_tile(0)), (Some(0), 0, None));
    assert_eq!((map.broken_at(), blocks(&map)[10]), (None, TOP_BLOCKS - 1));
}

#[test]
fn a_block_is_described_anew_in_parts() {
    let mut map = free();
    let block = map.block_of(1500).unwrap();
    assert_eq!(block, Block { start: 1024, order: 10, leaf: Leaf::Free });
    map.withdraw(block);
    for (frame, order, leaf) in [(1024, 0, Leaf::Kept), (1025, 0, Leaf::Allocated), (1026, 1, Leaf::Allocated)] {
        map.describe(frame, order, leaf);
    }
    for order in 2..10 {
        map.describe(1024 + (1 << order), order, Leaf::Allocated);
    }
    assert_eq!(map.broken_at(), None);
    assert_eq!(map.blocks(1024..2048).map(|block| block.order).collect::<Vec<_>>(), [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    map.release(1026, 1);
    map.release(1025, 0);
    assert_eq!((map.free_blocks(0).next(), map.free_blocks(1).next()), (Some(1025), Some(1026)));
    map.describe(1024, 0, Leaf::Allocated);
    map.release(1024, 0);
    assert_eq!((map.free_blocks(2).next(), map.broken_at()), (Some(1024), None));
}

#[test]
fn damage_is_found() {
    type Damage = fn(&mut FrameMap);
    let table: &[Damage] = &[
        |map| map.orders = 0,
        |map| map.may[3] = 0,
        |map| map.may[7] = 0,
        |map| map.groups[0].with[1] = 0,
        |map| map.groups[2].with[1] = 8,
        |map| map.groups[7].tree = Tree::KEPT,
        |map| map.tiles[0] = Tree::BLANK,
        |map| map.tiles[0] = Tree::FREE,
        |map| map.tiles[9] = Tree::KEPT,
    ];
    for (i, damage) in table.iter().enumerate() {
        let mut map = free();
        take(&mut map, 0);
        assert_eq!(map.broken_at(), None);
        damage(&mut map);
        assert!(map.broken_at().is_some(), "{i}");
    }
}
