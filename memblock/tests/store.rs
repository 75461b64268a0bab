// SPDX-License-Identifier: MIT OR Apache-2.0
//! Early memory restored from a hand-off and saved to it.
#![cfg(feature = "serde")]

use handoff::{Blocks, Bounds, Direction, EarlyMemory, EarlyStore, Lines, Nid, Region, RegionFlags, Rules};
use memblock::{Policy, Store};

fn blocks() -> Blocks {
    let mut blocks =
        Blocks { memory_size: 0x1_0c00, reserved_size: 0x1000, current_limit: 0x2_0000, ..Blocks::default() };
    let region = |base, size, nid, flags| Region { base, size, nid, flags };
    blocks.memory.extend([
        region(0x1_0000, 0x8000, Nid(0), RegionFlags::NONE),
        region(0x1_8000, 0x8000, Nid(0), RegionFlags::MIRROR),
    ]);
    blocks.reserved.push(region(0x1_0000, 0x1000, Nid(0), RegionFlags::NONE)).unwrap();
    blocks.direction = Direction::BottomUp;
    blocks
}

#[test]
fn what_is_saved_is_what_was_restored() {
    let (log, mut saved) = (Lines::default(), Blocks::default());
    let memory = Store::restore(&blocks(), "memblock=debug linux=6.12", log.clone());
    Store::save(&memory, &mut saved);
    assert_eq!(saved, blocks());
    let policy = Policy { rules: Rules::V6_12, has_mirror: true, trace: true, ..Policy::new() };
    assert_eq!(memory.policy(), policy);
    assert!(log.take().is_empty());
}

#[test]
fn the_trait_allocates_and_frees() {
    let mut memory = Store::restore(&blocks(), "", Lines::default());
    let memory = &mut memory;
    let bounds = Bounds { size: 0x1000, align: 0x1000, min: 0, max: 0, nid: Nid::NONE };
    assert_eq!(memory.alloc_range(bounds), Some(0x1_8000), "mirrored memory first, from the bottom");
    assert_eq!(EarlyMemory::alloc_try_nid(memory, Bounds { nid: Nid(0), ..bounds }), Some(0x1_9000));
    assert_eq!(memory.alloc_exact_nid(Bounds { nid: Nid(1), ..bounds }), None);
    assert!(EarlyMemory::free(memory, 0x1_8000, 0x2000));
    assert_eq!(EarlyMemory::reserved(memory), blocks().reserved);
    assert_eq!((EarlyMemory::memory(memory).len(), memory.memory_size()), (2, 0x1_0c00));
}

#[test]
fn a_hand_off_made_by_hand_is_not_trusted() {
    let log = Lines::default();
    let mut wrong = blocks();
    wrong.memory.swap(0, 1);
    let mut memory = Store::restore(&wrong, "", log.clone());
    assert_eq!(log.take(), ["memblock: cannot restore early memory: regions are not sorted; nothing can be allocated"]);
    assert!(memory.phys_alloc(1, 1).is_err());
}
