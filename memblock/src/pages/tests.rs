// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several pages against one flag per cell.

use super::gap::Passed;
use super::{Pages, Wanted};
use crate::Array;
use crate::regions::Regions;
use handoff::{PhysRange, Region, Rules};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Three places of 200 slots.
const N: usize = 600;
/// Bytes of the space.
const CELLS: u64 = 2000;

#[derive(Clone, Debug)]
enum Op {
    /// Covers single bytes: first, step, count.
    Scatter(u64, u64, u64),
    Cover(u64, u64),
    Remove(u64, u64),
    /// Keeps regions that do not start at a multiple.
    Retain(u64),
    /// Looks down and up for a size with an alignment in a window.
    Find(u64, u64, u64, u64),
}

fn op() -> impl Strategy<Value = Op> {
    let range = || (0..CELLS, prop_oneof![4 => 1..8u64, 1 => 1..CELLS / 4]);
    let window = || prop_oneof![3 => Just((0, CELLS + 1)), 1 => (0..CELLS, 1..CELLS).prop_map(|(a, b)| (a, a + b))];
    let size = prop_oneof![3 => 1..12u64, 1 => 1..300u64];
    prop_oneof![
        3 => (0..CELLS, prop_oneof![Just(2), Just(CELLS - 2), 2..50u64], 1..400u64).prop_map(|(a, b, c)| Op::Scatter(a, b, c)),
        4 => range().prop_map(|(at, len)| Op::Cover(at, len)),
        3 => range().prop_map(|(at, len)| Op::Remove(at, len)),
        1 => (2..9u64).prop_map(Op::Retain),
        12 => (window(), size, 0..4u32).prop_map(|((low, high), size, order)| Op::Find(low, high, size, 1 << order)),
    ]
}

/// One flag per byte; byte 0 is the lowest.
#[derive(Clone, Debug)]
struct Model(Vec<bool>);

impl Model {
    fn regions(&self) -> Vec<(u64, u64)> {
        let mut regions: Vec<(u64, u64)> = Vec::new();
        for cell in (0..self.0.len()).filter(|&cell| self.0[cell]) {
            match regions.last_mut() {
                Some((_, end)) if *end == cell as u64 => *end += 1,
                _ => regions.push((cell as u64, cell as u64 + 1)),
            }
        }
        regions
    }

    fn set(&mut self, at: u64, len: u64, covered: bool) {
        self.0[at as usize..(at + len).min(CELLS) as usize].fill(covered);
    }

    fn fits(&self, low: u64, high: u64, size: u64, align: u64) -> Vec<u64> {
        let free = |at: u64| (at..at + size).all(|cell| !self.0.get(cell as usize).is_some_and(|&covered| covered));
        (low..high).filter(|&at| at % align == 0 && at + size <= high && free(at)).collect()
    }
}

fn find(pages: &Pages<N>, wanted: Wanted, align: u64) -> [Option<u64>; 2] {
    let size = wanted.size;
    let down = |low: u64, high: u64| Some(high.checked_sub(size)? & !(align - 1)).filter(|&at| low <= at);
    let up = |low: u64, high: u64| Some(low.next_multiple_of(align)).filter(|&at| at + size <= high);
    [pages.highest_gap(wanted, down), pages.lowest_gap(wanted, up)]
}

fn validate(pages: &Pages<N>) {
    let (mut end, mut taken, mut len) = (0, 0u64, 0);
    for page in &pages.pages {
        let regions = pages.regions(page);
        assert!(!regions.is_empty());
        assert_eq!(page.first as usize % pages.place_len, 0);
        taken |= 1 << (page.first as usize / pages.place_len);
        len += regions.len();
        for region in regions {
            assert!(region.size > 0 && end <= region.base, "sorted and disjoint");
            assert!(region.base - end <= page.largest_gap.get(), "no gap is larger");
            let Passed { size, from, to, .. } = pages.passed.get();
            assert!(region.base <= from || to < region.base || region.base - end < size, "nothing passed fits");
            end = region.end();
        }
    }
    assert_eq!((taken, taken.count_ones() as usize, len), (pages.taken, pages.pages.len(), pages.len));
}

