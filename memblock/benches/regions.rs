// SPDX-License-Identifier: MIT OR Apache-2.0
//! Early allocation with many reservations, side by side with trees of ranges and with an array that is scanned.
//!
//! `cargo bench -p bootmem-memblock`. 4 KiB are reserved in each of the top n MiB of 16 GiB, in random order; then 256
//! allocations take the topmost gap, or the only one that has 2 MiB: below everything. Divide by the items.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use memblock::Memblock;
use range_set_blaze::RangeSetBlaze;
use rangemap::RangeSet;

const MIB: u64 = 1 << 20;
const START: u64 = 16 * MIB;
const END: u64 = 16 << 30;
const SIZES: [usize; 4] = [24, 128, 1000, 10_000];
const CALLS: usize = 256;

fn main() {
    divan::main();
}

trait Early {
    fn new() -> Self;
    fn reserve(&mut self, base: u64, size: u64);
}

trait Allocate: Early {
    fn alloc(&mut self, size: u64) -> Option<u64>;
}

/// This crate, with room for `N` regions.
struct Ours<const N: usize>(Box<Memblock<N>>);

impl<const N: usize> Early for Ours<N> {
    fn new() -> Self {
        let mut memblock = Box::new(Memblock::<N>::new().full_size());
        memblock.add(START, END - START).unwrap();
        Self(memblock)
    }

    fn reserve(&mut self, base: u64, size: u64) {
        self.0.reserve(base, size).unwrap();
    }
}

impl<const N: usize> Allocate for Ours<N> {
    fn alloc(&mut self, size: u64) -> Option<u64> {
        self.0.phys_alloc(size, size).ok()
    }
}

/// `rangemap::RangeSet`, a B-tree on the heap; the search walks it down.
struct Tree(RangeSet<u64>);

impl Early for Tree {
    fn new() -> Self {
        Self(RangeSet::new())
    }

    fn reserve(&mut self, base: u64, size: u64) {
        self.0.insert(base..base + size);
    }
}

impl Allocate for Tree {
    fn alloc(&mut self, size: u64) -> Option<u64> {
        let starts = self.0.iter().rev().map(|range| range.start).chain([START]);
        let ends = self.0.iter().rev().map(|range| range.end).chain([START]);
        let mut gaps = ends.zip([END].into_iter().chain(starts));
        let fits = |(low, high): (u64, u64)| Some(high.checked_sub(size)? & !(size - 1)).filter(|&base| low <= base);
        let base = gaps.find_map(fits)?;
        self.reserve(base, size);
        Some(base)
    }
}

/// `range_set_blaze::RangeSetBlaze`, another such tree; it cannot be walked down.
struct Blaze(RangeSetBlaze<u64>);

impl Early for Blaze {
    fn new() -> Self {
        Self(RangeSetBlaze::new())
    }

    fn reserve(&mut self, base: u64, size: u64) {
        self.0.ranges_insert(base..=base + (size - 1));
    }
}

/// A sorted array used as Linux uses its own: scanned from the bottom to insert, and all of it to merge.
struct Scanned(Vec<(u64, u64)>);

impl Early for Scanned {
    fn new() -> Self {
        Self(Vec::with_capacity(16_384))
    }

    fn reserve(&mut self, base: u64, size: u64) {
        let at = self.0.iter().position(|&(start, _)| start >= base).unwrap_or(self.0.len());
        self.0.insert(at, (base, base + size));
        let mut i = 1;
        while i < self.0.len() {
            if self.0[i - 1].1 == self.0[i].0 {
                self.0[i - 1].1 = self.0[i].1;
                self.0.remove(i);
            } else {
                i += 1;
            }
        }
    }
}

impl Allocate for Scanned {
    fn alloc(&mut self, size: u64) -> Option<u64> {
        let mut high = END;
        let lows = self.0.iter().rev().map(|&(start, end)| (end, start)).chain([(START, START)]);
        for (low, next) in lows {
            match high.checked_sub(size).map(|base| base & !(size - 1)) {
                Some(base) if low <= base => {
                    self.reserve(base, size);
                    return Some(base);
                }
                _ => high = next,
            }
        }
        None
    }
}

/// Where the reservations lie, shuffled.
fn places(count: usize) -> Vec<u64> {
    let mut places: Vec<u64> = (1..=count as u64).map(|i| END - i * MIB + MIB / 2).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..places.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        places.swap(i, (random % (i as u64 + 1)) as usize);
    }
    places
}

fn filled<E: Early>(count: usize) -> E {
    let mut early = E::new();
    places(count).into_iter().for_each(|base| early.reserve(base, 4096));
    early
}

fn allocate<E: Allocate>(bencher: Bencher<'_, '_>, count: usize, size: u64) {
    bencher.counter(ItemsCount::new(CALLS)).with_inputs(|| filled::<E>(count)).bench_local_refs(|early| {
        for _ in 0..CALLS {
            black_box(early.alloc(size));
        }
    });
}

#[divan::bench(types = [Ours<16384>, Blaze, Tree, Scanned], args = SIZES, sample_count = 20, sample_size = 1)]
fn reserve<E: Early>(bencher: Bencher<'_, '_>, count: usize) {
    let places = places(count);
    bencher.counter(ItemsCount::new(count)).with_inputs(E::new).bench_local_refs(|early| {
        places.iter().for_each(|&base| early.reserve(base, 4096));
    });
}

#[divan::bench(types = [Ours<16384>, Tree, Scanned], args = SIZES, sample_count = 20, sample_size = 1)]
fn alloc_at_the_top<E: Allocate>(bencher: Bencher<'_, '_>, count: usize) {
    allocate::<E>(bencher, count, 4096);
}

#[divan::bench(types = [Ours<16384>, Tree, Scanned], args = SIZES, sample_count = 20, sample_size = 1)]
fn alloc_below_all<E: Allocate>(bencher: Bencher<'_, '_>, count: usize) {
    allocate::<E>(bencher, count, 2 * MIB);
}
