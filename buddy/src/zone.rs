// SPDX-License-Identifier: MIT OR Apache-2.0
//! One zone: what taking and giving back a block does to its maps and its numbers. No locks, no choice of zone.

use crate::allocator::cut;
use crate::map::{Block, FrameMap};
use crate::piece::{Piece, State};
use crate::rings::End;
use crate::runs::{Place, section_start};
use crate::shares::Shares;
use crate::tree::Leaf;
use crate::{Error, Fault};
use core::ops::Range;
use handoff::{MAX_ORDER, SECTION_FRAMES, ZoneState};

/// A zone's pieces and maps. Its numbers are in a [`ZoneState`], which each call is given.
pub(crate) struct Zone<'a> {
    pub(crate) pieces: &'a mut [Piece],
    pub(crate) maps: Shares<'a>,
}

/// What a frame is, and how far that goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// What it is; never [`Leaf::Body`].
    pub(crate) leaf: Leaf,
    /// The block: its first frame, by number, and its order. A dormant or giant section is one of order 15.
    pub(crate) start: u64,
    pub(crate) order: u8,
}

impl Found {
    pub(crate) const fn end(self) -> u64 {
        self.start + (1 << self.order)
    }
}

/// The order of a whole section.
pub(crate) const SECTION_ORDER: u8 = SECTION_FRAMES.ilog2() as u8;

/// Returns the smallest order of at least `order` that the zone has a free block of, in a map.
#[inline]
pub(crate) fn smallest(state: &ZoneState, order: u8) -> Option<u8> {
    (order..=MAX_ORDER).find(|order| state.free_area[usize::from(*order)].blocks != 0)
}

pub(crate) const fn corrupt(pfn: u64, fault: Fault) -> Error {
    Error::Corrupt { pfn, fault }
}

impl<'a> Zone<'a> {
    /// Takes a block out of one of order `from`, the [smallest] sufficient one that is in a map, and splits that. Returns the number of
    /// its first frame.
    ///
    /// Linux: `__rmqueue_smallest` and `expand` (6.1).
    #[inline]
    pub(crate) fn take_from(&mut self, state: &mut ZoneState, from: u8, order: u8) -> Result<u64, Error> {
        let number = self.first_map(state, from)?;
        let map = self.map(number)?;
        let before = map.orders();
        let start = section_start(map.section);
        let frame = map.take(from, order, &mut state.free_area).ok_or(corrupt(start, Fault::Summary))?;
        self.relist(state, number, before)?;
        Ok(start + u64::from(frame))
    }

    /// Takes up to `count` blocks and passes each to `each`; returns how many. Which ones is what as many calls of [`take_from`](Self::take_from)
    /// would take, but a larger block is cut into all its parts at once.
    ///
    /// Linux: `rmqueue_bulk` (6.1).
    #[cfg(feature = "spin")]
    pub(crate) fn take_many(
        &mut self,
        state: &mut ZoneState,
        wanted: u8,
        count: usize,
        mut each: impl FnMut(u64),
    ) -> Result<usize, Error> {
        let mut taken = 0;
        while taken < count {
            let Some(order) = smallest(state, wanted) else { break };
            // As large a block as is needed in one piece, or the largest part of it that is.
            let parts = ((count - taken).ilog2() as u8).min(order - wanted);
            let from = self.first_map(state, order)?;
            let block = self.take_from(state, order, wanted + parts)?;
            let map = self.map(from)?;
            for part in 0..1u64 << parts {
                let pfn = block + (part << wanted);
                map.describe((pfn % SECTION_FRAMES) as u32, wanted, Leaf::Allocated);
                each(pfn);
            }
            taken += 1 << parts;
        }
        Ok(taken)
    }

    /// Merges an allocated block with its free buddies.
    #[inline]
    pub(crate) fn release(&mut self, state: &mut ZoneState, number: u32, frame: u32, order: u8) -> Result<(), Error> {
        let map = self.map(number)?;
        let before = map.orders();
        map.release(frame, order, &mut state.free_area);
        self.relist(state, number, before)
    }

