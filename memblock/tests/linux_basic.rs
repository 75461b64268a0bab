// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenarios of Linux's `tools/testing/memblock/tests/basic_api.c` (6.1, 6.12), by their names.

use handoff::{Direction, Log, Nid, Quiet, Region, RegionFlags, Rules};
use memblock::{Array, Memblock, Policy};

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;
const G: u64 = 1 << 30;

fn memblock<const N: usize>(rules: Rules) -> Memblock<N> {
    Memblock::with_log(Policy { rules, can_resize: true, ..Policy::new() }, Quiet)
}

fn put<const N: usize>(memblock: &mut Memblock<N>, array: Array, (base, size): (u64, u64)) {
    match array {
        Array::Memory => memblock.add(base, size),
        Array::Reserved => memblock.reserve(base, size),
    }
    .unwrap();
}

fn take<const N: usize>(memblock: &mut Memblock<N>, array: Array, (base, size): (u64, u64)) {
    match array {
        Array::Memory => memblock.remove(base, size),
        Array::Reserved => memblock.free(base, size),
    }
    .unwrap();
}

fn list<const N: usize, L: Log>(memblock: &Memblock<N, L>, array: Array) -> Vec<(u64, u64)> {
    let parts = memblock.parts();
    let (state, other) = match array {
        Array::Memory => (parts.memory, parts.reserved),
        Array::Reserved => (parts.reserved, parts.memory),
    };
    assert_eq!(state.total_size, state.regions.iter().map(|r| r.size).sum());
    assert!(other.regions.is_empty(), "the other array was touched");
    state.regions.iter().map(|r| (r.base, r.size)).collect()
}

type Ranges = Vec<(u64, u64)>;

/// Runs a table of name, ranges put one after another, ranges then taken, regions expected - on both arrays.
fn check(table: Vec<(&str, Ranges, Ranges, Ranges)>) {
    for (name, puts, takes, expected) in table {
        for rules in [Rules::V5_4, Rules::V6_1, Rules::V6_12] {
            for array in [Array::Memory, Array::Reserved] {
                let mut memblock = memblock::<128>(rules);
                puts.iter().for_each(|&range| put(&mut memblock, array, range));
                takes.iter().for_each(|&range| take(&mut memblock, array, range));
                assert_eq!(list(&memblock, array), expected, "{name} {rules:?} {array}");
                let empty = usize::from(rules != Rules::V6_12);
                let count = if expected.is_empty() { empty } else { expected.len() };
                assert_eq!(memblock.count(array), count, "{name} {rules:?} {array}");
            }
        }
    }
}

#[test]
fn initialization() {
    for (rules, count) in [(Rules::V6_1, 1), (Rules::V6_12, 0)] {
        let memblock = memblock::<128>(rules);
        let parts = memblock.parts();
        assert_eq!((memblock.count(Array::Memory), memblock.count(Array::Reserved)), (count, count));
        assert_eq!((parts.memory.max, parts.reserved.max), (128, 128));
        assert_eq!((Array::Memory.name(), Array::Reserved.name()), ("memory", "reserved"));
        assert_eq!((memblock.direction(), memblock.current_limit()), (Direction::TopDown, u64::MAX));
    }
}

#[test]
fn add_and_reserve() {
    let max = u64::MAX;
    check(vec![
        ("simple", vec![(G, 4 * M)], vec![], vec![(G, 4 * M)]),
        ("disjoint", vec![(G, 8 * K), (G + 16 * K, 8 * K)], vec![], vec![(G, 8 * K), (G + 16 * K, 8 * K)]),
        ("overlap_top", vec![(512 * M, G), (256 * M, 512 * M)], vec![], vec![(256 * M, G + 256 * M)]),
        ("overlap_bottom", vec![(128 * M, 512 * M), (256 * M, G)], vec![], vec![(128 * M, G + 128 * M)]),
        ("within", vec![(8 * M, 32 * M), (16 * M, M)], vec![], vec![(8 * M, 32 * M)]),
        ("twice", vec![(16 * K, 2 * M), (16 * K, 2 * M)], vec![], vec![(16 * K, 2 * M)]),
        ("between", vec![(G, 8 * K), (G + 16 * K, 8 * K), (G + 8 * K, 8 * K)], vec![], vec![(G, 24 * K)]),
        ("near_max", vec![(max - M, 2 * M)], vec![], vec![(max - M, M)]),
    ]);
}

