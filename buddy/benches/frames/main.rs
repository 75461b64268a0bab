// SPDX-License-Identifier: MIT OR Apache-2.0
//! This allocator beside two others from crates.io: `cargo xtask bench`, or `cargo bench -p bootmem-buddy --features spin`.
//!
//! `Ours` is `Buddy`, `OursCpu` is `Cpu`: a CPU's cache, held. `Summary` and `Depot` are frame-alloc's, `BuddySystem` is
//! `buddy_system_allocator::FrameAllocator`. An argument is an order, or a number of CPUs.

mod subjects;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::cell::RefCell;
use subjects::{
    BuddySystem, BuddySystemLocked, COUNT, Depot, Frames, Front, Ours, OursCpu, OursShared, Subject, Summary,
};

/// What a call does: many, since a clock is slow.
const PAIRS: usize = 1 << 16;

/// Returns an allocator some of whose memory is in use, as ever: so it does not become whole with every free.
fn in_use<A: Subject>() -> A {
    let mut allocator = A::new();
    allocator.allocate(0);
    allocator
}

fn main() {
    divan::main();
}

#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], args = [0, 9], sample_count = 20, sample_size = 1)]
fn pair<A: Subject>(bencher: Bencher<'_, '_>, order: u8) {
    let mut allocator = in_use::<A>();
    bencher.counter(ItemsCount::new(PAIRS)).bench_local(|| {
        for _ in 0..PAIRS {
            let block = allocator.allocate(order);
            allocator.free(black_box(block), order);
        }
    });
}

#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], sample_count = 20, sample_size = 1)]
fn pairs_in_bursts_of_64<A: Subject>(bencher: Bencher<'_, '_>) {
    let mut allocator = in_use::<A>();
    let mut blocks = [0; 64];
    bencher.counter(ItemsCount::new(PAIRS)).bench_local(|| {
        (0..PAIRS / blocks.len()).for_each(|_| burst(&mut allocator, &mut blocks));
    });
}

fn burst(allocator: &mut impl Frames, blocks: &mut [u64]) {
    blocks.fill_with(|| allocator.allocate(0));
    black_box(&blocks).iter().for_each(|block| allocator.free(*block, 0));
}

/// Half of 4 GiB is allocated, one frame here and one there: one of these is freed, and another one allocated.
#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], sample_count = 20, sample_size = 1)]
fn scattered_pair<A: Subject>(bencher: Bencher<'_, '_>) {
    let mut allocator = A::new();
    let mut random = Random(1);
    let mut blocks: Vec<u64> = (0..COUNT).map(|_| allocator.allocate(0)).collect();
    for len in (COUNT / 2..COUNT).rev() {
        allocator.free(blocks.swap_remove(random.below(len)), 0);
    }
    bencher.counter(ItemsCount::new(PAIRS)).bench_local(|| {
        for _ in 0..PAIRS {
            let block = &mut blocks[random.below(COUNT / 2)];
            allocator.free(*block, 0);
            *block = allocator.allocate(0);
        }
    });
}

/// 4 GiB in blocks of one order.
struct Whole<A> {
    allocator: A,
    blocks: Vec<u64>,
    order: u8,
}

impl<A: Subject> Whole<A> {
    fn new(order: u8) -> RefCell<Self> {
        RefCell::new(Self { allocator: A::new(), blocks: Vec::with_capacity(COUNT), order })
    }

    fn allocate(&mut self) {
        self.blocks.extend((0..COUNT >> self.order).map(|_| self.allocator.allocate(self.order)));
    }

    fn free(&mut self) {
        self.blocks.drain(..).for_each(|block| self.allocator.free(block, self.order));
    }

    fn shuffle(&mut self) {
        let mut random = Random(1);
        (1..self.blocks.len()).for_each(|i| self.blocks.swap(i, random.below(i + 1)));
    }
}

