// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which zone and which piece a frame belongs to.

use crate::Error;
use core::ops::Range;
use handoff::{RUNS, Run, SECTION_FRAMES, ZoneState};
use heapless::Vec;

/// The first frame number that 52 address bits cannot hold.
pub(crate) const MAX_PFN: u64 = 1 << 40;

/// All memory, as runs of frames that lie in one zone each.
///
/// # Invariants
/// Runs are sorted, disjoint and not empty. Two runs of a zone share a piece if and only if they meet in its section.
#[derive(Debug)]
pub(crate) struct Runs {
    runs: Vec<Run, RUNS>,
    /// The largest one: most frames are found there.
    largest: usize,
}

/// Where the state of a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) zone: usize,
    pub(crate) piece: u32,
    /// The frame, counted from the start of its section.
    pub(crate) frame: u32,
}

/// A piece and its section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) piece: u32,
    pub(crate) section: u32,
    /// Whether all of the section is the zone's memory.
    pub(crate) whole: bool,
}

/// Returns the section of a frame.
pub(crate) const fn section(pfn: u64) -> u32 {
    (pfn / SECTION_FRAMES) as u32
}

/// Returns the first frame of a section.
pub(crate) const fn section_start(section: u32) -> u64 {
    section as u64 * SECTION_FRAMES
}

const fn last_section(run: &Run) -> u32 {
    section(run.end_pfn - 1)
}

/// Returns how many pieces a run has.
pub(crate) const fn pieces(run: &Run) -> u32 {
    last_section(run) - section(run.start_pfn) + 1
}

/// Returns the pieces of a run.
fn parts_of(run: Run) -> impl Iterator<Item = Part> {
    let first = section(run.start_pfn);
    (first..=last_section(&run)).map(move |section| {
        let start = section_start(section);
        let whole = run.start_pfn <= start && start + SECTION_FRAMES <= run.end_pfn;
        Part { piece: run.first_piece + (section - first), section, whole }
    })
}

impl Runs {
    pub(crate) const fn new() -> Self {
        Self { runs: Vec::new(), largest: 0 }
    }

    /// Checks a table of runs against the zones.
    pub(crate) fn checked(runs: &[Run], zones: &[ZoneState]) -> Result<Self, Error> {
        let mut end = 0;
        for (index, run) in runs.iter().enumerate() {
            let order = end <= run.start_pfn && run.start_pfn < run.end_pfn && run.end_pfn <= MAX_PFN;
            let zone = zones.get(usize::from(run.zone)).filter(|_| order).ok_or(Error::Run { index })?;
            let last = run.first_piece.checked_add(pieces(run)).filter(|last| *last <= zone.used_pieces);
            let mut before = runs[..index].iter().filter(|other| other.zone == run.zone);
            let clash = |other: &Run| {
                let apart = run.first_piece >= other.first_piece + pieces(other)
                    || other.first_piece >= run.first_piece + pieces(run);
                let shared = last_section(other) == section(run.start_pfn)
                    && other.first_piece + pieces(other) - 1 == run.first_piece;
                !(apart || shared)
            };
            if last.is_none() || before.any(clash) {
                return Err(Error::Run { index });
            }
            end = run.end_pfn;
        }
        let mut table = Self::new();
        table.runs.extend_from_slice(runs).map_err(|_| Error::Capacity { capacity: RUNS })?;
        table.find_largest();
        Ok(table)
    }

    fn find_largest(&mut self) {
        let sizes = self.runs.iter().enumerate();
        self.largest = sizes.max_by_key(|(_, run)| run.end_pfn - run.start_pfn).map_or(0, |(index, _)| index);
    }

    pub(crate) fn as_slice(&self) -> &[Run] {
        &self.runs
    }

    /// Returns how many more runs fit.
    pub(crate) fn room(&self) -> usize {
        RUNS - self.runs.len()
    }

    /// Returns the run that a frame lies in.
    #[inline]
    pub(crate) fn find(&self, pfn: u64) -> Result<&Run, Error> {
        match self.runs.get(self.largest) {
            Some(run) if run.start_pfn <= pfn && pfn < run.end_pfn => Ok(run),
            _ => self.search(pfn),
        }
    }

    fn search(&self, pfn: u64) -> Result<&Run, Error> {
        let run = self.runs.get(self.after(pfn)).filter(|run| run.start_pfn <= pfn);
        run.ok_or(Error::Foreign { pfn })
    }

    /// Returns the index of the first run that ends after a frame.
    fn after(&self, pfn: u64) -> usize {
        self.runs.partition_point(|run| run.end_pfn <= pfn)
    }

    /// Returns the index of the run that a frame lies in.
    #[cfg(feature = "spin")]
    #[inline]
    pub(crate) fn index(&self, pfn: u64) -> Option<usize> {
        let found = |index: &usize| self.runs.get(*index).is_some_and(|run| run.start_pfn <= pfn && pfn < run.end_pfn);
        Some(self.largest).filter(found).or_else(|| Some(self.after(pfn)).filter(found))
    }

