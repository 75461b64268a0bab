// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenarios of Linux's `alloc_api.c` and `alloc_helpers_api.c` (6.1, 6.12), by their names: top-down and bottom-up.

use handoff::{Direction, Quiet, Rules};
use memblock::{Memblock, Policy};

/// The tests' cache line.
const C: u64 = 32;
/// Where the only memory starts.
const S: u64 = 0x10_0000;

/// What becomes of a request: the address and the reserved array, both relative to the start of memory.
type Expected = Option<(u64, Vec<(u64, u64)>)>;

struct Scenario {
    name: &'static str,
    /// Reserved before: offset and size.
    reserved: Vec<(u64, u64)>,
    direction: Direction,
    size: u64,
    align: u64,
    expected: Expected,
}

fn machine(memory: u64, rules: Rules, scenario: &Scenario) -> Memblock {
    let mut memblock = Memblock::with_log(Policy { rules, ..Policy::new() }, Quiet);
    memblock.set_direction(scenario.direction);
    memblock.add(S, memory).unwrap();
    for &(base, size) in &scenario.reserved {
        memblock.reserve(S + base, size).unwrap();
    }
    memblock
}

fn reserved(memblock: &Memblock) -> Vec<(u64, u64)> {
    memblock.reserved().iter().map(|r| (r.base - S, r.size)).collect()
}

fn check(scenarios: impl Fn(u64) -> Vec<Scenario>, request: impl Fn(&mut Memblock, &Scenario) -> Option<u64>) {
    for (memory, rules) in [(0x4000, Rules::V6_1), (0x8000, Rules::V6_12)] {
        for scenario in scenarios(memory) {
            let mut memblock = machine(memory, rules, &scenario);
            let before = reserved(&memblock);
            let found = request(&mut memblock, &scenario).map(|found| found - S);
            let name = format!("{} {:?} {rules:?}", scenario.name, scenario.direction);
            match &scenario.expected {
                Some((address, after)) => {
                    assert_eq!(found, Some(*address), "{name}");
                    assert_eq!(reserved(&memblock), *after, "{name}");
                }
                None => assert_eq!((found, reserved(&memblock)), (None, before), "{name}"),
            }
        }
    }
}

#[test]
fn alloc_api() {
    use Direction::{BottomUp, TopDown};
    let scenarios = |e: u64| {
        let mut list = Vec::new();
        let mut add = |name, direction, reserved: &[(u64, u64)], (size, align), expected: Expected| {
            list.push(Scenario { name, reserved: reserved.to_vec(), direction, size, align, expected });
        };
        add("simple", TopDown, &[], (2, C), Some((e - C, vec![(e - C, 2)])));
        add("simple", BottomUp, &[], (2, C), Some((0, vec![(0, 2)])));

        let (at, old) = (e - 2 * C, (e - 2, 2));
        add("disjoint", TopDown, &[old], (16, 2 * C), Some((at, vec![(at, 16), old])));
        add("disjoint", BottomUp, &[(2, 2)], (16, 2 * C), Some((2 * C, vec![(2, 2), (2 * C, 16)])));

        add("before", TopDown, &[(e - 640, 128)], (512, C), Some((e - 512, vec![(e - 640, 640)])));
        add("before", BottomUp, &[(512, 128)], (512, C), Some((0, vec![(0, 640)])));

        add("after", TopDown, &[(e - 256, 256)], (512, C), Some((e - 768, vec![(e - 768, 768)])));
        add("after", BottomUp, &[(0, 512)], (256, C), Some((512, vec![(0, 768)])));

        let (r1, r2) = ((e - 256, 256), (e - 1024, 512)); // 256 bytes between
        add("second_fit", TopDown, &[r1, r2], (512, C), Some((e - 1536, vec![(e - 1536, 1024), r1])));
        let (r1, r2) = ((0, 256), (512, 512));
        add("second_fit", BottomUp, &[r1, r2], (512, C), Some((1024, vec![r1, (512, 1024)])));

        let (r1, r2) = ((e - C - 128, 128), (e - C - 320, 128)); // 64 bytes between, a cache line free at the end
        add("in_between", TopDown, &[r1, r2], (64, C), Some((e - C - 192, vec![(e - C - 320, 320)])));
        add("in_between", BottomUp, &[(C, 128), (C + 192, 128)], (64, C), Some((C + 128, vec![(C, 320)])));

        for direction in [TopDown, BottomUp] {
            let gaps: Vec<_> = (0..e / 1280).map(|i| (i * 1280, 1024)).chain([(e / 1280 * 1280, e % 1280)]).collect();
            add("small_gaps", direction, &gaps, (1024, C), None);
            add("all_reserved", direction, &[(0, e)], (256, C), None);
            add("no_space", direction, &[(256, e - 256)], (1024, C), None);
            add("limited_space", direction, &[(256, e - 256)], (256, C), Some((0, vec![(0, e)])));
            add("too_large", direction, &[], (e + 2, C), None);
        }
        list
    };
    check(scenarios, |memblock, s| memblock.alloc(s.size, s.align).ok());
    check(scenarios, |memblock, s| memblock.alloc_raw(s.size, s.align).ok());
    check(scenarios, |memblock, s| memblock.phys_alloc(s.size, s.align).ok());
}

#[test]
fn no_memory() {
    for direction in [Direction::TopDown, Direction::BottomUp] {
        let mut memblock: Memblock = Memblock::new();
        memblock.set_direction(direction);
        assert!(memblock.alloc(1024, C).is_err());
        assert_eq!((memblock.reserved(), memblock.reserved_size()), (&[][..], 0));
    }
}

#[test]
fn alloc_helpers_api() {
    use Direction::{BottomUp, TopDown};
    let mut cases = Vec::new();
    for e in [0x4000, 0x8000] {
        let mut add = |name, direction, reserved: &[(u64, u64)], size, min: u64, expected: Expected| {
            cases.push((e, min, Scenario { name, reserved: reserved.to_vec(), direction, size, align: C, expected }));
        };
        for direction in [TopDown, BottomUp] {
            add("simple", direction, &[], 16, S + e - C, Some((e - C, vec![(e - C, 16)])));
            add("misaligned", direction, &[], 32, S + e - (2 * C - 1), Some((e - C, vec![(e - C, 32)])));
        }
        add("high_addr", TopDown, &[], 32, S + e - C + 1, Some((e - C, vec![(e - C, 32)])));
        add("high_addr", BottomUp, &[], 32, S + e - C + 1, Some((0, vec![(0, 32)])));
        let above = (e - 2 * C, 2 * C);
        add("no_space_above", TopDown, &[above], 64, S + e - 2 * C, Some((e - 4 * C, vec![(e - 4 * C, 4 * C)])));
        add("no_space_above", BottomUp, &[above], 64, S + e - 2 * C, Some((0, vec![(0, 64), above])));
        for direction in [TopDown, BottomUp] {
            add("min_addr_cap", direction, &[(64, e - 64)], 64, S - 3 * C, Some((0, vec![(0, e)])));
        }
    }
    for (memory, min, scenario) in cases {
        for rules in [Rules::V6_1, Rules::V6_12] {
            let mut memblock = machine(memory, rules, &scenario);
            let found = memblock.alloc_from(scenario.size, scenario.align, min).ok().map(|found| found - S);
            let result = found.map(|found| (found, reserved(&memblock)));
            assert_eq!(result, scenario.expected, "{} {:?}", scenario.name, scenario.direction);
        }
    }
}
