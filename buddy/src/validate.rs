// SPDX-License-Identifier: MIT OR Apache-2.0
//! The complete consistency check.

use crate::map::{Block, FrameMap};
use crate::piece::State;
use crate::runs::{Part, section_start};
use crate::tree::Leaf;
use crate::zone::{Zone, corrupt};
use crate::{Buddy, Counter, Error, Fault};
use core::ops::Range;
use handoff::{FRAME_BYTES, MAX_ORDER, NONE, ORDERS, SECTION_FRAMES, Waiting, ZoneState};

/// What a zone's pieces and maps add up to.
#[derive(Clone, Copy, Default)]
struct Counted {
    allocated: u64,
    free: u64,
    dormant: u32,
    online: u32,
    /// Maps on the ring of each order.
    listed: [u32; ORDERS],
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Checks every invariant of the allocator. Takes time proportional to the number of sections, and to that of blocks in maps.
    ///
    /// # Errors
    /// The first contradiction: [`Error::Corrupt`] names the place, [`Error::Count`] the number that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        for (index, (zone, state)) in self.zones.iter().zip(&self.states).enumerate() {
            let mut counted = Counted::default();
            for part in self.runs.parts(index) {
                self.check_part(index, part, &mut counted)?;
            }
            zone.check_dormant(state, counted.dormant)?;
            for order in 0..=MAX_ORDER {
                zone.check_ring(state, order, counted.listed[usize::from(order)])?;
            }
            self.check_own(zone)?;
            zone.check_numbers(state, &counted)?;
            let memory = self.runs().iter().filter(|run| usize::from(run.zone) == index);
            let present = memory.map(|run| run.end_pfn - run.start_pfn).sum();
            number(state, Counter::Present, state.span.present, present)?;
        }
        Ok(())
    }

    fn check_part(&self, index: usize, part: Part, counted: &mut Counted) -> Result<(), Error> {
        let (zone, start) = (&self.zones[index], section_start(part.section));
        match zone.piece(part.piece, start)? {
            State::Kept => Ok(()),
            State::Dormant { .. } | State::Giant if !part.whole => Err(corrupt(start, Fault::Zone)),
            State::Dormant { .. } => {
                counted.dormant += 1;
                counted.free += SECTION_FRAMES;
                Ok(())
            }
            State::Giant => {
                counted.allocated += SECTION_FRAMES;
                Ok(())
            }
            State::Online { map } => {
                counted.online += 1;
                let map = zone.maps.get(map).ok_or(corrupt(start, Fault::Missing))?;
                if (map.piece, map.section) != (part.piece, part.section) {
                    return Err(corrupt(start, Fault::Owner));
                }
                if let Some(frame) = map.broken_at() {
                    return Err(corrupt(start + u64::from(frame), Fault::Overlap));
                }
                if map.orders() & !map.listed != 0 {
                    return Err(corrupt(start, Fault::Unlisted));
                }
                (0..).zip(&mut counted.listed).for_each(|(order, maps)| *maps += u32::from(map.listed >> order & 1));
                self.check_frames(index, map, start, counted)
            }
        }
    }

    /// Checks the blocks of a section, and that frames which are not the zone's memory are kept.
    fn check_frames(&self, zone: usize, map: &FrameMap, start: u64, counted: &mut Counted) -> Result<(), Error> {
        let end = start + SECTION_FRAMES;
        let mut at = start;
        let own = self.runs.stretches(start..end).filter(|(place, _)| place.zone == zone).map(|(_, frames)| frames);
        for frames in own.chain(core::iter::once(end..end)) {
            let outside = (at - start) as u32..(frames.start - start) as u32;
            if let Some(frame) = map.first_not_kept(outside) {
                return Err(corrupt(start + u64::from(frame), Fault::Zone));
            }
            check_blocks(map, (frames.start - start) as u32..(frames.end - start) as u32, start, counted)?;
            at = frames.end;
        }
        Ok(())
    }

    /// Checks that the frames in which a zone keeps maps are nobody else's.
    fn check_own(&self, zone: &Zone<'_>) -> Result<(), Error> {
        for range in zone.maps.own() {
            for pfn in range.start() / FRAME_BYTES..range.end() / FRAME_BYTES {
                if self.find(pfn)?.1.leaf != Leaf::Kept {
                    return Err(corrupt(pfn, Fault::Owner));
                }
            }
        }
        Ok(())
    }
}

/// Checks the blocks of a stretch of frames and counts them.
fn check_blocks(map: &FrameMap, frames: Range<u32>, start: u64, counted: &mut Counted) -> Result<(), Error> {
    // One that began before the stretch was counted there.
    for Block { start: frame, order, leaf } in map.blocks(frames.clone()).filter(|block| block.start >= frames.start) {
        match leaf {
            Leaf::Allocated => counted.allocated += 1 << order,
            Leaf::Free => {
                counted.free += 1 << order;
                let buddy = frame ^ 1 << order;
                let other = Block { start: buddy, order, leaf };
                if order < MAX_ORDER && map.block_of(buddy) == Some(other) {
                    return Err(corrupt(start + u64::from(frame), Fault::Unmerged));
                }
            }
            Leaf::Kept | Leaf::Body => {}
        }
    }
    Ok(())
}

impl Zone<'_> {
    /// Walks the ring of dormant pieces, of which there are so many.
    fn check_dormant(&self, state: &ZoneState, count: u32) -> Result<(), Error> {
        let Waiting { first, count: kept } = state.dormant;
        number(state, Counter::Dormant, kept.into(), count.into())?;
        let mut piece = first;
        for _ in 0..count {
            let State::Dormant { next, .. } = self.piece(piece, 0)? else { return Err(corrupt(0, Fault::Links)) };
            match self.piece(next, 0)? {
                State::Dormant { previous, .. } if previous == piece => piece = next,
                _ => return Err(corrupt(0, Fault::Links)),
            }
        }
        if piece == first { Ok(()) } else { Err(corrupt(0, Fault::Links)) }
    }

    /// Walks the ring of an order, which has so many maps.
    fn check_ring(&self, state: &ZoneState, order: u8, count: u32) -> Result<(), Error> {
        let (at, bit) = (usize::from(order), 1u16 << order);
        let first = state.free_area[at].first_map;
        let mut number = first;
        for _ in 0..count {
            let map = self.maps.get(number).ok_or(corrupt(0, Fault::Missing))?;
            let start = section_start(map.section);
            let next = map.links[at].next;
            let follows = self.maps.get(next).is_some_and(|next| next.links[at].previous == number);
            if !follows || map.listed & bit == 0 {
                return Err(corrupt(start, Fault::Links));
            }
            number = next;
        }
        if number == first && (first == NONE) == (count == 0) { Ok(()) } else { Err(corrupt(0, Fault::Links)) }
    }

    fn check_numbers(&self, state: &ZoneState, counted: &Counted) -> Result<(), Error> {
        number(state, Counter::Free, self.free, counted.free)?;
        let own = self.maps.own().map(|range| range.size() / FRAME_BYTES).sum();
        number(state, Counter::MapFrames, state.map_frames, own)?;
        let used = u64::from(counted.online) + u64::from(state.idle_maps.count);
        number(state, Counter::Maps, state.used_maps.into(), used)?;
        number(state, Counter::Managed, state.managed, counted.free + counted.allocated + own)
    }
}

fn number(state: &ZoneState, what: Counter, kept: u64, counted: u64) -> Result<(), Error> {
    let (node, kind) = (state.span.node, state.span.kind);
    if kept == counted { Ok(()) } else { Err(Error::Count { node, kind, what, kept, counted }) }
}
