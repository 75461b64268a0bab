// SPDX-License-Identifier: MIT OR Apache-2.0
//! The allocator and how it comes to life.

use crate::node::Counters;
use crate::online::{Growth, Means};
use crate::piece::Piece;
use crate::runs::{MAX_PFN, Place, Runs};
use crate::tree::Leaf;
use crate::zone::{Found, Zone};
use crate::zonelist::Zonelist;
use crate::{Counter, Error, FrameMap, Mode, Plan, Watermarks};
use core::fmt;
use handoff::{FRAME_BYTES, MAX_ORDER, MAX_ZONES, MapShare, PhysRange, Run, ZoneSpan, ZoneState};
use heapless::Vec;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

/// The page-frame allocator: at most `Z` zones.
///
/// # Invariants
/// Every frame of memory is kept (reserved, or not handed over), or in exactly one block. A block starts at a multiple of its
/// size and lies in one zone of one node; no two free buddies below the largest order are left unmerged. A section of which a
/// zone has all, and which is free or allocated as a whole, needs no [`FrameMap`]. A zone's managed frames are those
/// in its blocks and those that hold its own maps. [`validate`](Self::validate) checks all of it.
///
/// Linux: `struct zone`, `mm/page_alloc.c` (6.1).
pub struct Buddy<'a, const Z: usize = MAX_ZONES> {
    pub(crate) states: Vec<ZoneState, Z>,
    pub(crate) zones: Vec<Zone<'a>, Z>,
    pub(crate) runs: Runs,
    pub(crate) zonelist: Zonelist<Z>,
    pub(crate) watermarks: Vec<Watermarks, Z>,
    pub(crate) counters: Vec<Counters, Z>,
    pub(crate) zero: Option<fn(PhysRange)>,
    pub(crate) growth: Option<Growth<'a>>,
    pub(crate) mode: Mode,
    pub(crate) refused: u64,
    /// The zone that a request without wishes tries first, if such requests may have all of it.
    pub(crate) first_zone: Option<u16>,
}

impl<'a, const Z: usize> Buddy<'a, Z> {
    /// Returns an allocator that has nothing to give yet: [`hand_over`](Self::hand_over) follows.
    ///
    /// The tables are as large as the plan says, or larger; what is in them does not matter. Maps beyond the plan are for later.
    ///
    /// # Errors
    /// [`Error::Tables`] if the tables are too small; what the plan's zones can be wrong about.
    pub fn new(plan: &Plan<Z>, pieces: &'a mut [Piece], maps: &'a mut [FrameMap]) -> Result<Self, Error> {
        let needed = (plan.pieces(), plan.maps());
        let given = (pieces.len(), maps.len());
        if given.0 < needed.0 || given.1 < needed.1 {
            return Err(Error::Tables { pieces: needed.0, maps: needed.1 });
        }
        // What is more than needed goes to the zone that may need it most.
        let mut extra = (given.1 - needed.1) as u32;
        let most = plan.zones.iter().map(|zone| zone.state.used_pieces).max();
        let (mut states, mut shares) = (Vec::<ZoneState, Z>::new(), Vec::<MapShare, Z>::new());
        for (zone, planned) in (0..).zip(&plan.zones) {
            let more = if Some(planned.state.used_pieces) == most { core::mem::take(&mut extra) } else { 0 };
            let share = MapShare { zone, maps: planned.maps + more, own: None };
            let _ = (states.push(planned.state), shares.push(share)); // as many as the plan has, which has as much room
        }
        let pieces = &mut pieces[..needed.0];
        pieces.fill(Piece::UNUSED);
        Self::assembled(plan.mode, pieces, maps, &states, plan.runs.as_slice(), &shares)
    }

    /// Returns the allocator that left these tables, in time proportional to the number of zones and runs.
    ///
    /// What is in pieces and maps is believed, but what is wrong is found when it is used ([`Error::Corrupt`]);
    /// [`validate`](Self::validate) finds all of it at once.
    ///
    /// # Errors
    /// [`Error::Zone`], [`Error::Run`], [`Error::Tables`] or [`Error::Capacity`] if the tables do not fit together;
    /// [`Error::Count`] if a zone has more free frames than it manages, or manages more than there are.
    pub fn from_parts(
        pieces: &'a mut [Piece],
        maps: &'a mut [FrameMap],
        states: &[ZoneState],
        runs: &[Run],
        shares: &[MapShare],
    ) -> Result<Self, Error> {
        Self::assembled(Mode::Lazy, pieces, maps, states, runs, shares)
    }

    /// Returns the allocator of these tables in one place: it is too large to be moved needlessly.
    fn assembled(
        mode: Mode,
        pieces: &'a mut [Piece],
        maps: &'a mut [FrameMap],
        states: &[ZoneState],
        runs: &[Run],
        shares: &[MapShare],
    ) -> Result<Self, Error> {
        let zonelist = Zonelist::new(states.iter().map(|zone| &zone.span))?;
        let total =
            |numbers: &mut dyn Iterator<Item = u32>| numbers.fold(0, |sum: usize, n| sum.saturating_add(n as usize));
        let needed = Error::Tables {
            pieces: total(&mut states.iter().map(|zone| zone.pieces)),
            maps: total(&mut shares.iter().map(|share| share.maps)),
        };
        let mut zones = Vec::<Zone<'a>, Z>::new();
        let mut rest = pieces;
        for state in states {
            let (ZoneSpan { node, kind, present, .. }, kept, free) = (state.span, state.managed, state.free());
            let counted = if kept > present { present } else { free };
            if counted > kept || kept > present {
                return Err(Error::Count { node, kind, what: Counter::Managed, kept, counted });
            }
            let (own, after) = rest.split_at_mut_checked(state.pieces as usize).ok_or(needed)?;
            zones.push(Zone::new(own, free)).map_err(|_| Error::Capacity { capacity: Z })?;
            rest = after;
        }
        let mut rest = maps;
        for share in shares {
            let (own, after) = rest.split_at_mut_checked(share.maps as usize).ok_or(needed)?;
            let zone = zones.get_mut(usize::from(share.zone)).ok_or(needed)?;
            zone.maps.push(own, share.own)?;
            rest = after;
        }
        let mut buddy = Self {
            states: states.iter().copied().collect(),
            zones,
            runs: Runs::checked(runs, states)?,
            zonelist,
            watermarks: states.iter().map(|_| Watermarks::NONE).collect(),
            counters: states.iter().map(|_| Counters::default()).collect(),
            zero: None,
            growth: None,
            mode,
            refused: 0,
            first_zone: None,
        };
        buddy.find_first_zone();
        Ok(buddy)
    }

