// SPDX-License-Identifier: MIT OR Apache-2.0
//! From early memory to the allocator.

use crate::allocator::cut;
use crate::pages::page;
use crate::zone::Placement;
use crate::{Buddy, Error};
use handoff::{FRAME_BYTES, FrameState, PhysRange, Region, RegionFlags};

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
    /// A frame is given if no byte of it is reserved and all of it is memory. Both arrays are sorted and disjoint. The
    /// lists come out ascending, so the lowest block is the first to be handed out. Takes time proportional to the number of
    /// blocks: only the first descriptor of each is touched. Linux: `memblock_free_all` (6.1).
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

    /// Gives the whole frames of one free range, which lies in one node, to the allocator in the largest possible blocks.
    ///
    /// Linux: `__free_memory_core` (6.1).
    ///
    /// # Errors
    /// If the first frame of a block is not memory that waits to be handed over, what it is instead; [`Error::Zone`] or
    /// [`Error::TooMany`] if zones and memory contradict each other. The blocks before it have been handed over.
    pub fn hand_over_range(&mut self, range: PhysRange) -> Result<HandedOver, Error> {
        let mut total = HandedOver::default();
        let Some(range) = range.inward() else { return Ok(total) };
        let (mut pfn, end) = (range.start() / FRAME_BYTES, range.end() / FRAME_BYTES);

        while pfn < end {
            let frame = self.sections.frame(pfn)?;
            let first = page(&self.pages, frame)?;
            if first.state() != FrameState::Body || self.block_of(frame).is_some() {
                return Err(self.why_not(frame));
            }

            let zone = self.zonelist.zone_of(first)?;
            let state = &mut self.zones[zone];
            let (node, kind) = (state.span.node, state.span.kind);
            // No block reaches beyond its zone: a node, unlike a zone type, may end anywhere.
            let Some((_, order)) = cut(pfn, end.min(state.span.end_pfn())).next() else {
                return Err(Error::Zone { node, kind });
            };
            let frames = 1 << order;
            if state.managed + frames > state.span.present {
                return Err(Error::TooMany { node, kind, present: state.span.present });
            }

            state.managed += frames;
            self.release(frame, order, Placement::Tail)?;
            total += HandedOver { frames, blocks: 1 };
            pfn += frames;
        }
        Ok(total)
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
