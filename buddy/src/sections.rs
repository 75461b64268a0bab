// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which descriptor belongs to which frame.

use crate::Error;
use handoff::{FRAME_BYTES, Frame, MAX_ORDER, SECTION_FRAMES, SECTION_RUNS, SectionRun};
use heapless::Vec;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

/// Sections that 52 address bits can number.
const SECTIONS: u64 = (1 << 52) / handoff::SECTION_BYTES;

/// The present sections.
///
/// # Invariants
/// Runs are sorted, disjoint and not empty; descriptors of one run follow those of the run before. So a section's first
/// descriptor has an index that is a multiple of [`SECTION_FRAMES`], and the buddy of a block can be computed from the
/// index of its descriptor as well as from the frame number.
#[derive(Debug)]
pub(crate) struct Sections {
    runs: Vec<SectionRun, SECTION_RUNS>,
    /// Descriptors there are.
    descriptors: u64,
}

impl Sections {
    /// Checks a table of runs against the number of descriptors.
    ///
    /// There may be fewer descriptors than frames: the end of the last section is then absent.
    pub(crate) fn new(runs: &[SectionRun], descriptors: usize) -> Result<Self, Error> {
        let (mut section, mut frames) = (0, 0);
        for (index, run) in runs.iter().enumerate() {
            let first = u64::from(run.first_section);
            if run.sections == 0 || first < section || u64::from(run.first_frame.0) != frames {
                return Err(Error::Section { index });
            }
            section = first + u64::from(run.sections);
            frames += u64::from(run.sections) * SECTION_FRAMES;
            if section > SECTIONS || frames > u64::from(Frame::NONE.0) {
                return Err(Error::Section { index });
            }
        }
        if descriptors as u64 > frames || !descriptors.is_multiple_of(1 << MAX_ORDER) {
            return Err(Error::Descriptors { given: descriptors, frames });
        }
        let runs = Vec::from_slice(runs).map_err(|_| Error::Capacity { capacity: SECTION_RUNS })?;
        Ok(Self { runs, descriptors: descriptors as u64 })
    }

    pub(crate) fn runs(&self) -> &[SectionRun] {
        &self.runs
    }

    #[cfg(feature = "serde")]
    pub(crate) fn into_runs(self) -> Vec<SectionRun, SECTION_RUNS> {
        self.runs
    }

    /// Returns the descriptor of a frame.
    #[inline]
    pub(crate) fn frame(&self, pfn: u64) -> Result<Frame, Error> {
        let section = pfn / SECTION_FRAMES;
        // Most memory of most machines is in the last run.
        if let Some(run) = self.runs.last() {
            let first = u64::from(run.first_section);
            if first <= section && section < first + u64::from(run.sections) {
                let index = u64::from(run.first_frame.0) + (pfn - first * SECTION_FRAMES);
                return if index < self.descriptors { Ok(Frame(index as u32)) } else { Err(Error::Foreign { pfn }) };
            }
        }
        let after = self.runs.partition_point(|run| u64::from(run.first_section) <= section);
        let run = after.checked_sub(1).and_then(|i| self.runs.get(i)).ok_or(Error::Foreign { pfn })?;

        let offset = pfn - u64::from(run.first_section) * SECTION_FRAMES;
        let index = u64::from(run.first_frame.0) + offset;
        if offset < u64::from(run.sections) * SECTION_FRAMES && index < self.descriptors {
            Ok(Frame(index as u32))
        } else {
            Err(Error::Foreign { pfn })
        }
    }

    /// Returns the number of the next frame after `pfn` that can be in a present section; the largest number if none can.
    pub(crate) fn next_present(&self, pfn: u64) -> u64 {
        let after = self.runs.partition_point(|run| u64::from(run.first_section) * SECTION_FRAMES <= pfn);
        self.runs.get(after).map_or(u64::MAX, |run| u64::from(run.first_section) * SECTION_FRAMES)
    }