    /// Sets the function that makes frame maps of frames, for sections that need one when there is none left.
    ///
    /// It is called with whole frames that nobody else has, maps them and returns them as `range.size() / 9216` maps, or `None` if it
    /// cannot; then they are free again. It must not call this allocator.
    pub fn set_growth(&mut self, growth: fn(PhysRange) -> Option<&'a mut [FrameMap]>) {
        self.growth = Some(growth);
    }

    /// Returns the zones as they are now: with the runs, the shares and the tables the whole state.
    ///
    /// Counts the free blocks, in time proportional to the number of sections, and to that of tiles of 64 frames that are cut.
    #[must_use]
    pub fn zones(&self) -> Vec<ZoneState, Z> {
        let mut states = self.states.clone();
        self.zones.iter().zip(&mut states).for_each(|(zone, state)| zone.count_blocks(state));
        states
    }

    /// Returns all memory, as runs of frames of one zone.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        self.runs.as_slice()
    }

    /// Returns whose the maps are. Those that the zones started with come first, then those they got later.
    pub fn shares(&self) -> impl Iterator<Item = MapShare> {
        let all = move || self.zones.iter().enumerate().flat_map(|(zone, own)| own.maps.shares(zone as u16));
        all().filter(|share| share.own.is_none()).chain(all().filter(|share| share.own.is_some()))
    }

    /// Returns the bytes of the pieces and maps there are at this moment.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        let zones = self.zones.iter();
        zones
            .map(|zone| size_of_val(zone.pieces) as u64 + u64::from(zone.maps.len()) * size_of::<FrameMap>() as u64)
            .sum()
    }

    /// Returns a zone with its numbers, and what it needs to get more maps.
    #[inline]
    pub(crate) fn zone(&mut self, zone: usize) -> (&mut Zone<'a>, &mut ZoneState, Means<'_, 'a>) {
        let means = Means::new(zone, &self.runs, self.growth);
        (&mut self.zones[zone], &mut self.states[zone], means)
    }

    /// Returns where a frame's state is, and what the frame is.
    pub(crate) fn find(&self, pfn: u64) -> Result<(Place, Found), Error> {
        let place = self.runs.place(pfn)?;
        Ok((place, self.zones[place.zone].find(place, pfn)?))
    }
}

/// Returns why a frame cannot be taken or given: what it is instead.
#[cold]
pub(crate) fn why_not(pfn: u64, found: Found) -> Error {
    let Found { leaf, start: block, order } = found;
    match leaf {
        Leaf::Free => Error::AlreadyFree { pfn, block, order },
        Leaf::Allocated => Error::InUse { pfn, block, order },
        Leaf::Kept | Leaf::Body => Error::Reserved { pfn },
    }
}

/// Shows the tables; what is in them is too much.
impl<const Z: usize> fmt::Debug for Buddy<'_, Z> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buddy").field("runs", &self.runs()).field("zones", &self.zones()).finish_non_exhaustive()
    }
}

/// Returns the number of a frame.
#[inline]
pub(crate) fn pfn(frame: PhysFrame) -> u64 {
    frame.start_address().as_u64() / FRAME_BYTES
}

/// Returns the frame of a number, which is one of memory.
#[inline]
pub(crate) fn physical(pfn: u64) -> PhysFrame {
    PhysFrame::containing_address(PhysAddr::new_truncate((pfn % MAX_PFN) * FRAME_BYTES))
}

/// Cuts `[start, end)` into the largest blocks that start at a multiple of their size, in ascending order.
///
/// Linux: `__free_pages_memory` (6.1).
pub(crate) fn cut(mut start: u64, end: u64) -> impl Iterator<Item = (u64, u8)> {
    core::iter::from_fn(move || {
        let order = (end.checked_sub(start)?.checked_ilog2()?).min(start.trailing_zeros()).min(MAX_ORDER.into()) as u8;
        let block = (start, order);
        start += 1 << order;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_linux_does() {
        let blocks: std::vec::Vec<_> = cut(1, 0x9f).collect();
        assert_eq!(
            blocks,
            [
                (1, 0),
                (2, 1),
                (4, 2),
                (8, 3),
                (16, 4),
                (32, 5),
                (64, 6),
                (128, 4),
                (144, 3),
                (152, 2),
                (156, 1),
                (158, 0)
            ]
        );
        assert_eq!(cut(0, 2049).collect::<std::vec::Vec<_>>(), [(0, 10), (1024, 10), (2048, 0)]);
        assert_eq!(cut(7, 7).count(), 0);
        assert_eq!(cut(8, 7).count(), 0);
    }
}
