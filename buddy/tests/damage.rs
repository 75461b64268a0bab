// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors that somebody overwrote: `validate` finds each kind of damage, and nothing panics meanwhile.

#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;
mod model;

use buddy::{Buddy, Counter, Error, Fault};
use handoff::{Frame, FrameState, Page, ZoneKind, ZoneState};
use layout::{Layout, frame, frames};
use proptest::prelude::*;

const FRAMES: u64 = 2048;

/// Two zones with an allocated block of order 3 at 8 and free blocks from 16 on.
fn live() -> (Layout, Vec<ZoneState>) {
    let zones = [(0, ZoneKind::DMA, 0..1024), (0, ZoneKind::DMA32, 1024..FRAMES)];
    let mut layout = Layout::new(&zones, &[(0, 0..FRAMES)], &[0..8]).cut(FRAMES as usize);
    let mut buddy = Buddy::<2>::new(&mut layout.pages, &layout.sections, &layout.spans).unwrap();
    buddy.hand_over(&layout.memory, &layout.reserved).unwrap();
    buddy.take_range(frames(8..16)).unwrap();
    let zones = buddy.zones().to_vec();
    (layout, zones)
}

fn set(page: &mut Page, state: FrameState, order: u8) {
    page.set_state(state);
    page.set_order(order);
}

#[test]
fn every_kind_of_damage_is_found() {
    type Damage = fn(&mut [Page], &mut [ZoneState]);
    let at = |frame, fault| Error::Corrupt { frame: Frame(frame), fault };
    let count = |what, kept, counted| Error::Count { node: 0, kind: ZoneKind::DMA, what, kept, counted };
    let table: &[(Damage, Error)] = &[
        (|_, zones| zones[0].free_area[4].head = Frame(9999), at(9999, Fault::Missing)),
        (|pages, _| pages[16].next = Frame(32), at(32, Fault::NotOnThisList)),
        (|pages, _| pages[16].next = Frame(16), at(16, Fault::Links)),
        (|pages, _| pages[16].prev = Frame(32), at(16, Fault::Links)),
        (|_, zones| zones[0].free_area[4].tail = Frame(32), at(32, Fault::Links)),
        (|pages, _| set(&mut pages[16], FrameState::Allocated, 4), at(16, Fault::NotOnThisList)),
        (|pages, _| pages[16] = Page::new(ZoneKind::DMA32, 0, FrameState::Free), at(16, Fault::NotOnThisList)),
        (|pages, _| set(&mut pages[8], FrameState::Allocated, 4), at(8, Fault::Alignment)),
        (|pages, _| set(&mut pages[8], FrameState::Allocated, 11), at(8, Fault::Alignment)),
        (|pages, _| set(&mut pages[8], FrameState::Free, 3), at(8, Fault::Unlisted)),
        (|pages, _| set(&mut pages[17], FrameState::Allocated, 0), at(17, Fault::Overlap)),
        (|pages, _| pages[17] = Page::new(ZoneKind::DMA32, 0, FrameState::Body), at(17, Fault::Zone)),
        (|pages, _| pages[9] = Page::new(ZoneKind::DMA, 3, FrameState::Body), at(9, Fault::Zone)),
        (|pages, _| pages[3] = Page::new(ZoneKind::NORMAL, 0, FrameState::Reserved), at(3, Fault::Zone)),
        (|pages, _| pages[3] = Page::new(ZoneKind::DMA32, 0, FrameState::Reserved), at(3, Fault::Zone)),
        (|_, zones| zones[0].free_area[4].blocks = 0, count(Counter::Blocks(4), 0, 1)),
        (|_, zones| zones[0].managed = 1023, count(Counter::Managed, 1023, 1016)),
        (|pages, _| pages[3].set_state(FrameState::Hole), count(Counter::Present, 1024, 1023)),
        (|pages, _| pages[8].set_state(FrameState::Body), count(Counter::Managed, 1016, 1008)),
        (
            // Two free buddies, both properly listed.
            |pages, zones| {
                let area = &mut zones[0].free_area[3];
                (area.head, area.tail, area.blocks) = (Frame(16), Frame(24), 2);
                (pages[16].next, pages[24].prev) = (Frame(24), Frame(16));
                set(&mut pages[16], FrameState::Free, 3);
                set(&mut pages[24], FrameState::Free, 3);
                zones[0].free_area[4] = handoff::FreeArea::EMPTY;
            },
            at(16, Fault::Unmerged),
        ),
    ];
    for (i, (damage, error)) in table.iter().enumerate() {
        let (mut layout, mut zones) = live();
        damage(&mut layout.pages, &mut zones);
        let found = Buddy::<2>::from_parts(&mut layout.pages, &layout.sections, &zones).unwrap().validate();
        assert_eq!(found, Err(*error), "damage {i}");
    }
}