#[test]
fn add_node_simple() {
    let mut memblock = memblock::<128>(Rules::V6_1);
    memblock.add_node(M, 16 * M, Nid(1), RegionFlags::HOTPLUG).unwrap();
    let region = Region { base: M, size: 16 * M, nid: Nid(1), flags: RegionFlags::HOTPLUG };
    assert_eq!(memblock.memory(), [region]);
}

#[test]
fn remove_and_free() {
    let max = u64::MAX;
    let two = vec![(2 * K, 4 * K), (128 * K, 4 * M)];
    check(vec![
        ("simple", two.clone(), vec![(2 * K, 4 * K)], vec![(128 * K, 4 * M)]),
        ("absent", vec![(512 * K, 4 * M)], vec![(64 * M, G)], vec![(512 * K, 4 * M)]),
        ("overlap_top", vec![(32 * M, 32 * M)], vec![(16 * M, 32 * M)], vec![(48 * M, 16 * M)]),
        ("overlap_bottom", vec![(2 * M, 64 * M)], vec![(32 * M, 256 * M)], vec![(2 * M, 30 * M)]),
        ("within", vec![(M, 32 * M)], vec![(16 * M, M)], vec![(M, 15 * M), (17 * M, 16 * M)]),
        ("only_region", vec![(2 * K, 4 * K)], vec![(2 * K, 4 * K)], vec![]),
        ("near_max", vec![(max - 2 * M, 2 * M)], vec![(max - M, 2 * M)], vec![(max - 2 * M, M)]),
        (
            "overlap_two",
            vec![(16 * M, 32 * M), (64 * M, 64 * M)],
            vec![(32 * M, 64 * M)],
            vec![(16 * M, 16 * M), (96 * M, 32 * M)],
        ),
    ]);
}

#[test]
fn set_bottom_up_and_bottom_up() {
    let mut memblock = memblock::<128>(Rules::V6_1);
    for direction in [Direction::BottomUp, Direction::TopDown] {
        memblock.set_direction(direction);
        assert_eq!(memblock.direction(), direction);
    }
}

#[test]
fn trim_memory() {
    const C: u64 = 32;
    for (name, before, after) in [
        ("aligned", vec![(C, 4 * C)], vec![(C, 4 * C)]),
        ("too_small", vec![(C, 2 * C), (4 * C, C - 2)], vec![(C, 2 * C)]),
        ("unaligned_base", vec![(C, 2 * C), (4 * C + 2, 2 * C - 2)], vec![(C, 2 * C), (5 * C, C)]),
        ("unaligned_end", vec![(C, 2 * C), (4 * C, 2 * C - 2)], vec![(C, 2 * C), (4 * C, C)]),
    ] {
        let mut memblock = memblock::<128>(Rules::V6_1);
        before.iter().for_each(|&range| put(&mut memblock, Array::Memory, range));
        memblock.trim_memory(C).unwrap();
        let regions: Ranges = memblock.memory().iter().map(|r| (r.base, r.size)).collect();
        assert_eq!(regions, after, "{name}");
    }
}

/// Bytes of an array of 256 regions, in whole pages.
const ARRAY: u64 = 8 * K;

#[test]
fn add_many() {
    for direction in [Direction::TopDown, Direction::BottomUp] {
        let mut memblock = memblock::<256>(Rules::V6_12);
        memblock.set_direction(direction);
        // One block that the array can move to, and blocks too small for it.
        memblock.add(16 * M, ARRAY).unwrap();
        for i in 0..128 {
            memblock.add(32 * M + i * 128, 64).unwrap();
            assert_eq!(memblock.memory().len() as u64, i + 2);
            assert_eq!(memblock.phys_mem_size(), ARRAY + (i + 1) * 64);
        }
        assert_eq!(memblock.parts().memory.max, 256);
        assert_eq!(memblock.reserved(), [Region::new(16 * M, ARRAY)]);
        memblock.add(16 * K, K).unwrap();
        assert_eq!(memblock.memory()[0], Region::new(16 * K, K));
    }
}

