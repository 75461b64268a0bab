// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heap as a program's `#[global_allocator]`.
#![allow(unsafe_code, reason = "the trait GlobalAlloc is unsafe to implement, and turns addresses into pointers")]

use super::Heap;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};
use heapless::Vec;
use spin::Mutex;

/// A heap that is installed once there is one, behind a lock.
///
/// ```
/// use buddy::GlobalHeap;
/// // #[global_allocator]
/// static HEAP: GlobalHeap<3> = GlobalHeap::new();
/// ```
///
/// With interrupts on, a handler must not allocate: the thread it interrupted may hold the lock.
pub struct GlobalHeap<const Z: usize> {
    /// At most one. An array and not an option: empty it is zeros but for what nobody reads, and takes no room in a program's file.
    installed: Mutex<Vec<Installed<Z>, 1>>,
    refused: AtomicU64,
}

struct Installed<const Z: usize> {
    heap: Heap<'static, Z>,
    /// What to add to a physical address to get where it is mapped.
    offset: u64,
}

impl<const Z: usize> GlobalHeap<Z> {
    /// Returns an allocator that has nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { installed: Mutex::new(Vec::new()), refused: AtomicU64::new(0) }
    }

    /// Gives it memory. A heap installed before is returned, and what it gave out must not be used any more.
    ///
    /// # Safety
    /// All frames that the heap's allocator manages and has not handed out are mapped for reading and writing at their address plus
    /// `offset`, as long as this heap is installed, and nobody else uses them.
    pub unsafe fn install(&self, heap: Heap<'static, Z>, offset: u64) -> Option<Heap<'static, Z>> {
        let mut installed = self.installed.lock();
        let before = installed.pop();
        let _ = installed.push(Installed { heap, offset }); // there is room: see above
        before.map(|installed| installed.heap)
    }

    /// Takes the heap out again: from then on there is no memory. What it gave out must not be used any more.
    pub fn remove(&self) -> Option<Heap<'static, Z>> {
        self.installed.lock().pop().map(|installed| installed.heap)
    }

    /// Calls a function with the heap, for statistics or frames; `None` if there is none.
    pub fn with<R>(&self, function: impl FnOnce(&mut Heap<'static, Z>) -> R) -> Option<R> {
        Some(function(&mut self.installed.lock().first_mut()?.heap))
    }

    /// Returns how many frees were refused: more than 0 means that the kernel has a bug. The trait has no error to return.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl<const Z: usize> Default for GlobalHeap<Z> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const Z: usize> core::fmt::Debug for GlobalHeap<Z> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GlobalHeap").field("refused", &self.refused).finish_non_exhaustive()
    }
}

// SAFETY: 1. `Heap::allocate` returns memory of at least the layout's size and alignment that nobody has until it is freed: an object's
// bit is set, or its frames are taken from the page allocator. 2. `install`'s caller has promised that it is mapped, and the
// offset keeps the alignment: a heap whose offset is no multiple of the alignment is refused below. 3. Nothing unwinds: errors become
// null pointers or a number.
unsafe impl<const Z: usize> GlobalAlloc for GlobalHeap<Z> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut installed = self.installed.lock();
        let Some(Installed { heap, offset }) = installed.first_mut() else { return ptr::null_mut() };
        if !offset.is_multiple_of(layout.align() as u64) {
            return ptr::null_mut();
        }
        let address = heap.allocate(layout).ok().map(|address| address.wrapping_add(*offset));
        address.map_or(ptr::null_mut(), |address| ptr::with_exposed_provenance_mut(address as usize))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let mut installed = self.installed.lock();
        let freed = installed.first_mut().is_some_and(|Installed { heap, offset }| {
            heap.free((pointer.addr() as u64).wrapping_sub(*offset), layout).is_ok()
        });
        if !freed {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}
