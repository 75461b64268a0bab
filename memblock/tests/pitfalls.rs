// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mistakes that memblock's history knows, each as a test.

use handoff::{Bounds, Direction, Lines, Log, Nid, PhysRange, Region, RegionFlags, Rules};
use memblock::{Array, ArrayParts, Error, Fallback, Memblock, Parts, Policy};

const MAX: u64 = u64::MAX;
const ANY: Bounds = Bounds { size: 4096, align: 4096, min: 0, max: 0, nid: Nid::NONE };

fn memblock(memory: &[(u64, u64)]) -> Memblock<32> {
    let mut memblock = Memblock::new();
    memory.iter().for_each(|&(start, end)| memblock.add(start, end - start).unwrap());
    memblock
}

/// Both arrays hold `max` regions at first and may grow to `N`.
fn growing<const N: usize, L: Log>(max: usize, rules: Rules, log: L) -> Memblock<N, L> {
    let array = ArrayParts { regions: &[], max, total_size: 0, place: None };
    let policy = Policy { rules, can_resize: true, ..Policy::new() };
    let parts = Parts { memory: array, reserved: array, current_limit: MAX, direction: Direction::TopDown, policy };
    Memblock::from_parts(&parts, log).unwrap()
}

fn list(regions: &[Region]) -> Vec<(u64, u64)> {
    regions.iter().map(|r| (r.base, r.end())).collect()
}

#[test]
fn base_and_size_overflow() {
    let mut m = memblock(&[]);
    m.add(MAX - 4095, 4096).unwrap();
    assert_eq!(list(m.memory()), [(MAX - 4095, MAX)], "the last byte is out of reach");
    m.add(MAX, 1).unwrap();
    m.reserve(MAX, MAX).unwrap();
    m.free(MAX, MAX).unwrap();
    assert_eq!((m.memory().len(), m.reserved().len(), m.phys_mem_size()), (1, 0, 4095));
    assert!(m.is_region_memory(MAX - 10, MAX), "the size is capped");
    assert!(!m.is_memory(MAX));
    assert!(m.overlaps(Array::Memory, MAX - 1, MAX));
    assert_eq!(m.search_pfn_nid(MAX), None);
}

#[test]
fn end_minus_size_underflows() {
    let mut m = memblock(&[(0x1000, 0x3000)]);
    assert!(m.phys_alloc(0x10_0000, 64).is_err());
    assert!(m.phys_alloc(MAX, 64).is_err());
}

#[test]
fn alignment_wraps_near_the_top() {
    let mut m = memblock(&[(MAX - 0xffff, MAX)]);
    m.set_direction(Direction::BottomUp);
    assert!(m.phys_alloc(16, 1 << 63).is_err());
    m.set_direction(Direction::TopDown);
    assert!(m.phys_alloc(16, 1 << 63).is_err());
    assert_eq!(m.phys_alloc(0x1000, 0x1000), Ok(MAX - 0x1fff));
}

#[test]
fn the_last_page_wraps_to_frame_0() {
    let mut m = memblock(&[(MAX - 0x2fff, MAX)]);
    m.reserve(MAX - 0x1000, 0x800).unwrap(); // the free range above it starts in the last page
    let blocks: Vec<_> = m.free_all(MAX).unwrap().map(|b| (b.pfn, b.order)).collect();
    assert_eq!(blocks, [((MAX - 0x2fff) >> 12, 0)]);
    assert_eq!(m.pfn_ranges(Nid::UNSET).next().map(|r| (r.start, r.end)), Some((MAX / 4096 - 2, MAX / 4096)));
    let last = memblock(&[(MAX - 0x800, MAX)]);
    assert_eq!(last.pfn_ranges(Nid::UNSET).count(), 0);
}

