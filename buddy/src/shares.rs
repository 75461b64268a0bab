// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frame maps of one zone: some from the start, more when they are needed.

use crate::{Error, FrameMap};
use handoff::{MapShare, NONE, PhysRange, Waiting, ZoneState};
use heapless::Vec;

/// Stretches of maps that a zone can have. Each is up to four times as large as all before it.
pub(crate) const ZONE_SHARES: usize = 12;

/// The maps of a zone by their number, and which of them are unused.
pub(crate) struct Shares<'a> {
    shares: Vec<Share<'a>, ZONE_SHARES>,
    len: u32,
}

struct Share<'a> {
    first: u32,
    maps: &'a mut [FrameMap],
    own: Option<PhysRange>,
}

impl<'a> Shares<'a> {
    pub(crate) const fn new() -> Self {
        Self { shares: Vec::new(), len: 0 }
    }

    /// Adds maps, whose numbers follow the last.
    pub(crate) fn push(&mut self, maps: &'a mut [FrameMap], own: Option<PhysRange>) -> Result<(), Error> {
        let len = u32::try_from(maps.len()).ok().and_then(|more| self.len.checked_add(more));
        let len = len.filter(|len| *len < NONE >> 2).ok_or(Error::Capacity { capacity: (NONE >> 2) as usize })?;
        let share = Share { first: self.len, maps, own };
        self.shares.push(share).map_err(|_| Error::Capacity { capacity: ZONE_SHARES })?;
        self.len = len;
        Ok(())
    }

    /// Returns whether there is room for another stretch.
    pub(crate) fn is_full(&self) -> bool {
        self.shares.is_full()
    }

    /// Returns how many maps there are, in use or not.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Returns how many of them are not in use.
    pub(crate) fn unused(&self, state: &ZoneState) -> u32 {
        self.len.saturating_sub(state.used_maps).saturating_add(state.idle_maps.count)
    }

    #[inline]
    pub(crate) fn get(&self, map: u32) -> Option<&FrameMap> {
        let share = self.shares.iter().rev().find(|share| share.first <= map)?;
        share.maps.get((map - share.first) as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, map: u32) -> Option<&mut FrameMap> {
        let share = self.shares.iter_mut().rev().find(|share| share.first <= map)?;
        share.maps.get_mut((map - share.first) as usize)
    }

    /// Takes an unused map.
    pub(crate) fn take(&mut self, state: &mut ZoneState) -> Option<u32> {
        if state.idle_maps.count > 0 {
            let map = state.idle_maps.first;
            let next = self.get(map)?.piece;
            state.idle_maps = Waiting { first: next, count: state.idle_maps.count - 1 };
            return Some(map);
        }
        let map = state.used_maps;
        self.get(map)?;
        state.used_maps += 1;
        Some(map)
    }

    /// Gives a map back that nothing leads to any more.
    pub(crate) fn give(&mut self, state: &mut ZoneState, map: u32) {
        if let Some(unused) = self.get_mut(map) {
            unused.piece = state.idle_maps.first;
        }
        state.idle_maps = Waiting { first: map, count: state.idle_maps.count + 1 };
    }

    /// Returns what the hand-off says of the maps.
    pub(crate) fn shares(&self, zone: u16) -> impl Iterator<Item = MapShare> {
        self.shares.iter().map(move |share| MapShare { zone, maps: share.maps.len() as u32, own: share.own })
    }

    /// Returns the frames of its own in which the zone keeps maps.
    pub(crate) fn own(&self) -> impl Iterator<Item = PhysRange> {
        self.shares.iter().filter_map(|share| share.own)
    }
}
