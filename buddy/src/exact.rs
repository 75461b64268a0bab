// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs of frames whose number is not a power of two.

use crate::pages::page;
use crate::zone::{self, Placement};
use crate::{Buddy, Error, Request};
use handoff::{FRAME_BYTES, FrameState, MAX_ORDER, PhysRange};

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates exactly `frames` adjacent frames, 1 to 1024, and returns their range.
    ///
    /// They start at a multiple of the next power of two, or of the request's order if that is more; zones and node are
    /// the request's. The tail that is not needed is free again. Give the range back with [`free_exact`](Self::free_exact). Linux:
    /// `alloc_pages_exact` (6.1), which leaves single frames instead of blocks.
    ///
    /// # Errors
    /// [`Error::FrameCount`]; [`Error::OutOfMemory`] and [`Error::Order`] as [`allocate`](Self::allocate).
    pub fn allocate_exact(&mut self, frames: u64, request: Request) -> Result<PhysRange, Error> {
        if frames == 0 || frames > 1 << MAX_ORDER {
            return Err(Error::FrameCount { frames });
        }
        let order = request.order.max(frames.next_power_of_two().ilog2() as u8);
        let block = self.take(Request { order, ..request })?;

        let zone = self.zonelist.zone_of(page(&self.pages, block)?)?;
        zone::trim(&mut self.pages, &mut self.zones[zone], block, order, frames as u32)?;
        let start = self.sections.pfn(block);
        let range = frame_range(start, start + frames)?;
        self.finish(request, range)?;
        Ok(range)
    }

    /// Gives back a range of whole allocated blocks: what [`allocate_exact`](Self::allocate_exact),
    /// [`take_range`](Self::take_range) or [`allocate_giant`](Self::allocate_giant) returned.
    ///
    /// Linux: `free_pages_exact` (6.1).
    ///
    /// # Errors
    /// The first frame of the range that is not part of an allocated block inside it, and what it is instead
    /// ([`Error::InUse`] for a block that reaches beyond the range); [`Error::NotFrames`]. Nothing was freed.
    pub fn free_exact(&mut self, range: PhysRange) -> Result<(), Error> {
        let (start, end) = whole_frames(range)?;
        let mut pfn = start;
        while pfn < end {
            pfn += self.allocated_at(pfn, end)?;
        }

        let mut pfn = start;
        while pfn < end {
            let frames = self.allocated_at(pfn, end)?;
            self.release(self.sections.frame(pfn)?, frames.ilog2() as u8, Placement::Usual)?;
            pfn += frames;
        }
        Ok(())
    }

    /// Returns the size in frames of the allocated block that starts at `pfn` and ends at or before `end`.
    fn allocated_at(&self, pfn: u64, end: u64) -> Result<u64, Error> {
        let frame = self.sections.frame(pfn)?;
        let page = page(&self.pages, frame)?;
        if page.state() == FrameState::Allocated && page.order() <= MAX_ORDER && pfn + (1 << page.order()) <= end {
            Ok(1 << page.order())
        } else {
            Err(self.why_not(frame))
        }
    }
}

/// Returns the first frame of a range and the one after its last.
pub(crate) fn whole_frames(range: PhysRange) -> Result<(u64, u64), Error> {
    if range.inward() == Some(range) {
        Ok((range.start() / FRAME_BYTES, range.end() / FRAME_BYTES))
    } else {
        Err(Error::NotFrames { range })
    }
}

/// Returns the bytes of the frames `[start, end)`.
pub(crate) fn frame_range(start: u64, end: u64) -> Result<PhysRange, Error> {
    PhysRange::new(start * FRAME_BYTES, end * FRAME_BYTES).ok_or(Error::FrameCount { frames: 0 })
}
