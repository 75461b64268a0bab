// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is compared: allocators of 4 GiB and a little, from address 4 GiB on for those that do not look into it.

use buddy::{Buddy, Cpu, FrameMap, Mode, Piece, Plan, Request, Shared};
use frame_alloc::{CpuId, DepotAllocator, PageSize, PhysRange, PhysicalAllocator, RegionInit, SummaryBuddyAllocator};
use handoff::{Region, ZoneKind, ZoneSpan};
use std::alloc::{Layout, alloc};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU8;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

const START: u64 = 1 << 20;
/// 4 GiB in frames.
pub(crate) const COUNT: usize = 1 << 20;
/// All frames: some peers keep their books in them.
const FRAMES: usize = COUNT + (16 << 8);
const PAGE: PageSize = PageSize::from_log2(12);

/// Blocks by their first frame's number.
pub(crate) trait Frames {
    fn allocate(&mut self, order: u8) -> u64;
    fn free(&mut self, block: u64, order: u8);
}

/// An allocator that takes memory over.
pub(crate) trait Subject: Frames + Sized {
    /// What it needs before: memory for its tables, touched.
    type Ground;
    fn ground() -> Self::Ground;
    fn take_over(ground: Self::Ground) -> Self;

    fn new() -> Self {
        Self::take_over(Self::ground())
    }
}

/// An allocator for several CPUs.
pub(crate) trait Front: Sync {
    fn new() -> Self;
    fn cpu(&self, cpu: usize) -> impl Frames;
}

fn number(frame: PhysFrame) -> u64 {
    frame.start_address().as_u64() / 4096
}

fn frame(number: u64) -> PhysFrame {
    PhysFrame::containing_address(PhysAddr::new_truncate(number * 4096))
}

/// This crate, alone.
pub(crate) struct Ours(Buddy<'static, 1>);

impl Frames for Ours {
    #[inline]
    fn allocate(&mut self, order: u8) -> u64 {
        number(self.0.allocate_with(Request::order(order)).unwrap())
    }
    #[inline]
    fn free(&mut self, block: u64, order: u8) {
        self.0.free(frame(block), order).unwrap();
    }
}

fn memory() -> [Region; 1] {
    [Region { nid: 0.into(), ..Region::new(START * 4096, FRAMES as u64 * 4096) }]
}

impl Subject for Ours {
    type Ground = (Plan<1>, &'static mut [Piece], &'static mut [FrameMap]);

    fn ground() -> Self::Ground {
        let (spanned, present) = (FRAMES as u64, FRAMES as u64);
        let zones = [ZoneSpan { node: 0, kind: ZoneKind::NORMAL, start_pfn: START, spanned, present }];
        let plan = Plan::new(&memory(), &[], &zones, Mode::Eager).unwrap();
        let (pieces, maps) = (plan.pieces(), plan.maps());
        (plan, vec![Piece::UNUSED; pieces].leak(), vec![FrameMap::UNUSED; maps].leak())
    }

    fn take_over((plan, pieces, maps): Self::Ground) -> Self {
        let mut buddy = Buddy::new(&plan, pieces, maps).unwrap();
        buddy.hand_over(&memory(), &[]).unwrap();
        Self(buddy)
    }
}

/// This crate for several CPUs.
pub(crate) struct OursShared(Shared<'static, 'static, 1, 2>);

impl Front for OursShared {
    fn new() -> Self {
        let buddy = Box::leak(Box::new(Ours::new().0));
        let marks = (0..buddy.marks()).map(|_| AtomicU8::new(0)).collect::<Vec<_>>().leak();
        Self(Shared::new(buddy, marks).unwrap())
    }
    fn cpu(&self, cpu: usize) -> impl Frames {
        OursCpu(self.0.cpu(cpu).unwrap())
    }
}

/// One CPU's cache, held.
pub(crate) struct OursCpu<'s>(Cpu<'s, 'static, 'static, 1, 2>);

impl Frames for OursCpu<'_> {
    #[inline]
    fn allocate(&mut self, order: u8) -> u64 {
        number(self.0.allocate_with(Request::order(order)).unwrap())
    }
    #[inline]
    fn free(&mut self, block: u64, order: u8) {
        self.0.free(frame(block), order).unwrap();
    }
}

impl Subject for OursCpu<'static> {
    type Ground = &'static OursShared;

    fn ground() -> Self::Ground {
        Box::leak(Box::new(OursShared::new()))
    }
    fn take_over(front: Self::Ground) -> Self {
        OursCpu(front.0.cpu(0).unwrap())
    }
}

/// `buddy_system_allocator`, alone and behind a lock.
pub(crate) struct BuddySystem(buddy_system_allocator::FrameAllocator<11>);
pub(crate) struct BuddySystemLocked(spin::Mutex<BuddySystem>);

