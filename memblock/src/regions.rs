// SPDX-License-Identifier: MIT OR Apache-2.0
//! One sorted array of disjoint regions: the only file that knows how regions are stored.

use crate::{Array, Error};
use handoff::{Nid, PhysRange, Region, RegionFlags, Rules};
use heapless::Vec;

/// Regions, sorted, disjoint, not empty.
#[derive(Clone, Debug)]
pub(crate) struct Regions<const N: usize> {
    entries: Vec<Region, N>,
    /// How many entries Linux's array would hold by now; at most `N`.
    pub(crate) max: usize,
    /// Linux's count of bytes, which trimming does not correct.
    pub(crate) total_size: u64,
    /// Where the array would lie after it grew.
    pub(crate) place: Option<PhysRange>,
    /// Whether equal neighbours may exist that the next merge of 6.1 has to find.
    unmerged: bool,
}

/// Entries of Linux's first arrays: `INIT_MEMBLOCK_REGIONS` (6.1).
const INITIAL_REGIONS: usize = 128;

impl<const N: usize> Regions<N> {
    pub(crate) const fn new() -> Self {
        let max = if N < INITIAL_REGIONS { N } else { INITIAL_REGIONS };
        Self { entries: Vec::new(), max, total_size: 0, place: None, unmerged: false }
    }

    /// Returns an array of these regions, or what is wrong with them.
    pub(crate) fn from_slice(array: Array, regions: &[Region], max: usize) -> Result<Self, Error> {
        if max > N || regions.len() > max {
            return Err(Error::TooMany { array, count: max.max(regions.len()), capacity: max.min(N) });
        }
        let broken = |i: usize| {
            let region = regions[i];
            PhysRange::from_size(region.base, region.size).is_none() || i > 0 && regions[i - 1].end() > region.base
        };
        if let Some(index) = (0..regions.len()).find(|&i| broken(i)) {
            return Err(Error::Unsorted { array, index });
        }
        let entries = Vec::from_slice(regions).map_err(|_| Error::Full { array, capacity: N })?;
        let total_size = regions.iter().map(|r| r.size).sum();
        Ok(Self { entries, max, total_size, place: None, unmerged: true })
    }

