// SPDX-License-Identifier: MIT OR Apache-2.0
//! One of the two arrays: what is put in covers only what was not covered, and equal neighbours become one.

use crate::pages::{At, Pages};
use crate::{Array, Error};
use handoff::{PhysRange, Region, Rules};

/// Regions, sorted, disjoint, not empty.
#[derive(Clone, Debug)]
pub(crate) struct Regions<const N: usize> {
    /// How many entries Linux's array would hold by now; at most `N`.
    pub(crate) max: usize,
    /// Linux's count of bytes, which trimming does not correct.
    pub(crate) total_size: u64,
    /// Where the array would lie after it grew.
    pub(crate) place: Option<PhysRange>,
    /// Whether equal neighbours may exist that the next merge of 6.1 has to find.
    unmerged: bool,
    pages: Pages<N>,
}

/// Entries of Linux's first arrays: `INIT_MEMBLOCK_REGIONS` (6.1).
const INITIAL_REGIONS: usize = 128;

impl<const N: usize> Regions<N> {
    pub(crate) const fn new(array: Array) -> Self {
        let max = if N < INITIAL_REGIONS { N } else { INITIAL_REGIONS };
        Self { pages: Pages::new(array), max, total_size: 0, place: None, unmerged: false }
    }

    /// Fills an empty array, unless something is wrong with the regions.
    pub(crate) fn fill(&mut self, array: Array, regions: &[Region], max: usize) -> Result<(), Error> {
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
        self.pages.fill(regions);
        self.max = max;
        self.total_size = self.bytes();
        self.unmerged = self.has_equal_neighbours();
        Ok(())
    }

    pub(crate) const fn pages(&self) -> &Pages<N> {
        &self.pages
    }

    pub(crate) const fn len(&self) -> usize {
        self.pages.len()
    }

    /// Returns the bytes that the regions cover.
    pub(crate) fn bytes(&self) -> u64 {
        self.pages.iter().map(|r| r.size).sum()
    }

    /// Returns the region that holds `address`.
    pub(crate) fn find(&self, address: u64) -> Option<&Region> {
        self.pages.get(self.pages.seek(address)).filter(|r| r.base <= address)
    }

    /// Returns whether a region shares a byte with `[start, end)`, or has `start` inside if that is empty.
    pub(crate) fn overlaps(&self, start: u64, end: u64) -> bool {
        self.pages.get(self.pages.seek(start)).is_some_and(|r| r.base < end)
    }

    /// Covers the pieces of `new` that no region covers, then merges; returns `false` if there is no room for them.
    ///
    /// `new` does not end above the last address.
    pub(crate) fn cover(&mut self, new: Region, rules: Rules) -> bool {
        if self.len() < self.max && !self.unmerged && self.pages.insert_apart(new) {
            self.total_size = self.total_size.wrapping_add(new.size);
            return true;
        }
        let at = self.pages.seek(new.base);
        let missing = self.missing(at, &new);
        if missing == 0 || self.len() + missing > self.max {
            return missing == 0;
        }
        if self.len() == 0 {
            self.total_size = 0;
        }

        let covered = self.put_pieces(new);
        if self.unmerged {
            self.merge(covered, rules);
        }
        true
    }

    /// Returns how many pieces of `new` no region covers; `at` is where the first may be.
    fn missing(&self, at: At, new: &Region) -> usize {
        let (mut at, mut pieces, mut covered) = (at, 0, new.base);
        while let Some(region) = self.pages.get(at).filter(|r| r.base < new.end()) {
            pieces += usize::from(covered < region.base);
            covered = region.end();
            at = self.pages.after(at);
        }
        pieces + usize::from(covered < new.end())
    }

    /// Puts in the pieces of `new` that no region covers; returns the range from the first to the last.
    fn put_pieces(&mut self, new: Region) -> Option<PhysRange> {
        let (mut covered, mut first, mut last) = (new.base, u64::MAX, 0);
        while covered < new.end() {
            let at = self.pages.seek(covered);
            let above = self.pages.get(at).filter(|above| above.base < new.end());
            let (end, next) = above.map_or((new.end(), new.end()), |above| (above.base, above.end()));
            if covered < end {
                (first, last) = (first.min(covered), end);
                self.put(at, Region { base: covered, size: end - covered, ..new });
            }
            covered = next;
        }
        PhysRange::new(first, last)
    }

    /// Puts a region in, or lets equal neighbours grow.
    fn put(&mut self, at: At, new: Region) {
        self.total_size = self.total_size.wrapping_add(new.size);
        let joins_below = self.pages.before(at).is_some_and(|below| is_one(below, &new));
        let above = self.pages.get(at).filter(|above| is_one(&new, above)).map(|above| above.size);
        match (joins_below, above) {
            (false, None) => self.pages.insert(at, new),
            (false, Some(bytes)) => self.pages.replace(at, Region { size: new.size + bytes, ..new }),
            (true, None) => self.pages.grow_before(at, new.size),
            (true, Some(bytes)) => {
                self.pages.grow_before(at, new.size + bytes);
                self.pages.remove(at, self.pages.after(at));
            }
        }
    }

    /// Splits the regions that cross the ends of `range`. There must be room for two more entries.
    pub(crate) fn isolate(&mut self, range: PhysRange) {
        self.split(range.start());
        self.split(range.end());
    }