    /// Returns where the state of a frame is.
    #[inline]
    pub(crate) fn place(&self, pfn: u64) -> Result<Place, Error> {
        let run = self.find(pfn)?;
        let piece = run.first_piece + (section(pfn) - section(run.start_pfn));
        Ok(Place { zone: run.zone.into(), piece, frame: (pfn % SECTION_FRAMES) as u32 })
    }

    /// Returns the pieces of a zone, ascending.
    pub(crate) fn parts(&self, zone: usize) -> impl Iterator<Item = Part> {
        let mut last = None;
        let runs = self.runs.iter().copied().filter(move |run| usize::from(run.zone) == zone);
        runs.flat_map(parts_of).filter(move |part| last.replace(part.section) != Some(part.section))
    }

    /// Returns the stretches of frames that are memory, each in one zone and one section, ascending from a frame on.
    pub(crate) fn stretches(&self, frames: Range<u64>) -> impl Iterator<Item = (Place, Range<u64>)> {
        let mut next = frames.start;
        let first = self.after(frames.start);
        self.runs.iter().skip(first).take_while(move |run| run.start_pfn < frames.end).flat_map(move |run| {
            let mut start = next.max(run.start_pfn);
            let end = frames.end.min(run.end_pfn);
            next = end;
            core::iter::from_fn(move || {
                let stop = end.min(section_start(section(start) + 1));
                let piece = run.first_piece + (section(start) - section(run.start_pfn));
                let place = Place { zone: run.zone.into(), piece, frame: (start % SECTION_FRAMES) as u32 };
                let stretch = (start < stop).then_some((place, start..stop));
                start = stop;
                stretch
            })
        })
    }

