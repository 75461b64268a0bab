// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heap over the adopted allocator: from here on boot has `Box` and `Vec`, until the heap is taken down again.

use crate::phys;
use buddy::{Buddy, GlobalHeap, Heap, HeapStatistics, Span};
use core::fmt;
use handoff::{FRAME_BYTES, MAX_ZONES, PhysRange};
use x86_64::structures::paging::PhysFrame;

#[global_allocator]
static HEAP: GlobalHeap<MAX_ZONES> = GlobalHeap::new();

/// Spans there can be at once: as many as fit a frame.
const SPANS: usize = FRAME_BYTES as usize / size_of::<Span>();

/// What is wrong with the heap.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeapError {
    Buddy(buddy::Error),
    /// So many objects were not given back, and so many frees were refused.
    Books {
        objects: u64,
        large_bytes: u64,
        refused: u64,
    },
    /// There is no heap.
    Absent,
}

impl fmt::Display for HeapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buddy(error) => write!(f, "heap: {error}"),
            Self::Books { objects, large_bytes, refused } => {
                write!(f, "heap: {objects} objects and {large_bytes} bytes not given back, {refused} frees refused")
            }
            Self::Absent => f.write_str("heap: there is none"),
        }
    }
}

/// Makes the allocator the source of all objects. Returns the frame that holds the table of spans.
///
/// # Errors
/// There is no frame for it.
pub(crate) fn set_up(mut buddy: Buddy<'static>) -> Result<PhysFrame, HeapError> {
    let frame = buddy.allocate(0).map_err(HeapError::Buddy)?;
    let table = PhysRange::from_size(frame.start_address().as_u64(), FRAME_BYTES).ok_or(HeapError::Absent)?;
    // SAFETY: (1) The frame has just been allocated, for this alone, and lies in RAM, which the direct map covers; `take_down`'s
    // caller frees it after the last use. (2) It is aligned for spans, and each is written before there is a slice of them.
    // (3) All frames of the allocator that nobody has are RAM in the direct map, at this distance.
    unsafe {
        let spans = phys::bytes_mut(table).as_mut_ptr().cast::<Span>();
        (0..SPANS).for_each(|i| spans.add(i).write(Span::EMPTY));
        let heap = Heap::new(buddy, core::slice::from_raw_parts_mut(spans, SPANS));
        HEAP.install(heap, phys::DIRECT_MAP.as_u64());
    }
    Ok(frame)
}

/// Calls a function with the heap and its allocator. Nothing may be allocated on the heap meanwhile.
///
/// # Errors
/// There is no heap.
pub(crate) fn with<R>(function: impl FnOnce(&mut Heap<'static, MAX_ZONES>) -> R) -> Result<R, HeapError> {
    HEAP.with(function).ok_or(HeapError::Absent)
}

/// Takes the heap down and returns the allocator.
///
/// # Errors
/// What was not given back, or given back wrongly.
pub(crate) fn take_down() -> Result<Buddy<'static>, HeapError> {
    let heap = HEAP.remove().ok_or(HeapError::Absent)?;
    let HeapStatistics { objects, large_bytes, .. } = heap.statistics();
    let refused = HEAP.refused();
    if (objects, large_bytes, refused) != (0, 0, 0) {
        return Err(HeapError::Books { objects, large_bytes, refused });
    }
    heap.close().map_err(HeapError::Buddy)
}
