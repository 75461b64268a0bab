// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory by frames: ranges, nodes, sections and zones.

use crate::movable::Starts;
use crate::{Error, Movable, MovableStart};
use handoff::{
    FRAME_BYTES, MAX_ZONES, Nid, Region, RegionFlags, SECTION_FRAMES, SECTION_RUNS, SectionRun, ZoneKind, ZoneSpan,
};
use heapless::Vec;

/// The zones and the frame number after the last one each may hold.
pub(crate) const ZONE_ENDS: [(ZoneKind, u64); 3] = [
    (ZoneKind::DMA, (16 << 20) / FRAME_BYTES),
    (ZoneKind::DMA32, (4 << 30) / FRAME_BYTES),
    (ZoneKind::NORMAL, u64::MAX),
];

/// No section number or table index is larger. Linux: `MAX_PHYSMEM_BITS` with five-level page tables (6.1).
const ADDRESS_LIMIT: u64 = 1 << 52;

/// Whole frames of memory of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryRange {
    /// First frame number.
    pub start_pfn: u64,
    /// The frame number after the last.
    pub end_pfn: u64,
    /// The node, or [`Nid::NONE`].
    pub nid: Nid,
    /// Flags of the region.
    pub flags: RegionFlags,
}

impl MemoryRange {
    /// Returns the node number; memory without a node belongs to node 0.
    #[must_use]
    pub fn node(&self) -> u16 {
        self.nid.number().unwrap_or(0)
    }
}

/// Sections that one range of memory is the first to touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub(crate) first_section: u64,
    pub(crate) end_section: u64,
    pub(crate) nid: Nid,
}

/// Memory by frames: which exist, in which section, zone and node each lies.
///
/// # Invariants
/// The ranges are sorted, disjoint and not empty; sections and zones follow from them alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    memory: Vec<MemoryRange, SECTION_RUNS>,
    pub(crate) sections: Vec<SectionRun, SECTION_RUNS>,
    zones: Vec<ZoneSpan, MAX_ZONES>,
    movable: Starts,
    frames: u64,
    max_pfn: u64,
}

impl Layout {
    /// Returns the layout of `memory` without a zone Movable.
    ///
    /// # Errors
    /// As [`with_movable`](Self::with_movable).
    pub fn new(memory: &[Region], max_pfn: u64) -> Result<Self, Error> {
        Self::with_movable(memory, max_pfn, Movable::None)
    }

    /// Returns the layout of `memory`, whose parts of frames at the edges of regions are left out.
    ///
    /// `max_pfn` is the frame number after the last frame of RAM in the firmware's map; it appears in the log only. 0 means
    /// the end of memory.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::Unordered`], [`Error::Beyond`], [`Error::Regions`] and
    /// [`Error::Zones`].
    pub fn with_movable(memory: &[Region], max_pfn: u64, movable: Movable) -> Result<Self, Error> {
        let mut ranges: Vec<MemoryRange, SECTION_RUNS> = Vec::new();
        let mut end = 0;
        for region in memory.iter().filter(|r| r.size > 0) {
            if region.base < end {
                return Err(Error::Unordered { base: region.base });
            }
            end = region.base.saturating_add(region.size);
            if end > ADDRESS_LIMIT {
                return Err(Error::Beyond { end, limit: ADDRESS_LIMIT });
            }
            let (start_pfn, end_pfn) = (region.base.div_ceil(FRAME_BYTES), end / FRAME_BYTES);
            if start_pfn < end_pfn {
                let nid = region.nid.number().map_or(Nid::NONE, Nid::from);
                let range = MemoryRange { start_pfn, end_pfn, nid, flags: region.flags };
                ranges.push(range).map_err(|_| Error::Regions { capacity: SECTION_RUNS })?;
            }
        }

        let last = ranges.last().ok_or(Error::NoMemory)?.end_pfn;
        let max_pfn = max_pfn.max(last);
        let (sections, zones) = (Vec::new(), Vec::new());
        let mut layout = Self { memory: ranges, sections, zones, movable: Starts::new(), frames: 0, max_pfn };
        layout.find_sections()?;
        layout.movable = movable.starts(&layout);
        layout.find_zones()?;
        Ok(layout)
    }

    /// Returns the ranges of memory, sorted.
    #[must_use]
    pub fn memory(&self) -> &[MemoryRange] {
        &self.memory
    }