impl Frames for BuddySystem {
    #[inline]
    fn allocate(&mut self, order: u8) -> u64 {
        self.0.alloc(1 << order).unwrap() as u64
    }
    #[inline]
    fn free(&mut self, block: u64, order: u8) {
        self.0.dealloc(block as usize, 1 << order);
    }
}

impl Subject for BuddySystem {
    type Ground = ();

    fn ground() {}
    fn take_over((): ()) -> Self {
        let mut peer = buddy_system_allocator::FrameAllocator::new();
        peer.add_frame(START as usize, START as usize + FRAMES);
        Self(peer)
    }
}

impl Frames for &BuddySystemLocked {
    fn allocate(&mut self, order: u8) -> u64 {
        self.0.lock().allocate(order)
    }
    fn free(&mut self, block: u64, order: u8) {
        self.0.lock().free(block, order);
    }
}

impl Front for BuddySystemLocked {
    fn new() -> Self {
        Self(spin::Mutex::new(BuddySystem::new()))
    }
    fn cpu(&self, _: usize) -> impl Frames {
        self
    }
}

/// Where `frame-alloc` thinks its bitmaps are: in the memory it manages.
pub(crate) struct Arena;
// SAFETY: an address of the arena is a pointer into memory that is never freed.
#[allow(unsafe_code, reason = "the trait demands it")]
unsafe impl frame_alloc::Provenance for Arena {
    unsafe fn create(physical: usize) -> NonNull<u8> {
        NonNull::new(std::ptr::with_exposed_provenance_mut(physical)).unwrap()
    }
    unsafe fn destroy<T>(pointer: NonNull<T>) -> usize {
        pointer.as_ptr() as usize
    }
}

/// The number of the CPU that a thread plays.
pub(crate) struct ThreadCpu;

impl CpuId for ThreadCpu {
    #[inline]
    fn current_cpu() -> usize {
        CPU.get()
    }
}

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// The memory of `frame-alloc`, for one allocator after the other.
static ARENA: LazyLock<usize> = LazyLock::new(|| {
    let layout = Layout::from_size_align(FRAMES * 4096, 4 << 20).unwrap();
    // SAFETY: the layout is not empty.
    #[allow(unsafe_code, reason = "the peer keeps its bitmaps in the memory it manages")]
    unsafe {
        alloc(layout) as usize
    }
});

/// A peer from `frame-alloc`.
macro_rules! frame_alloc {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $new:expr) => {
        $(#[$doc])*
        pub(crate) struct $name($inner);

        impl Frames for &$name {
            #[inline]
            fn allocate(&mut self, order: u8) -> u64 {
                let frames = NonZeroUsize::new(1 << order).unwrap();
                self.0.allocate_physical(PAGE, frames).unwrap() as u64 / 4096
            }
            #[inline]
            fn free(&mut self, block: u64, order: u8) {
                let frames = NonZeroUsize::new(1 << order).unwrap();
                // SAFETY: the benchmarks free what they allocated, once.
                #[allow(unsafe_code, reason = "the peer demands it")]
                unsafe {
                    self.0.deallocate_physical(PAGE, frames, block as usize * 4096);
                }
            }
        }

        impl Frames for $name {
            #[inline]
            fn allocate(&mut self, order: u8) -> u64 {
                (&*self).allocate(order)
            }
            #[inline]
            fn free(&mut self, block: u64, order: u8) {
                (&*self).free(block, order);
            }
        }

        impl Subject for $name {
            type Ground = usize;

            fn ground() -> usize {
                *ARENA
            }
            fn take_over(base: usize) -> Self {
                let (peer, range) = ($new, PhysRange { base, len: FRAMES * 4096 });
                // SAFETY: the memory is never freed, and its last user, another benchmark, has ended.
                #[allow(unsafe_code, reason = "the peer keeps its bitmaps in the memory it manages")]
                unsafe {
                    peer.init(base, range.len, &[range]);
                }
                Self(peer)
            }
        }

        impl Front for $name {
            fn new() -> Self {
                <Self as Subject>::new()
            }
            fn cpu(&self, cpu: usize) -> impl Frames {
                CPU.set(cpu);
                self
            }
        }
    };
}

type Core = SummaryBuddyAllocator<11, Arena>;

frame_alloc! {
    /// Bitmaps with a summary.
    Summary, Core, Core::new(PAGE)
}

frame_alloc! {
    /// The same behind a cache per CPU.
    Depot, DepotAllocator<Core, ThreadCpu, 2>, DepotAllocator::new(PAGE, Core::new(PAGE))
}
