// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames at a fixed place: taking them, and giving up reserved ones.

use crate::allocator::why_not;
use crate::exact::whole_frames;
use crate::hand_over::HandedOver;
use crate::map::Block;
use crate::online::Means;
use crate::piece::State;
use crate::tree::Leaf;
use crate::zone::corrupt;
use crate::{Buddy, Error, Fault};
use core::ops::Range;
use handoff::{PhysRange, SECTION_FRAMES};

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates the frames of one fixed range, all of which must be free; the rest of the blocks they lie in stays free.
    ///
    /// Dormant sections that are taken as a whole need no map. Give the range back with [`free_exact`](Self::free_exact).
    /// Linux: `alloc_contig_range` (6.1), which also moves what is in the way.
    ///
    /// # Errors
    /// The first frame that is in the way and what it is: [`Error::InUse`] (with the block), [`Error::Reserved`],
    /// [`Error::Foreign`]; [`Error::NotFrames`], [`Error::NoMap`]. Nothing was taken.
    pub fn take_range(&mut self, range: PhysRange) -> Result<(), Error> {
        let (start, end) = whole_frames(range)?;
        self.take_frames(start..end, Leaf::Allocated)
    }

    /// Makes free frames allocated or kept.
    pub(crate) fn take_frames(&mut self, frames: Range<u64>, becomes: Leaf) -> Result<(), Error> {
        self.check_free(frames.clone())?;
        let Self { states, zones, runs, growth, .. } = self;
        // Maps first, so that nothing can fail later.
        for (place, part) in runs.stretches(frames.clone()) {
            let (zone, state) = (&mut zones[place.zone], &mut states[place.zone]);
            if part.end - part.start < SECTION_FRAMES {
                let means = Means { wanted: (frames.start, frames.end), ..Means::new(place.zone, runs, *growth) };
                zone.wake(state, means, place.piece)?;
            }
        }
        self.check_free(frames.clone())?;

        let Self { states, zones, runs, .. } = self;
        for (place, part) in runs.stretches(frames) {
            let (zone, state) = (&mut zones[place.zone], &mut states[place.zone]);
            let (mut at, end) = (place.frame, place.frame + (part.end - part.start) as u32);
            match zone.piece(place.piece, part.start)? {
                State::Online { map } => {
                    while at < end {
                        let found = zone.map(map)?.block_of(at).filter(|block| block.leaf == Leaf::Free);
                        let block: Block = found.ok_or(corrupt(part.start, Fault::Overlap))?;
                        zone.carve(state, map, block, at..end.min(block.end()), becomes)?;
                        at = block.end();
                    }
                }
                _ => {
                    zone.awake(state, place.piece)?;
                    zone.free = zone.free.wrapping_sub(SECTION_FRAMES);
                    zone.set_piece(place.piece, if becomes == Leaf::Kept { State::Kept } else { State::Giant });
                }
            }
        }
        Ok(())
    }

    fn check_free(&self, frames: Range<u64>) -> Result<(), Error> {
        let mut pfn = frames.start;
        while pfn < frames.end {
            let (_, found) = self.find(pfn)?;
            if found.leaf != Leaf::Free {
                return Err(why_not(pfn, found));
            }
            // A block may go on where its run ends, in a run that touches it.
            pfn = found.end();
        }
        Ok(())
    }

    /// Gives the whole frames of a reserved range to the allocator, which manages them from now on.
    ///
    /// For the boot's own memory once it is not needed any more. The range is rounded inward: a frame of which a part is
    /// still needed stays. Takes time proportional to the number of frames. Linux: `free_reserved_area` (6.1).
    ///
    /// # Errors
    /// The first frame that is not reserved ([`Error::NotReserved`]) or no memory ([`Error::Foreign`]): nothing was given.
    /// [`Error::NoMap`].
    pub fn free_reserved(&mut self, range: PhysRange) -> Result<HandedOver, Error> {
        let Some(range) = range.inward() else { return Ok(HandedOver::default()) };
        let maps = self.zones.iter().flat_map(|zone| zone.maps.own()).find_map(|own| own.intersection(range));
        if let Some(maps) = maps {
            return Err(Error::NotReserved { pfn: whole_frames(maps)?.0 });
        }
        self.hand_over_range(range).map_err(|error| match error {
            Error::AlreadyFree { pfn, .. } | Error::InUse { pfn, .. } => Error::NotReserved { pfn },
            error => error,
        })
    }
}
