// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that comes and goes while the allocator runs.

use crate::exact::whole_frames;
use crate::piece::State;
use crate::runs::{MAX_PFN, section, section_start};
use crate::tree::Leaf;
use crate::{Buddy, Error, HandedOver};
use handoff::{PhysRange, Run, ZoneKind};

impl<const Z: usize> Buddy<'_, Z> {
    /// Adds memory where there was none.
    ///
    /// It becomes part of the zone `kind` of `node`, which must be in the table and grows as far as it has to. Sections that the zone did
    /// not have need a piece each: [`Plan::room`](crate::Plan::room). The watermarks stay until
    /// [`set_watermarks`](Self::set_watermarks). Linux: `online_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::Zone`] if there is no such zone, [`Error::NotHole`] for the first frame that is memory already, [`Error::NotFrames`],
    /// [`Error::Capacity`] without room for the pieces or the runs: nothing was added. [`Error::NoMap`]: what could not be handed over
    /// is reserved.
    pub fn add_range(&mut self, range: PhysRange, node: u16, kind: ZoneKind) -> Result<HandedOver, Error> {
        let (start, end) = whole_frames(range)?;
        let found = self.states.iter().position(|zone| (zone.span.node, zone.span.kind) == (node, kind));
        let zone = found.filter(|_| end <= MAX_PFN).ok_or(Error::Zone { node, kind })?;
        if let Some((_, memory)) = self.runs.stretches(start..end).next() {
            return Err(Error::NotHole { pfn: memory.start });
        }

        // The first and the last section may be the zone's in part already; what lies between is not.
        let (first, last) = (section(start), section(end - 1));
        let below = self.piece_at(zone, first);
        let above = self.piece_at(zone, last).filter(|_| last > first);
        let from = if below.is_some() { section_start(first + 1).min(end) } else { start };
        let to = if above.is_some() { section_start(last) } else { end };
        let state = &mut self.states[zone];
        let new = if from < to { section(to - 1) - section(from) + 1 } else { 0 };
        let used = state.used_pieces.checked_add(new).filter(|used| *used <= state.pieces);
        let used = used.ok_or(Error::Capacity { capacity: state.pieces as usize })?;
        if self.runs.room() < 3 {
            return Err(Error::Capacity { capacity: handoff::RUNS });
        }

        let mut first_piece = state.used_pieces;
        state.used_pieces = used;
        (first_piece..used).for_each(|piece| self.zones[zone].set_piece(piece, State::Kept));
        let parts = [(start, from.min(end), below), (from, to, Some(first_piece)), (to.max(from), end, above)];
        for (start_pfn, end_pfn, piece) in parts.into_iter().filter(|(start, end, _)| start < end) {
            first_piece = piece.unwrap_or(first_piece);
            self.runs.insert(Run { start_pfn, end_pfn, zone: zone as u16, first_piece })?;
        }
        let span = &mut self.states[zone].span;
        let (first, last) = (span.start_pfn.min(start), span.end_pfn().max(end));
        (span.start_pfn, span.spanned) = (first, last - first);
        span.present += end - start;
        self.hand_over_range(range)
    }

    /// Returns the piece that a zone has of a section.
    fn piece_at(&self, zone: usize, wanted: u32) -> Option<u32> {
        let frames = section_start(wanted)..section_start(wanted + 1);
        let mut places = self.runs.stretches(frames).map(|(place, _)| place);
        places.find(|place| place.zone == zone).map(|place| place.piece)
    }

    /// Removes memory, all of which must be free.
    ///
    /// The zone spans what it spanned; Linux lets it shrink. The pieces are not used again. The watermarks stay until
    /// [`set_watermarks`](Self::set_watermarks). Linux: `offline_pages` (6.1), which also moves what is in use.
    ///
    /// # Errors
    /// As [`take_range`](Self::take_range): the first frame that is not free; [`Error::Capacity`] without room for two more runs. Nothing
    /// was removed.
    pub fn remove_range(&mut self, range: PhysRange) -> Result<(), Error> {
        let (start, end) = whole_frames(range)?;
        if self.runs.room() < 2 {
            return Err(Error::Capacity { capacity: handoff::RUNS });
        }
        self.take_frames(start..end, Leaf::Kept)?;
        let Self { states, zones, runs, .. } = self;
        for (place, part) in runs.stretches(start..end) {
            let (zone, state) = (&mut zones[place.zone], &mut states[place.zone]);
            let count = part.end - part.start;
            state.span.present = state.span.present.saturating_sub(count);
            state.managed = state.managed.saturating_sub(count);
            let section = section(part.start);
            let mut around = runs.stretches(section_start(section)..section_start(section + 1));
            let stays =
                around.any(|(other, frames)| other.zone == place.zone && (frames.start < start || frames.end > end));
            if let (false, State::Online { map }) = (stays, zone.piece(place.piece, part.start)?) {
                zone.retire(state, map)?;
                zone.set_piece(place.piece, State::Kept);
            }
        }
        runs.remove(start..end)
    }
}
