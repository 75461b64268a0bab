// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heap over the inherited allocator, which makes `Box` and `Vec` possible.

use crate::defect::Defect;
use crate::windows;
use buddy::{Buddy, GlobalHeap, Heap, HeapStatistics, Request, Span};
use core::alloc::{GlobalAlloc, Layout};
use handoff::abi::WINDOW_BASE;
use handoff::{MAX_ZONES, PhysRange};

/// Frames for the table of spans.
const TABLE_FRAMES: u64 = 8;

#[global_allocator]
static HEAP: Visible = Visible(GlobalHeap::new());

/// The heap, whose objects are visible before anybody has them.
struct Visible(GlobalHeap<MAX_ZONES>);

// SAFETY: `GlobalHeap` keeps the contract, at the distance of all windows; what has no window is given back and counts as
// not allocated.
unsafe impl GlobalAlloc for Visible {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about the layout is passed on.
        let object = unsafe { self.0.alloc(layout) };
        let range =
            (object as u64).checked_sub(WINDOW_BASE).and_then(|at| PhysRange::from_size(at, layout.size() as u64));
        if object.is_null() || range.and_then(windows::show).is_some() {
            return object;
        }
        // SAFETY: just allocated with this layout, and nobody has it.
        unsafe { self.0.dealloc(object, layout) };
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.dealloc(object, layout) }
    }
}

/// Calls a function with the heap and its allocator. Nothing may be allocated on the heap meanwhile.
///
/// # Errors
/// There is no heap, or what the function says.
pub(crate) fn with<R>(function: impl FnOnce(&mut Heap<'static, MAX_ZONES>) -> Result<R, Defect>) -> Result<R, Defect> {
    HEAP.0.with(function).ok_or(Defect::NoHeap)?
}

/// Makes the allocator the source of all objects; returns the frames that hold the table of spans.
///
/// # Errors
/// There are no frames for it.
#[inline(never)] // the allocator is large
pub(crate) fn set_up(mut buddy: Buddy<'static>) -> Result<PhysRange, Defect> {
    let table = buddy.allocate_exact(TABLE_FRAMES, Request::order(0))?;
    let at = windows::show(table).ok_or(Defect::Hidden(table.start()))?;
    let count = table.size() as usize / size_of::<Span>();
    // SAFETY: (1) The frames have just been allocated, for this alone, and are freed after the last use. (2) Their window is
    // writable and aligned for spans, and each span is written before there is a slice of them. (3) Memory is visible at the
    // distance of all windows before anybody has an object in it: `Visible` opens them.
    unsafe {
        let spans = at as *mut Span;
        (0..count).for_each(|i| spans.add(i).write(Span::EMPTY));
        HEAP.0.install(Heap::new(buddy, core::slice::from_raw_parts_mut(spans, count)), WINDOW_BASE);
    }
    Ok(table)
}

/// Takes the heap down, on which nothing is left, and returns the allocator.
///
/// # Errors
/// What was not given back, or given back wrongly.
#[inline(never)] // as above
pub(crate) fn take_down() -> Result<Buddy<'static>, Defect> {
    let refused = HEAP.0.refused();
    let HeapStatistics { objects, large_bytes, .. } = with(|heap| Ok(heap.statistics()))?;
    if (objects, large_bytes, refused) != (0, 0, 0) {
        return Err(Defect::Books { objects, large_bytes, refused });
    }
    Ok(HEAP.0.remove().ok_or(Defect::NoHeap)?.close()?)
}
