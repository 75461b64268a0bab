// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several CPUs on one allocator.
#![cfg(feature = "spin")]
#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;

use buddy::{Buddy, Error, MinFree, Request, Shared, WatermarkPolicy};
use handoff::ZoneKind;
use layout::{Layout, frame, frames, pfn};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use x86_64::structures::paging::PhysFrame;

const NORMAL: ZoneKind = ZoneKind::NORMAL;
/// Under Miri every step costs a thousand times more.
const SCALE: usize = if cfg!(miri) { 1000 } else { 1 };

fn marks(count: usize) -> Vec<AtomicU8> {
    // Whatever was there before.
    (0..count).map(|_| AtomicU8::new(0xff)).collect()
}

fn plain(end: u64) -> Layout {
    Layout::new(&[(0, NORMAL, 0..end)], &[(0, 0..end)], &[])
}

/// Free, cached and allocated frames are what is managed.
fn conserved<const Z: usize, const C: usize>(shared: &Shared<'_, '_, Z, C>, managed: u64, used: u64) {
    let (zones, cached) = shared.statistics();
    assert_eq!(zones.free_frames() + cached + used, managed);
    assert_eq!(zones.managed_frames, managed);
    assert_eq!(zones.allocated_frames(), cached + used);
}

#[test]
fn every_wrong_free_is_an_error() {
    let mut layout = Layout::new(&[(0, NORMAL, 0..4096)], &[(0, 0..4000)], &[2000..2001]);
    let mut buddy: Buddy<'_, 1> = layout.started();
    let marks = marks(buddy.marks());
    let shared = Shared::<1, 2>::new(&mut buddy, &marks).unwrap();
    let small = shared.allocate_with(0, Request::order(0)).unwrap();
    let large = shared.allocate_with(0, Request::order(9)).unwrap();
    let other = shared.allocate_with(0, Request::order(3)).unwrap();
    conserved(&shared, 3999, 1 + 512 + 8);

    let (s, l, o) = (pfn(small), pfn(large), pfn(other));
    let wrong = |frame, order, error| assert_eq!(shared.free(1, frame, order), Err(error));
    wrong(small, 9, Error::Misaligned { pfn: s, order: 9 });
    wrong(small, 3, Error::Misaligned { pfn: s, order: 3 });
    wrong(large, 0, Error::WrongOrder { pfn: l, order: 0, allocated: 9 });
    wrong(frame(l + 1), 0, Error::InUse { pfn: l + 1, block: l, order: 9 });
    wrong(other, 0, Error::WrongOrder { pfn: o, order: 0, allocated: 3 });
    wrong(frame(o + 1), 0, Error::InUse { pfn: o + 1, block: o, order: 3 });
    wrong(frame(2000), 0, Error::Reserved { pfn: 2000 });
    wrong(frame(4001), 0, Error::Foreign { pfn: 4001 });
    wrong(frame(1 << 20), 0, Error::Foreign { pfn: 1 << 20 });
    wrong(small, 11, Error::Order { order: 11, max: 10 });

    // Freed on another CPU, into its cache; again on either, at once or later.
    for (block, start, order) in [(small, s, 0), (large, l, 9)] {
        assert_eq!(shared.free(1, block, order), Ok(()));
        for cpu in [0, 1] {
            assert_eq!(shared.free(cpu, block, order), Err(Error::AlreadyFree { pfn: start, block: start, order }));
        }
    }
    let inside = Error::AlreadyFree { pfn: l + 7, block: l, order: 9 };
    assert_eq!(shared.free(0, frame(l + 7), 0), Err(inside));
    assert_eq!(shared.free_exact(frames(l..l + 512)), Err(Error::AlreadyFree { pfn: l, block: l, order: 9 }));
    assert_eq!(shared.free(0, other, 3), Ok(()));
    conserved(&shared, 3999, 0);
    shared.drain().unwrap();
    assert!(matches!(shared.free(0, small, 0), Err(Error::AlreadyFree { pfn, .. }) if pfn == s));
    assert_eq!(shared.statistics().1, 0);
    drop(shared);
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.statistics().allocated_frames(), 0);
}

