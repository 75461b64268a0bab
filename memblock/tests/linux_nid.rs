// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenarios of Linux's `alloc_nid_api.c` and `alloc_exact_nid_api.c` (6.1, 6.12), by their names.

use Direction::{BottomUp, TopDown};
use handoff::{Bounds, Direction, Nid, Quiet, RegionFlags, Rules};
use memblock::{Memblock, Policy};

/// The tests' cache line.
const C: u64 = 32;
/// Where memory starts.
const S: u64 = 0x10_0000;

/// Which function is asked.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Call {
    Try,
    TryRaw,
    Exact,
}

struct Scenario {
    name: &'static str,
    /// Reserved before: start and end.
    reserved: Vec<(u64, u64)>,
    size: u64,
    nid: i32,
    range: (u64, u64),
    /// The address and how many reserved regions there are then.
    top_down: Option<(u64, usize)>,
    bottom_up: Option<(u64, usize)>,
}

fn check(calls: &[Call], nodes: &[(u64, u64)], scenarios: &[Scenario]) {
    for rules in [Rules::V6_1, Rules::V6_12] {
        for (direction, scenario) in scenarios.iter().flat_map(|s| [(TopDown, s), (BottomUp, s)]) {
            for &call in calls {
                let mut memblock: Memblock = Memblock::with_log(Policy { rules, ..Policy::new() }, Quiet);
                memblock.set_direction(direction);
                for (node, &(start, end)) in nodes.iter().enumerate() {
                    memblock.add_node(start, end - start, Nid(node as i32), RegionFlags::NONE).unwrap();
                }
                for &(start, end) in &scenario.reserved {
                    memblock.reserve(start, end - start).unwrap();
                }

                let before = memblock.reserved_size();
                let (min, max) = scenario.range;
                let bounds = Bounds { size: scenario.size, align: C, min, max, nid: Nid(scenario.nid) };
                let found = match call {
                    Call::Try => memblock.alloc_try_nid(bounds),
                    Call::TryRaw => memblock.alloc_try_nid_raw(bounds),
                    Call::Exact => memblock.alloc_exact_nid_raw(bounds),
                };
                let expected = if direction == TopDown { scenario.top_down } else { scenario.bottom_up };
                let result = found.ok().map(|found| (found, memblock.reserved().len()));
                assert_eq!(result, expected, "{} {direction:?} {call:?} {rules:?}", scenario.name);
                let grown = expected.map_or(0, |_| scenario.size);
                assert_eq!(memblock.reserved_size(), before + grown, "{}", scenario.name);
            }
        }
    }
}

#[test]
fn ranges() {
    for e in [S + 0x4000, S + 0x8000] {
        let mut list = Vec::new();
        let mut add = |name, reserved: &[(u64, u64)], size, range, top_down, bottom_up| {
            let reserved = reserved.to_vec();
            list.push(Scenario { name, reserved, size, nid: -1, range, top_down, bottom_up });
        };
        let (min, max) = (S + 2 * C, S + 2 * C + 512);
        add("simple", &[], 128, (min, max), Some((max - 128, 1)), Some((min, 1)));
        add("misaligned end", &[], 128, (min, max + 2), Some((max - 128, 1)), Some((min, 1)));
        add("misaligned start", &[], 128, (S + 2, S + 514), Some((S + 384, 1)), Some((S + C, 1)));
        add("exact_address", &[], 1024, (S + C, S + C + 1024), Some((S + C, 1)), Some((S + C, 1)));
        add("narrow_range", &[], 256, (S + 512, S + 512 + C), Some((S + 512 + C - 256, 1)), Some((S, 1)));
        add("low_max", &[], 1024, (S, S + C), None, None);
        add("min_reserved", &[(e - 192, e - 64)], 64, (e - 64, e), Some((e - 64, 1)), Some((e - 64, 1)));
        add("max_reserved", &[(e - 64, e)], 128, (e - 192, e - 64), Some((e - 192, 1)), Some((e - 192, 1)));

        // Two reserved blocks with a gap between them, which is the range.
        let blocks = |gap: u64| ((e - 256 - gap, e - 128 - gap), (e - 128, e));
        let (r2, r1) = blocks(64 + C);
        let range = (r2.1, r1.0);
        add("reserved_with_space", &[r1, r2], 64, range, Some((r1.0 - 64, 2)), Some((r2.1, 2)));
        let (r2, r1) = blocks(64);
        add("reserved_full_merge", &[r1, r2], 64, (r2.1, r1.0), Some((r2.1, 1)), Some((r2.1, 1)));
        let (r2, r1) = blocks(C);
        let range = (r2.1, r1.0);
        add("reserved_no_space", &[r1, r2], 256, range, Some((r2.0 - 256, 2)), Some((S, 3)));
        add("reserved_all", &[(S, r2.1), r1], 256, range, None, None);

        add("cap_max", &[], 256, (e - 1024, e + 256), Some((e - 256, 1)), Some((e - 1024, 1)));
        add("cap_min", &[], 1024, (S - C, e), Some((e - 1024, 1)), Some((S, 1)));
        check(&[Call::Try, Call::TryRaw, Call::Exact], &[(S, e)], &list);
    }
}