    /// Returns what a frame is.
    pub(crate) fn find(&self, place: Place, pfn: u64) -> Result<Found, Error> {
        let base = pfn - u64::from(place.frame);
        let section = |leaf| Ok(Found { leaf, start: base, order: SECTION_ORDER });
        match self.piece(place.piece, pfn)? {
            State::Kept => Ok(Found { leaf: Leaf::Kept, start: pfn, order: 0 }),
            State::Dormant { .. } => section(Leaf::Free),
            State::Giant => section(Leaf::Allocated),
            State::Online { map } => {
                let map = self.maps.get(map).ok_or(corrupt(pfn, Fault::Missing))?;
                let Block { start, order, leaf } = map.block_of(place.frame).ok_or(corrupt(pfn, Fault::Overlap))?;
                Ok(Found { leaf, start: base + u64::from(start), order })
            }
        }
    }

    pub(crate) fn piece(&self, piece: u32, pfn: u64) -> Result<State, Error> {
        self.pieces.get(piece as usize).map(|piece| piece.state()).ok_or(corrupt(pfn, Fault::Missing))
    }

    pub(crate) fn set_piece(&mut self, piece: u32, state: State) {
        if let Some(entry) = self.pieces.get_mut(piece as usize) {
            *entry = Piece::new(state);
        }
    }

    #[inline]
    pub(crate) fn map(&mut self, number: u32) -> Result<&mut FrameMap, Error> {
        self.maps.get_mut(number).ok_or(corrupt(0, Fault::Missing))
    }

    /// Takes the frames `wanted` out of a free block, which is in a map; the rest of it stays free.
    pub(crate) fn carve(
        &mut self,
        state: &mut ZoneState,
        number: u32,
        block: Block,
        wanted: Range<u32>,
        becomes: Leaf,
    ) -> Result<(), Error> {
        let map = self.map(number)?;
        let before = map.orders();
        map.withdraw(block, &mut state.free_area);
        let rest = [block.start..wanted.start, wanted.end..block.end()];
        describe(map, rest[0].clone(), Leaf::Allocated);
        describe(map, wanted, becomes);
        describe(map, rest[1].clone(), Leaf::Allocated);
        // With what was wanted out of the way, nothing merges to what was there.
        rest.into_iter().flat_map(parts).for_each(|(start, order)| map.release(start, order, &mut state.free_area));
        self.relist(state, number, before)
    }

    /// Keeps the first frames of an allocated block, up to `end`, and releases the rest.
    pub(crate) fn trim(&mut self, state: &mut ZoneState, number: u32, block: Block, end: u32) -> Result<(), Error> {
        let map = self.map(number)?;
        let before = map.orders();
        describe(map, block.start..end, Leaf::Allocated);
        describe(map, end..block.end(), Leaf::Allocated);
        parts(end..block.end()).for_each(|(start, order)| map.release(start, order, &mut state.free_area));
        self.relist(state, number, before)
    }

    /// Frees frames of a map that are kept; returns in how many blocks.
    pub(crate) fn give(
        &mut self,
        state: &mut ZoneState,
        number: u32,
        frames: Range<u32>,
        end: End,
    ) -> Result<u64, Error> {
        let map = self.map(number)?;
        describe(map, frames.clone(), Leaf::Allocated);
        parts(frames.clone()).for_each(|(start, order)| map.release(start, order, &mut state.free_area));
        let gained = map.orders() & !map.listed;
        for order in (0..16).filter(|order| gained >> order & 1 != 0) {
            self.link(state, order, number, end)?;
        }
        self.relist(state, number, u16::MAX)?;
        Ok(parts(frames).count() as u64)
    }
}

/// Returns the largest blocks that make up a stretch of frames.
fn parts(frames: Range<u32>) -> impl Iterator<Item = (u32, u8)> {
    cut(frames.start.into(), frames.end.into()).map(|(start, order)| (start as u32, order))
}

/// Says of frames what they are, in blocks as large as they can be.
fn describe(map: &mut FrameMap, frames: Range<u32>, leaf: Leaf) {
    parts(frames).for_each(|(start, order)| map.describe(start, order, leaf));
}
