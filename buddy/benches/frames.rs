// SPDX-License-Identifier: MIT OR Apache-2.0
//! This allocator beside two others from crates.io: `cargo bench -p bootmem-buddy --features spin`.
//!
//! All manage 1 GiB from address 4 GiB on. `cpu` is ours with a CPU's cache held; `buddy_system_allocator` is its
//! `FrameAllocator`, `frame_alloc` its bitmap allocator with a summary. Divan prints the time of one call of a function, which handles
//! [`FRAMES`] frames but for `pair`.

use buddy::{Buddy, Cpu, FrameMap, Mode, Piece, Plan, Request, Shared};
use divan::{Bencher, black_box};
use frame_alloc::{PageSize, PhysicalAllocator, Provenance, RegionInit, SummaryBuddyAllocator};
use handoff::{Region, ZoneKind, ZoneSpan};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU8;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

const START: u64 = 1 << 20;
/// Frames of the machine, 1 GiB.
const FRAMES: usize = 8 * 32768;

/// What is compared: blocks by their first frame's number.
trait Allocator {
    fn allocate(&mut self, order: u8) -> u64;
    fn free(&mut self, block: u64, order: u8);
}

fn number(frame: PhysFrame) -> u64 {
    frame.start_address().as_u64() / 4096
}

fn frame(number: u64) -> PhysFrame {
    PhysFrame::containing_address(PhysAddr::new(number * 4096))
}

impl Allocator for Buddy<'static, 1> {
    fn allocate(&mut self, order: u8) -> u64 {
        number(self.allocate_with(Request::order(order)).unwrap())
    }
    fn free(&mut self, block: u64, order: u8) {
        Buddy::free(self, frame(block), order).unwrap();
    }
}

impl Allocator for Cpu<'static, 'static, 'static, 1, 1> {
    fn allocate(&mut self, order: u8) -> u64 {
        number(self.allocate_with(Request::order(order)).unwrap())
    }
    fn free(&mut self, block: u64, order: u8) {
        Cpu::free(self, frame(block), order).unwrap();
    }
}

impl Allocator for buddy_system_allocator::FrameAllocator<11> {
    fn allocate(&mut self, order: u8) -> u64 {
        self.alloc(1 << order).unwrap() as u64
    }
    fn free(&mut self, block: u64, order: u8) {
        self.dealloc(block as usize, 1 << order);
    }
}

/// Where the summary allocator thinks its bitmaps are: in memory of the test.
struct Arena;
// SAFETY: an address of the arena is a pointer into memory that is never freed.
#[allow(unsafe_code, reason = "the trait demands it")]
unsafe impl Provenance for Arena {
    unsafe fn create(physical: usize) -> std::ptr::NonNull<u8> {
        std::ptr::NonNull::new(std::ptr::with_exposed_provenance_mut(physical)).unwrap()
    }
    unsafe fn destroy<T>(pointer: std::ptr::NonNull<T>) -> usize {
        pointer.as_ptr() as usize
    }
}

const PAGE: PageSize = PageSize::from_log2(12);
struct Summary(SummaryBuddyAllocator<11, Arena>);

impl Allocator for Summary {
    fn allocate(&mut self, order: u8) -> u64 {
        let frames = NonZeroUsize::new(1 << order).unwrap();
        self.0.allocate_physical(PAGE, frames).unwrap() as u64 / 4096
    }
    fn free(&mut self, block: u64, order: u8) {
        let frames = NonZeroUsize::new(1 << order).unwrap();
        // SAFETY: the benchmarks free what they allocated, once.
        #[allow(unsafe_code, reason = "the peer demands it")]
        unsafe {
            self.0.deallocate_physical(PAGE, frames, block as usize * 4096);
        }
    }
}

fn ours() -> Buddy<'static, 1> {
    let memory = [Region { nid: 0.into(), ..Region::new(START * 4096, FRAMES as u64 * 4096) }];
    let (spanned, present) = (FRAMES as u64, FRAMES as u64);
    let zones = [ZoneSpan { node: 0, kind: ZoneKind::NORMAL, start_pfn: START, spanned, present }];
    let plan = Plan::new(&memory, &[], &zones, Mode::Eager).unwrap();
    let pieces = vec![Piece::UNUSED; plan.pieces()].leak();
    let maps = vec![FrameMap::UNUSED; plan.maps()].leak();
    let mut buddy = Buddy::new(&plan, pieces, maps).unwrap();
    buddy.hand_over(&memory, &[]).unwrap();
    buddy
}

fn make(name: &str) -> Box<dyn Allocator> {
    match name {
        "plain" => Box::new(ours()),
        "cpu" => {
            let buddy = Box::leak(Box::new(ours()));
            let marks = (0..buddy.marks()).map(|_| AtomicU8::new(0)).collect::<Vec<_>>().leak();
            let shared: &'static Shared<'static, 'static, 1, 1> =
                Box::leak(Box::new(Shared::new(buddy, marks).unwrap()));
            Box::new(shared.cpu(0).unwrap())
        }
        "buddy_system_allocator" => {
            let mut peer = buddy_system_allocator::FrameAllocator::<11>::new();
            peer.add_frame(START as usize, START as usize + FRAMES);
            Box::new(peer)
        }
        _ => {
            let layout = std::alloc::Layout::from_size_align(FRAMES * 4096, 4 << 20).unwrap();
            let peer = SummaryBuddyAllocator::new(PAGE);
            // SAFETY: the layout is not empty, and nobody else uses the memory, which is never freed.
            #[allow(unsafe_code, reason = "the peer keeps its bitmaps in the memory it manages")]
            unsafe {
                let base = std::alloc::alloc(layout) as usize;
                peer.init(base, FRAMES * 4096, &[frame_alloc::PhysRange { base, len: FRAMES * 4096 }]);
            }
            Box::new(Summary(peer))
        }
    }
}

const NAMES: [&str; 4] = ["plain", "cpu", "buddy_system_allocator", "frame_alloc"];

#[divan::bench(args = NAMES)]
fn pair(bencher: Bencher<'_, '_>, name: &str) {
    let mut allocator = make(name);
    bencher.bench_local(|| {
        let block = allocator.allocate(0);
        allocator.free(black_box(block), 0);
    });
}

#[divan::bench(args = NAMES)]
fn pair_of_huge_pages(bencher: Bencher<'_, '_>, name: &str) {
    let mut allocator = make(name);
    bencher.bench_local(|| {
        let block = allocator.allocate(9);
        allocator.free(black_box(block), 9);
    });
}

#[divan::bench(args = NAMES)]
fn burst_of_64(bencher: Bencher<'_, '_>, name: &str) {
    let mut allocator = make(name);
    let mut blocks = [0; 64];
    bencher.counter(64usize).bench_local(|| {
        blocks.fill_with(|| allocator.allocate(0));
        blocks.iter().for_each(|block| allocator.free(*block, 0));
    });
}

/// Half of the memory as single frames, freed in a scattered order.
#[divan::bench(args = NAMES, sample_count = 5, sample_size = 1)]
fn half_of_the_memory(bencher: Bencher<'_, '_>, name: &str) {
    let mut allocator = make(name);
    let count = FRAMES / 2;
    let mut blocks = vec![0; count];
    bencher.counter(count).bench_local(|| {
        blocks.fill_with(|| allocator.allocate(0));
        // An odd stride visits every block once.
        (0..count).for_each(|i| allocator.free(blocks[i.wrapping_mul(7919) % count], 0));
    });
}

fn main() {
    divan::main();
}