#[test]
fn reserve_many() {
    let mut memblock = memblock::<256>(Rules::V6_12);
    memblock.add(0, 64 * M).unwrap();
    for i in 0..129 {
        memblock.reserve(M + i * 64 * K, 32 * K).unwrap();
        let moved = u64::from(i == 128);
        assert_eq!(memblock.reserved().len() as u64, i + 1 + moved);
        assert_eq!(memblock.reserved_size(), (i + 1) * 32 * K + moved * ARRAY);
    }
    assert_eq!(memblock.parts().reserved.max, 256);
    assert!(memblock.is_region_reserved(64 * M - ARRAY, ARRAY), "the array is at the top");
    memblock.reserve(16 * K, K).unwrap();
    assert_eq!(memblock.reserved()[0], Region::new(16 * K, K));
}

#[test]
fn reserve_all_locations() {
    for missing in 0..129 {
        let mut memblock = memblock::<256>(Rules::V6_12);
        memblock.add(0, 64 * M).unwrap();
        for i in (0..129).filter(|&i| i != missing) {
            memblock.reserve(M + i * 64 * K, 32 * K).unwrap();
        }
        assert_eq!(memblock.parts().reserved.max, 128);
        memblock.reserve(M + missing * 64 * K, 32 * K).unwrap();
        assert_eq!((memblock.reserved().len(), memblock.parts().reserved.max), (130, 256), "{missing}");
        assert!((0..129).all(|i| memblock.is_region_reserved(M + i * 64 * K, 32 * K)), "{missing}");
        assert!(memblock.is_reserved(64 * M - 1), "{missing}");
    }
}

#[test]
fn reserve_many_may_conflict() {
    for missing in 0..129 {
        let mut memblock = memblock::<256>(Rules::V6_12);
        // Only the range being reserved and one other are free memory: the array must take the other, at its top.
        let at = |i: u64| 16 * M + i * 64 * K;
        memblock.add(8 * M, 32 * K).unwrap();
        memblock.add(at(missing), 32 * K).unwrap();
        for i in (0..129).filter(|&i| i != missing) {
            memblock.reserve(at(i), 32 * K).unwrap();
        }
        memblock.reserve(at(missing), 32 * K).unwrap();
        let array = Region::new(8 * M + 32 * K - ARRAY, ARRAY);
        assert_eq!(memblock.reserved()[0], array, "{missing}");
        assert_eq!(memblock.reserved().len(), 130, "{missing}");
        assert!((0..129).all(|i| memblock.reserved().contains(&Region::new(at(i), 32 * K))), "{missing}");
    }
}

#[test]
fn overlaps_region() {
    let mut memblock = memblock::<128>(Rules::V6_12);
    memblock.add(G, 4 * M).unwrap();
    for (base, size, expected) in [
        (G - M, M, false),
        (G + 4 * M, M, false),
        (0, M, false),
        (G - M, 2 * M, true),
        (G + 3 * M, 2 * M, true),
        (G, 4 * M, true),
        (G - M, 6 * M, true),
        (G + M, M, true),
        (G + M, 0, true),
        (G, 0, false),
    ] {
        assert_eq!(memblock.overlaps(Array::Memory, base, size), expected, "{base:#x} {size:#x}");
    }
}

#[test]
fn set_node_while_the_array_grows() {
    let mut memblock = memblock::<256>(Rules::V6_12);
    memblock.add_node(0, 32 * M, Nid(0), RegionFlags::NONE).unwrap();
    memblock.add_node(32 * M, 32 * M, Nid(1), RegionFlags::NONE).unwrap();
    for i in 0..127 {
        memblock.reserve(M + i * 256 * K, 32 * K).unwrap();
    }
    memblock.reserved_take_nids().unwrap();
    assert_eq!(memblock.parts().reserved.max, 256);
    let right = |r: &Region| r.nid == Nid(i32::from(r.base >= 32 * M));
    assert!(memblock.reserved().iter().all(right), "also the array that moved meanwhile: {:?}", memblock.reserved());
    assert_eq!(memblock.reserved().len(), 128);
}