    /// Returns the frame that a descriptor describes, which must exist.
    #[inline]
    pub(crate) fn physical(&self, frame: Frame) -> PhysFrame {
        PhysFrame::containing_address(PhysAddr::new(self.pfn(frame) * FRAME_BYTES))
    }

    /// Returns the index of the first descriptor whose frame number is at least `pfn`; the number of descriptors if
    /// there is none.
    #[cfg(feature = "spin")]
    pub(crate) fn index_from(&self, pfn: u64) -> u32 {
        match self.frame(pfn).or_else(|_| self.frame(self.next_present(pfn))) {
            Ok(frame) => frame.0,
            Err(_) => self.descriptors as u32,
        }
    }

    /// Returns the frame number of a descriptor, which must exist.
    #[inline]
    pub(crate) fn pfn(&self, frame: Frame) -> u64 {
        let run = match self.runs.last() {
            Some(run) if run.first_frame <= frame => run,
            _ => &self.runs[self.runs.partition_point(|run| run.first_frame <= frame) - 1],
        };
        u64::from(run.first_section) * SECTION_FRAMES + u64::from(frame.0 - run.first_frame.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn run(first_section: u32, sections: u32, first_frame: u32) -> SectionRun {
        SectionRun { first_section, sections, first_frame: Frame(first_frame) }
    }

    #[test]
    fn both_ways() {
        let table = Sections::new(&[run(0, 2, 0), run(32, 1, 0x10000)], 0x18000).unwrap();
        for (pfn, index) in [(0, 0), (0xffff, 0xffff), (0x10_0000, 0x10000), (0x10_7fff, 0x17fff)] {
            assert_eq!(table.frame(pfn), Ok(Frame(index)));
            assert_eq!(table.pfn(Frame(index)), pfn);
        }
        for pfn in [0x10000, 0xf_ffff, 0x10_8000, u64::MAX] {
            assert_eq!(table.frame(pfn), Err(Error::Foreign { pfn }));
        }
        assert_eq!([0x10000, 0xf_ffff, 0x10_8000].map(|pfn| table.next_present(pfn)), [0x10_0000, 0x10_0000, u64::MAX]);
    }

    #[test]
    fn the_last_section_may_be_cut() {
        let table = Sections::new(&[run(1, 1, 0)], 1024).unwrap();
        assert_eq!(table.frame(0x83ff), Ok(Frame(0x3ff)));
        assert_eq!(table.frame(0x8400), Err(Error::Foreign { pfn: 0x8400 }));
        assert_eq!(table.frame(0x7fff), Err(Error::Foreign { pfn: 0x7fff }));
    }

    #[test]
    fn wrong_tables() {
        let table = |runs: &[SectionRun], descriptors| Sections::new(runs, descriptors).map(|_| ()).unwrap_err();
        assert_eq!(table(&[run(0, 0, 0)], 0), Error::Section { index: 0 });
        assert_eq!(table(&[run(0, 1, 5)], 1024), Error::Section { index: 0 });
        assert_eq!(table(&[run(4, 1, 0), run(4, 1, 0x8000)], 1024), Error::Section { index: 1 });
        assert_eq!(table(&[run(u32::MAX, 1, 0)], 1024), Error::Section { index: 0 });
        assert_eq!(table(&[run(0, 1 << 25, 0)], 1024), Error::Section { index: 0 });
        assert_eq!(table(&[run(0, 1, 0)], 1023), Error::Descriptors { given: 1023, frames: 0x8000 });
        assert_eq!(table(&[run(0, 1, 0)], 0x8400), Error::Descriptors { given: 0x8400, frames: 0x8000 });
        let many: std::vec::Vec<_> = (0..=SECTION_RUNS as u32).map(|i| run(2 * i, 1, i * 0x8000)).collect();
        assert_eq!(table(&many, 1024), Error::Capacity { capacity: SECTION_RUNS });
    }
}
