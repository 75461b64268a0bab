// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes the descriptors.

use crate::{Error, Layout, Span, SpanKind};
use handoff::{FRAME_BYTES, FrameState, Page, Region, ZoneKind};

/// Consecutive frames with equal descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameRun {
    /// First frame number.
    pub start_pfn: u64,
    /// The frame number after the last.
    pub end_pfn: u64,
    /// The number of the first descriptor.
    pub index: usize,
    /// The zone type.
    pub zone: ZoneKind,
    /// The node.
    pub node: u16,
    /// Memory free to hand over, reserved memory, or no memory.
    pub state: FrameState,
}

impl Layout {
    /// Writes each descriptor of `pages` once.
    ///
    /// Memory starts as [`FrameState::Body`], frames that a region of `reserved` touches as [`FrameState::Reserved`], frames
    /// that are no memory as [`FrameState::Hole`]. `reserved` is sorted; what holds the descriptors themselves is part of
    /// it.
    ///
    /// Linux: `memmap_init` and the first half of `memblock_free_all`, which marks what is reserved (6.1).
    ///
    /// # Errors
    /// [`Error::Descriptors`] if `pages` has not [`frames`](Self::frames) elements; then nothing was written.
    pub fn initialize(&self, pages: &mut [Page], reserved: &[Region]) -> Result<(), Error> {
        if pages.len() as u64 != self.frames() {
            return Err(Error::Descriptors { found: pages.len() as u64, expected: self.frames() });
        }
        self.frame_runs(reserved, |run| {
            let count = (run.end_pfn - run.start_pfn) as usize;
            pages[run.index..run.index + count].fill(Page::new(run.zone, run.node, run.state));
        });
        Ok(())
    }

    /// Calls `each` for every run of equal descriptors, in the order of their numbers and without gaps.
    pub fn frame_runs(&self, reserved: &[Region], mut each: impl FnMut(FrameRun)) {
        for (span, index) in self.spans().flat_map(|span| self.in_sections(span)) {
            match span.kind {
                SpanKind::Memory => memory_runs(span, index, reserved, &mut each),
                SpanKind::Kept => each(run(span, index, span.start_pfn, span.end_pfn, FrameState::Reserved)),
                SpanKind::Hole => each(run(span, index, span.start_pfn, span.end_pfn, FrameState::Hole)),
            }
        }
    }
}

/// Cuts a span of memory where reservations begin and end.
fn memory_runs(span: Span, index: usize, reserved: &[Region], each: &mut impl FnMut(FrameRun)) {
    let first = reserved.partition_point(|r| r.end() <= span.start_pfn * FRAME_BYTES);
    let mut at = span.start_pfn;
    for region in reserved[first..].iter().take_while(|r| r.base < span.end_pfn * FRAME_BYTES) {
        let start = at.max(region.base / FRAME_BYTES);
        let end = span.end_pfn.min(region.end().div_ceil(FRAME_BYTES));
        if start < end {
            if at < start {
                each(run(span, index, at, start, FrameState::Body));
            }
            each(run(span, index, start, end, FrameState::Reserved));
            at = end;
        }
    }
    if at < span.end_pfn {
        each(run(span, index, at, span.end_pfn, FrameState::Body));
    }
}

fn run(span: Span, index: usize, start_pfn: u64, end_pfn: u64, state: FrameState) -> FrameRun {
    let index = index + (start_pfn - span.start_pfn) as usize;
    FrameRun { start_pfn, end_pfn, index, zone: span.zone, node: span.node, state }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// States of the first frames as letters, for memory and reserved given in half frames.
    fn states(memory: &[(u64, u64)], reserved: &[(u64, u64)]) -> std::string::String {
        let regions = |list: &[(u64, u64)]| -> Vec<_> {
            list.iter().map(|&(start, end)| Region::new(start * 2048, (end - start) * 2048)).collect()
        };
        let layout = Layout::new(&regions(memory), 0).unwrap();
        let mut pages = vec![Page::new(ZoneKind::MOVABLE, 9, FrameState::Body); layout.frames() as usize];
        layout.initialize(&mut pages, &regions(reserved)).unwrap();
        assert!(pages.iter().all(|p| p.node() == 0 && p.zone() == layout.zones()[usize::from(p.zone().0)].kind));
        let letter = |p: &Page| match p.state() {
            FrameState::Hole => 'h',
            FrameState::Reserved => 'r',
            FrameState::Body => '.',
        };
        pages[..8].iter().map(letter).collect()
    }

    #[test]
    fn reserved_rounds_outward_memory_inward() {
        let end = 128 << 9;
        for (memory, reserved, expected) in [
            (&[(0, end)][..], &[][..], "........"),
            (&[(2, end)], &[(0, 1)], "h......."),
            (&[(0, end)], &[(1, 2), (5, 7)], "r.rr...."),
            // Two reservations in one frame write it once; one that covers another too.
            (&[(0, end)], &[(2, 3), (3, 4), (4, 5)], ".rr....."),
            // A reservation over a hole marks only memory.
            (&[(0, 4), (8, end)], &[(2, 10)], ".rhhr..."),
            (&[(1, 7), (9, end)], &[], "h..hh..."),
            (&[(0, end)], &[(0, end)], "rrrrrrrr"),
            (&[(0, end)], &[(0, 0), (14, end)], ".......r"),
        ] {
            assert_eq!(states(memory, reserved), expected, "{memory:?} {reserved:?}");
        }
    }

    #[test]
    fn a_slice_of_the_wrong_length_is_refused() {
        let layout = Layout::new(&[Region::new(0, 1 << 20)], 0).unwrap();
        let error = layout.initialize(&mut [], &[]).unwrap_err();
        assert_eq!(error, Error::Descriptors { found: 0, expected: 32768 });
    }

    #[test]
    fn memory_that_must_not_be_mapped_is_kept() {
        let nomap = Region { flags: handoff::RegionFlags::NOMAP, ..Region::new(0, 128 << 20) };
        let mut states = vec![];
        Layout::new(&[nomap], 0).unwrap().frame_runs(&[], |run| states.push(run.state));
        assert_eq!(states, [FrameState::Reserved; 2], "zones DMA and DMA32");
    }
}
