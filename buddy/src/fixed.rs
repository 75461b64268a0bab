// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames at a fixed place: taking them, and giving up reserved ones.

use crate::exact::{frame_range, whole_frames};
use crate::hand_over::HandedOver;
use crate::pages::{page, page_mut};
use crate::zone;
use crate::{Buddy, Error, Fault};
use handoff::{FRAME_BYTES, Frame, FrameState, PhysRange};

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates the frames of one fixed range, all of which must be free; the rest of the blocks they lie in stays free.
    ///
    /// Give the range back with [`free_exact`](Self::free_exact). Linux: `alloc_contig_range` (6.1), which also moves what is
    /// in the way.
    ///
    /// # Errors
    /// The first frame that is in the way and what it is: [`Error::InUse`] (with the block), [`Error::Reserved`],
    /// [`Error::Hole`], [`Error::Foreign`], [`Error::NotHandedOver`]; [`Error::NotFrames`]. Nothing was taken.
    pub fn take_range(&mut self, range: PhysRange) -> Result<(), Error> {
        let (start, end) = whole_frames(range)?;
        let mut pfn = start;
        while pfn < end {
            pfn = self.free_block_at(pfn)?.1;
        }

        let mut pfn = start;
        while pfn < end {
            let (block, after, order) = self.free_block_at(pfn)?;
            let zone = self.zonelist.zone_of(page(&self.pages, block)?)?;
            let (first, count) = (self.sections.frame(pfn)?, after.min(end) - pfn);
            zone::carve(&mut self.pages, &mut self.zones[zone], block, order, first.0..first.0 + count as u32)?;
            pfn = after;
        }
        Ok(())
    }

    /// Returns the free block a frame lies in: its first frame, the number of the frame after its last, its order.
    fn free_block_at(&self, pfn: u64) -> Result<(Frame, u64, u8), Error> {
        let frame = self.sections.frame(pfn)?;
        match self.block_of(frame) {
            Some((block, FrameState::Free, order)) if order <= handoff::MAX_ORDER => {
                Ok((block, self.sections.pfn(block) + (1 << order), order))
            }
            Some((frame, FrameState::Free, _)) => Err(Error::Corrupt { frame, fault: Fault::NotOnThisList }),
            _ => Err(self.why_not(frame)),
        }
    }

    /// Gives the whole frames of a reserved range to the allocator, which manages them from now on.
    ///
    /// For the boot's own memory once it is not needed any more. The range is rounded inward: a frame of which a part is
    /// still needed stays. Takes time proportional to the number of frames. Linux: `free_reserved_area` (6.1).
    ///
    /// # Errors
    /// The first frame that is not reserved ([`Error::NotReserved`]), or whose section is absent, or that lies outside its
    /// zone ([`Error::Zone`]). Nothing was given.
    pub fn free_reserved(&mut self, range: PhysRange) -> Result<HandedOver, Error> {
        let mut total = HandedOver::default();
        let Some(range) = range.inward() else { return Ok(total) };
        let (mut start, end) = (range.start() / FRAME_BYTES, range.end() / FRAME_BYTES);
        for pfn in start..end {
            let frame = self.sections.frame(pfn)?;
            let span = &self.zones[self.zone_at(pfn)?].span;
            if page(&self.pages, frame)?.state() != FrameState::Reserved {
                return Err(Error::NotReserved { pfn });
            }
            if !(span.start_pfn..span.end_pfn()).contains(&pfn) {
                return Err(Error::Zone { node: span.node, kind: span.kind });
            }
        }

        for pfn in start..end {
            page_mut(&mut self.pages, self.sections.frame(pfn)?)?.set_state(FrameState::Body);
        }
        // Zone by zone: unlike free memory, a reservation may reach over the border of two nodes.
        while start < end {
            let zone = self.zone_at(start);
            let stop = (start..end).find(|pfn| self.zone_at(*pfn) != zone).unwrap_or(end);
            total += self.hand_over_range(frame_range(start, stop)?)?;
            start = stop;
        }
        Ok(total)
    }

    /// Returns the index of the zone a frame belongs to.
    fn zone_at(&self, pfn: u64) -> Result<usize, Error> {
        self.zonelist.zone_of(page(&self.pages, self.sections.frame(pfn)?)?)
    }
}
