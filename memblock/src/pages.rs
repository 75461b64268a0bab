// SPDX-License-Identifier: MIT OR Apache-2.0
//! Regions in address order, held in pages, so that putting one in moves a page at most.

mod gap;
mod position;
mod room;
#[cfg(test)]
mod tests;

pub(crate) use gap::Wanted;
pub(crate) use position::At;

use crate::Array;
use core::cell::Cell;
use core::fmt;
use core::ops::Range;
use gap::{Found, Passed};
use handoff::{Nid, Region, RegionFlags};
use heapless::Vec;

/// The most pages of an array: as many as `taken` has bits.
const PAGES: usize = 64;
/// So many regions are one page, because searching more pages would cost as much as moving less saves.
const SMALL: usize = 256;

/// A sequence of at most `N` regions.
///
/// # Invariants
/// - The regions are sorted, disjoint and not empty.
/// - `pages` is in the order of their regions, and no page is empty.
/// - No two pages have the same place in `slots`; `taken` has a bit for each place that a page has.
/// - No gap that ends at a region of a page, down to the region before it or to address 0, is larger than the page's
///   `largest_gap`.
#[derive(Clone)]
pub(crate) struct Pages<const N: usize> {
    /// The gap that was found since the last change, because most who look for one take it.
    found: Cell<Found>,
    /// What the last search down passed, because the next one often wants as much.
    passed: Cell<Passed>,
    len: usize,
    /// How many places there are.
    places: usize,
    /// How many slots a place has. The last one may have less, but more than half.
    place_len: usize,
    taken: u64,
    pages: Vec<Page, PAGES>,
    slots: [Region; N],
}

/// Regions that lie side by side in `slots`.
#[derive(Clone, Debug)]
struct Page {
    first: u32,
    len: u32,
    /// What no gap in front of a region exceeds. A search that finds it too large lowers it.
    largest_gap: Cell<u64>,
}

impl Page {
    fn slots(&self) -> Range<usize> {
        self.first as usize..(self.first + self.len) as usize
    }
}

impl<const N: usize> Pages<N> {
    /// How many places the reserved array has.
    const MAX_PLACES: usize = match N.div_ceil(SMALL) {
        0 => 1,
        places if places < PAGES => places,
        _ => PAGES,
    };

    /// Returns an empty sequence. Memory is one page: it has few regions, and is read more often than changed.
    pub(crate) const fn new(array: Array) -> Self {
        let unused = Region { base: 0, size: 0, nid: Nid(0), flags: RegionFlags::NONE };
        let places = match array {
            Array::Memory => 1,
            Array::Reserved => Self::MAX_PLACES,
        };
        Self {
            found: Cell::new(Found::NOTHING),
            passed: Cell::new(Passed::NOTHING),
            len: 0,
            places,
            place_len: N.div_ceil(places),
            taken: 0,
            pages: Vec::new(),
            slots: [unused; N],
        }
    }

