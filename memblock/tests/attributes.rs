// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flags, nodes, limits and the hand-over: what Linux's own tests leave out.

use handoff::{Bounds, Direction, Lines, Nid, Quiet, Region, RegionFlags, Rules};
use memblock::{ArrayParts, Memblock, Parts, Policy};

const MAX: u64 = u64::MAX;
const ANY: Bounds = Bounds { size: 4096, align: 4096, min: 0, max: 0, nid: Nid::NONE };

fn with_policy(policy: Policy) -> Memblock<32> {
    let mut memblock = Memblock::with_log(policy, Quiet);
    memblock.add(0x1_0000, 0x1_0000).unwrap();
    memblock
}

fn list(regions: &[Region]) -> Vec<(u64, u64)> {
    regions.iter().map(|r| (r.base, r.end())).collect()
}

#[test]
fn hotplug_counts_only_with_movable_node_and_is_cleared_at_the_end() {
    for (movable_node, expected) in [(false, 0x1_f000), (true, 0x1_7000)] {
        let mut m = with_policy(Policy { movable_node, ..Policy::new() });
        m.mark_hotplug(0x1_8000, MAX).unwrap();
        assert_eq!(m.phys_alloc_range(ANY), Ok(expected));
        let pages: u64 = m.free_all(MAX).unwrap().map(|block| 1 << block.order).sum();
        assert_eq!((pages, m.memory().len()), (15, 1));
    }
}

#[test]
fn nomap_is_counted_but_neither_allocated_nor_handed_over() {
    let mut m = with_policy(Policy::new());
    m.mark_nomap(0x1_8000, 0x8000).unwrap();
    assert_eq!(m.phys_alloc_range(ANY), Ok(0x1_7000));
    assert!(m.is_memory(0x1_9000) && !m.is_map_memory(0x1_9000));
    assert_eq!((m.memory_bytes(), m.phys_mem_size()), (0x1_0000, 0x1_0000));
    assert_eq!(m.free_all(MAX).unwrap().map(|block| 1 << block.order).sum::<u64>(), 7);
    let asked = m.free_ranges(Nid::NONE, RegionFlags::NOMAP).last().unwrap();
    assert_eq!((asked.range.start(), asked.range.end()), (0x1_8000, 0x2_0000));
    assert_eq!(m.pfn_ranges(Nid::UNSET).map(|r| r.end - r.start).sum::<u64>(), 16);

    m.cap_memory_range(0x1_0000, 0x1000).unwrap();
    assert_eq!(list(m.memory()), [(0x1_0000, 0x1_1000), (0x1_8000, 0x2_0000)], "capping keeps it");
    m.clear_nomap(0, MAX).unwrap();
    assert_eq!(m.phys_alloc_range(ANY), Ok(0x1_f000));
}

#[test]
fn driver_managed_memory_is_not_allocated() {
    let mut m = with_policy(Policy::new());
    m.mark_driver_managed(0x1_8000, 0x8000).unwrap();
    assert_eq!(m.phys_alloc_range(ANY), Ok(0x1_7000));
    assert_eq!(m.mem_ranges().count(), 2);
}

#[test]
fn mirrored_memory_first_and_a_line_each_time_it_is_not() {
    let log = Lines::default();
    let policy = Policy { kernelcore_mirror: true, ..Policy::new() };
    let mut m: Memblock<32, Lines> = Memblock::with_log(policy, log.clone());
    for nid in 0..2 {
        m.add_node(0x1_0000 << nid, 0x1_0000 << nid, Nid(nid), RegionFlags::NONE).unwrap();
    }
    m.mark_mirror(0x1_0000, 0x1000).unwrap();
    let on_1 = Bounds { nid: Nid(1), ..ANY };
    assert_eq!(m.alloc_try_nid(on_1), Ok(0x1_0000), "the mirror beats the node");
    assert!(log.take().is_empty());
    assert_eq!(m.alloc_try_nid(on_1), Ok(0x3_f000));
    assert_eq!(m.find_in_range(0, 0, 0x1000, 0x1000), Ok(0x3_e000));
    assert_eq!(log.take(), ["Could not allocate 0x0000000000001000 bytes of mirrored memory"; 2]);
}

