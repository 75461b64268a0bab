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
use handoff::{FRAME_BYTES, MAX_ORDER};
use span::NONE;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

/// The mark in a frame's descriptor that it is part of a span; the span's index is in the lower half.
const MARK: u64 = 0x7370_616e << 32;
/// The mark in the first frame's descriptor of a large object; its size in frames is in the lower half.
const LARGE_MARK: u64 = 0x6c61_7267 << 32;

/// A heap over the page-frame allocator: addresses of objects, physical ones. It touches no memory.
///
/// Objects up to 2 KiB come from spans: blocks of 8 to 32 KiB cut into objects of one size, with a bit per object that
/// says whether it is in use. Each size has a list of the spans with room. Larger objects are whole frames, the tail of the last block
/// given back. A free is checked: an object that is not in use, or has another size, is an error.
///
/// # Invariants
/// A span with room is on the list of its size, a full one on none. The first word of [`handoff::Page::private`] of each of
/// its frames leads to it; that of a large object's first frame has its size. One empty span per size is kept at most.
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
    /// Memory of objects that are larger than 2 KiB.
    pub large_bytes: u64,
    /// What bitmaps, links and addresses of the spans in use cost.
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
        Self { buddy, spans, partial, empty, unused, live_spans: 0, large_frames: 0 }
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
        let index = self.span_of(address).ok_or(wrong)?;
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
            large_bytes: self.large_frames * FRAME_BYTES,
            overhead_bytes: self.live_spans * size_of::<Span>() as u64,
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
        let range = self.buddy.allocate_exact(frames, request)?;
        if let Some(word) = self.word(range.start()) {
            *word = LARGE_MARK | frames;
        }
        self.large_frames += frames;
        Ok(range.start())
    }

    fn free_frames(&mut self, address: u64, layout: Layout) -> Result<(), Error> {
        let frames = (layout.size() as u64).div_ceil(FRAME_BYTES).max(1);
        let start = address / FRAME_BYTES;
        let known = self.word(address).is_some_and(|word| *word == LARGE_MARK | frames);
        if !address.is_multiple_of(FRAME_BYTES) || frames > 1 << MAX_ORDER || !known {
            return Err(Error::Object { address });
        }
        self.buddy.free_exact(frame_range(start, start + frames)?)?;
        if let Some(word) = self.word(address) {
            *word = 0;
        }
        self.large_frames = self.large_frames.saturating_sub(frames);
        Ok(())
    }

    /// Returns the span that an address lies in.
    fn span_of(&mut self, address: u64) -> Option<u32> {
        let word = *self.word(address)?;
        let index = word as u32;
        let span = self.spans.get(index as usize)?;
        // What stands there may be older than the span, or somebody else's.
        let inside = address.checked_sub(span.start)? < FRAME_BYTES << span.class?.order();
        (word & !u64::from(u32::MAX) == MARK && inside).then_some(index)
    }

    /// Returns what the heap keeps in a frame's descriptor.
    fn word(&mut self, address: u64) -> Option<&mut u64> {
        let frame = PhysFrame::containing_address(PhysAddr::try_new(address).ok()?);
        self.buddy.private_mut(frame)?.first_mut()
    }

    fn add_span(&mut self, class: Class) -> Result<(), Error> {
        let index = self.unused;
        if index == NONE {
            return Err(Error::Capacity { capacity: self.spans.len() });
        }
        let block = self.buddy.allocate(class.order())?;
        let start = block.start_address().as_u64();
        let span = span_mut(self.spans, index)?;
        self.unused = span.next;
        *span = Span::new(start, class);
        self.mark_frames(start, class, MARK | u64::from(index));
        self.live_spans += 1;
        self.empty[usize::from(class.0)] += 1;
        self.link(index, class)
    }

    fn remove_span(&mut self, index: u32, class: Class) -> Result<(), Error> {
        self.unlink(index, class)?;
        let start = span_mut(self.spans, index)?.start;
        self.mark_frames(start, class, 0);
        *span_mut(self.spans, index)? = Span { next: self.unused, ..Span::EMPTY };
        self.unused = index;
        self.live_spans -= 1;
        self.buddy.free(PhysFrame::containing_address(PhysAddr::new(start)), class.order())
    }

    fn mark_frames(&mut self, start: u64, class: Class, word: u64) {
        for frame in 0..1 << class.order() {
            if let Some(kept) = self.word(start + frame * FRAME_BYTES) {
                *kept = word;
            }
        }
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