#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], args = [0, 9], sample_count = 5, sample_size = 1)]
fn allocate_4_gib<A: Subject>(bencher: Bencher<'_, '_>, order: u8) {
    let whole = Whole::<A>::new(order);
    let bencher = bencher.counter(ItemsCount::new(COUNT >> order)).with_inputs(|| whole.borrow_mut().free());
    bencher.bench_local_values(|()| whole.borrow_mut().allocate());
}

#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], args = [0, 9], sample_count = 5, sample_size = 1)]
fn free_4_gib_in_order<A: Subject>(bencher: Bencher<'_, '_>, order: u8) {
    let whole = Whole::<A>::new(order);
    let bencher = bencher.counter(ItemsCount::new(COUNT >> order)).with_inputs(|| whole.borrow_mut().allocate());
    bencher.bench_local_values(|()| whole.borrow_mut().free());
}

#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], args = [0, 9], sample_count = 5, sample_size = 1)]
fn free_4_gib_at_random<A: Subject>(bencher: Bencher<'_, '_>, order: u8) {
    let whole = Whole::<A>::new(order);
    let bencher = bencher.counter(ItemsCount::new(COUNT >> order)).with_inputs(|| {
        whole.borrow_mut().allocate();
        whole.borrow_mut().shuffle();
    });
    bencher.bench_local_values(|()| whole.borrow_mut().free());
}

/// Orders 0 to 10, each half as likely as the one before, while half of 4 GiB is allocated.
#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], sample_count = 5, sample_size = 1)]
fn mixed_orders_geometric<A: Subject>(bencher: Bencher<'_, '_>) {
    mixed::<A>(bencher, |random| (random.next().trailing_zeros() as u8).min(10));
}

/// Orders 0 to 10, all as likely, while half of 4 GiB is allocated.
#[divan::bench(types = [Ours, OursCpu, Summary, Depot, BuddySystem], sample_count = 5, sample_size = 1)]
fn mixed_orders_uniform<A: Subject>(bencher: Bencher<'_, '_>) {
    mixed::<A>(bencher, |random| random.below(11) as u8);
}

fn mixed<A: Subject>(bencher: Bencher<'_, '_>, order: impl Fn(&mut Random) -> u8) {
    let (mut allocator, mut random) = (A::new(), Random(1));
    let (mut blocks, mut frames) = (Vec::<(u64, u8)>::new(), 0);
    let mut step = || {
        if frames < COUNT / 2 {
            let order = order(&mut random);
            blocks.push((allocator.allocate(order), order));
            frames += 1 << order;
        } else {
            let (block, order) = blocks.swap_remove(random.below(blocks.len()));
            allocator.free(block, order);
            frames -= 1 << order;
        }
    };
    // Until what was allocated first is long gone.
    (0..4 * COUNT).for_each(|_| step());
    bencher.counter(ItemsCount::new(COUNT)).bench_local(|| (0..COUNT).for_each(|_| step()));
}

/// Each CPU does so many, in bursts of 16; together they do more in the same time, if they do not stop each other.
#[divan::bench(types = [OursShared, Summary, Depot, BuddySystemLocked], args = [1, 2], sample_count = 20, sample_size = 1)]
fn pairs_on_cpus<F: Front>(bencher: Bencher<'_, '_>, cpus: usize) {
    const BURSTS: usize = 1 << 17;
    let front = F::new();
    bencher.counter(ItemsCount::new(16 * BURSTS * cpus)).bench_local(|| {
        std::thread::scope(|threads| {
            for cpu in 0..cpus {
                let front = &front;
                threads.spawn(move || {
                    let (mut allocator, mut blocks) = (front.cpu(cpu), [0; 16]);
                    (0..BURSTS).for_each(|_| burst(&mut allocator, &mut blocks));
                });
            }
        });
    });
}

/// From memory to an allocator that can give all of 4 GiB; its tables have been touched.
#[divan::bench(types = [Ours, Summary, Depot, BuddySystem], sample_count = 20, sample_size = 1)]
fn take_over_4_gib<A: Subject>(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(A::ground).bench_local_values(A::take_over);
}

/// A small generator, the same numbers each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }
}