#[test]
fn the_last_frame_can_be_had_wherever_it_is_cached() {
    let mut layout = plain(2048);
    let mut buddy: Buddy<'_, 1> = layout.started();
    let marks = marks(buddy.marks());
    let shared = Shared::<1, 2>::new(&mut buddy, &marks).unwrap();
    let first = shared.allocate_with(0, Request::order(0)).unwrap();
    shared.free(0, first, 0).unwrap();
    assert_eq!(shared.statistics().1, 128, "a batch");
    // CPU 1 gets all of it, whole.
    let blocks: Vec<_> = (0..2).map(|_| shared.allocate_with(1, Request::order(10)).unwrap()).collect();
    let error = shared.allocate_with(1, Request::order(0)).unwrap_err();
    assert_eq!(error, Error::OutOfMemory { order: 0, largest: None, free: 0 });
    blocks.into_iter().for_each(|block| shared.free(0, block, 10).unwrap());

    // A CPU that holds its cache gets what the cache has of other orders too.
    let mut cpu = shared.cpu(0).unwrap();
    assert!(shared.cpu(0).is_none() && shared.cpu(2).is_none());
    let single = cpu.allocate_with(Request::order(0)).unwrap();
    cpu.free(single, 0).unwrap();
    let blocks: Vec<_> = (0..2).map(|_| cpu.allocate_with(Request::order(10)).unwrap()).collect();
    blocks.into_iter().for_each(|block| cpu.free(block, 10).unwrap());
    // Others go on meanwhile.
    let frame = shared.allocate_with(0, Request::order(0)).unwrap();
    shared.free(0, frame, 0).unwrap();
    drop(cpu);
    conserved(&shared, 2048, 0);
}

#[test]
#[cfg_attr(miri, ignore = "four thousand allocations")]
fn watermarks_hold_with_caches() {
    let mut layout = plain(4096);
    let mut buddy: Buddy<'_, 1> = layout.started();
    buddy.set_watermarks(&WatermarkPolicy { min_free: MinFree::Kilobytes(4 * 100), ..WatermarkPolicy::default() });
    let marks = marks(buddy.marks());
    let shared = Shared::<1, 1>::new(&mut buddy, &marks).unwrap();
    let mut count = 0;
    let error = loop {
        match shared.allocate_with(0, Request::order(0)) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((count, error), (3996, Error::BelowWatermark { order: 0, largest: Some(6), free: 100 }));
}

/// Zones of two nodes side by side, and two that alternate: each has its lock.
#[test]
#[cfg_attr(miri, ignore = "seven thousand allocations")]
fn zones_are_locked_apart_where_they_lie_apart() {
    let zones = [
        (0, ZoneKind::DMA, 1..1024),
        (0, ZoneKind::DMA32, 1024..4000),
        (1, ZoneKind::DMA32, 3000..5000),
        (1, NORMAL, 5000..7168),
    ];
    let memory = [(0, 1..3000), (1, 3000..3500), (0, 3500..4000), (1, 4000..7168)];
    let mut layout = Layout::new(&zones, &memory, &[5100..5101]);
    let mut buddy: Buddy<'_, 4> = layout.started();
    let managed = buddy.statistics().managed_frames;
    let marks = marks(buddy.marks());
    let shared = Shared::<4, 2>::new(&mut buddy, &marks).unwrap();
    assert_eq!(format!("{shared:?}"), "Shared { cpus: 2, locks: 4, .. }");
    shared.set_node(1, 1).unwrap();
    assert_eq!(shared.set_node(2, 1), Err(Error::Capacity { capacity: 2 }));

    // Each CPU from its node's highest zone, and DMA is in no cache.
    let (a, b) =
        (shared.allocate_with(0, Request::order(0)).unwrap(), shared.allocate_with(1, Request::order(0)).unwrap());
    assert!((1024..4000).contains(&pfn(a)) && pfn(b) >= 5000);
    let dma = shared.allocate_with(0, Request::order(0).zone(ZoneKind::DMA)).unwrap();
    assert!(pfn(dma) < 1024);
    // Freed on the other node's CPU: back to the zone, not into the wrong cache.
    shared.free(0, b, 0).unwrap();
    shared.free(1, a, 0).unwrap();
    shared.free(1, dma, 0).unwrap();
    conserved(&shared, managed, 0);
    assert!(shared.statistics().1 >= 2 * 127, "a batch each, but for one frame");

    // Everything, from any zone; then back.
    let mut blocks = Vec::new();
    while let Ok(block) = shared.allocate_with(blocks.len() % 2, Request::order(0)) {
        blocks.push(block);
    }
    assert_eq!(blocks.len() as u64, managed);
    conserved(&shared, managed, managed);
    blocks.into_iter().enumerate().for_each(|(i, block)| shared.free(i / 3 % 2, block, 0).unwrap());
    conserved(&shared, managed, 0);

    let exact = shared.allocate_exact(5, Request::order(0).below(1000 << 12)).unwrap();
    assert_eq!(exact.size(), 5 << 12);
    conserved(&shared, managed, 5);
    shared.free_exact(exact).unwrap();
    assert!(shared.free_exact(exact).is_err());
    drop(shared);
    assert_eq!(buddy.validate(), Ok(()));
}

/// Without a mark a frame is in no cache, and everything else is as it was.
#[test]
fn too_few_marks() {
    let mut layout = plain(1024);
    let mut buddy: Buddy<'_, 1> = layout.started();
    let marks = marks(1023);
    let shared = Shared::<1, 1>::new(&mut buddy, &marks).unwrap();
    let block = shared.allocate_with(0, Request::order(0)).unwrap();
    assert_eq!(shared.statistics().1, 0);
    assert_eq!(shared.free(0, block, 0), Ok(()));
    assert!(matches!(shared.free(0, block, 0), Err(Error::AlreadyFree { .. })));
    conserved(&shared, 1024, 0);
}

/// A small generator, so that threads need nothing from each other.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as usize
}