/// A damaged list is not used: the allocator refuses before it changes anything.
#[test]
fn damaged_lists_are_refused() {
    let (mut layout, zones) = live();
    layout.pages[16].set_state(FrameState::Allocated);
    layout.pages[32].prev = Frame(16);
    let mut buddy = Buddy::<2>::from_parts(&mut layout.pages, &layout.sections, &zones).unwrap();
    let low = |order| buddy::Request::order(order).zone(ZoneKind::DMA);
    let error = |frame, fault| Err(Error::Corrupt { frame: Frame(frame), fault });
    assert_eq!(buddy.allocate_with(low(4)), error(16, Fault::NotOnThisList));
    assert_eq!(buddy.allocate_with(low(5)), error(32, Fault::Links));
    assert_eq!(buddy.zones(), zones);
    assert!(buddy.allocate_with(low(6)).is_ok());
}

/// One descriptor overwritten with anything.
fn scribble() -> impl Strategy<Value = (usize, u8, u8, u8, u16, u32, u32)> {
    let link = prop_oneof![0..FRAMES as u32, any::<u32>()];
    (0..FRAMES as usize, 0..5u8, 0..12u8, 0..3u8, 0..2u16, link.clone(), link)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_damage(
        scribbles in proptest::collection::vec(scribble(), 1..40),
        ops in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut layout, zones) = live();
        for (at, state, order, zone, node, next, prev) in scribbles {
            let state = [FrameState::Hole, FrameState::Reserved, FrameState::Body, FrameState::Free, FrameState::Allocated][state as usize];
            let page = &mut layout.pages[at];
            *page = Page::new(ZoneKind(zone), node, state);
            page.set_order(if order == 11 { 255 } else { order });
            (page.next, page.prev) = (Frame(next), Frame(prev));
        }
        let mut buddy = Buddy::<2>::from_parts(&mut layout.pages, &layout.sections, &zones).unwrap();
        let _ = buddy.validate();
        for op in model::decode(&ops) {
            use model::Op;
            let range = |start: u16, count: u16| frames(start.into()..u64::from(start) + u64::from(count) + 1);
            // Whatever comes of it is right, as long as it comes back.
            let _ = match op {
                Op::Allocate { order, zone, .. } => buddy.allocate_with(buddy::Request::order(order).zone(ZoneKind(zone % 4))).map(|_| ()),
                Op::Exact { frames, order } => buddy.allocate_exact(frames.into(), buddy::Request::order(order)).map(|_| ()),
                Op::Take { start, frames } => buddy.take_range(range(start % 2100, frames)),
                Op::Giant { .. } => buddy.allocate_giant(buddy::Request::order(11)).map(|_| ()),
                Op::Free { which } => buddy.free(frame(u64::from(which) % FRAMES), (which % 11) as u8),
                Op::Wild { pfn, order } => buddy.free(frame(u64::from(pfn) % 2100), order),
                Op::FreeReserved { start, frames } => buddy.free_reserved(range(start % 2100, frames)).map(|_| ()),
            };
        }
        for order in 0..=11 {
            assert!(buddy.free_blocks(0, order).count() <= FRAMES as usize);
        }
        let _ = (buddy.free_ranges(0).count(), buddy.largest_free_range());
        let _ = buddy.allocate_contiguous(100, buddy::Request::order(3).above(500 << 12));
        let _ = buddy.allocate_with(buddy::Request::order(2).below(600 << 12));
        let _ = (buddy.remove_range(frames(1500..1600)), buddy.add_range(frames(900..910), 0, ZoneKind::DMA));
        let _ = (buddy.validate(), buddy.statistics());
    }
}
