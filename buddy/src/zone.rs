// SPDX-License-Identifier: MIT OR Apache-2.0
//! One zone: what taking and giving back a block does to its maps and its numbers. No locks, no choice of zone.

use crate::allocator::cut;
use crate::map::{Block, FrameMap, TILE_ORDER};
use crate::piece::{Piece, State};
use crate::rings::End;
use crate::runs::{Place, section_start};
use crate::shares::Shares;
use crate::tree::Leaf;
use crate::{Error, Fault};
use core::ops::Range;
use handoff::{MAX_ORDER, NONE, ORDERS, SECTION_FRAMES, ZoneState};

/// A zone's pieces and maps. Its numbers are in a [`ZoneState`], which each call is given.
pub(crate) struct Zone<'a> {
    pub(crate) pieces: &'a mut [Piece],
    pub(crate) maps: Shares<'a>,
    /// Free frames, those of dormant sections too.
    pub(crate) free: u64,
    /// For each order of blocks in tiles, where the last one came from. Only a hint: any value will do.
    spots: [Spot; TILE_ORDER as usize],
}

/// A tile of a map.
#[derive(Clone, Copy)]
struct Spot {
    map: u32,
    tile: u32,
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

/// Returns the order on whose ring to look next: small blocks come from cut tiles, or from the smallest blocks of tiles.
const fn next_ring(ring: u8) -> u8 {
    if ring < TILE_ORDER { TILE_ORDER } else { ring + 1 }
}

pub(crate) const fn corrupt(pfn: u64, fault: Fault) -> Error {
    Error::Corrupt { pfn, fault }
}

impl<'a> Zone<'a> {
    /// Returns a zone of these pieces, with so many free frames, that has no maps yet.
    pub(crate) const fn new(pieces: &'a mut [Piece], free: u64) -> Self {
        Self { pieces, maps: Shares::new(), free, spots: [Spot { map: NONE, tile: 0 }; TILE_ORDER as usize] }
    }

    /// Takes a block; `None` if no map has one. Returns the number of its first frame.
    ///
    /// Linux: `__rmqueue_smallest` and `expand` (6.1).
    #[inline]
    pub(crate) fn take(&mut self, state: &mut ZoneState, order: u8) -> Result<Option<u64>, Error> {
        match self.take_again(order) {
            None => self.take_elsewhere(state, order),
            taken => Ok(taken),
        }
    }

    /// Takes a block from where the last one of this order came from, if there is another.
    #[inline]
    pub(crate) fn take_again(&mut self, order: u8) -> Option<u64> {
        let Spot { map: number, tile } = *self.spots.get(usize::from(order))?;
        let map = self.maps.get_mut(number)?;
        let frame = map.take_in_tile(tile, order)?;
        self.free = self.free.wrapping_sub(1 << order);
        Some(section_start(map.section) + u64::from(frame))
    }

    /// Takes a block from where the one before did not come from: a small one from a tile that is cut already, else from the smallest
    /// sufficient block.
    #[inline(never)]
    pub(crate) fn take_elsewhere(&mut self, state: &mut ZoneState, order: u8) -> Result<Option<u64>, Error> {
        let mut ring = order;
        while ring <= MAX_ORDER {
            let number = state.free_area[usize::from(ring)].first_map;
            let Some(map) = self.maps.get_mut(number) else {
                if number != NONE {
                    return Err(corrupt(0, Fault::Missing));
                }
                ring = next_ring(ring);
                continue;
            };
            let cut = ring < TILE_ORDER;
            let found = if cut { map.find_tile(ring) } else { map.take_tiles(ring, order.max(TILE_ORDER)) };
            let Some(tile) = found else {
                // The last map stays on the ring: it is likely to have such a block again soon.
                if map.links[usize::from(ring)].next == number {
                    ring = next_ring(ring);
                } else {
                    self.unlink(state, ring, number)?;
                }
                continue;
            };
            let start = section_start(map.section);
            let mut frame = tile << TILE_ORDER;
            if let Some(spot) = self.spots.get_mut(usize::from(order)) {
                if !cut {
                    map.cut(tile);
                }
                *spot = Spot { map: number, tile };
                frame = map.take_in_tile(tile, order).ok_or(corrupt(start, Fault::Summary))?;
            }
            let gained = map.orders() & !map.listed;
            self.free = self.free.wrapping_sub(1 << order);
            if gained != 0 {
                self.link_all(state, gained, number, End::First)?;
            }
            return Ok(Some(start + u64::from(frame)));
        }
        Ok(None)
    }

    /// Writes into the zone's numbers how many blocks are free now.
    pub(crate) fn count_blocks(&self, state: &mut ZoneState) {
        let mut blocks = [0; ORDERS];
        let maps = self.pieces.iter().take(state.used_pieces as usize).filter_map(|piece| self.maps.get(piece.map()));
        maps.for_each(|map| map.count(&mut blocks));
        state.free_area.iter_mut().zip(blocks).for_each(|(area, blocks)| area.blocks = blocks);
    }

    /// Returns the largest order that the zone has a free block of.
    pub(crate) fn largest_free_order(&self, state: &ZoneState) -> Option<u8> {
        if state.dormant.count > 0 {
            return Some(MAX_ORDER);
        }
        (0..=MAX_ORDER).rev().find(|order| self.first_with(state, *order).is_some())
    }

    /// Returns the first map on a ring that has a free block of exactly this order.
    pub(crate) fn first_with(&self, state: &ZoneState, order: u8) -> Option<u32> {
        let mut number = state.free_area.get(usize::from(order))?.first_map;
        for _ in 0..self.maps.len() {
            let map = self.maps.get(number)?;
            if map.has(order) {
                return Some(number);
            }
            number = map.links[usize::from(order)].next;
        }
        None
    }

    /// Merges an allocated block with its free buddies.
    pub(crate) fn release(&mut self, state: &mut ZoneState, number: u32, frame: u32, order: u8) -> Result<(), Error> {
        let map = self.map(number)?;
        map.release(frame, order);
        self.free = self.free.wrapping_add(1 << order);
        self.relist(state, number)
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
        map.withdraw(block);
        let rest = [block.start..wanted.start, wanted.end..block.end()];
        describe(map, rest[0].clone(), Leaf::Allocated);
        describe(map, wanted.clone(), becomes);
        describe(map, rest[1].clone(), Leaf::Allocated);
        // With what was wanted out of the way, nothing merges to what was there.
        rest.into_iter().flat_map(parts).for_each(|(start, order)| map.release(start, order));
        self.free = self.free.wrapping_sub(wanted.len() as u64);
        self.relist(state, number)
    }

    /// Keeps the first frames of an allocated block, up to `end`, and releases the rest.
    pub(crate) fn trim(&mut self, state: &mut ZoneState, number: u32, block: Block, end: u32) -> Result<(), Error> {
        let map = self.map(number)?;
        describe(map, block.start..end, Leaf::Allocated);
        describe(map, end..block.end(), Leaf::Allocated);
        parts(end..block.end()).for_each(|(start, order)| map.release(start, order));
        self.free = self.free.wrapping_add((block.end() - end).into());
        self.relist(state, number)
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
        parts(frames.clone()).for_each(|(start, order)| map.release(start, order));
        let gained = map.orders() & !map.listed;
        self.free = self.free.wrapping_add(frames.len() as u64);
        if gained != 0 {
            self.link_all(state, gained, number, end)?;
        }
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
