// SPDX-License-Identifier: MIT OR Apache-2.0
//! More regions than fit into a page of the reserved array, against a list that is searched from end to end.

use handoff::{Bounds, Direction, Nid, Quiet, Region};
use memblock::{ArrayParts, Error, Memblock, Parts, Policy};
use proptest::prelude::*;

const PAGE: u64 = 4096;
/// Pages of the two memory regions, with a hole of one page between.
const PAGES: u64 = 4000;

fn memblock(direction: Direction, reserved: &[Region]) -> Box<Memblock<1100>> {
    let memory = [Region::new(PAGE, PAGES / 2 * PAGE), Region::new((PAGES / 2 + 2) * PAGE, PAGES / 2 * PAGE)];
    let array = |regions| ArrayParts { regions, max: 1100, total_size: 0, place: None };
    let (memory, reserved) = (array(&memory), array(reserved));
    let parts = Parts { memory, reserved, current_limit: u64::MAX, direction, policy: Policy::new() };
    Box::new(Memblock::from_parts(&parts, Quiet).unwrap())
}

fn put(list: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    let touches = |&(s, e): &(u64, u64)| s <= end && start <= e;
    let low = list.iter().copied().filter(touches).map(|r| r.0).min().unwrap_or(start);
    let high = list.iter().copied().filter(touches).map(|r| r.1).max().unwrap_or(end);
    list.retain(|r| !touches(r));
    list.push((low.min(start), high.max(end)));
    list.sort_unstable();
}

fn take(list: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    let keep = |&(s, e): &(u64, u64)| [(s, e.min(start)), (s.max(end), e)];
    *list = list.iter().flat_map(keep).filter(|(s, e)| s < e).collect();
    list.dedup();
}

fn find(list: &[(u64, u64)], bounds: Bounds, direction: Direction) -> Option<u64> {
    let in_memory = |at: u64, end: u64| {
        [(1, PAGES / 2 + 1), (PAGES / 2 + 2, PAGES + 2)].iter().any(|&(s, e)| s * PAGE <= at && end <= e * PAGE)
    };
    let fits = |&at: &u64| {
        let end = at + bounds.size;
        at >= bounds.min && end <= bounds.max && in_memory(at, end) && !list.iter().any(|&(s, e)| s < end && at < e)
    };
    let mut places = (1..PAGES + 2).map(|page| page * PAGE).filter(|at| at % bounds.align == 0);
    match direction {
        Direction::BottomUp => places.find(fits),
        Direction::TopDown => places.rev().find(fits),
    }
}

#[derive(Clone, Debug)]
enum Op {
    Reserve(u64, u64),
    Free(u64, u64),
    Alloc(u64, u32, u64, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..PAGES, 1..6u64).prop_map(|(at, len)| Op::Reserve(at, len)),
        1 => (0..PAGES, 1..6u64).prop_map(|(at, len)| Op::Free(at, len)),
        3 => (1..7u64, 0..3u32, prop_oneof![Just(0), 0..PAGES], prop_oneof![Just(PAGES + 2), 1..PAGES])
            .prop_map(|(size, order, min, max)| Op::Alloc(size, order, min, max)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn decisions_do_not_depend_on_pages(
        bottom_up in any::<bool>(), step in 4..9u64, ops in prop::collection::vec(op(), 1..120),
    ) {
        let direction = if bottom_up { Direction::BottomUp } else { Direction::TopDown };
        let mut list: Vec<(u64, u64)> = (0..PAGES / step).map(|i| (i * step * PAGE, (i * step + 1) * PAGE)).collect();
        let regions: Vec<Region> = list.iter().map(|&(s, e)| Region::new(s, e - s)).collect();
        // Half of them from the start, the others one by one.
        let mut memblock = memblock(direction, &regions[..regions.len() / 2]);
        for region in regions.iter().skip(regions.len() / 2).rev() {
            memblock.reserve(region.base, region.size).unwrap();
        }
        for op in ops {
            match op {
                Op::Reserve(at, len) if memblock.reserve(at * PAGE, len * PAGE).is_ok() => {
                    put(&mut list, at * PAGE, (at + len) * PAGE);
                }
                Op::Free(at, len) if memblock.free(at * PAGE, len * PAGE).is_ok() => {
                    take(&mut list, at * PAGE, (at + len) * PAGE);
                }
                Op::Reserve(..) | Op::Free(..) => prop_assert!(list.len() + 2 > 1100),
                Op::Alloc(size, order, min, max) => {
                    let (min, max) = (min.max(1) * PAGE, max.max(min + 1) * PAGE);
                    let bounds = Bounds { size: size * PAGE, align: PAGE << order, min, max, nid: Nid::NONE };
                    let found = memblock.phys_alloc_range(bounds);
                    let expected = find(&list, bounds, direction);
                    if let Some(base) = expected.filter(|_| !matches!(found, Err(Error::Full { .. }))) {
                        prop_assert_eq!(found, Ok(base), "{:x?}", bounds);
                        put(&mut list, base, base + bounds.size);
                    } else {
                        prop_assert!(found.is_err() && (expected.is_none() || list.len() == 1100), "{:x?}", bounds);
                    }
                }
            }
            let reserved: Vec<(u64, u64)> = memblock.reserved().iter().map(|r| (r.base, r.end())).collect();
            prop_assert_eq!(&reserved, &list);
            prop_assert_eq!(memblock.parts().reserved.regions, memblock.reserved());
        }
    }
}

#[test]
fn can_be_sent_to_another_thread() {
    let memblock = memblock(Direction::TopDown, &[]);
    let found = std::thread::spawn(move || memblock.find_in_range(0, 0, PAGE, PAGE)).join().unwrap();
    assert_eq!(found, Ok((PAGES + 1) * PAGE));
}

#[test]
fn an_array_holds_128_regions_until_it_is_given_all_of_its_room() {
    let fill = |mut memblock: Box<Memblock<200>>| {
        (0..201).map(|i| memblock.reserve(2 * i * PAGE, PAGE)).take_while(Result::is_ok).count()
    };
    assert_eq!(fill(Box::new(Memblock::new())), 128);
    assert_eq!(fill(Box::new(Memblock::new().full_size())), 200);
}