    /// Fills an empty sequence, spreading the regions evenly over pages that are half full, or fuller if they are many.
    pub(crate) fn fill(&mut self, regions: &[Region]) {
        let count = regions.len().div_ceil(self.place_len.div_ceil(2).max(1)).min(self.places);
        let all = (count * self.place_len).min(N);
        for place in 0..count {
            let first = place * self.place_len;
            let share = |end: usize| regions.len() * end.min(all) / all;
            let part = &regions[share(first)..share(first + self.place_len)];
            self.slots[first..first + part.len()].copy_from_slice(part);
            self.put_page(place, place, part.len(), u64::MAX);
        }
        self.len = regions.len();
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Region> {
        self.pages.iter().flat_map(|page| self.regions(page))
    }

    /// Returns the regions of a page.
    fn regions(&self, page: &Page) -> &[Region] {
        &self.slots[page.slots()]
    }

    /// Returns the regions if they lie side by side.
    pub(crate) fn as_slice(&self) -> Option<&[Region]> {
        match &*self.pages {
            [] => Some(&[]),
            [page] => Some(self.regions(page)),
            _ => None,
        }
    }

    /// Changes the region at a position. It may end lower only if another is put in behind it next.
    pub(crate) fn replace(&mut self, at: At, region: Region) {
        self.found.get_mut().end = 0;
        let at = self.start(at);
        self.slots[self.pages[at.page].first as usize + at.slot] = region;
        if self.passed.get_mut().contains(region.base) {
            self.note_gap(at.page, region.base, region.base - self.end_before(at));
        }
    }

    /// Lets the region in front of a position grow upward.
    pub(crate) fn grow_before(&mut self, at: At, bytes: u64) {
        self.found.get_mut().end = 0;
        let at = if at.slot == 0 { self.end_of(at.page - 1) } else { at };
        self.slots[self.pages[at.page].first as usize + at.slot - 1].size += bytes;
    }

    /// Puts a region in if it touches no other and its page has room: the usual case, without the questions of the rest.
    pub(crate) fn insert_apart(&mut self, region: Region) -> bool {
        let at = self.seek(region.base);
        let Some(page) = self.pages.get(at.page) else { return false };
        let regions = self.regions(page);
        let is_inside = (at.slot > 0 || at.page == 0) && (at.slot < regions.len() || at.page + 1 == self.pages.len());
        let start = if at.slot > 0 { regions[at.slot - 1].end() } else { 0 };
        let end = if at.slot < regions.len() { regions[at.slot].base } else { u64::MAX };
        let is_apart = start < region.base && region.end() < end && is_inside && !self.is_full(page);
        if is_apart {
            self.put_in(at, region, region.base - start);
        }
        is_apart
    }

    /// Puts a region in. There must be less than `N`.
    pub(crate) fn insert(&mut self, at: At, region: Region) {
        let gap = region.base - self.end_before(at);
        let has_room = self.pages.get(at.page).is_some_and(|page| !self.is_full(page));
        let at = if has_room { at } else { self.make_room(at) };
        self.put_in(at, region, gap);
    }

    fn put_in(&mut self, at: At, region: Region, gap: u64) {
        let page = &mut self.pages[at.page];
        let slots = page.slots();
        page.len += 1;
        self.len += 1;
        self.slots.copy_within(slots.start + at.slot..slots.end, slots.start + at.slot + 1);
        self.slots[slots.start + at.slot] = region;
        self.found.get_mut().end = 0;
        self.note_gap(at.page, region.base, gap);
    }

    /// Takes out the regions from one position to another.
    pub(crate) fn remove(&mut self, from: At, to: At) {
        self.found.get_mut().end = 0;
        self.passed = Cell::new(Passed::NOTHING);
        let mut is_empty = false;
        for index in from.page..self.pages.len().min(to.page + 1) {
            let gone = self.part(index, from, to);
            let page = &mut self.pages[index];
            self.slots.copy_within(gone.end..page.slots().end, gone.start);
            page.len -= gone.len() as u32;
            self.len -= gone.len();
            is_empty |= page.len == 0;
        }
        if is_empty {
            self.drop_empty();
        }
        let at = self.start(from);
        if let Some(above) = self.get(at) {
            let gap = above.base - self.end_before(at);
            self.note_gap(at.page, above.base, gap);
        }
    }

    /// Returns the slots of a page between two positions.
    fn part(&self, index: usize, from: At, to: At) -> Range<usize> {
        let page = self.pages[index].slots();
        let start = if index == from.page { page.start + from.slot } else { page.start };
        let end = if index == to.page { page.start + to.slot } else { page.end };
        start..end
    }

    /// Returns the regions from one position to another.
    pub(crate) fn between(&self, from: At, to: At) -> impl Iterator<Item = &Region> {
        (from.page..self.pages.len().min(to.page + 1)).flat_map(move |page| &self.slots[self.part(page, from, to)])
    }

    /// Changes nodes and flags from one position to another.
    pub(crate) fn change(&mut self, from: At, to: At, change: impl Fn(&mut Region)) {
        for page in from.page..self.pages.len().min(to.page + 1) {
            let part = self.part(page, from, to);
            self.slots[part].iter_mut().for_each(&change);
        }
    }

    /// Keeps the regions that `keep` says, in the shape it gives them.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut Region) -> bool) {
        self.found.get_mut().end = 0;
        self.passed = Cell::new(Passed::NOTHING);
        self.len = 0;
        for page in &mut self.pages {
            let mut kept = page.first as usize;
            for slot in page.slots() {
                self.slots[kept] = self.slots[slot];
                kept += usize::from(keep(&mut self.slots[kept]));
            }
            page.len = kept as u32 - page.first;
            page.largest_gap.set(u64::MAX);
            self.len += page.len as usize;
        }
        self.drop_empty();
    }
}

impl<const N: usize> fmt::Debug for Pages<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