/// Eight nodes with 4, 1, 2, 2, 1, 1, 4 and 1 sixteenths of memory.
fn nodes(memory: u64) -> Vec<(u64, u64)> {
    let mut end = S;
    let shares = [4, 1, 2, 2, 1, 1, 4, 1];
    let node = |share| {
        let start = end;
        end += share * memory / 16;
        (start, end)
    };
    shares.into_iter().map(node).collect()
}

/// Name, reserved, size, node, range, then what `try_nid` and what `exact_nid` give (top-down, bottom-up).
type Row = (&'static str, Vec<(u64, u64)>, u64, i32, (u64, u64), [Option<(u64, usize)>; 4]);

fn numa(n: &[(u64, u64)]) -> Vec<Row> {
    let size = |node: usize| n[node].1 - n[node].0;
    let top = |node: usize, size: u64, count| Some((n[node].1 - size, count));
    let bottom = |node: usize, count| Some((n[node].0, count));
    let all = (S, n[7].1);
    let (half, eighth) = (size(4) / 2, size(4) / 8);
    let middle = (n[4].0 + size(4) / 4, n[4].1 - size(4) / 4);
    let across = |node: usize| (n[node].1 - 256, n[node].1 + 256);

    vec![
        (
            "simple",
            vec![],
            size(3) / 4,
            3,
            all,
            [top(3, size(3) / 4, 1), bottom(3, 1), top(3, size(3) / 4, 1), bottom(3, 1)],
        ),
        ("small_node", vec![], 2 * size(1), 1, all, [top(6, 2 * size(1), 1), bottom(0, 1), None, None]),
        ("node_reserved", vec![n[2]], size(2), 2, all, [top(6, size(2), 2), bottom(0, 2), None, None]),
        ("part_reserved", vec![(n[4].0, n[4].0 + half)], eighth, 4, all, {
            let behind = Some((n[4].0 + half, 1));
            [top(4, eighth, 2), behind, top(4, eighth, 2), behind]
        }),
        ("part_reserved_fallback", vec![middle], half, 4, all, [top(7, half, 2), bottom(0, 2), None, None]),
        ("split_range_low", vec![], 512, 2, across(2), [top(2, 512, 1), bottom(2, 1), top(2, 512, 1), bottom(2, 1)]),
        ("split_range_high", vec![], 512, 3, across(2), [top(2, 512, 1), bottom(0, 1), None, None]),
        ("no_overlap_split", vec![], 512, 2, across(5), [top(2, 512, 1), bottom(2, 1), top(2, 512, 1), bottom(2, 1)]),
        ("no_overlap_low", vec![], 64, 0, (n[2].0, n[5].1), [top(5, 64, 1), bottom(2, 1), top(0, 64, 1), bottom(0, 1)]),
        ("no_overlap_high", vec![], 64, 7, (n[2].0, n[5].1), [top(5, 64, 1), bottom(2, 1), None, None]),
        ("large_region", vec![], (all.1 - all.0) / 2, 3, all, [None; 4]),
        (
            "reserved_full_merge",
            vec![(n[6].0 - 128, n[6].0), (n[6].1, n[6].1 + 128)],
            size(6),
            6,
            n[6],
            [bottom(6, 1); 4],
        ),
        ("split_all_reserved", vec![(S, n[6].1 - 128), (n[6].1 + 128, n[7].1)], 256, -1, all, [None; 4]),
    ]
}

#[test]
fn numa_nodes() {
    for memory in [0x4000, 0x8000] {
        let nodes = nodes(memory);
        for (calls, first) in [(&[Call::Try, Call::TryRaw][..], 0), (&[Call::Exact][..], 2)] {
            let scenario = |(name, reserved, size, nid, range, expected): Row| Scenario {
                name,
                reserved,
                size,
                nid,
                range,
                top_down: expected[first],
                bottom_up: expected[first + 1],
            };
            check(calls, &nodes, &numa(&nodes).into_iter().map(scenario).collect::<Vec<_>>());
        }
    }
}

#[test]
fn node_on_correct_nid() {
    let nodes = nodes(0x8000);
    for direction in [TopDown, BottomUp] {
        let mut memblock: Memblock = Memblock::new();
        memblock.set_direction(direction);
        for (node, &(start, end)) in nodes.iter().enumerate() {
            memblock.add_node(start, end - start, Nid(node as i32), RegionFlags::NONE).unwrap();
        }
        let found = memblock.alloc_node(512, C, Nid(2)).unwrap();
        assert!(nodes[2].0 <= found && found + 512 <= nodes[2].1, "{found:#x}");
    }
}
