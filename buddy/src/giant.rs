// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blocks beyond the largest order, found by looking for adjacent free blocks.

use crate::exact::frame_range;
use crate::pages::page;
use crate::{Buddy, Error, Request};
use crate::{list, zone};
use handoff::{Frame, FrameState, MAX_ORDER};
use x86_64::structures::paging::PhysFrame;

/// The largest order of a giant block: 2^18 frames, 1 GiB.
pub const MAX_GIANT_ORDER: u8 = 18;

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates 2^order adjacent frames of one zone, order 11 to 18, that start at a multiple of their size; returns the
    /// first.
    ///
    /// Slow: it looks through the zone in steps of 4 MiB. The lowest place is taken. Give its bytes back
    /// with [`free_exact`](Self::free_exact). Linux: `alloc_contig_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there are not enough adjacent free blocks of the largest order; [`Error::Order`] for more
    /// than 18. Orders up to 10 are allocated as [`allocate_with`](Self::allocate_with) does.
    pub fn allocate_giant(&mut self, request: Request) -> Result<PhysFrame, Error> {
        let order = request.order;
        if order <= MAX_ORDER {
            return self.allocate_with(request);
        }
        if order > MAX_GIANT_ORDER {
            return Err(Error::Order { order, max: MAX_GIANT_ORDER });
        }
        self.can_fill(request)?;
        let found = self.zonelist.candidates(request).find_map(|z| Some((z, self.find_giant(z, request)?)));
        let Some((index, start)) = found else { return Err(self.out_of_memory(request)) };

        for pfn in blocks(start, order) {
            let block = self.sections.frame(pfn)?;
            list::unlink(&mut self.pages, &mut self.zones[index].free_area[usize::from(MAX_ORDER)], block)?;
            zone::mark_allocated(&mut self.pages, block, MAX_ORDER)?;
        }
        self.finish(request, frame_range(start, start + (1 << order))?)?;
        Ok(self.physical(self.sections.frame(start)?))
    }

    /// Returns the lowest place in a zone where a giant block is free.
    fn find_giant(&self, zone: usize, request: Request) -> Option<u64> {
        let order = request.order;
        let window = self.window(zone, 1 << order, request)?;
        let mut start = window.start.checked_next_multiple_of(1 << order)?;
        while start.checked_add(1 << order)? <= window.end {
            match blocks(start, order).rev().find(|pfn| !self.is_free_top_block(*pfn, zone)) {
                None => return Some(start),
                // Go on behind the last obstacle.
                Some(obstacle) => start = (obstacle + 1).checked_next_multiple_of(1 << order)?,
            }
        }
        None
    }

    fn is_free_top_block(&self, pfn: u64, zone: usize) -> bool {
        let page = self.sections.frame(pfn).and_then(|frame: Frame| page(&self.pages, frame));
        page.is_ok_and(|page| {
            page.state() == FrameState::Free && page.order() == MAX_ORDER && self.zonelist.zone_of(page) == Ok(zone)
        })
    }
}

/// Returns the numbers of the first frames of the largest blocks that make up a giant one.
fn blocks(start: u64, order: u8) -> impl DoubleEndedIterator<Item = u64> {
    (0..1u64 << (order - MAX_ORDER)).map(move |block| start + (block << MAX_ORDER))
}
