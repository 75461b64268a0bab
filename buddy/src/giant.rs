// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blocks beyond the largest order: adjacent free blocks, or whole sections.

use crate::allocator::physical;
use crate::exact::frame_range;
use crate::piece::State;
use crate::runs::{section, section_start};
use crate::tree::Leaf;
use crate::zone::SECTION_ORDER;
use crate::{Buddy, Error, Request};
use core::ops::Range;
use handoff::MAX_ORDER;
use x86_64::structures::paging::PhysFrame;

/// The largest order of a giant block: 2^18 frames, 1 GiB.
pub const MAX_GIANT_ORDER: u8 = 18;

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates 2^order adjacent frames of one zone, order 11 to 18, that start at a multiple of their size; returns the
    /// first.
    ///
    /// The lowest place is taken, in time proportional to the number of sections. From order 15 on, 128 MiB, a block consists of
    /// whole sections and needs no [`FrameMap`](crate::FrameMap). Give its bytes back
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
        let Some((zone, start)) = found else { return Err(self.out_of_memory(request)) };

        let range = frame_range(start, start + (1 << order))?;
        if order >= SECTION_ORDER {
            self.retire_sections(zone, start..start + (1 << order))?;
        }
        self.take_range(range)?;
        self.finish(request, range)?;
        Ok(physical(start))
    }

    /// Makes sections dormant that are free as a whole.
    fn retire_sections(&mut self, zone: usize, frames: Range<u64>) -> Result<(), Error> {
        let Self { states, zones, runs, .. } = self;
        let (zone, state) = (&mut zones[zone], &mut states[zone]);
        for (place, _) in runs.stretches(frames) {
            if let State::Online { map } = zone.piece(place.piece, 0)? {
                zone.retire(state, map)?;
                zone.put_to_sleep(state, place.piece)?;
            }
        }
        Ok(())
    }

    /// Returns the lowest place in a zone where a giant block is free.
    fn find_giant(&self, zone: usize, request: Request) -> Option<u64> {
        let size = 1 << request.order;
        let mut window = self.window(zone, size, request)?;
        window.start = window.start.checked_next_multiple_of(size)?;
        while window.start.checked_add(size)? <= window.end {
            let start = window.start;
            match self.obstacle(zone, start..start + size) {
                None => return Some(start),
                Some(obstacle) => window.start = obstacle.checked_add(1)?.checked_next_multiple_of(size)?,
            }
        }
        None
    }

    /// Returns the last frame known not to be part of a free block of the largest order of a zone, or after which there is none
    /// for long.
    fn obstacle(&self, zone: usize, frames: Range<u64>) -> Option<u64> {
        if frames.end - frames.start >= 1 << SECTION_ORDER {
            let mut sections = section(frames.start)..section(frames.end);
            return sections.rfind(|section| !self.is_free_section(zone, *section)).map(section_start);
        }
        let blocks = (frames.end - frames.start) >> MAX_ORDER;
        let mut blocks = (0..blocks).map(|block| frames.start + (block << MAX_ORDER));
        blocks.rfind(|pfn| !self.is_free_top_block(*pfn, zone))
    }

    fn is_free_section(&self, zone: usize, section: u32) -> bool {
        let start = section_start(section);
        let Ok(place) = self.runs.place(start) else { return false };
        let own = &self.zones[place.zone];
        place.zone == zone
            && match own.piece(place.piece, start) {
                Ok(State::Dormant { .. }) => true,
                Ok(State::Online { map }) => own.maps.get(map).is_some_and(crate::FrameMap::is_free),
                _ => false,
            }
    }

    fn is_free_top_block(&self, pfn: u64, zone: usize) -> bool {
        let found = self.find(pfn);
        found.is_ok_and(|(place, found)| place.zone == zone && found.leaf == Leaf::Free && found.order >= MAX_ORDER)
    }
}
