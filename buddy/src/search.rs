// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking for memory at particular addresses, or more of it than one block has.

use crate::allocate::above_mark;
use crate::exact::frame_range;
use crate::pages::{Pages, page};
use crate::sections::Sections;
use crate::{Buddy, Error, Request};
use core::ops::Range;
use handoff::{Frame, FrameState, FreeArea, MAX_ORDER, PhysRange, ZoneState};

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates `frames` adjacent frames of one zone, any number of them, and returns their range.
    ///
    /// They start at a multiple of the request's order and alignment, but of nothing else: blocks are joined as they lie.
    /// The lowest place of the first zone that has one is taken. Slow: it looks at every block of the zones it tries, so for up
    /// to 1024 frames [`allocate_exact`](Self::allocate_exact) is faster. Give the range back with
    /// [`free_exact`](Self::free_exact). Linux: `alloc_contig_pages` (6.1), which can also move what is in the way.
    ///
    /// # Errors
    /// [`Error::FrameCount`] for 0; [`Error::OutOfMemory`] with the request's order if no such run is free: see
    /// [`largest_free_range`](Self::largest_free_range); [`Error::CannotZero`].
    pub fn allocate_contiguous(&mut self, frames: u64, request: Request) -> Result<PhysRange, Error> {
        if frames == 0 {
            return Err(Error::FrameCount { frames });
        }
        self.can_fill(request)?;
        let found = self.zonelist.candidates(request).find_map(|z| self.find_run(z, frames, request));
        let Some(start) = found else { return Err(self.out_of_memory(Request { above: 1, ..request })) };
        let range = frame_range(start, start + frames)?;
        self.take_range(range)?;
        self.finish(request, range)?;
        Ok(range)
    }

    /// Returns the free memory of a zone (by its index in [`zones`](Self::zones)) as maximal ranges, ascending.
    ///
    /// Takes time proportional to the number of blocks and of frames that are in none.
    pub fn free_ranges(&self, zone: usize) -> impl Iterator<Item = PhysRange> {
        let mut pfn = self.zones.get(zone).map_or(0..0, |zone| zone.span.start_pfn..zone.span.end_pfn());
        core::iter::from_fn(move || {
            let run = self.next_run(zone, pfn.clone())?;
            pfn.start = run.end;
            frame_range(run.start, run.end).ok()
        })
    }

    /// Returns the largest range of free frames that lies in one zone, the lowest of equals; `None` if nothing is free.
    #[must_use]
    pub fn largest_free_range(&self) -> Option<PhysRange> {
        let all = (0..self.zones.len()).flat_map(|zone| self.free_ranges(zone));
        all.reduce(|best, range| if range.size() > best.size() { range } else { best })
    }

    /// Returns the part of a zone that lies inside the request's limits, if the zone may give so much.
    pub(crate) fn window(&self, zone: usize, frames: u64, request: Request) -> Option<Range<u64>> {
        let (state, marks) = (&self.zones[zone], &self.watermarks[zone]);
        let window = request.above.max(state.span.start_pfn)..request.below.min(state.span.end_pfn());
        (!window.is_empty() && above_mark(state, marks, request, frames, marks.mark(request.priority)))
            .then_some(window)
    }

    /// Returns the lowest place for a run of frames in a zone.
    fn find_run(&self, zone: usize, frames: u64, request: Request) -> Option<u64> {
        let mut window = self.window(zone, frames, request)?;
        let align = 1u64.checked_shl(request.order.max(request.align_order).into())?;
        loop {
            let run = self.next_run(zone, window.clone())?;
            let start = run.start.checked_next_multiple_of(align)?;
            if start.checked_add(frames)? <= run.end {
                return Some(start);
            }
            window.start = run.end;
        }
    }

    /// Returns the first run of free frames of a zone in the window, as long as it is.
    fn next_run(&self, zone: usize, window: Range<u64>) -> Option<Range<u64>> {
        let mut run: Option<Range<u64>> = None;
        let mut pfn = window.start;
        while pfn < window.end {
            let (end, free) = self.piece(zone, pfn);
            let end = end.min(window.end);
            match (&mut run, free) {
                (Some(run), true) => run.end = end,
                (None, true) => run = Some(pfn..end),
                (Some(_), false) => break,
                (None, false) => {}
            }
            pfn = end;
        }
        run
    }

    /// Returns where the piece of memory that `pfn` lies in ends, and whether it is free and the zone's.
    fn piece(&self, zone: usize, pfn: u64) -> (u64, bool) {
        let Ok(frame) = self.sections.frame(pfn) else {
            return (self.sections.next_present(pfn), false);
        };
        match self.block_of(frame) {
            Some((start, state, order)) if order <= MAX_ORDER => {
                let end = self.sections.pfn(start) + (1 << order);
                let ours = page(&self.pages, start).is_ok_and(|page| self.zonelist.zone_of(page) == Ok(zone));
                (end.max(pfn + 1), state == FrameState::Free && ours)
            }
            _ => (pfn + 1, false),
        }
    }
}

/// Returns a place for a block inside the request's limits, in the smallest free block of a zone that has one: that block,
/// its order, and the place.
pub(crate) fn find_block(
    pages: &Pages<'_>,
    sections: &Sections,
    zone: &ZoneState,
    request: Request,
) -> Option<(Frame, u8, Frame)> {
    let window = request.above.max(zone.span.start_pfn)..request.below.min(zone.span.end_pfn());
    let (size, align) = (1 << request.order, 1 << request.order.max(request.align_order));
    if window.is_empty() {
        return None;
    }
    (request.order..=MAX_ORDER).find_map(|order| {
        free_list(pages, zone, order).find_map(|block| {
            let first = sections.pfn(block);
            let start = first.max(window.start).checked_next_multiple_of(align)?;
            let place = Frame(block.0 + (start - first) as u32);
            (start + size <= window.end.min(first + (1 << order))).then_some((block, order, place))
        })
    })
}

/// Returns the blocks of a free list, the next to be handed out first.
pub(crate) fn free_list(pages: &Pages<'_>, zone: &ZoneState, order: u8) -> impl Iterator<Item = Frame> {
    let area = zone.free_area.get(usize::from(order)).copied().unwrap_or(FreeArea::EMPTY);
    let mut next = area.head;
    // The count bounds the walk, should the links be damaged.
    core::iter::from_fn(move || {
        let frame = next;
        next = pages.get(frame)?.next;
        Some(frame)
    })
    .take(area.blocks as usize)
}
