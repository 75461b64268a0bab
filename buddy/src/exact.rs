// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exact page counts: the tail of the last block comes back at once.

use crate::allocator::why_not;
use crate::map::Block;
use crate::piece::State;
use crate::tree::Leaf;
use crate::zone::SECTION_ORDER;
use crate::{Buddy, Error, Request};
use handoff::{FRAME_BYTES, MAX_ORDER, NONE, PhysRange, SECTION_FRAMES};

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates exactly `frames` adjacent frames, at most 1024, and returns their range.
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
        let (zone, pfn) = self.take(Request { order, ..request })?;
        let place = self.runs.place(pfn)?;
        let (zone, state, _) = self.zone(zone);
        let map = zone.pieces.get(place.piece as usize).map_or(NONE, |piece| piece.map());
        let block = Block { start: place.frame, order, leaf: Leaf::Allocated };
        zone.trim(state, map, block, place.frame + frames as u32)?;
        let range = frame_range(pfn, pfn + frames)?;
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
            let (_, found) = self.find(pfn)?;
            if found.leaf != Leaf::Allocated || found.start != pfn || found.end() > end {
                return Err(why_not(pfn, found));
            }
            pfn = found.end();
        }

        let mut pfn = start;
        while pfn < end {
            let (place, found) = self.find(pfn)?;
            let (zone, state, _) = self.zone(place.zone);
            match zone.piece(place.piece, pfn)? {
                State::Online { map } => zone.release(state, map, place.frame, found.order)?,
                _ => {
                    zone.free = zone.free.wrapping_add(SECTION_FRAMES);
                    zone.put_to_sleep(state, place.piece)?;
                }
            }
            pfn = found.end();
        }
        Ok(())
    }
}

const _: () = assert!(1 << SECTION_ORDER == SECTION_FRAMES);

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
    let bytes = |pfn: u64| pfn.checked_mul(FRAME_BYTES);
    let range = bytes(start).zip(bytes(end)).and_then(|(start, end)| PhysRange::new(start, end));
    range.ok_or(Error::FrameCount { frames: end.saturating_sub(start) })
}