#[test]
fn doubling_keeps_clear_of_the_range_and_of_the_limit() {
    // Free: 3 pages at the bottom, which lie below the range; above it, memory is beyond the limit.
    let mut m: Memblock<8> = growing(2, Rules::V6_1, handoff::Quiet);
    m.add(0x1000, 0xf000).unwrap();
    m.add(0x20_0000, 0x1_0000).unwrap();
    m.reserve(0x8000, 0x1000).unwrap();
    m.reserve(0xa000, 0x1000).unwrap();
    m.set_current_limit(0x7000);
    m.reserve(0xc000, 0x1000).unwrap();
    assert_eq!(list(m.reserved()), [(0x6000, 0x7000), (0x8000, 0x9000), (0xa000, 0xb000), (0xc000, 0xd000)]);
    assert_eq!(m.parts().reserved.place, PhysRange::new(0x6000, 0x7000));
}

#[test]
fn doubling_for_a_range_at_0_does_not_land_in_it() {
    let mut m: Memblock<8> = growing(1, Rules::V6_1, handoff::Quiet);
    m.add(0, 0x8000).unwrap();
    m.reserve(0x8000, 0x1000).unwrap();
    let before = m.clone();
    // All free memory lies inside the range; Linux takes "below 0" for "anywhere".
    assert_eq!(m.reserve(0, 0x7ff0), Err(Error::Full { array: Array::Reserved, capacity: 1 }));
    assert_eq!(m.parts(), before.parts());
}

#[test]
fn doubling_fails_and_leaves_everything() {
    let log = Lines::default();
    let mut m: Memblock<8, Lines> = growing(1, Rules::V6_1, log.clone());
    m.reserve(0x5000, 0x1000).unwrap();
    let before = m.clone();
    let full = Err(Error::Full { array: Array::Reserved, capacity: 1 });
    assert_eq!(m.reserve(0x8000, 0x1000), full);
    assert_eq!(m.free(0x5000, 0x1000), full);
    assert_eq!(m.parts(), before.parts());
    assert_eq!(log.take(), ["memblock: Failed to double reserved array from 1 to 2 entries !"; 2]);
}

#[test]
fn doubling_stops_at_the_capacity() {
    let log = Lines::default();
    let mut m: Memblock<4, Lines> = growing(4, Rules::V6_1, log.clone());
    m.add(0x1000, 0x10_0000).unwrap();
    (1..5).for_each(|i| m.reserve(i * 0x2000, 0x1000).unwrap());
    m.set_policy(Policy { trace: true, ..m.policy() });
    assert_eq!(m.reserve(0xc000, 0x1000), Err(Error::Full { array: Array::Reserved, capacity: 4 }));
    assert_eq!(log.take().len(), 1, "only the request is logged: nothing was looked for");

    // The memory array might grow, but the reservation of its new place cannot be recorded.
    let mut n: Memblock<4> = growing(4, Rules::V6_1, handoff::Quiet);
    n.add(0x1000, 0x10_0000).unwrap();
    (1..5).for_each(|i| n.reserve(i * 0x2000, 0x1000).unwrap());
    let parts = n.parts();
    let parts = Parts { memory: ArrayParts { max: 1, ..parts.memory }, ..parts };
    let mut n: Memblock<4> = Memblock::from_parts(&parts, handoff::Quiet).unwrap();
    let before = n.clone();
    assert_eq!(n.add(0x40_0000, 0x1000), Err(Error::Full { array: Array::Reserved, capacity: 4 }));
    assert_eq!(n.parts(), before.parts());
}

#[test]
fn both_arrays_grow_in_turn_and_old_places_are_freed() {
    let mut m: Memblock<64> = growing(2, Rules::V6_1, handoff::Quiet);
    m.add(1 << 30, 1 << 20).unwrap();
    let top = (1 << 30) + (1 << 20);
    (1..20).for_each(|i| m.add(i * 0x1_0000, 0x1000).unwrap());
    (1..20).for_each(|i| m.reserve(i * 0x1_0000, 0x100).unwrap());
    let parts = m.parts();
    assert_eq!((parts.memory.max, parts.reserved.max), (32, 32));
    let places = [parts.memory.place.unwrap(), parts.reserved.place.unwrap()];
    let high: u64 = m.reserved_ranges().filter(|r| r.start() >= 1 << 30).map(PhysRange::size).sum();
    assert_eq!(high, places.iter().map(|p| p.size()).sum::<u64>(), "only the last place of each is still reserved");
    assert!(places.iter().all(|p| m.is_region_reserved(p.start(), p.size()) && p.end() <= top));
}