#[test]
fn mirrored_memory_needs_kernelcore_mirror_since_6_0() {
    for (rules, marked) in [(Rules::V5_4, true), (Rules::V6_1, false), (Rules::V6_12, false)] {
        let mut m = with_policy(Policy { rules, ..Policy::new() });
        m.mark_mirror(0x1_0000, 0x1000).unwrap();
        assert_eq!((m.policy().has_mirror, m.memory().len() == 2), (marked, marked), "{rules:?}");
    }
    let mut nothing = with_policy(Policy { kernelcore_mirror: true, ..Policy::new() });
    nothing.mark_mirror(1 << 40, 1).unwrap();
    assert!(nothing.policy().has_mirror, "even if the range holds no memory");
}

#[test]
fn noinit_splits_reservations() {
    let mut m = with_policy(Policy { rules: Rules::V6_12, ..Policy::new() });
    m.reserve(0x1_0000, 0x4000).unwrap();
    m.reserved_mark_noinit(0x1_1000, 0x3000).unwrap();
    let flags: Vec<_> = m.reserved().iter().map(|r| (r.base, r.flags)).collect();
    assert_eq!(flags, [(0x1_0000, RegionFlags::NONE), (0x1_1000, RegionFlags::RSRV_NOINIT)]);
}

#[test]
fn an_old_pair_is_merged_by_6_1_and_left_by_6_12() {
    let pair = [Region::new(0x1000, 0x1000), Region::new(0x2000, 0x1000), Region::new(0x5000, 0x1000)];
    for (rules, count) in [(Rules::V6_1, 3), (Rules::V6_12, 4)] {
        let array = |regions| ArrayParts { regions, max: 8, total_size: 0x3000, place: None };
        let (policy, direction) = (Policy { rules, ..Policy::new() }, Direction::TopDown);
        let parts = Parts { memory: array(&pair), reserved: array(&[]), current_limit: MAX, direction, policy };
        let mut m: Memblock<8> = Memblock::from_parts(&parts, Quiet).unwrap();
        m.add(0x5000, 0x1000).unwrap();
        assert_eq!(m.memory().len(), 3, "nothing new, nothing merged");
        m.add(0x8000, 0x1000).unwrap();
        assert_eq!(m.memory().len(), count, "{rules:?}");
    }
    // Capping cuts memory that must not be mapped in two and does not merge.
    for (rules, count) in [(Rules::V6_1, 1), (Rules::V6_12, 2)] {
        let mut m = with_policy(Policy { rules, ..Policy::new() });
        m.mark_nomap(0, MAX).unwrap();
        m.cap_memory_range(0x1_4000, MAX).unwrap();
        assert_eq!(m.memory().len(), 2);
        m.mark_hotplug(1 << 40, 1).unwrap();
        assert_eq!(m.memory().len(), count, "{rules:?}");
    }
}

#[test]
fn a_limit_at_the_end_of_a_region_0_and_above_all() {
    for (limit, memory, reserved) in [
        (0, vec![(0x1000, 0x2000), (0x4000, 0x8000)], vec![(0x1000, 0x1800), (0x6000, 0x9000)]),
        (0x1000, vec![(0x1000, 0x2000)], vec![(0x1000, 0x1800)]),
        (0x1001, vec![(0x1000, 0x2000), (0x4000, 0x4001)], vec![(0x1000, 0x1800)]),
        (0x4000, vec![(0x1000, 0x2000), (0x4000, 0x7000)], vec![(0x1000, 0x1800), (0x6000, 0x7000)]),
        (0x5000, vec![(0x1000, 0x2000), (0x4000, 0x8000)], vec![(0x1000, 0x1800), (0x6000, 0x8000)]),
        (0x5001, vec![(0x1000, 0x2000), (0x4000, 0x8000)], vec![(0x1000, 0x1800), (0x6000, 0x9000)]),
    ] {
        let mut m: Memblock<8> = Memblock::new();
        m.add(0x1000, 0x1000).unwrap();
        m.add(0x4000, 0x4000).unwrap();
        m.reserve(0x1000, 0x800).unwrap();
        m.reserve(0x6000, 0x3000).unwrap();
        let mut n = m.clone();
        m.enforce_memory_limit(limit).unwrap();
        n.mem_limit_remove_map(limit).unwrap();
        for m in [m, n] {
            assert_eq!((list(m.memory()), list(m.reserved())), (memory.clone(), reserved.clone()), "{limit:#x}");
        }
    }
}

