// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking for memory at particular addresses, or more of it than one block has.

use crate::allocate::above_mark;
use crate::exact::frame_range;
use crate::online::Means;
use crate::piece::State;
use crate::runs::section_start;
use crate::tree::Leaf;
use crate::zone::{Found, SECTION_ORDER, Zone, corrupt};
use crate::{Buddy, Error, Fault, Request};
use core::ops::Range;
use handoff::{MAX_ORDER, PhysRange, ZoneState};

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
    /// [`largest_free_range`](Self::largest_free_range); [`Error::CannotZero`], [`Error::NoMap`].
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
    /// Takes time proportional to the number of sections, and to that of blocks in maps.
    pub fn free_ranges(&self, zone: usize) -> impl Iterator<Item = PhysRange> {
        let mut pfn = self.states.get(zone).map_or(0..0, |zone| zone.span.start_pfn..zone.span.end_pfn());
        core::iter::from_fn(move || {
            let run = self.next_run(zone, pfn.clone())?;
            pfn.start = run.end;
            frame_range(run.start, run.end).ok()
        })
    }

    /// Returns the largest range of free frames that lies in one zone, the lowest of equals; `None` if nothing is free.
    #[must_use]
    pub fn largest_free_range(&self) -> Option<PhysRange> {
        let all = (0..self.states.len()).flat_map(|zone| self.free_ranges(zone));
        all.reduce(|best, range| if range.size() > best.size() { range } else { best })
    }

    /// Returns the part of a zone that lies inside the request's limits, if the zone may give so much.
    pub(crate) fn window(&self, zone: usize, frames: u64, request: Request) -> Option<Range<u64>> {
        let (state, marks) = (&self.states[zone], &self.watermarks[zone]);
        let window = request.above.max(state.span.start_pfn)..request.below.min(state.span.end_pfn());
        (!window.is_empty() && above_mark(self.zones[zone].free, marks, request, frames, marks.mark(request.priority)))
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
        let mut found: Option<Range<u64>> = None;
        for (place, part) in self.runs.stretches(window).filter(|(place, _)| place.zone == zone) {
            let mut pfn = part.start;
            while pfn < part.end {
                let at = crate::runs::Place { frame: place.frame + (pfn - part.start) as u32, ..place };
                let here = self.zones[zone].find(at, pfn).ok();
                let end = here.map_or(part.end, Found::end).min(part.end);
                let free = here.is_some_and(|found| found.leaf == Leaf::Free);
                match &mut found {
                    Some(run) if free && run.end == pfn => run.end = end,
                    Some(_) => return found,
                    None if free => found = Some(pfn..end),
                    None => {}
                }
                pfn = end;
            }
        }
        found
    }
}

impl<'a> Zone<'a> {
    /// Takes a block inside the request's limits out of the smallest free block that has room for it there; of these, the lowest.
    pub(crate) fn take_inside(
        &mut self,
        state: &mut ZoneState,
        means: Means<'_, 'a>,
        request: Request,
    ) -> Result<Option<u64>, Error> {
        let (size, align) = (1 << request.order, 1 << request.order.max(request.align_order));
        let window = request.above.max(state.span.start_pfn)..request.below.min(state.span.end_pfn());
        let fits = |start: u64, order: u8| {
            let place = start.max(window.start).checked_next_multiple_of(align)?;
            (place.checked_add(size)? <= window.end.min(start + (1 << order))).then_some(place)
        };
        for order in request.order..=MAX_ORDER {
            for part in means.runs.parts(means.zone) {
                let start = section_start(part.section);
                let State::Online { map: number } = self.piece(part.piece, start)? else { continue };
                let map = self.map(number)?;
                if map.orders() >> order & 1 == 0 || fits(start, SECTION_ORDER).is_none() {
                    continue;
                }
                let place = map.free_blocks(order).find_map(|block| fits(start + u64::from(block), order));
                let Some(pfn) = place else { continue };
                let first = (pfn - start) as u32;
                let block = map.block_of(first).ok_or(corrupt(pfn, Fault::Overlap))?;
                self.carve(state, number, block, first..first + size as u32, Leaf::Allocated)?;
                return Ok(Some(pfn));
            }
        }
        let dormant = means.runs.parts(means.zone).find(|part| {
            let state = self.piece(part.piece, 0);
            matches!(state, Ok(State::Dormant { .. })) && fits(section_start(part.section), SECTION_ORDER).is_some()
        });
        let Some(part) = dormant else { return Ok(None) };
        self.wake(state, means, part.piece)?;
        self.take_inside(state, means, request)
    }
}
