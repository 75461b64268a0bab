// SPDX-License-Identifier: MIT OR Apache-2.0
//! Objects smaller than a frame, so that a kernel has `Box` and `Vec` right after the hand-over.

mod class;
mod close;
mod global;
mod span;

pub use global::GlobalHeap;
pub use span::Span;

use crate::exact::frame_range;
use crate::{Buddy, Error, Request};
use class::{Class, SIZES};
use core::alloc::Layout;
use handoff::FRAME_BYTES;
use span::NONE;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

/// A heap over the page-frame allocator: addresses of objects, physical ones. It touches no memory.
///
/// Objects up to 2 KiB come from spans: blocks of 8 to 32 KiB cut into objects of one size, with a bit per object that
/// says whether it is in use. Each size has a list of the spans with room. Larger objects are whole frames, the tail of the last block
/// given back. A free is checked: an object that is not in use, or has another size, is an error.
///
/// # Invariants
/// A span with room is on the list of its size, a full one on none. The table is also a hash table: an address leads to a place, and
/// from there a chain to the span or the large object that starts at it. One empty span per size is kept at most.
///
/// Go: `mcentral`, `mspan` (1.22). Linux: `mm/slub.c` (6.1).
#[derive(Debug)]
pub struct Heap<'a, const Z: usize> {
    buddy: Buddy<'a, Z>,
    spans: &'a mut [Span],
    /// Spans with room, by size.
    partial: [u32; SIZES.len()],
    /// Empty spans among them.
    empty: [u32; SIZES.len()],
    /// Unused entries of the table, linked by `next`.
    unused: u32,
    live_spans: u64,
    large_objects: u64,
    large_frames: u64,
}

/// What a heap holds and what that costs, in bytes unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeapStatistics {
    /// Number of spans.
    pub spans: u64,
    /// Memory of the spans.
    pub span_bytes: u64,
    /// Number of objects in spans that are in use.
    pub objects: u64,
    /// Memory of these, each as large as its size class.
    pub object_bytes: u64,
    /// Memory at the spans' ends that is too small for an object.
    pub tail_bytes: u64,
    /// Number of objects that are larger than 2 KiB. Each has an entry of the table as well.
    pub large_objects: u64,
    /// Memory of these.
    pub large_bytes: u64,
    /// What bitmaps, links and addresses of the entries in use cost.
    pub overhead_bytes: u64,
    /// The whole table of spans, used or not.
    pub table_bytes: u64,
}

impl<'a, const Z: usize> Heap<'a, Z> {
    /// Returns an empty heap that takes its memory from `buddy`; `spans` is its table, whatever it contains.
    pub fn new(buddy: Buddy<'a, Z>, spans: &'a mut [Span]) -> Self {
        let count = spans.len().min(NONE as usize) as u32;
        for (next, span) in (1..).zip(spans.iter_mut()) {
            *span = Span { next: if next < count { next } else { NONE }, ..Span::EMPTY };
        }
        let unused = if count > 0 { 0 } else { NONE };
        let (partial, empty) = ([NONE; SIZES.len()], [0; SIZES.len()]);
        Self { buddy, spans, partial, empty, unused, live_spans: 0, large_objects: 0, large_frames: 0 }
    }