#[test]
fn reserved_regions_take_nodes_again_when_their_array_moved() {
    // The array grows while node 1's reservations get their node, and moves to node 0, which was done already.
    let mut m: Memblock<256> =
        Memblock::with_log(Policy { rules: Rules::V6_12, can_resize: true, ..Policy::new() }, Quiet);
    m.set_direction(Direction::BottomUp);
    m.add_node(1 << 20, 1 << 20, Nid(0), RegionFlags::NONE).unwrap();
    m.add_node(2 << 20, 1 << 20, Nid(1), RegionFlags::NONE).unwrap();
    m.reserve((2 << 20) - 0x800, 0x1000).unwrap(); // splits in two at the border
    (0..125).for_each(|i| m.reserve((2 << 20) + 0x1000 + i * 0x1000, 0x800).unwrap());
    let pages = m.free_all(MAX).unwrap().map(|block| 1 << block.order).sum::<u64>();
    assert_eq!(m.parts().reserved.max, 256);
    assert!(m.reserved().iter().all(|r| r.nid == Nid(i32::from(r.base >= 2 << 20))), "{:x?}", m.reserved());
    assert_eq!(pages, 512 - 2 - 2 - 125);
}

#[test]
fn free_memory_is_not_a_difference_of_totals() {
    let mut m = with_policy(Policy::new());
    m.reserve(1 << 40, 1 << 40).unwrap(); // soft reserved, outside memory
    assert!(m.reserved_size() > m.phys_mem_size());
    assert_eq!(m.free_bytes(), 0x1_0000);
}

#[test]
fn frame_0_makes_a_block_of_the_highest_order() {
    let mut m: Memblock<4> = Memblock::new();
    m.add(0, 8 << 20).unwrap();
    let blocks: Vec<_> = m.free_all(1 << 20).unwrap().map(|b| (b.pfn, b.order)).collect();
    assert_eq!(blocks, [(0, 10), (1024, 10)]);
    assert_eq!(m.free_all(5).unwrap().map(|b| (b.pfn, b.order)).collect::<Vec<_>>(), [(0, 2), (4, 0)], "max_low_pfn");
}

#[test]
fn thousands_of_regions_far_up() {
    let stack = std::thread::Builder::new().stack_size(32 << 20); // a memblock of that size is 400 KB, moved unoptimized
    stack.spawn(thousands).unwrap().join().unwrap();
}

fn thousands() {
    let origin = 0x7fff_0000_0000_0000;
    let array = ArrayParts { regions: &[], max: 8192, total_size: 0, place: None };
    let (policy, direction) = (Policy::new(), Direction::TopDown);
    let parts = Parts { memory: array, reserved: array, current_limit: MAX, direction, policy };
    let mut m: Memblock<8192> = Memblock::from_parts(&parts, Quiet).unwrap();
    m.add(origin, 4094 * 0x2000).unwrap();
    for i in (0..4094).rev() {
        m.reserve(origin + i * 0x2000, 0x1000).unwrap();
    }
    assert_eq!(m.reserved().len(), 4094);
    assert_eq!(m.free_ranges(Nid::NONE, RegionFlags::NONE).count(), 4094);
    assert_eq!(m.phys_alloc_range(ANY), Ok(origin + 4094 * 0x2000 - 0x1000));
    assert!(m.phys_alloc_range(Bounds { size: 0x1001, ..ANY }).is_err());
    m.reserve(origin, 4094 * 0x2000).unwrap();
    assert_eq!(m.reserved().len(), 1);
}