    /// Returns the present sections, sorted: those in which there is at least one frame of memory.
    ///
    /// Linux: `memblocks_present` (6.1).
    #[must_use]
    pub fn sections(&self) -> &[SectionRun] {
        &self.sections
    }

    /// Returns the populated zones, by node and then by address.
    ///
    /// Linux: `calculate_node_totalpages` (6.1).
    #[must_use]
    pub fn zones(&self) -> &[ZoneSpan] {
        &self.zones
    }

    /// Returns where zone Movable starts, for the nodes that have one, in rising order.
    #[must_use]
    pub fn movable_starts(&self) -> &[MovableStart] {
        &self.movable
    }

    /// Returns the first frame number of the zone Movable of `node`, or a number behind all frames.
    pub(crate) fn movable_start(&self, node: u16) -> u64 {
        self.movable.iter().find(|start| start.node == node).map_or(u64::MAX, |start| start.start_pfn)
    }

    /// Returns the frame number from which on memory of that range is not the kernel's.
    pub(crate) fn kernel_end(&self, range: &MemoryRange) -> u64 {
        if range.flags.contains(RegionFlags::MIRROR) { u64::MAX } else { self.movable_start(range.node()) }
    }

    /// Returns how many descriptors there are: one for each frame of a present section.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns how many frames of memory there are.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.memory.iter().map(|r| r.end_pfn - r.start_pfn).sum()
    }

    /// Returns the frame number after the last frame of RAM.
    #[must_use]
    pub fn max_pfn(&self) -> u64 {
        self.max_pfn
    }

    /// Returns the nodes that have memory, in rising order.
    pub fn nodes(&self) -> impl Iterator<Item = u16> {
        let above = |least: u32| self.memory.iter().map(|r| u32::from(r.node())).filter(move |n| *n >= least).min();
        core::iter::successors(above(0), move |n| above(n + 1)).map(|n| n as u16)
    }

    /// Returns the first frame number of `node` and the one after its last.
    ///
    /// Linux: `get_pfn_range_for_nid` (6.1).
    #[must_use]
    pub fn node_span(&self, node: u16) -> Option<(u64, u64)> {
        let mut ranges = self.memory.iter().filter(|r| r.node() == node);
        let first = ranges.next()?;
        Some((first.start_pfn, ranges.next_back().unwrap_or(first).end_pfn))
    }

    /// Returns zones and sections as tables of their own.
    #[must_use]
    pub fn into_parts(self) -> (Vec<ZoneSpan, MAX_ZONES>, Vec<SectionRun, SECTION_RUNS>) {
        (self.zones, self.sections)
    }

    /// Returns the sections with the range of memory that touches them first.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Stretch> {
        let mut next = 0;
        let all = self.memory.iter().map(move |range| {
            let first_section = (range.start_pfn / SECTION_FRAMES).max(next);
            next = range.end_pfn.div_ceil(SECTION_FRAMES);
            Stretch { first_section, end_section: next, nid: range.nid }
        });
        all.filter(|s| s.first_section < s.end_section)
    }

    fn find_sections(&mut self) -> Result<(), Error> {
        let count: u64 = self.stretches().map(|s| s.end_section - s.first_section).sum();
        self.frames = count * SECTION_FRAMES;

        let (mut runs, mut frames) = (Vec::<SectionRun, SECTION_RUNS>::new(), 0);
        for Stretch { first_section, end_section, .. } in self.stretches() {
            let sections = (end_section - first_section) as u32;
            match runs.last_mut().filter(|run| u64::from(run.first_section + run.sections) == first_section) {
                Some(run) => run.sections += sections,
                None => {
                    let run = SectionRun { first_section: first_section as u32, sections, first_frame: frames };
                    runs.push(run).map_err(|_| Error::Regions { capacity: SECTION_RUNS })?;
                }
            }
            frames += u64::from(sections) * SECTION_FRAMES;
        }
        self.sections = runs;
        Ok(())
    }

    fn find_zones(&mut self) -> Result<(), Error> {
        let mut zones = Vec::new();
        for node in self.nodes() {
            let Some((node_start, node_end)) = self.node_span(node) else { continue };
            // Mirrored memory behind the start of zone Movable is the kernel's, so that zones overlap.
            let mirrored = self.memory.iter().any(|r| r.node() == node && self.kernel_end(r) == u64::MAX);
            let kernel_end = if mirrored { u64::MAX } else { self.movable_start(node) };
            for (kind, low, high) in zone_limits(kernel_end, self.movable_start(node)) {
                let (start, end) = (node_start.max(low), node_end.min(high));
                let pieces = self.pieces().filter(|piece| piece.node == node && piece.zone == kind);
                let present = pieces.map(|piece| piece.end_pfn - piece.start_pfn).sum();
                if present > 0 {
                    let zone = ZoneSpan { node, kind, start_pfn: start, spanned: end - start, present };
                    zones.push(zone).map_err(|_| Error::Zones { capacity: MAX_ZONES })?;
                }
            }
        }
        self.zones = zones;
        Ok(())
    }
}

