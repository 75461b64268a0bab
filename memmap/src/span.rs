// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory and the holes between, with zone and node of each.

use crate::Layout;
use crate::layout::zone_limits;
use handoff::{RegionFlags, SECTION_FRAMES, ZoneKind};

/// What a span is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SpanKind {
    /// Memory.
    Memory,
    /// Memory that is never handed over: it must not be mapped, or a driver manages it.
    Kept,
    /// No memory.
    Hole,
}

/// Frames of one zone and one node that are all memory or all none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First frame number.
    pub start_pfn: u64,
    /// The frame number after the last.
    pub end_pfn: u64,
    /// The zone type.
    pub zone: ZoneKind,
    /// The node.
    pub node: u16,
    /// Memory or not.
    pub kind: SpanKind,
}

/// Frames of a hole that have descriptors all the same, because there is memory elsewhere in their sections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable {
    /// The node the hole is counted to.
    pub node: u16,
    /// The zone it is counted to.
    pub zone: ZoneKind,
    /// How many frames.
    pub frames: u64,
}

impl Layout {
    /// Returns memory and holes from frame 0 to the end of the last present section, in order and without gaps.
    ///
    /// A hole has zone and node of the memory that follows; the one after all memory, those of the memory before.
    ///
    /// Linux: `memmap_init` (6.1).
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        let mut end = 0;
        let all = self.pieces().flat_map(move |piece| {
            let hole = Span { start_pfn: end, end_pfn: piece.start_pfn, kind: SpanKind::Hole, ..piece };
            end = piece.end_pfn;
            [hole, piece]
        });
        let tail = self.pieces().last().map(|piece| Span {
            start_pfn: piece.end_pfn,
            end_pfn: piece.end_pfn.next_multiple_of(SECTION_FRAMES),
            kind: SpanKind::Hole,
            ..piece
        });
        all.chain(tail).filter(|span| span.start_pfn < span.end_pfn)
    }

    /// Returns the holes in present sections, as Linux counts them: one for each gap in memory.
    ///
    /// Linux: `init_unavailable_range` (6.1).
    pub fn unavailable(&self) -> impl Iterator<Item = Unavailable> {
        let holes = self.spans().filter(|span| span.kind == SpanKind::Hole);
        let counted = holes.map(|hole| Unavailable {
            node: hole.node,
            zone: hole.zone,
            frames: self.in_sections(hole).map(|(part, _)| part.end_pfn - part.start_pfn).sum(),
        });
        counted.filter(|hole| hole.frames > 0)
    }

    /// Returns the parts of a span that have descriptors, each with the number of its first one.
    pub(crate) fn in_sections(&self, span: Span) -> impl Iterator<Item = (Span, usize)> {
        let first = self.sections.partition_point(|run| run_end(run) <= span.start_pfn);
        let runs = self.sections[first..].iter().take_while(move |run| run_start(run) < span.end_pfn);
        runs.map(move |run| {
            let start_pfn = span.start_pfn.max(run_start(run));
            let part = Span { start_pfn, end_pfn: span.end_pfn.min(run_end(run)), ..span };
            (part, run.first_frame as usize + (start_pfn - run_start(run)) as usize)
        })
    }

    /// Returns memory cut at the zone limits.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Span> {
        self.memory().iter().flat_map(|range| {
            let kept = range.flags.contains(RegionFlags::NOMAP) || range.flags.contains(RegionFlags::DRIVER_MANAGED);
            let kind = if kept { SpanKind::Kept } else { SpanKind::Memory };
            let kernel_end = self.kernel_end(range);
            let cut = zone_limits(kernel_end, kernel_end).map(|(zone, low, high)| {
                let (start_pfn, end_pfn) = (range.start_pfn.max(low), range.end_pfn.min(high));
                Span { start_pfn, end_pfn, zone, node: range.node(), kind }
            });
            cut.into_iter().filter(|piece| piece.start_pfn < piece.end_pfn)
        })
    }
}

const fn run_start(run: &handoff::SectionRun) -> u64 {
    run.first_section as u64 * SECTION_FRAMES
}

const fn run_end(run: &handoff::SectionRun) -> u64 {
    (run.first_section as u64 + run.sections as u64) * SECTION_FRAMES
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::{Nid, Region};
    use std::vec;
    use std::vec::Vec;

    /// Megabytes of memory on nodes: (node, start, end).
    fn unavailable(memory: &[(i32, u64, u64)]) -> Vec<(u16, &'static str, u64)> {
        let memory: Vec<_> = memory
            .iter()
            .map(|&(node, start, end)| Region { nid: Nid(node), ..Region::new(start << 20, (end - start) << 20) })
            .collect();
        let layout = Layout::new(&memory, 0).unwrap();
        let all: Vec<_> = layout.unavailable().map(|u| (u.node, u.zone.name(), u.frames >> 8)).collect();
        let sum: u64 = layout.unavailable().map(|u| u.frames).sum();
        assert_eq!(sum + layout.present(), layout.frames());
        all
    }

    #[test]
    fn holes_belong_to_what_follows_and_the_tail_to_what_was_last() {
        for (memory, expected) in [
            (&[(0, 0, 128)][..], vec![]),
            // A hole before all memory, and the tail of the section.
            (&[(0, 1, 64)], vec![(0, "DMA", 1), (0, "DMA32", 64)]),
            // A gap that ends in the next zone belongs to that zone, and to its node.
            (&[(0, 0, 10), (1, 20, 128)], vec![(1, "DMA32", 10)]),
            // A gap over an absent section counts only what lies in present ones, in one line.
            (&[(0, 0, 100), (1, 300, 384)], vec![(1, "DMA32", 28 + 44)]),
            // The hole below 4 GiB belongs to zone Normal above.
            (&[(0, 0, 3000), (0, 4096, 4224)], vec![(0, "Normal", 72)]),
            // A hole that starts on a section border and ends on one has no descriptors.
            (&[(0, 0, 128), (0, 256, 384)], vec![]),
        ] {
            assert_eq!(unavailable(memory), expected, "{memory:?}");
        }
    }

    #[test]
    fn spans_leave_no_gap() {
        let memory = [Region::new(0x1000, 0x1000), Region::new(10 << 20, 5 << 30), Region::new(7 << 30, 4096)];
        let layout = Layout::new(&memory, 0).unwrap();
        let end = layout.spans().fold(0, |end, span| {
            assert_eq!(span.start_pfn, end);
            span.end_pfn
        });
        assert_eq!(end, (57 * 128) << 8);
    }
}
