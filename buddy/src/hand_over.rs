// SPDX-License-Identifier: MIT OR Apache-2.0
//! From early memory to the allocator.

use crate::allocator::why_not;
use crate::exact::whole_frames;
use crate::online::Means;
use crate::piece::State;
use crate::rings::End;
use crate::runs::{Place, section};
use crate::{Buddy, Error, Mode};
use core::ops::Range;
use handoff::{MAX_ORDER, PhysRange, Region, RegionFlags, SECTION_FRAMES};

/// Blocks of the largest order in a section.
const TOP_BLOCKS: u64 = SECTION_FRAMES >> MAX_ORDER;

/// What was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HandedOver {
    /// Frames.
    pub frames: u64,
    /// Blocks, before they merged with their neighbours.
    pub blocks: u64,
}

impl core::ops::AddAssign for HandedOver {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.blocks += other.blocks;
    }
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Gives all memory that is not reserved to the allocator, and returns how much that is.
    ///
    /// A frame is given if no byte of it is reserved and all of it is memory. Both arrays are sorted and disjoint. The lowest block
    /// is the first to be handed out. Takes time proportional to the number of ranges, sections and maps. Linux:
    /// `memblock_free_all` (6.1).
    ///
    /// # Errors
    /// That of [`hand_over_range`](Self::hand_over_range); the ranges before the wrong one have been handed over.
    pub fn hand_over(&mut self, memory: &[Region], reserved: &[Region]) -> Result<HandedOver, Error> {
        let mut total = HandedOver::default();
        for range in free_ranges(memory, reserved) {
            total += self.hand_over_range(range)?;
        }
        Ok(total)
    }

    /// Gives the whole frames of one free range to the allocator in the largest possible blocks.
    ///
    /// Linux: `__free_memory_core` (6.1).
    ///
    /// # Errors
    /// The first frame that does not wait to be handed over, and what it is instead: nothing was handed over.
    /// [`Error::NoMap`]: what lies before has been.
    pub fn hand_over_range(&mut self, range: PhysRange) -> Result<HandedOver, Error> {
        let mut total = HandedOver::default();
        let Some(range) = range.inward() else { return Ok(total) };
        let (start, end) = whole_frames(range)?;
        self.check_kept(start..end)?;

        let Self { states, zones, runs, growth, mode, .. } = self;
        for (place, frames) in runs.spans(start..end) {
            let (zone, state) = (&mut zones[place.zone], &mut states[place.zone]);
            let (count, sections) = (frames.end - frames.start, ((frames.end - frames.start) / SECTION_FRAMES) as u32);
            if sections > 0 && *mode == Mode::Lazy && zone.all_kept(place.piece, sections) {
                zone.put_all_to_sleep(state, place.piece, sections)?;
                zone.free = zone.free.wrapping_add(count);
                state.managed += count;
                total += HandedOver { frames: count, blocks: count >> MAX_ORDER };
                continue;
            }
            for (place, frames) in runs.stretches(frames) {
                let means = Means::new(place.zone, runs, *growth);
                let count = frames.end - frames.start;
                let whole = count == SECTION_FRAMES && zone.piece(place.piece, frames.start)? == State::Kept;
                let blocks = match mode {
                    Mode::Eager if whole => {
                        let map = zone.maps.take(state).ok_or(Error::NoMap)?;
                        zone.free = zone.free.wrapping_add(count);
                        zone.map_free(state, place.piece, section(frames.start), map, End::Last).map(|()| TOP_BLOCKS)?
                    }
                    _ => {
                        let map = zone.online(state, means, place.piece)?;
                        zone.give(state, map, place.frame..place.frame + count as u32, End::Last)?
                    }
                };
                state.managed += count;
                total += HandedOver { frames: count, blocks };
            }
        }
        Ok(total)
    }

    /// Checks that all frames of a range are kept from the allocator.
    pub(crate) fn check_kept(&self, frames: Range<u64>) -> Result<(), Error> {
        self.runs.check(frames.clone())?;
        let unlike = self.runs.spans(frames).filter(|(place, frames)| {
            let sections = ((frames.end - frames.start) / SECTION_FRAMES) as u32;
            sections == 0 || !self.zones[place.zone].all_kept(place.piece, sections)
        });
        for (place, frames) in unlike.flat_map(|(_, frames)| self.runs.stretches(frames)) {
            let zone = &self.zones[place.zone];
            let last = place.frame + (frames.end - frames.start) as u32;
            let other = match zone.piece(place.piece, frames.start)? {
                State::Kept => None,
                State::Online { map } => zone.maps.get(map).and_then(|map| map.first_not_kept(place.frame..last)),
                State::Dormant { .. } | State::Giant => Some(place.frame),
            };
            if let Some(frame) = other {
                let pfn = frames.start + u64::from(frame - place.frame);
                return Err(why_not(pfn, zone.find(Place { frame, ..place }, pfn)?));
            }
        }
        Ok(())
    }
}

/// Returns what no reserved region covers, by memory region and ascending.
///
/// Memory that must not be mapped, or that belongs to a driver, is left out. Linux: `for_each_free_mem_range` (6.1).
pub(crate) fn free_ranges<'a>(memory: &'a [Region], reserved: &'a [Region]) -> impl Iterator<Item = PhysRange> + 'a {
    memory.iter().filter(|region| is_offered(region)).flat_map(move |region| {
        let (mut start, end) = (region.base, region.end());
        let first = reserved.partition_point(|r| r.end() <= start);
        let taken = reserved.get(first..).unwrap_or_default().iter().take_while(move |r| r.base < end);
        taken.map(|r| (r.base, r.end())).chain([(end, end)]).filter_map(move |(base, next)| {
            let gap = PhysRange::new(start, base);
            start = next;
            gap
        })
    })
}

/// Returns whether memory of a region goes to the allocator.
pub(crate) fn is_offered(region: &Region) -> bool {
    !region.flags.contains(RegionFlags::NOMAP) && !region.flags.contains(RegionFlags::DRIVER_MANAGED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn memory_without_reserved() {
        let region = |(start, end)| Region::new(start, end - start);
        let memory = [(10, 100), (200, 300), (300, 400)].map(region);
        type Ranges = &'static [(u64, u64)];
        let table: &[(Ranges, Ranges)] = &[
            (&[], &[(10, 100), (200, 300), (300, 400)]),
            (&[(0, 20), (30, 40), (40, 50), (90, 210)], &[(20, 30), (50, 90), (210, 300), (300, 400)]),
            (&[(0, 5), (100, 200), (290, 310), (400, 500)], &[(10, 100), (200, 290), (310, 400)]),
            (&[(0, 1000)], &[]),
        ];
        for (reserved, free) in table {
            let reserved: Vec<_> = reserved.iter().copied().map(region).collect();
            let found: Vec<_> = free_ranges(&memory, &reserved).map(|r| (r.start(), r.end())).collect();
            assert_eq!(&found, free);
        }
    }

    #[test]
    fn memory_that_must_not_be_mapped_stays_out() {
        let hidden = Region { flags: RegionFlags::NOMAP, ..Region::new(0, 4096) };
        assert_eq!(free_ranges(&[hidden], &[]).count(), 0);
    }
}