/// Threads allocate and free at random, partly each other's blocks; every frame has one owner at a time.
#[test]
fn every_frame_has_one_owner() {
    const THREADS: usize = 3;
    let zones = [(0, ZoneKind::DMA32, 0..2048), (1, NORMAL, 2048..6144)];
    let mut layout = Layout::new(&zones, &[(0, 0..2048), (1, 2048..6144)], &[]);
    let mut buddy: Buddy<'_, 2> = layout.started();
    let marks = marks(buddy.marks());
    let owners: Vec<AtomicU8> = (0..6144).map(|_| AtomicU8::new(0)).collect();
    let claim = |block: PhysFrame, order: u8, from: u8, to: u8| {
        for owner in &owners[pfn(block) as usize..][..1 << order] {
            assert_eq!(owner.swap(to, Ordering::Relaxed), from, "{block:?}");
        }
    };
    let shared = Shared::<2, 2>::new(&mut buddy, &marks).unwrap();
    shared.set_node(1, 1).unwrap();
    let exchange = spin::Mutex::new(Vec::<(PhysFrame, u8)>::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (shared, exchange, claim) = (&shared, &exchange, &claim);
            scope.spawn(move || {
                let me = thread as u8 + 1;
                let mut seed = 0x9e37_79b9 + thread as u64;
                let mut own: Vec<(PhysFrame, u8)> = Vec::new();
                // More threads than CPUs: numbers are shared, and change.
                for step in 0..30_000 / SCALE {
                    let cpu = (thread + step / 1000) % 2;
                    match random(&mut seed) % 8 {
                        0..=3 => {
                            let order = [0, 0, 0, 0, 0, 9, 3, 1][random(&mut seed) % 8];
                            let request = Request::order(order);
                            let result = if step % 5 == 0 {
                                shared.try_allocate_with(cpu, request)
                            } else {
                                shared.allocate_with(cpu, request)
                            };
                            match result {
                                Ok(block) => {
                                    claim(block, order, 0, me);
                                    own.push((block, order));
                                }
                                Err(Error::OutOfMemory { .. } | Error::Busy) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                        4 => exchange.lock().extend(own.pop().inspect(|(block, order)| claim(*block, *order, me, 9))),
                        5 => {
                            let found = exchange.lock().pop();
                            own.extend(found.inspect(|(block, order)| claim(*block, *order, 9, me)));
                        }
                        _ if own.is_empty() => {}
                        _ => {
                            let at = random(&mut seed) % own.len();
                            let (block, order) = own.swap_remove(at);
                            claim(block, order, me, 0);
                            let mut result = shared.try_free(cpu, block, order);
                            if result == Err(Error::Busy) {
                                result = shared.free(cpu, block, order);
                            }
                            result.unwrap();
                        }
                    }
                }
                for (block, order) in own {
                    claim(block, order, me, 0);
                    shared.free(thread % 2, block, order).unwrap();
                }
            });
        }
    });
    for (block, order) in exchange.into_inner() {
        shared.free(0, block, order).unwrap();
    }
    conserved(&shared, 6144, 0);
    drop(shared);
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.statistics().free_blocks[10], 6);
}