fn apply(array: &mut Regions<N>, model: &mut Model, op: &Op) {
    let mut cover = |at: u64, len: u64| {
        let before = model.regions();
        let new = Region::new(at, len.min(CELLS - at));
        let pieces = {
            let cells = &model.0[at as usize..new.end() as usize];
            (0..cells.len()).filter(|&i| !cells[i] && (i == 0 || cells[i - 1])).count()
        };
        let has_room = array.cover(new, Rules::V6_1);
        assert_eq!(has_room, pieces == 0 || before.len() + pieces <= N);
        if has_room {
            model.set(at, len, true);
        }
    };
    match *op {
        Op::Scatter(first, step, count) => (0..count).for_each(|i| cover((first + i * step) % CELLS, 1)),
        Op::Cover(at, len) => cover(at, len),
        Op::Remove(at, len) if model.regions().len() + 2 <= N => {
            let range = PhysRange::capped(at, len).unwrap();
            array.isolate(range);
            array.remove(range);
            model.set(at, len, false);
        }
        Op::Remove(..) => {}
        Op::Retain(divisor) => {
            array.retain(|region| region.base % divisor != 0);
            for (start, end) in model.regions() {
                model.set(start, end - start, start % divisor != 0);
            }
        }
        Op::Find(low, high, size, align) => {
            let found = find(array.pages(), Wanted { low, high, size }, align);
            let fits = model.fits(low, high, size, align);
            assert_eq!(found, [fits.last().copied(), fits.first().copied()], "{op:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    #[cfg_attr(miri, ignore = "a property for fast machines")]
    fn pages_do_what_flags_do(ops in prop::collection::vec(op(), 1..60)) {
        let (mut array, mut model) = (Regions::<N>::new(Array::Reserved), Model(vec![false; CELLS as usize]));
        array.max = N;
        for op in &ops {
            apply(&mut array, &mut model, op);
            validate(array.pages());
            let regions: Vec<(u64, u64)> = array.pages().iter().map(|r| (r.base, r.end())).collect();
            prop_assert_eq!(regions, model.regions());
        }
    }
}

#[test]
fn full_pages_hand_regions_on_in_both_directions() {
    for holes in [[0, 2, 4], [1196, 1194, 1192], [600, 602, 598]] {
        for last in [1, 601, 1197] {
            let mut pages = Pages::<N>::new(Array::Reserved);
            let all: Vec<Region> =
                (0..600).map(|i| Region::new(2 * i, 1)).filter(|r| !holes.contains(&r.base)).collect();
            pages.fill(&all);
            for base in [last, last + 599, last + 7].map(|base| (base % 1200) | 1) {
                pages.insert(pages.seek(base), Region::new(base, 1));
                validate(&pages);
            }
            assert_eq!((pages.len(), pages.pages.len()), (600, 3));
        }
    }
}

#[test]
fn a_gap_that_a_cut_window_hid_is_not_passed() {
    let mut array = Regions::<N>::new(Array::Reserved);
    array.max = N;
    for base in [100, 110, 120] {
        assert!(array.cover(Region::new(base, 1), Rules::V6_1));
    }
    // The gap above 121 is cut to 8 bytes, so that the search goes on below.
    let wanted = Wanted { low: 0, high: 129, size: 9 };
    assert_eq!(find(array.pages(), wanted, 1)[0], Some(111));
    assert!(array.cover(Region::new(200, 1), Rules::V6_1));
    assert!(array.cover(Region::new(135, 1), Rules::V6_1));
    assert_eq!(find(array.pages(), Wanted { high: 300, ..wanted }, 1)[0], Some(291));
    assert!(array.cover(Region::new(128, 1), Rules::V6_1));
    assert_eq!(find(array.pages(), wanted, 1)[0], Some(111));
    assert!(array.cover(Region::new(127, 1), Rules::V6_1));
    assert_eq!(find(array.pages(), Wanted { size: 6, ..wanted }, 1)[0], Some(121));
}