#[test]
fn the_place_of_the_new_array_fills_the_array_again() {
    for rules in [Rules::V6_1, Rules::V6_12] {
        let mut m: Memblock<64> = growing(1, rules, handoff::Quiet);
        m.add(0x10_0000, 0x10_0000).unwrap();
        m.reserve(0x1000, 0x1000).unwrap();
        m.reserve(0x4000, 0x1000).unwrap(); // 1 → 2, filled by the array's own place, → 4
        let parts = m.parts().reserved;
        assert_eq!((parts.max, parts.regions.len()), (4, 3), "{rules:?}");
        let place = parts.place.unwrap();
        assert_eq!(list(parts.regions), [(0x1000, 0x2000), (0x4000, 0x5000), (place.start(), place.end())]);
    }
}

#[test]
fn an_empty_array() {
    for rules in [Rules::V6_1, Rules::V6_12] {
        let mut m: Memblock<4> = Memblock::with_log(Policy { rules, ..Policy::new() }, handoff::Quiet);
        assert_eq!((m.start_of_dram(), m.end_of_dram(), m.free_bytes()), (0, 0, 0));
        assert!(!m.is_memory(0) && !m.is_reserved(0) && !m.overlaps(Array::Memory, 0, MAX));
        assert_eq!(m.mem_ranges().count() + m.reserved_ranges().count(), 0);
        assert_eq!(m.free_ranges(Nid::NONE, RegionFlags::NONE).count(), 0);
        m.trim_memory(4096).unwrap();
        m.remove(0, MAX).unwrap();
        m.cap_memory_range(0x1000, 0x1000).unwrap();
        m.enforce_memory_limit(1).unwrap();
        m.set_node(Array::Memory, 0, MAX, Nid(0)).unwrap();
        m.add(0x1000, 0x1000).unwrap();
        m.remove(0x1000, 0x1000).unwrap();
        assert_eq!((m.memory(), m.phys_mem_size()), (&[][..], 0));
    }
}

#[test]
fn nothing_to_cap_is_said() {
    let log = Lines::default();
    let mut m: Memblock<4, Lines> = Memblock::with_log(Policy::new(), log.clone());
    m.cap_memory_range(0, 1).unwrap();
    assert_eq!(log.take(), ["memblock_cap_memory_range: No memory registered yet"]);
}

#[test]
fn reserve_before_add_outside_twice_across_holes() {
    let mut m = memblock(&[]);
    m.reserve(0x5000, 0x1000).unwrap();
    m.reserve(0x9000, 0x1000).unwrap();
    m.add(0x1000, 0x3000).unwrap();
    m.reserve(0x2000, 0x7800).unwrap();
    m.reserve(0x2000, 0x7800).unwrap();
    assert_eq!(list(m.reserved()), [(0x2000, 0xa000)]);
    assert_eq!(m.free_bytes(), 0x1000);
    m.free(0x3000, 0x1000).unwrap();
    m.free(0x3000, 0x1000).unwrap(); // twice
    assert_eq!(list(m.reserved()), [(0x2000, 0x3000), (0x4000, 0xa000)]);
    assert_eq!(m.reserved_size(), 0x7000);
}

#[test]
fn other_nodes_and_flags_do_not_merge_and_are_kept() {
    let mut m = memblock(&[(0x1000, 0x2000)]);
    m.add_node(0x2000, 0x1000, Nid(1), RegionFlags::NONE).unwrap();
    m.add_node(0x3000, 0x1000, Nid(1), RegionFlags::NOMAP).unwrap();
    m.add_node(0, 0x5000, Nid(1), RegionFlags::NONE).unwrap();
    let regions: Vec<_> = m.memory().iter().map(|r| (r.base, r.nid.0, r.flags.0)).collect();
    assert_eq!(regions, [(0, 1, 0), (0x1000, 1024, 0), (0x2000, 1, 0), (0x3000, 1, 4), (0x4000, 1, 0)]);
}