/// Returns for each zone the first frame number it may hold and the one after the last, if the kernel's zones end at
/// `kernel_end` and zone Movable starts at `movable`.
pub(crate) fn zone_limits(kernel_end: u64, movable: u64) -> [(ZoneKind, u64, u64); 4] {
    let [(dma, dma_end), (dma32, dma32_end), (normal, normal_end)] = ZONE_ENDS;
    [
        (dma, 0, dma_end.min(kernel_end)),
        (dma32, dma_end, dma32_end.min(kernel_end)),
        (normal, dma32_end, normal_end.min(kernel_end)),
        (ZoneKind::MOVABLE, movable, u64::MAX),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn on_node(node: i32, base: u64, size: u64) -> Region {
        Region { nid: Nid(node), ..Region::new(base, size) }
    }

    #[test]
    fn a_section_belongs_to_the_node_that_touches_it_first() {
        let memory = [on_node(1, 0x1000, 0x1000), on_node(0, 0x2000, 300 << 20), on_node(2, 1 << 30, 4096)];
        let layout = Layout::new(&memory, 0).unwrap();
        let stretches: Vec<_> = layout.stretches().map(|s| (s.first_section, s.end_section, s.nid.0)).collect();
        assert_eq!(stretches, [(0, 1, 1), (1, 3, 0), (8, 9, 2)]);
        let runs: Vec<_> = layout.sections().iter().map(|r| (r.first_section, r.sections, r.first_frame)).collect();
        assert_eq!(runs, [(0, 3, 0), (8, 1, 3 << 15)]);
        assert_eq!(layout.nodes().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn zones_end_at_16_mib_and_4_gib() {
        let layout = Layout::new(&[on_node(0, 0x1000, 8 << 30)], 0).unwrap();
        let zones: Vec<_> = layout.zones().iter().map(|z| (z.kind.name(), z.start_pfn, z.spanned, z.present)).collect();
        let dma32 = (1 << 20) - (1 << 12);
        let normal = (1 << 20) + 1;
        assert_eq!(zones, [("DMA", 1, 4095, 4095), ("DMA32", 4096, dma32, dma32), ("Normal", 1 << 20, normal, normal)]);
    }

    #[test]
    fn a_zone_in_a_hole_does_not_exist() {
        let layout = Layout::new(&[on_node(0, 0, 1 << 20), on_node(0, 1 << 32, 1 << 20)], 0).unwrap();
        let kinds: Vec<_> = layout.zones().iter().map(|z| z.kind).collect();
        assert_eq!(kinds, [ZoneKind::DMA, ZoneKind::NORMAL]);
    }

    #[test]
    fn what_is_refused() {
        let error = |memory: &[Region]| Layout::new(memory, 0).unwrap_err();
        assert_eq!(error(&[]), Error::NoMemory);
        assert_eq!(error(&[Region::new(0, 0), Region::new(1, 8190)]), Error::NoMemory);
        assert_eq!(
            error(&[Region::new(0x2000, 0x2000), Region::new(0x3000, 0x1000)]),
            Error::Unordered { base: 0x3000 }
        );
        assert_eq!(
            error(&[Region::new(u64::MAX - 0xffff, 0xfffff)]),
            Error::Beyond { end: u64::MAX, limit: ADDRESS_LIMIT }
        );
        assert_eq!(Layout::new(&[Region::new(0, 64 << 40)], 0).unwrap().frames(), 1 << 34);
        let many: Vec<_> = (0..129).map(|i| Region::new(i * 0x2000, 0x1000)).collect();
        assert_eq!(error(&many), Error::Regions { capacity: 128 });
        let nodes: Vec<_> = (0..65).map(|i| on_node(i, i as u64 * 0x2000, 0x1000)).collect();
        assert_eq!(error(&nodes), Error::Zones { capacity: 64 });
    }
}