    /// Returns the same stretches, but those of whole sections that follow one another in a run as one.
    pub(crate) fn spans(&self, frames: Range<u64>) -> impl Iterator<Item = (Place, Range<u64>)> {
        let first = self.after(frames.start);
        let runs = self.runs.iter().skip(first).take_while(move |run| run.start_pfn < frames.end);
        runs.flat_map(move |run| {
            let (start, end) = (frames.start.max(run.start_pfn), frames.end.min(run.end_pfn));
            let (first, last) = (start.next_multiple_of(SECTION_FRAMES), end - end % SECTION_FRAMES);
            let parts =
                if first <= last { [start..first, first..last, last..end] } else { [start..end, end..end, end..end] };
            parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
                let piece = run.first_piece + (section(part.start) - section(run.start_pfn));
                let frame = (part.start % SECTION_FRAMES) as u32;
                (Place { zone: run.zone.into(), piece, frame }, part)
            })
        })
    }

    /// Checks that every frame of a range lies in a run.
    pub(crate) fn check(&self, frames: Range<u64>) -> Result<(), Error> {
        let mut pfn = frames.start;
        while pfn < frames.end {
            pfn = self.find(pfn)?.end_pfn;
        }
        Ok(())
    }

    /// Returns the section in which a zone's piece lies, if that is a whole one.
    pub(crate) fn section_of(&self, zone: usize, piece: u32) -> Option<u32> {
        let mut runs = self.runs.iter().filter(|run| usize::from(run.zone) == zone);
        let run = runs.find(|run| (run.first_piece..run.first_piece + pieces(run)).contains(&piece))?;
        Some(section(run.start_pfn) + (piece - run.first_piece))
    }

    /// Adds frames of a zone behind all others, or joins them to the last run.
    pub(crate) fn push(&mut self, run: Run) -> Result<(), Error> {
        match self.runs.last_mut() {
            Some(last) if last.end_pfn == run.start_pfn && last.zone == run.zone => last.end_pfn = run.end_pfn,
            _ => self.runs.push(run).map_err(|_| Error::Capacity { capacity: RUNS })?,
        }
        self.find_largest();
        Ok(())
    }

    /// Adds a run where there is none.
    pub(crate) fn insert(&mut self, run: Run) -> Result<(), Error> {
        let at = self.after(run.start_pfn);
        self.runs.insert(at, run).map_err(|_| Error::Capacity { capacity: RUNS })?;
        self.find_largest();
        Ok(())
    }

    /// Takes frames out of the runs that contain them. There must be room for two more.
    pub(crate) fn remove(&mut self, frames: Range<u64>) -> Result<(), Error> {
        while let Some((index, old)) = self
            .runs
            .iter()
            .copied()
            .enumerate()
            .find(|(_, run)| run.start_pfn < frames.end && frames.start < run.end_pfn)
        {
            self.runs.remove(index);
            let skipped = section(frames.end.min(old.end_pfn - 1)) - section(old.start_pfn);
            let above = Run { start_pfn: frames.end, first_piece: old.first_piece + skipped, ..old };
            let below = Run { end_pfn: frames.start, ..old };
            for part in [above, below].into_iter().filter(|part| part.start_pfn < part.end_pfn) {
                self.runs.insert(index, part).map_err(|_| Error::Capacity { capacity: RUNS })?;
            }
        }
        self.find_largest();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::{ZoneKind, ZoneSpan};
    use std::vec::Vec;

    const fn run(start_pfn: u64, end_pfn: u64, zone: u16, first_piece: u32) -> Run {
        Run { start_pfn, end_pfn, zone, first_piece }
    }

    fn zones(pieces: u32) -> [ZoneState; 2] {
        let span = ZoneSpan { node: 0, kind: ZoneKind::DMA, start_pfn: 0, spanned: 1, present: 1 };
        [ZoneState { used_pieces: pieces, pieces, ..ZoneState::new(span) }; 2]
    }

    /// Two runs of a zone that meet in section 1, with another zone's between them.
    const RUNS_OF_TWO: [Run; 3] = [run(5, 0x9000, 0, 0), run(0x9000, 0xa000, 1, 0), run(0xb000, 0x18000, 0, 1)];

    #[test]
    fn a_frame_leads_to_its_piece() {
        let runs = Runs::checked(&RUNS_OF_TWO, &zones(3)).unwrap();
        for (pfn, zone, piece, frame) in [
            (5, 0, 0, 5),
            (0x8fff, 0, 1, 0xfff),
            (0x9000, 1, 0, 0x1000),
            (0xb000, 0, 1, 0x3000),
            (0x17fff, 0, 2, 0x7fff),
        ] {
            assert_eq!(runs.place(pfn), Ok(Place { zone, piece, frame }));
        }
        for pfn in [0, 4, 0xa000, 0xafff, 0x18000, u64::MAX] {
            assert_eq!(runs.place(pfn), Err(Error::Foreign { pfn }));
        }
        let parts: Vec<_> = runs.parts(0).map(|part| (part.piece, part.section, part.whole)).collect();
        assert_eq!(parts, [(0, 0, false), (1, 1, false), (2, 2, true)]);
        assert_eq!((runs.section_of(0, 2), runs.section_of(1, 0), runs.section_of(1, 1)), (Some(2), Some(1), None));
        let stretches: Vec<_> =
            runs.stretches(0x8ff0..0x10001).map(|(place, pfn)| (place.zone, place.piece, pfn)).collect();
        assert_eq!(
            stretches,
            [(0, 1, 0x8ff0..0x9000), (1, 0, 0x9000..0xa000), (0, 1, 0xb000..0x10000), (0, 2, 0x10000..0x10001)]
        );
        assert_eq!(runs.check(5..0xa000), Ok(()));
        assert_eq!(runs.check(5..0xb000), Err(Error::Foreign { pfn: 0xa000 }));
    }

    #[test]
    fn frames_go_and_come() {
        let mut runs = Runs::checked(&RUNS_OF_TWO, &zones(3)).unwrap();
        runs.remove(0x100..0x200).unwrap();
        runs.remove(0xf000..0x18000).unwrap();
        assert_eq!(
            runs.as_slice(),
            [run(5, 0x100, 0, 0), run(0x200, 0x9000, 0, 0), run(0x9000, 0xa000, 1, 0), run(0xb000, 0xf000, 0, 1)]
        );
        runs.remove(0..0x8000).unwrap();
        assert_eq!(runs.as_slice()[0], run(0x8000, 0x9000, 0, 1));
        runs.insert(run(0xf000, 0x10000, 0, 1)).unwrap();
        assert_eq!(runs.place(0xf000).unwrap().piece, 1);
        assert!(Runs::checked(runs.as_slice(), &zones(3)).is_ok());
    }

    #[test]
    fn wrong_tables() {
        let table = |runs: &[Run]| Runs::checked(runs, &zones(3)).map(|_| ()).unwrap_err();
        for (index, runs) in [
            (0, &[run(7, 7, 0, 0)][..]),
            (0, &[run(0, 1, 2, 0)]),
            (0, &[run(0, 0x18001, 0, 0)]),
            (0, &[run(0, MAX_PFN + 1, 0, 0)]),
            (1, &[run(8, 9, 0, 0), run(8, 9, 0, 1)]),
            // The same section, not the same piece, is a waste; the same piece in two sections is wrong.
            (1, &[run(0, 9, 0, 0), run(0x8000, 0x8001, 0, 0)]),
            (1, &[run(0, 0x9000, 0, 0), run(0x10000, 0x10001, 0, 1)]),
        ] {
            assert_eq!(table(runs), Error::Run { index }, "{runs:?}");
        }
        let many: Vec<_> = (0..=RUNS as u64).map(|i| run(2 * i, 2 * i + 1, 0, 0)).collect();
        assert_eq!(table(&many), Error::Capacity { capacity: RUNS });
    }
}