#[test]
fn two_spare_entries_even_if_none_is_needed() {
    for (count, fits) in [(2, true), (3, false), (4, false)] {
        let mut m: Memblock<4> = Memblock::new();
        (0..count).for_each(|i| m.reserve(i * 0x2000, 0x1000).unwrap());
        let result = if fits { Ok(()) } else { Err(Error::Full { array: Array::Reserved, capacity: 4 }) };
        assert_eq!(m.free(1 << 40, 1), result, "{count}");
        assert_eq!(m.free(1 << 40, 0), Ok(()), "nothing needs nothing");
    }
}

#[test]
fn trim() {
    for (before, after, counted) in [
        ((0x1001, 0x2fff), vec![], 0),                      // crosses one boundary, holds no page
        ((0x1001, 0x1fff), vec![], 0),                      // smaller than a page
        ((0x1001, 0x3fff), vec![(0x2000, 0x3000)], 0x2ffe), // the count keeps what was cut off
        ((MAX - 0x800, MAX), vec![], 0),                    // Linux wraps to 0 here
        ((MAX - 0x1fff, MAX), vec![(MAX - 0x1fff, MAX - 0xfff)], 0x1fff),
    ] {
        let mut m = memblock(&[before]);
        m.trim_memory(4096).unwrap();
        assert_eq!((list(m.memory()), m.phys_mem_size()), (after, counted), "{before:x?}");
    }
    assert_eq!(memblock(&[]).trim_memory(3), Err(Error::Alignment { align: 3 }));
}

#[test]
fn page_0_is_never_given_out() {
    for direction in [Direction::TopDown, Direction::BottomUp] {
        let mut m = memblock(&[(0, 0x4000)]);
        m.set_direction(direction);
        m.phys_alloc(0x1000, 0x1000).unwrap();
        assert!(m.phys_alloc(0x3000, 0x1000).is_err());
        m.phys_alloc(0x2000, 0x1000).unwrap();
        assert!(m.phys_alloc(1, 1).is_err(), "the only fit is at 0");
        assert_eq!(list(m.reserved()), [(0x1000, 0x4000)]);
    }
}

#[test]
fn size_0_and_sums_that_fit_nowhere() {
    let mut m = memblock(&[(0x1000, 0x4000)]);
    m.reserve(0x2000, 0x1000).unwrap();
    assert_eq!(m.phys_alloc(0, 64), Ok(0x4000), "the end of the highest free range, and nothing is reserved");
    let window = Bounds { size: 0, max: 0x2800, ..ANY };
    assert_eq!(m.phys_alloc_range(window), Ok(0x2000), "below the window's end, if that is aligned");
    assert_eq!(m.phys_alloc_range(Bounds { align: 1, ..window }), Ok(0x2800), "at it, though no free range ends there");
    assert!(m.phys_alloc(0x2000, 0x1000).is_err());
    assert_eq!(m.reserved_size(), 0x1000);

    // Between two reservations that touch lies an empty gap; Linux finds room for nothing in it.
    let mut touching = memblock(&[(0x1000, 0x3000)]);
    touching.reserve(0x1000, 0x1000).unwrap();
    touching.set_node(Array::Reserved, 0x1000, 0x1000, Nid(0)).unwrap();
    touching.reserve(0x2000, 0x1000).unwrap();
    assert_eq!(touching.find_in_range(0, 0, 0, 64), Ok(0x2000));
    assert_eq!(touching.free_ranges(Nid::NONE, RegionFlags::NONE).count(), 0);
}