    /// Returns the page-frame allocator, for those who need frames.
    pub fn buddy(&mut self) -> &mut Buddy<'a, Z> {
        &mut self.buddy
    }

    /// Allocates memory and returns its address; an object of no bytes gets one of its own too.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] and what else [`Buddy::allocate_exact`] can say; [`Error::Capacity`] if the table of spans is full;
    /// [`Error::Order`] for an alignment beyond 4 MiB; [`Error::FrameCount`] for more than 4 MiB.
    pub fn allocate(&mut self, layout: Layout) -> Result<u64, Error> {
        let Some(class) = Class::of(layout) else { return self.allocate_frames(layout) };
        let list = usize::from(class.0);
        if self.partial[list] == NONE {
            self.add_span(class)?;
        }
        let index = self.partial[list];
        let span = span_mut(self.spans, index)?;
        let was_empty = span.live == 0;
        let address = span.take().ok_or(Error::Object { address: span.start })?;
        if span.is_full() {
            self.unlink(index, class)?;
        }
        self.empty[list] -= u32::from(was_empty);
        Ok(address)
    }

    /// Frees what [`allocate`](Self::allocate) returned for the same layout.
    ///
    /// # Errors
    /// [`Error::Object`] if no object of that size is in use at the address; that of [`Buddy::free_exact`] for large ones. Nothing
    /// changed.
    pub fn free(&mut self, address: u64, layout: Layout) -> Result<(), Error> {
        let Some(class) = Class::of(layout) else { return self.free_frames(address, layout) };
        let wrong = Error::Object { address };
        let start = address & !((FRAME_BYTES << class.order()) - 1);
        let index = self.find(start).ok_or(wrong)?;
        let span = span_mut(self.spans, index)?;
        let was_full = span.is_full();
        if span.class != Some(class) || !span.give(address) {
            return Err(wrong);
        }
        let is_empty = span.live == 0;
        let list = usize::from(class.0);
        if was_full {
            self.link(index, class)?;
        }
        match (is_empty, self.empty[list]) {
            (false, _) => Ok(()),
            (true, 0) => {
                self.empty[list] = 1;
                Ok(())
            }
            (true, _) => self.remove_span(index, class),
        }
    }

    /// Returns what the heap holds and what that costs. Takes time proportional to the table of spans.
    #[must_use]
    pub fn statistics(&self) -> HeapStatistics {
        let mut total = HeapStatistics {
            spans: self.live_spans,
            large_objects: self.large_objects,
            large_bytes: self.large_frames * FRAME_BYTES,
            overhead_bytes: (self.live_spans + self.large_objects) * size_of::<Span>() as u64,
            table_bytes: size_of_val(self.spans) as u64,
            ..HeapStatistics::default()
        };
        for (span, class) in self.spans.iter().filter_map(|span| Some((span, span.class?))) {
            let bytes = FRAME_BYTES << class.order();
            total.span_bytes += bytes;
            total.objects += u64::from(span.live);
            total.object_bytes += u64::from(span.live) * class.size();
            total.tail_bytes += bytes - u64::from(class.objects()) * class.size();
        }
        total
    }

    fn allocate_frames(&mut self, layout: Layout) -> Result<u64, Error> {
        let frames = (layout.size() as u64).div_ceil(FRAME_BYTES).max(1);
        let request = Request::bytes(FRAME_BYTES, layout.align() as u64);
        self.check_room()?;
        let range = self.buddy.allocate_exact(frames, request)?;
        self.enter(range.start(), frames as u16, None)?;
        self.large_objects += 1;
        self.large_frames += frames;
        Ok(range.start())
    }

    fn free_frames(&mut self, address: u64, layout: Layout) -> Result<(), Error> {
        let frames = (layout.size() as u64).div_ceil(FRAME_BYTES).max(1);
        let wrong = Error::Object { address };
        let index = self.find(address).ok_or(wrong)?;
        let Span { live, class, .. } = *span_mut(self.spans, index)?;
        if class.is_some() || u64::from(live) != frames {
            return Err(wrong);
        }
        let start = address / FRAME_BYTES;
        self.buddy.free_exact(frame_range(start, start + frames)?)?;
        self.large_objects = self.large_objects.saturating_sub(1);
        self.large_frames = self.large_frames.saturating_sub(frames);
        self.leave(index)
    }

    fn add_span(&mut self, class: Class) -> Result<(), Error> {
        self.check_room()?;
        let block = self.buddy.allocate(class.order())?;
        let index = self.enter(block.start_address().as_u64(), 0, Some(class))?;
        self.live_spans += 1;
        self.empty[usize::from(class.0)] += 1;
        self.link(index, class)
    }

    fn remove_span(&mut self, index: u32, class: Class) -> Result<(), Error> {
        self.unlink(index, class)?;
        let start = span_mut(self.spans, index)?.start;
        self.live_spans -= 1;
        self.leave(index)?;
        self.buddy.free(PhysFrame::containing_address(PhysAddr::new(start)), class.order())
    }

    fn check_room(&self) -> Result<(), Error> {
        if self.unused == NONE { Err(Error::Capacity { capacity: self.spans.len() }) } else { Ok(()) }
    }

    /// Returns the place in the table that an address leads to.
    fn bucket(&self, start: u64) -> u32 {
        // Fibonacci hashing: the upper half of the product, scaled to the table.
        let hash = (start / FRAME_BYTES).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        ((hash * self.spans.len() as u64) >> 32) as u32
    }

    /// Returns the entry of what starts at an address.
    fn find(&self, start: u64) -> Option<u32> {
        let mut index = self.spans.get(self.bucket(start) as usize)?.bucket;
        while let Some(span) = self.spans.get(index as usize) {
            if span.start == start {
                return Some(index);
            }
            index = span.chain;
        }
        None
    }

    /// Takes an unused entry, of which there must be one.
    fn enter(&mut self, start: u64, live: u16, class: Option<Class>) -> Result<u32, Error> {
        let index = self.unused;
        let span = span_mut(self.spans, index)?;
        self.unused = span.next;
        span.start(start, live, class);
        let bucket = self.bucket(start);
        let first = core::mem::replace(&mut span_mut(self.spans, bucket)?.bucket, index);
        span_mut(self.spans, index)?.chain = first;
        Ok(index)
    }

    /// Gives an entry back.
    fn leave(&mut self, index: u32) -> Result<(), Error> {
        let Span { start, chain, .. } = *span_mut(self.spans, index)?;
        let bucket = self.bucket(start);
        let first = span_mut(self.spans, bucket)?.bucket;
        if first == index {
            span_mut(self.spans, bucket)?.bucket = chain;
        } else {
            let mut before = first;
            while span_mut(self.spans, before)?.chain != index {
                before = span_mut(self.spans, before)?.chain;
            }
            span_mut(self.spans, before)?.chain = chain;
        }
        let span = span_mut(self.spans, index)?;
        span.start(0, 0, None);
        span.next = self.unused;
        self.unused = index;
        Ok(())
    }

    /// Puts a span at the head of the list of its size.
    fn link(&mut self, index: u32, class: Class) -> Result<(), Error> {
        let list = usize::from(class.0);
        let head = self.partial[list];
        if head != NONE {
            span_mut(self.spans, head)?.prev = index;
        }
        let span = span_mut(self.spans, index)?;
        (span.next, span.prev) = (head, NONE);
        self.partial[list] = index;
        Ok(())
    }

    /// Takes a span off the list of its size.
    fn unlink(&mut self, index: u32, class: Class) -> Result<(), Error> {
        let Span { next, prev, .. } = *span_mut(self.spans, index)?;
        match prev {
            NONE => self.partial[usize::from(class.0)] = next,
            _ => span_mut(self.spans, prev)?.next = next,
        }
        if next != NONE {
            span_mut(self.spans, next)?.prev = prev;
        }
        let span = span_mut(self.spans, index)?;
        (span.next, span.prev) = (NONE, NONE);
        Ok(())
    }
}

fn span_mut(spans: &mut [Span], index: u32) -> Result<&mut Span, Error> {
    let capacity = spans.len();
    spans.get_mut(index as usize).ok_or(Error::Capacity { capacity })
}
