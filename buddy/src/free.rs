// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving a block back.

use crate::allocator::{pfn, why_not};
use crate::runs::{Place, Runs};
use crate::tree::Leaf;
use crate::zone::Zone;
use crate::{Buddy, Error};
use handoff::{MAX_ORDER, NONE, ZoneState};
use x86_64::structures::paging::PhysFrame;

impl<const Z: usize> Buddy<'_, Z> {
    /// Gives back the block of 2^`order` frames that starts at `frame`, and merges it with its free buddies.
    ///
    /// Always checked: what was not allocated exactly so is refused and nothing changes. What is larger than order 10 is given back with
    /// [`free_exact`](Self::free_exact). Linux: `__free_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::AlreadyFree`], [`Error::WrongOrder`], [`Error::Misaligned`], [`Error::InUse`] for a frame inside a block,
    /// [`Error::Reserved`], [`Error::Foreign`], [`Error::Order`].
    #[inline]
    pub fn free(&mut self, frame: PhysFrame, order: u8) -> Result<(), Error> {
        let pfn = pfn(frame);
        let place = check_place(&self.runs, pfn, order)?;
        match (self.zones.get_mut(place.zone), self.states.get_mut(place.zone)) {
            (Some(zone), Some(state)) => zone.free(state, place, pfn, order),
            _ => Err(Error::Foreign { pfn }),
        }
    }
}

/// Returns where the state of a block is that starts at a frame, if there can be such a block.
#[inline]
pub(crate) fn check_place(runs: &Runs, pfn: u64, order: u8) -> Result<Place, Error> {
    if order > MAX_ORDER {
        return Err(Error::Order { order, max: MAX_ORDER });
    }
    if !pfn.is_multiple_of(1 << order) {
        return Err(Error::Misaligned { pfn, order });
    }
    runs.place(pfn)
}

impl Zone<'_> {
    /// Frees a block that was allocated exactly so.
    #[inline]
    pub(crate) fn free(&mut self, state: &mut ZoneState, place: Place, pfn: u64, order: u8) -> Result<(), Error> {
        let number = self.pieces.get(place.piece as usize).map_or(NONE, |piece| piece.map());
        match self.maps.get_mut(number) {
            Some(map) if map.is_allocated(place.frame, order) => {
                map.release(place.frame, order);
                let listed = map.orders() & !map.listed == 0;
                self.free = self.free.wrapping_add(1 << order);
                if listed { Ok(()) } else { self.relist(state, number) }
            }
            _ => Err(self.why_not_free(place, pfn, order)),
        }
    }

    #[cold]
    fn why_not_free(&self, place: Place, pfn: u64, order: u8) -> Error {
        match self.find(place, pfn) {
            Err(error) => error,
            Ok(found) if found.leaf == Leaf::Allocated && found.start == pfn => {
                Error::WrongOrder { pfn, order, allocated: found.order }
            }
            Ok(found) => why_not(pfn, found),
        }
    }
}