    pub(crate) fn as_slice(&self) -> &[Region] {
        &self.entries
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the bytes that the regions cover.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|r| r.size).sum()
    }

    /// Returns the index of the region that holds `address`.
    pub(crate) fn find(&self, address: u64) -> Option<usize> {
        let at = self.entries.partition_point(|r| r.end() <= address);
        self.entries.get(at).is_some_and(|r| r.base <= address).then_some(at)
    }

    /// Returns the regions that share a byte with `[start, end)`.
    pub(crate) fn within(&self, start: u64, end: u64) -> &[Region] {
        let (low, high) = self.span(start, end);
        &self.entries[low..high]
    }

    fn span(&self, start: u64, end: u64) -> (usize, usize) {
        let low = self.entries.partition_point(|r| r.end() <= start);
        let high = low + self.entries[low..].partition_point(|r| r.base < end);
        (low, high)
    }

    /// Returns how many pieces of `range` no region covers.
    pub(crate) fn missing(&self, range: PhysRange) -> usize {
        let mut pieces = 0;
        let mut covered = range.start();
        for region in self.within(range.start(), range.end()) {
            pieces += usize::from(covered < region.base);
            covered = region.end();
        }
        pieces + usize::from(covered < range.end())
    }

    /// Covers the pieces of `range` that no region covers, then merges.
    ///
    /// There must be room for [`missing`](Self::missing) more entries, and at least one piece.
    pub(crate) fn insert(&mut self, range: PhysRange, nid: Nid, flags: RegionFlags, rules: Rules) -> Result<(), ()> {
        if self.entries.is_empty() {
            self.total_size = 0;
        }
        let (low, high) = self.span(range.start(), range.end());
        let pieces = self.missing(range);
        self.open(high, pieces)?;

        // From the top down, each old region moves up by the number of pieces below it that are still to come.
        let (mut to, mut end) = (high + pieces, range.end());
        let (mut first, mut last) = (to, 0);
        for from in (low..=high).rev() {
            let (old, covered) = match from.checked_sub(1).filter(|_| from > low) {
                Some(below) => (Some(self.entries[below]), self.entries[below].end()),
                None => (None, range.start()),
            };
            if covered < end {
                to -= 1;
                self.entries[to] = Region { base: covered, size: end - covered, nid, flags };
                self.total_size = self.total_size.wrapping_add(end - covered);
                (first, last) = (to, last.max(to + 1));
            }
            if let Some(old) = old {
                to -= 1;
                self.entries[to] = old;
                end = old.base;
            }
        }
        self.merge(first, last, rules);
        Ok(())
    }

    /// Splits the regions that cross the ends of `range`; returns the indices of those inside, 0 and 0 if there are none.
    ///
    /// There must be room for two more entries.
    pub(crate) fn isolate(&mut self, range: PhysRange) -> (usize, usize) {
        self.split(range.start());
        self.split(range.end());
        let (low, high) = self.span(range.start(), range.end());
        if low == high { (0, 0) } else { (low, high) }
    }

    fn split(&mut self, address: u64) {
        let Some(at) = self.find(address).filter(|&at| self.entries[at].base < address) else { return };
        let upper = Region { base: address, size: self.entries[at].end() - address, ..self.entries[at] };
        if self.open(at + 1, 1).is_ok() {
            self.entries[at].size = address - self.entries[at].base;
            self.entries[at + 1] = upper;
        }
    }

    /// Removes the regions `low..high`.
    pub(crate) fn remove(&mut self, low: usize, high: usize) {
        let removed: u64 = self.entries[low..high].iter().map(|r| r.size).sum();
        self.total_size = self.total_size.wrapping_sub(removed);
        self.close(low, high);
    }

    /// Changes the regions `low..high`, then merges.
    pub(crate) fn change(&mut self, low: usize, high: usize, rules: Rules, change: impl Fn(&mut Region)) {
        self.entries[low..high].iter_mut().for_each(change);
        self.merge(low, high, rules);
    }

    /// Keeps the regions that `keep` says, in the shape it gives them; a region that goes leaves the count of bytes.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut Region) -> bool) {
        let mut removed = 0;
        self.entries.retain_mut(|region| {
            let size = region.size;
            keep(region) || {
                removed += size;
                false
            }
        });
        self.total_size = self.total_size.wrapping_sub(removed);
        self.unmerged = true;
    }

    /// Fuses equal neighbours: around the regions `low..high`, with the rules of 6.1 wherever they are.
    fn merge(&mut self, low: usize, high: usize, rules: Rules) {
        // 6.1 scans the whole array. Pairs outside the touched part exist only after operations that set `unmerged`.
        let all = self.unmerged && rules < Rules::V6_12;
        let (low, high) = if all { (0, self.len()) } else { (low.saturating_sub(1), high) };
        self.unmerged &= !all;

        let high = high.min(self.len().saturating_sub(1));
        let mut to = low;
        for from in low + 1..=high {
            let (last, next) = (self.entries[to], self.entries[from]);
            if last.end() == next.base && last.nid == next.nid && last.flags == next.flags {
                self.entries[to].size += next.size;
            } else {
                to += 1;
                self.entries[to] = next;
            }
        }
        if low < high {
            self.close(to + 1, high + 1);
        }
    }

    /// Makes room for `count` entries at `at`.
    fn open(&mut self, at: usize, count: usize) -> Result<(), ()> {
        let len = self.len();
        self.entries.resize(len + count, Region::new(0, 0)).map_err(|_| ())?;
        self.entries.copy_within(at..len, at + count);
        Ok(())
    }

    /// Takes the entries `low..high` out.
    fn close(&mut self, low: usize, high: usize) {
        if low < high {
            self.entries.copy_within(high.., low);
            self.entries.truncate(self.len() - (high - low));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn regions(list: &[(u64, u64)]) -> Regions<8> {
        let list: Vec<Region> = list.iter().map(|&(start, end)| Region::new(start, end - start)).collect();
        Regions::from_slice(Array::Memory, &list, 8).unwrap()
    }

    fn list(regions: &Regions<8>) -> Vec<(u64, u64)> {
        regions.as_slice().iter().map(|r| (r.base, r.end())).collect()
    }

    #[test]
    fn inserts_only_what_is_missing() {
        for (before, range, missing, after) in [
            (vec![], (5, 9), 1, vec![(5, 9)]),
            (vec![(5, 9)], (5, 9), 0, vec![(5, 9)]),
            (vec![(5, 9)], (0, 20), 2, vec![(0, 20)]),
            (vec![(5, 9), (12, 14)], (6, 13), 1, vec![(5, 14)]),
            (vec![(5, 9), (12, 14)], (0, 20), 3, vec![(0, 20)]),
            (vec![(5, 9), (12, 14)], (10, 11), 1, vec![(5, 9), (10, 11), (12, 14)]),
            (vec![(5, 9), (12, 14)], (9, 10), 1, vec![(5, 10), (12, 14)]),
            (vec![(5, 9)], (0, 2), 1, vec![(0, 2), (5, 9)]),
        ] {
            let mut array = regions(&before);
            let range = PhysRange::new(range.0, range.1).unwrap();
            assert_eq!(array.missing(range), missing, "{before:?} {range:?}");
            if missing > 0 {
                array.insert(range, Nid::UNSET, RegionFlags::NONE, Rules::V6_1).unwrap();
            }
            assert_eq!(list(&array), after, "{before:?} {range:?}");
            assert_eq!(array.total_size, array.bytes());
        }
    }

    #[test]
    fn isolates_by_splitting() {
        for (range, expected, after) in [
            ((6, 8), (1, 2), vec![(5, 6), (6, 8), (8, 9)]),
            ((0, 5), (0, 0), vec![(5, 9)]),
            ((5, 9), (0, 1), vec![(5, 9)]),
            ((0, 7), (0, 1), vec![(5, 7), (7, 9)]),
            ((9, 12), (0, 0), vec![(5, 9)]),
        ] {
            let mut array = regions(&[(5, 9)]);
            assert_eq!(array.isolate(PhysRange::new(range.0, range.1).unwrap()), expected, "{range:?}");
            assert_eq!(list(&array), after, "{range:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_sorted() {
        for (list, index) in [
            (vec![Region::new(5, 0)], 0),
            (vec![Region::new(5, 5), Region::new(9, 1)], 1),
            (vec![Region::new(u64::MAX, 2)], 0),
        ] {
            let result = Regions::<8>::from_slice(Array::Memory, &list, 8);
            assert_eq!(result.err(), Some(Error::Unsorted { array: Array::Memory, index }));
        }
    }
}
