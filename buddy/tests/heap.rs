// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heap: against a model, and as an allocator of real memory.
#![cfg(feature = "heap")]
#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;

use buddy::{Buddy, Error, GlobalHeap, Heap, HeapStatistics, Request, Span};
use handoff::{FRAME_BYTES, ZoneKind};
use layout::Layout as Machine;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;

const CASES: u32 = if cfg!(miri) { 2 } else { 48 };
const STEPS: usize = if cfg!(miri) { 40 } else { 400 };

fn machine() -> Machine {
    Machine::new(&[(0, ZoneKind::NORMAL, 0..2048)], &[(0, 0..2048)], &[])
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Frames taken from the allocator are those of spans and of large objects.
fn conserved(heap: &mut Heap<'_, 1>) -> HeapStatistics {
    let found = heap.statistics();
    assert_eq!(heap.buddy().validate(), Ok(()));
    assert_eq!(heap.buddy().statistics().allocated_frames() * FRAME_BYTES, found.span_bytes + found.large_bytes);
    assert_eq!(found.overhead_bytes, (found.spans + found.large_objects) * size_of::<Span>() as u64);
    assert!(found.object_bytes + found.tail_bytes <= found.span_bytes);
    found
}

#[test]
fn what_a_span_costs() {
    let mut machine = machine();
    let mut spans = [Span::EMPTY; 10];
    let mut heap = Heap::new(machine.started::<1>(), &mut spans);
    assert_eq!(conserved(&mut heap).spans, 0);
    let objects: Vec<_> = (0..513).map(|_| heap.allocate(layout(10, 2)).unwrap()).collect();
    let found = conserved(&mut heap);
    assert_eq!((found.spans, found.span_bytes, found.objects, found.object_bytes), (2, 16384, 513, 513 * 16));
    // 96 bytes for 512 objects of 16: 1.2 %.
    assert_eq!((found.overhead_bytes, found.table_bytes, found.tail_bytes), (192, 960, 0));
    let large = heap.allocate(layout(5 * 4096 + 1, 16)).unwrap();
    assert_eq!(conserved(&mut heap).large_bytes, 6 * 4096);
    heap.free(large, layout(5 * 4096 + 1, 16)).unwrap();
    objects.iter().for_each(|object| heap.free(*object, layout(10, 2)).unwrap());
    // One empty span of the size stays.
    assert_eq!((conserved(&mut heap).spans, heap.statistics().objects), (1, 0));
}

#[test]
fn every_wrong_free_is_an_error() {
    let mut machine = machine();
    let mut spans = [Span::EMPTY; 5];
    let mut heap = Heap::new(machine.started::<1>(), &mut spans);
    let (small, large) = (layout(100, 4), layout(9000, 4096));
    let (a, b) = (heap.allocate(small).unwrap(), heap.allocate(large).unwrap());
    let frame = heap.buddy().allocate_with(Request::order(0)).unwrap().start_address().as_u64();
    for (address, layout) in [
        (a + 4, small),
        (a + 112, small),
        (a, layout(128, 8)),
        (b, small),
        (frame, small),
        (u64::MAX, small),
        (a, large),
        (b + 1, large),
        (1 << 50, small),
    ] {
        assert_eq!(heap.free(address, layout), Err(Error::Object { address }));
    }
    assert!(heap.free(b, layout(9000 + 4096, 8)).is_err() && heap.free(b, layout(8192, 8)).is_err());
    for (address, layout) in [(a, small), (b, large)] {
        heap.free(address, layout).unwrap();
        assert!(heap.free(address, layout).is_err());
    }
    // Neither an alignment nor a size that no block has; then the table is full, memory is not.
    heap.allocate(layout(500, 1)).unwrap();
    heap.allocate(layout(600, 1)).unwrap();
    assert!(matches!(heap.allocate(layout(1, 8 << 20)), Err(Error::Order { order: 11, max: 10 })));
    assert_eq!(heap.allocate(layout(5 << 20, 1)), Err(Error::FrameCount { frames: 1280 }));
    heap.allocate(large).unwrap();
    heap.allocate(large).unwrap();
    for object in [layout(700, 1), large] {
        assert_eq!(heap.allocate(object), Err(Error::Capacity { capacity: 5 }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_model(ops in proptest::collection::vec((any::<u16>(), 0..13u32, any::<bool>()), 0..STEPS)) {
        let mut machine = machine();
        let mut spans = [Span::EMPTY; 40];
        let mut heap = Heap::new(machine.started::<1>(), &mut spans);
        let mut live: BTreeMap<u64, Layout> = BTreeMap::new();
        for (number, align, free) in ops {
            if free && !live.is_empty() {
                let (address, object) = live.iter().nth(usize::from(number) % live.len()).map(|(a, l)| (*a, *l)).unwrap();
                prop_assert_eq!(heap.free(address, object), Ok(()));
                prop_assert!(heap.free(address, object).is_err());
                live.remove(&address);
            } else {
                // Mostly small.
                let size = usize::from(number) >> (number % 12);
                let object = layout(size, 1 << align);
                match heap.allocate(object) {
                    Ok(address) => {
                        prop_assert!(address.is_multiple_of(object.align() as u64));
                        let end = address + object.size().max(1) as u64;
                        let before = live.range(..end).next_back();
                        prop_assert!(before.is_none_or(|(other, layout)| other + layout.size() as u64 <= address));
                        live.insert(address, object);
                    }
                    Err(Error::Capacity { .. } | Error::OutOfMemory { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let found = conserved(&mut heap);
            let small = live.values().filter(|l| l.size() <= 2048 && l.align() <= 2048);
            prop_assert_eq!(found.objects, small.count() as u64);
        }
        for (address, object) in live {
            heap.free(address, object).unwrap();
        }
        let found = conserved(&mut heap);
        prop_assert_eq!((found.objects, found.large_bytes), (0, 0));
    }
}

/// Real memory: what is written to one object is not seen in another.
#[test]
#[allow(unsafe_code, reason = "it is a global allocator that is tested")]
fn as_a_global_allocator() {
    static HEAP: GlobalHeap<1> = GlobalHeap::new();
    const FRAMES: usize = 1024;
    // SAFETY: the layout is not empty.
    let arena = unsafe { std::alloc::alloc(layout(FRAMES * 4096, 4 << 20)) };
    // SAFETY: nothing is installed yet, so that nothing is touched.
    assert!(unsafe { HEAP.alloc(layout(8, 8)) }.is_null());

    let machine = Box::leak(Box::new(Machine::new(&[(0, ZoneKind::NORMAL, 0..1024)], &[(0, 0..1024)], &[])));
    let buddy = machine.started::<1>();
    let heap = Heap::new(buddy, vec![Span::EMPTY; 500].leak());
    // SAFETY: frame 0 is where the arena starts, and nobody else uses that.
    assert!(unsafe { HEAP.install(heap, arena.expose_provenance() as u64) }.is_none());

    let mut objects = Vec::new();
    for i in 0..if cfg!(miri) { 40 } else { 600 } {
        let object = layout(1 + i * 37 % 3000, 1 << (i % 8));
        // SAFETY: the layout is not empty; what is written lies inside the object.
        unsafe {
            let pointer = HEAP.alloc(object);
            assert!(!pointer.is_null() && pointer.addr().is_multiple_of(object.align()));
            pointer.write_bytes(i as u8, object.size());
            objects.push((pointer, object, i as u8));
        }
    }
    for (pointer, object, byte) in objects {
        // SAFETY: the object was allocated with this layout, is filled, and freed once.
        unsafe {
            assert!(std::slice::from_raw_parts(pointer, object.size()).iter().all(|b| *b == byte));
            HEAP.dealloc(pointer, object);
        }
    }
    assert_eq!(HEAP.refused(), 0);
    let found = HEAP.with(|heap| heap.statistics()).unwrap();
    assert_eq!((found.objects, found.large_bytes), (0, 0));
    // SAFETY: refused, which is what is tested.
    unsafe { HEAP.dealloc(arena, layout(8, 8)) };
    assert_eq!(HEAP.refused(), 1);

    // Another heap takes its place: one without memory.
    let nothing = Heap::new(Buddy::from_parts(&mut [], &mut [], &[], &[], &[]).unwrap(), &mut []);
    // SAFETY: it has no frames, and all objects of the first heap are freed; then nobody uses the arena.
    unsafe {
        let buddy = HEAP.install(nothing, 0).unwrap().close().unwrap();
        assert_eq!(buddy.statistics().allocated_frames(), 0, "empty spans go back as well");
        assert!(HEAP.alloc(layout(8, 8)).is_null());
        std::alloc::dealloc(arena, layout(FRAMES * 4096, 4 << 20));
        assert!(HEAP.remove().is_some() && HEAP.remove().is_none());
    }
}