    fn split(&mut self, address: u64) {
        let at = self.pages.seek(address);
        if let Some(&whole) = self.pages.get(at).filter(|r| r.base < address) {
            let upper_bytes = whole.end() - address;
            self.pages.replace(at, Region { size: whole.size - upper_bytes, ..whole });
            let at = self.pages.after(at);
            self.pages.insert(at, Region { base: address, size: upper_bytes, ..whole });
        }
    }

    /// Removes the regions in `range`, which must be isolated.
    pub(crate) fn remove(&mut self, range: PhysRange) {
        let (low, high) = (self.pages.seek(range.start()), self.pages.seek(range.end()));
        let removed: u64 = self.pages.between(low, high).map(|r| r.size).sum();
        self.total_size = self.total_size.wrapping_sub(removed);
        self.pages.remove(low, high);
    }

    /// Changes nodes and flags of the regions in `range`, which must be isolated, then merges.
    pub(crate) fn change(&mut self, range: Option<PhysRange>, rules: Rules, change: impl Fn(&mut Region)) {
        if let Some(range) = range {
            let (low, high) = (self.pages.seek(range.start()), self.pages.seek(range.end()));
            self.pages.change(low, high, change);
        }
        self.merge(range, rules);
    }

    /// Keeps the regions that `keep` says, in the shape it gives them; a region that goes leaves the count of bytes.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut Region) -> bool) {
        let mut removed = 0;
        self.pages.retain(|region| {
            let size = region.size;
            let kept = keep(region);
            removed += if kept { 0 } else { size };
            kept
        });
        self.total_size = self.total_size.wrapping_sub(removed);
        self.unmerged = self.has_equal_neighbours();
    }

    fn has_equal_neighbours(&self) -> bool {
        self.pages.iter().zip(self.pages.iter().skip(1)).any(|(below, above)| is_one(below, above))
    }

    /// Fuses equal neighbours that meet in `scope` or at its ends; with the rules of 6.1, wherever they meet.
    fn merge(&mut self, scope: Option<PhysRange>, rules: Rules) {
        // 6.1 scans the whole array. Pairs out of scope exist only after operations that set `unmerged`.
        let all = self.unmerged && rules < Rules::V6_12;
        let (first, last) = match scope {
            _ if all => (0, u64::MAX),
            Some(scope) => (scope.start(), scope.end()),
            None => return,
        };
        self.unmerged &= !all;

        let pages = &mut self.pages;
        let mut at = pages.seek(first);
        if pages.get(at).is_some_and(|r| r.base < first) {
            at = pages.after(at);
        }
        while let Some(&next) = pages.get(at).filter(|r| r.base <= last) {
            if pages.before(at).is_some_and(|below| is_one(below, &next)) {
                pages.grow_before(at, next.size);
                pages.remove(at, pages.after(at));
            } else {
                at = pages.after(at);
            }
        }
    }
}

/// Returns whether two regions touch and differ in nothing.
fn is_one(below: &Region, above: &Region) -> bool {
    below.end() == above.base && below.nid == above.nid && below.flags == above.flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn regions(list: &[(u64, u64)]) -> Regions<8> {
        let list: Vec<Region> = list.iter().map(|&(start, end)| Region::new(start, end - start)).collect();
        let mut array = Regions::new(Array::Memory);
        array.fill(Array::Memory, &list, 8).unwrap();
        array
    }

    fn list(regions: &Regions<8>) -> Vec<(u64, u64)> {
        regions.pages.iter().map(|r| (r.base, r.end())).collect()
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
            let new = Region::new(range.0, range.1 - range.0);
            assert_eq!(array.missing(array.pages.seek(new.base), &new), missing, "{before:?} {range:?}");
            array.max = before.len() + missing;
            assert!(array.cover(new, Rules::V6_1), "{before:?} {range:?}");
            assert_eq!(list(&array), after, "{before:?} {range:?}");
            assert_eq!(array.total_size, array.bytes());
        }
    }

    #[test]
    fn isolates_by_splitting() {
        for (range, after, rest) in [
            ((6, 8), vec![(5, 6), (6, 8), (8, 9)], vec![(5, 6), (8, 9)]),
            ((0, 5), vec![(5, 9)], vec![(5, 9)]),
            ((5, 9), vec![(5, 9)], vec![]),
            ((0, 7), vec![(5, 7), (7, 9)], vec![(7, 9)]),
            ((9, 12), vec![(5, 9)], vec![(5, 9)]),
        ] {
            let mut array = regions(&[(5, 9)]);
            let range = PhysRange::new(range.0, range.1).unwrap();
            array.isolate(range);
            assert_eq!(list(&array), after, "{range:?}");
            array.remove(range);
            assert_eq!(list(&array), rest, "{range:?}");
            assert_eq!(array.total_size, array.bytes());
        }
    }

    #[test]
    fn refuses_what_is_not_sorted() {
        for (list, index) in [
            (vec![Region::new(5, 0)], 0),
            (vec![Region::new(5, 5), Region::new(9, 1)], 1),
            (vec![Region::new(u64::MAX, 2)], 0),
        ] {
            let result = Regions::<8>::new(Array::Memory).fill(Array::Memory, &list, 8);
            assert_eq!(result.err(), Some(Error::Unsorted { array: Array::Memory, index }));
        }
    }
}
