// SPDX-License-Identifier: MIT OR Apache-2.0
//! One byte per frame that says what the caches know of the block that starts there.

use super::sync::AtomicU8;
use core::ops::Range;
use core::sync::atomic::Ordering;
use handoff::Run;

/// The orders that are cached: single frames and huge pages.
pub(crate) const CACHED_ORDERS: [u8; 2] = [0, 9];
/// Zones whose blocks can be in a cache.
pub(crate) const CACHED_ZONES: usize = u64::BITS as usize;

/// What the caches know of a block.
///
/// A frame without a mark is none of theirs: the frame map says what it is. A block that came out of a zone for a cache has
/// a mark until it returns to its zone, and is allocated all that time as far as the map goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark(u8);

impl Mark {
    /// Nothing.
    pub(crate) const NONE: Self = Self(0);
    /// Nobody uses it: it is in a cache, or on the way from or to one.
    const IDLE: u8 = 0x80;
    /// The order is the second of [`CACHED_ORDERS`].
    const LARGE: u8 = 0x40;
    /// There is a mark.
    const KNOWN: u8 = 1;

    /// Returns the mark of a block that is in a cache.
    #[inline]
    pub(crate) const fn idle(large: bool) -> Self {
        Self(Self::KNOWN | Self::IDLE | if large { Self::LARGE } else { 0 })
    }

    /// Returns the mark of a block that somebody uses, from the one it has in the cache.
    #[inline]
    pub(crate) const fn in_use(self) -> Self {
        Self(self.0 & !Self::IDLE)
    }

    /// Returns the mark that the block gets when it is freed.
    #[inline]
    pub(crate) const fn idled(self) -> Self {
        Self(self.0 | Self::IDLE)
    }

    #[inline]
    pub(crate) const fn is_idle(self) -> bool {
        self.0 & Self::IDLE != 0
    }

    #[inline]
    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) const fn order(self) -> u8 {
        CACHED_ORDERS[(self.0 & Self::LARGE != 0) as usize]
    }
}

/// The marks of frames that follow one another: those of a run.
#[derive(Clone, Copy)]
pub(crate) struct Marks<'a> {
    first: u64,
    bytes: &'a [AtomicU8],
}

impl<'a> Marks<'a> {
    pub(crate) const NONE: Self = Self { first: 0, bytes: &[] };

    pub(crate) const fn len(self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn slot(self, pfn: u64) -> Option<&'a AtomicU8> {
        self.bytes.get(usize::try_from(pfn.wrapping_sub(self.first)).ok()?)
    }

    #[inline]
    pub(crate) fn get(self, pfn: u64) -> Mark {
        self.slot(pfn).map_or(Mark::NONE, |mark| Mark(mark.load(Ordering::Acquire)))
    }

    /// Sets the mark of a block that only the caller has, or whose zone it has locked. Returns whether the mark is one of these.
    #[inline]
    pub(crate) fn set(self, pfn: u64, mark: Mark) -> bool {
        let slot = self.slot(pfn).inspect(|slot| slot.store(mark.0, Ordering::Release));
        slot.is_some()
    }

    /// Makes a block idle that is in use, for one of those who try it at the same time; returns whether that was the caller.
    #[inline]
    pub(crate) fn claim(self, pfn: u64, idle: Mark) -> bool {
        let change = |slot: &AtomicU8| {
            slot.compare_exchange(idle.in_use().0, idle.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        self.slot(pfn).is_some_and(change)
    }
}

/// Marks in two cache lines, which the processor fetches together.
const LINES: usize = LINES_BYTES / size_of::<AtomicU8>();
const LINES_BYTES: usize = 128;

/// The marks of all runs, one run after the other.
///
/// Aligned batches of frames have lines of their own, so that CPUs with a batch each do not take lines from each other.
pub(crate) struct MarkTable<'a>(&'a [AtomicU8]);

impl<'a> MarkTable<'a> {
    /// Makes a table without a mark.
    pub(crate) fn new(bytes: &'a [AtomicU8]) -> Self {
        bytes.iter().for_each(|mark| mark.store(Mark::NONE.0, Ordering::Relaxed));
        let unaligned = bytes.as_ptr().align_offset(LINES_BYTES).min(LINES - 1);
        Self(bytes.get(unaligned..).unwrap_or_default())
    }

    /// Returns how many marks a table of all runs needs, wherever it starts.
    pub(crate) fn needed(runs: &[Run]) -> usize {
        places(runs).last().map_or(0, |(_, place)| place.end) + LINES - 1
    }

    /// Returns the marks of each run, in order; `None` where there are not enough.
    pub(crate) fn runs(&self, runs: &[Run]) -> impl Iterator<Item = Option<Marks<'a>>> {
        places(runs).map(|(run, place)| Some(Marks { first: run.start_pfn, bytes: self.0.get(place)? }))
    }
}

/// Returns where the marks of each run lie.
fn places(runs: &[Run]) -> impl Iterator<Item = (&Run, Range<usize>)> {
    runs.iter().scan(0, |end: &mut usize, run| {
        let start = *end + (run.start_pfn as usize).wrapping_sub(*end) % LINES;
        *end = start + (run.end_pfn - run.start_pfn) as usize;
        Some((run, start..*end))
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_mark_knows_order_and_use() {
        for large in [false, true] {
            let idle = Mark::idle(large);
            assert_eq!((idle.is_idle(), idle.in_use().is_idle(), idle.in_use().is_none()), (true, false, false));
            assert_eq!(idle.order(), if large { 9 } else { 0 });
        }
    }

    #[test]
    fn one_of_two_claims() {
        let bytes = [const { AtomicU8::new(0) }; 2];
        let marks = Marks { first: 7, bytes: &bytes };
        let idle = Mark::idle(false);
        assert!(marks.set(8, idle.in_use()) && !marks.set(9, idle) && !marks.set(6, idle));
        assert!(!marks.claim(8, Mark::idle(true)) && marks.claim(8, idle) && !marks.claim(8, idle));
        assert!(marks.get(8).is_idle() && marks.get(7).is_none() && marks.get(9).is_none() && !marks.claim(9, idle));
    }

    #[test]
    fn aligned_frames_have_lines_of_their_own() {
        let run = |start_pfn, end_pfn| Run { start_pfn, end_pfn, zone: 0, first_piece: 0 };
        let runs = [run(5, 70), run(200, 500), run(500, 501)];
        let bytes: Vec<_> = (0..MarkTable::needed(&runs)).map(|_| AtomicU8::new(0xff)).collect();
        for skipped in [0, 1, 40, 127] {
            let table = MarkTable::new(&bytes[skipped..]);
            let found: Vec<_> = table.runs(&runs).collect();
            for (run, marks) in runs.iter().zip(found.iter().flatten()) {
                assert_eq!(marks.slot(run.start_pfn).unwrap().as_ptr() as u64 % 128, run.start_pfn % 128);
                assert!(marks.set(run.end_pfn - 1, Mark::idle(false)) && !marks.set(run.end_pfn, Mark::NONE));
            }
            assert!(skipped > 0 || found.iter().all(Option::is_some));
        }
        assert_eq!(MarkTable::new(&bytes[..200]).runs(&runs).filter(Option::is_some).count(), 1);
    }
}