/// Two threads free the same blocks at the same moment: exactly one of them may, each time.
#[test]
fn of_two_frees_one_succeeds() {
    let mut layout = plain(4096);
    let mut buddy: Buddy<'_, 1> = layout.started();
    let marks = marks(buddy.marks());
    let shared = Shared::<1, 2>::new(&mut buddy, &marks).unwrap();
    let requests = [Request::order(0), Request::order(9), Request::order(2)];
    for round in 0..if cfg!(miri) { 3 } else { 60 } {
        let order = [0, 9, 2][round % 3];
        let blocks: Vec<_> = (0..if order == 9 { 7 } else { if cfg!(miri) { 20 } else { 300 } })
            .map(|_| shared.allocate_with(0, requests[round % 3]).unwrap())
            .collect();
        let free_all = |cpu: usize| blocks.iter().filter(|block| shared.free(cpu, **block, order).is_ok()).count();
        let both = std::thread::scope(|scope| {
            let other = scope.spawn(|| free_all(1));
            free_all(0) + other.join().unwrap()
        });
        assert_eq!(both, blocks.len());
        conserved(&shared, 4096, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// One thread on two CPUs against a model: which blocks are out, and that nothing is lost at any moment.
    #[test]
    #[cfg_attr(miri, ignore = "one thread only, and minutes")]
    fn agrees_with_a_model(ops in proptest::collection::vec((0..16u8, 0..2usize, any::<u16>()), 0..300)) {
        let zones = [(0, ZoneKind::DMA, 0..512), (0, NORMAL, 512..3000), (1, NORMAL, 3000..5120)];
        let mut layout = Layout::new(&zones, &[(0, 0..3000), (1, 3000..5120)], &[700..705]);
        let mut buddy: Buddy<'_, 3> = layout.started();
        let marks = marks(buddy.marks());
        let shared = Shared::<3, 2>::new(&mut buddy, &marks).unwrap();
        shared.set_node(1, 1).unwrap();
        let mut out: BTreeMap<u64, u8> = BTreeMap::new();
        for (op, cpu, number) in ops {
            match op {
                0..=8 => {
                    let order = [0, 0, 0, 9, 9, 1, 4, 10, 0][usize::from(op)];
                    let count = if order == 0 { 1 + number % 90 } else { 1 };
                    for _ in 0..count {
                        let request = if number % 7 == 0 { Request::order(order).bind(1) } else { Request::order(order) };
                        let Ok(block) = shared.allocate_with(cpu, request) else { break };
                        let (start, end) = (pfn(block), pfn(block) + (1 << order));
                        prop_assert!(start.is_multiple_of(1 << order));
                        prop_assert!(number % 7 != 0 || start >= 3000);
                        let before = out.range(..end).next_back();
                        prop_assert!(before.is_none_or(|(other, order)| other + (1 << order) <= start));
                        out.insert(start, order);
                    }
                }
                9..=13 => {
                    for _ in 0..=number % 80 {
                        let Some((start, order)) = out.iter().nth(usize::from(number) % out.len().max(1)).map(|(s, o)| (*s, *o)) else { break };
                        let wrong = (order + 1 + (number % 9) as u8) % 11;
                        prop_assert!(wrong == order || shared.free(cpu, frame(start), wrong).is_err());
                        prop_assert_eq!(shared.free(cpu, frame(start), order), Ok(()));
                        prop_assert!(shared.free(1 - cpu, frame(start), order).is_err());
                        out.remove(&start);
                    }
                }
                14 => {
                    let start = u64::from(number) % 5200;
                    prop_assert!(out.get(&start) == Some(&0) || shared.free(cpu, frame(start), 0).is_err());
                }
                _ => shared.drain().unwrap(),
            }
            let used = out.values().map(|order| 1u64 << order).sum();
            conserved(&shared, 5115, used);
        }
        for (start, order) in out {
            shared.free(0, frame(start), order).unwrap();
        }
        drop(shared);
        prop_assert_eq!(buddy.validate(), Ok(()));
        prop_assert_eq!(buddy.statistics().allocated_frames(), 0);
    }
}
