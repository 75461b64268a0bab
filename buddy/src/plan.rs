// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory an allocator needs for its tables.

use crate::exact::whole_frames;
use crate::hand_over::free_ranges;
use crate::runs::Runs;
use crate::zonelist::Zonelist;
use crate::{Counter, Error};
use handoff::{FRAME_BYTES, MAX_ZONES, Region, Run, SECTION_FRAMES, ZoneKind, ZoneSpan, ZoneState};
use heapless::Vec;

/// When sections get their maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// All at the hand-over.
    Eager,
    /// Sections that are free as a whole stay dormant until somebody needs a part of them.
    Lazy,
}

/// What an allocator of some memory needs: which frames there are, and how large its tables have to be.
///
/// Linux: what `sparse_init` and `free_area_init` find out (6.1).
#[derive(Debug)]
pub struct Plan<const Z: usize = MAX_ZONES> {
    pub(crate) runs: Runs,
    pub(crate) zones: Vec<Planned, Z>,
    pub(crate) mode: Mode,
}

/// A zone as planned.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) state: ZoneState,
    pub(crate) maps: u32,
}

impl<const Z: usize> Plan<Z> {
    /// Returns the plan for memory of which the reserved parts stay out.
    ///
    /// Both arrays are sorted and disjoint. A region's node says which of the zones it belongs to; without one it is node 0.
    ///
    /// # Errors
    /// [`Error::Zone`] for zones that contradict each other, [`Error::NoZone`] for memory that none has, [`Error::Count`] for a zone that has
    /// not as many frames as it says, [`Error::Capacity`] for too many zones or runs.
    pub fn new(memory: &[Region], reserved: &[Region], spans: &[ZoneSpan], mode: Mode) -> Result<Self, Error> {
        Zonelist::<Z>::new(spans.iter())?;
        let zones = spans.iter().map(|span| Planned { state: ZoneState::new(*span), maps: 0 }).collect();
        let mut plan = Self { runs: Runs::new(), zones, mode };
        for region in memory {
            plan.add_region(region)?;
        }
        for zone in &mut plan.zones {
            zone.state.pieces = zone.state.used_pieces;
        }
        plan.count_maps(memory, reserved);
        for (zone, Planned { state, .. }) in plan.zones.iter().enumerate() {
            let ZoneSpan { node, kind, present: kept, .. } = state.span;
            let runs = plan.runs.as_slice().iter().filter(|run| usize::from(run.zone) == zone);
            let counted = runs.map(|run| run.end_pfn - run.start_pfn).sum();
            if kept != counted {
                return Err(Error::Count { node, kind, what: Counter::Present, kept, counted });
            }
        }
        Ok(plan)
    }

    /// Returns the plan with room for `sections` more sections in a zone, for memory that is added later.
    ///
    /// # Errors
    /// [`Error::Zone`] if there is no such zone.
    pub fn room(mut self, node: u16, kind: ZoneKind, sections: u32) -> Result<Self, Error> {
        let found = self.zones.iter_mut().find(|zone| (zone.state.span.node, zone.state.span.kind) == (node, kind));
        let zone = found.ok_or(Error::Zone { node, kind })?;
        zone.state.pieces = zone.state.pieces.saturating_add(sections);
        zone.maps = zone.maps.saturating_add(if self.mode == Mode::Eager { sections } else { 0 });
        Ok(self)
    }

    /// Returns how many [`Piece`](crate::Piece)s the table must have.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.zones.iter().map(|zone| zone.state.pieces as usize).sum()
    }

    /// Returns how many [`FrameMap`](crate::FrameMap)s the hand-over needs, one of each zone with whole sections to spare.
    #[must_use]
    pub fn maps(&self) -> usize {
        self.zones.iter().map(|zone| zone.maps as usize).sum()
    }

    /// Cuts a region where zones begin and end.
    fn add_region(&mut self, region: &Region) -> Result<(), Error> {
        let node = region.nid.number().unwrap_or(0);
        let (mut start, end) = (region.base.div_ceil(FRAME_BYTES), region.end() / FRAME_BYTES);
        while start < end {
            let spans = self.zones.iter().map(|zone| zone.state.span);
            let inside = |span: &ZoneSpan| span.node == node && span.start_pfn <= start && start < span.end_pfn();
            let zone = spans.clone().position(|span| inside(&span)).ok_or(Error::NoZone { pfn: start })?;
            let state = &mut self.zones[zone].state;
            let end_pfn = end.min(state.span.end_pfn());
            let section = |pfn| crate::runs::section(pfn);
            // A piece is shared with what the zone has in the same section already.
            let mut before = self.runs.as_slice().iter().rev().filter(|run| usize::from(run.zone) == zone);
            let shared = before.next().is_some_and(|run| section(run.end_pfn - 1) == section(start));
            let first_piece = state.used_pieces - u32::from(shared);
            state.used_pieces = first_piece + (section(end_pfn - 1) - section(start) + 1);
            self.runs.push(Run { start_pfn: start, end_pfn, zone: zone as u16, first_piece })?;
            start = end_pfn;
        }
        Ok(())
    }

    /// Counts the pieces of which only a part is free, and one more for each zone that has others.
    fn count_maps(&mut self, memory: &[Region], reserved: &[Region]) {
        if self.mode == Mode::Eager {
            self.zones.iter_mut().for_each(|zone| zone.maps = zone.state.pieces);
            return;
        }
        let mut last = None;
        for range in free_ranges(memory, reserved).filter_map(|range| whole_frames(range.inward()?).ok()) {
            for (place, frames) in self.runs.spans(range.0..range.1) {
                let partly = frames.end - frames.start < SECTION_FRAMES;
                if partly && last.replace((place.zone, place.piece)) != Some((place.zone, place.piece)) {
                    self.zones[place.zone].maps += 1;
                }
            }
        }
        for (zone, planned) in self.zones.iter_mut().enumerate() {
            planned.maps += u32::from(self.runs.parts(zone).any(|part| part.whole));
        }
    }
}