#[test]
fn limits_and_magic_numbers() {
    let mut m = memblock(&[(0x1000, 0x10_0000), (1 << 32, 1 << 33)]);
    m.set_current_limit(0x8000);
    assert_eq!(m.phys_alloc_range(Bounds { max: 0x10_0000, ..ANY }), Ok(0xf_f000), "the limit does not count");
    assert_eq!(m.alloc_try_nid(Bounds { max: 0x10_0000, ..ANY }), Ok(0x7000), "the limit counts");
    assert_eq!(m.phys_alloc_range(Bounds { max: 1, ..ANY }), Ok(0x6000), "1 means the limit, too");
    assert_eq!(m.find_in_range(0, 0, 0x1000, 0x1000), Ok(0x5000));
    assert!(m.phys_alloc_range(Bounds { max: 2, ..ANY }).is_err());
    m.set_current_limit(MAX);
    assert_eq!(m.alloc_low(0x1000, 0x1000), Ok(0xf_e000), "below 4 GiB");
    m.remove(0, 1 << 32).unwrap();
    assert!(m.alloc_low(0x1000, 0x1000).is_err());
}

#[test]
fn min_is_kept_rather_than_the_node() {
    let mut m: Memblock<32> = Memblock::new();
    m.add_node(0x1_0000, 0x1_0000, Nid(0), RegionFlags::NONE).unwrap();
    m.add_node(0x2_0000, 0x1_0000, Nid(1), RegionFlags::NONE).unwrap();
    let high = Bounds { min: 0x2_0000, nid: Nid(0), ..ANY };
    assert_eq!(m.alloc_exact_nid_raw(high), Ok(0x1_f000));
    assert_eq!(m.alloc_range_nid(high, Fallback::AnyNode), Ok(0x2_f000));
    assert_eq!(m.alloc_try_nid(high), Ok(0x2_e000));
    assert!(m.alloc_range_nid(high, Fallback::Never).is_err());
    assert!(m.alloc_exact_nid_raw(Bounds { nid: Nid(7), ..ANY }).is_err());
    assert_eq!(m.alloc_try_nid(Bounds { nid: Nid(7), ..ANY }), Ok(0x2_d000));
}

#[test]
fn node_1024_and_node_minus_1() {
    let log = Lines::default();
    let mut m: Memblock<8, Lines> = Memblock::with_log(Policy::new(), log.clone());
    m.add_node(0x1000, 0x2000, Nid(0), RegionFlags::NONE).unwrap();
    let exact = Bounds { nid: Nid::UNSET, ..ANY };
    assert_eq!(m.alloc_exact_nid_raw(exact), Ok(0x2000), "6.1 takes 1024 for any node, and says so");
    assert_eq!(log.take(), ["Usage of MAX_NUMNODES is deprecated. Use NUMA_NO_NODE instead"]);
    assert!(m.alloc_exact_nid_raw(Bounds { nid: Nid(-7), ..ANY }).is_err(), "6.1 looks for node -7");
    m.set_policy(Policy { rules: Rules::V6_12, ..Policy::new() });
    assert_eq!(m.alloc_exact_nid_raw(Bounds { nid: Nid(-7), ..ANY }), Ok(0x1000), "6.12 takes it for none");
    assert_eq!(Policy { rules: Rules::V6_12, ..Policy::new() }.no_nid(), Nid::NONE);
    assert_eq!(Policy::new().no_nid(), Nid::UNSET);
}

#[test]
fn bottom_up_starts_at_the_second_page() {
    let mut m = memblock(&[(0, 0x10_0000)]);
    m.reserve(0x8_0000, 0x1_0000).unwrap(); // a kernel; once, "bottom-up" meant above it
    m.set_direction(Direction::BottomUp);
    assert_eq!(m.phys_alloc(0x1000, 0x1000), Ok(0x1000));
}

#[test]
fn alignments() {
    let log = Lines::default();
    let mut m: Memblock<8, Lines> = Memblock::with_log(Policy::new(), log.clone());
    m.add(0x1000, 0x1001).unwrap();
    assert_eq!(m.phys_alloc(1, 0), Ok(0x2000), "0 stands for a cache line");
    assert!(log.take()[0].starts_with("memblock: alignment 0 taken as 64 at memblock/tests/pitfalls.rs:"));
    assert_eq!(m.phys_alloc(1, 3), Err(Error::Alignment { align: 3 }));
    assert_eq!(m.find_in_range(0, 0, 1, 12), Err(Error::Alignment { align: 12 }));
}
