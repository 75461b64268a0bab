// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gaps between regions, without a look into pages whose gaps are all too small.

use super::{At, Pages};
use handoff::Region;

/// Which gaps are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Where the window starts. Gaps are cut to the window.
    pub(crate) low: u64,
    /// Where it ends; above `low`.
    pub(crate) high: u64,
    /// The least size in bytes.
    pub(crate) size: u64,
}

/// A gap that was found in front of the region at a position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) at: At,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// No gap that ends above `from` and not above `to` has `size` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) size: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    /// Where the region that starts at `from` was.
    at: At,
}

impl Passed {
    pub(super) const NOTHING: Self = Self { size: u64::MAX, from: 0, to: 0, at: At { page: 0, slot: 0 } };

    pub(super) const fn contains(&self, end: u64) -> bool {
        self.from < end && end <= self.to
    }
}

impl Found {
    pub(super) const NOTHING: Self = Self { at: At { page: 0, slot: 0 }, start: 0, end: 0 };
}

impl<const N: usize> Pages<N> {
    /// Offers the gaps of a window from the highest down until `fits` takes one. Some may be too small, or even inverted.
    pub(crate) fn highest_gap<T>(&self, wanted: Wanted, fits: impl Fn(u64, u64) -> Option<T>) -> Option<T> {
        let offer = |at, start, end| self.offer(wanted, at, start, end, &fits);
        let top = self.seek_down(wanted.high - 1);
        let (start, end) = (self.end_before(top), self.get(top).map_or(u64::MAX, |r| r.base));
        let found = offer(top, start, end);
        if found.is_some() || end <= wanted.low {
            return found;
        }

        let is_whole_and_large = end < wanted.high && end - start >= wanted.size;
        let to = if is_whole_and_large { end } else { wanted.high } - 1;
        let top = self.pass(wanted).unwrap_or(top);
        let mut is_first = true;
        let pages = self.pages.len().min(top.page + 1);
        for (index, page) in self.pages[..pages].iter().enumerate().rev() {
            if page.largest_gap.get() < wanted.size || index != top.page && self.learn(index) < wanted.size {
                continue;
            }
            let regions = self.regions(page);
            let slots = if index == top.page { top.slot } else { regions.len() };
            let below = self.end_before(At { page: index, slot: 0 });
            for (slot, start, end) in gaps(&regions[..slots], below, wanted.size).rev() {
                let at = At { page: index, slot };
                if is_first {
                    self.passed.set(Passed { size: wanted.size, from: end, to, at });
                    is_first = false;
                }
                let found = offer(at, start, end);
                if found.is_some() || end <= wanted.low {
                    return found;
                }
            }
        }
        None
    }

    /// Offers gaps as [`highest_gap`](Self::highest_gap) does, from the lowest up.
    pub(crate) fn lowest_gap<T>(&self, wanted: Wanted, fits: impl Fn(u64, u64) -> Option<T>) -> Option<T> {
        let offer = |at, start, end| self.offer(wanted, at, start, end, &fits);
        let bottom = self.seek(wanted.low);
        for (index, page) in self.pages.iter().enumerate().skip(bottom.page) {
            if page.largest_gap.get() < wanted.size || index != bottom.page && self.learn(index) < wanted.size {
                continue;
            }
            let regions = self.regions(page);
            let first = if index == bottom.page { bottom.slot } else { 0 };
            let below = self.end_before(At { page: index, slot: first });
            for (slot, start, end) in gaps(&regions[first..], below, wanted.size) {
                let found = offer(At { page: index, slot: first + slot }, start, end);
                if found.is_some() || start >= wanted.high {
                    return found;
                }
            }
        }
        let end = self.end();
        offer(end, self.end_before(end), u64::MAX)
    }

    /// Returns where a search down may start, because one for as much or less passed what lies above.
    fn pass(&self, wanted: Wanted) -> Option<At> {
        let Passed { size, from, to, at } = self.passed.get();
        (size <= wanted.size && from < wanted.high && wanted.high - 1 <= to)
            .then(|| self.after(self.seek_near(at, from)))
    }

    fn offer<T>(
        &self,
        wanted: Wanted,
        at: At,
        start: u64,
        end: u64,
        fits: impl Fn(u64, u64) -> Option<T>,
    ) -> Option<T> {
        let found = fits(start.max(wanted.low), end.min(wanted.high));
        if found.is_some() {
            self.found.set(Found { at, start, end });
        }
        found
    }

    /// Takes note of a gap in front of a region of a page that may be larger than what was known.
    pub(super) fn note_gap(&mut self, page: usize, end: u64, gap: u64) {
        let largest_gap = self.pages[page].largest_gap.get_mut();
        *largest_gap = gap.max(*largest_gap);
        let passed = self.passed.get_mut();
        if passed.size <= gap && passed.contains(end) {
            passed.from = end;
        }
    }

    /// Makes a page's `largest_gap` what it is.
    fn learn(&self, index: usize) -> u64 {
        let page = &self.pages[index];
        let gaps = gaps(self.regions(page), self.end_before(At { page: index, slot: 0 }), 0);
        let largest = gaps.map(|(_, start, end)| end - start).max().unwrap_or(0);
        page.largest_gap.set(largest);
        largest
    }
}

/// Returns slot, start and end of the gaps in front of regions, if they have at least `size` bytes. The first gap starts
/// at `below`.
fn gaps(regions: &[Region], below: u64, size: u64) -> impl DoubleEndedIterator<Item = (usize, u64, u64)> {
    let first = regions.first().map(|r| (0, below, r.base));
    let others = regions.windows(2).enumerate().map(|(i, pair)| (i + 1, pair[0].end(), pair[1].base));
    first.into_iter().chain(others).filter(move |&(_, start, end)| end - start >= size)
}
