// SPDX-License-Identifier: MIT OR Apache-2.0
//! Room for one more region: a full page is split, or hands regions on to other pages.

use super::{At, Page, Pages};
use core::cell::Cell;

impl<const N: usize> Pages<N> {
    pub(super) fn is_full(&self, page: &Page) -> bool {
        page.len as usize == self.place_len.min(N - page.first as usize)
    }

    /// Makes room in a full page, or the first one; returns where the position is then.
    pub(super) fn make_room(&mut self, at: At) -> At {
        let place = self.taken.trailing_ones() as usize;
        if Self::MAX_PLACES == 1 || self.pages.is_empty() {
            self.put_page(0, place, 0, 0); // an array of one page is never full here
            at
        } else if place < self.places {
            self.split(at, place)
        } else {
            self.shift(at)
        }
    }

    /// Moves the upper half of a page to a place of its own.
    fn split(&mut self, at: At, place: usize) -> At {
        let page = &mut self.pages[at.page];
        let slots = page.slots();
        let half = slots.len().div_ceil(2);
        let largest_gap = page.largest_gap.get();
        page.len = half as u32;
        self.slots.copy_within(slots.start + half..slots.end, place * self.place_len);
        self.put_page(at.page + 1, place, slots.len() - half, largest_gap);
        if at.slot <= half { at } else { At { page: at.page + 1, slot: at.slot - half } }
    }

    /// Lets each page up to the nearest one with room hand one region on to the next.
    fn shift(&mut self, at: At) -> At {
        let has_room = |&index: &usize| !self.is_full(&self.pages[index]);
        let above = (at.page + 1..self.pages.len()).find(has_room);
        let below = (0..at.page).rev().find(has_room);
        let is_nearer = |above: usize| below.is_none_or(|below| above - at.page <= at.page - below);
        if let Some(above) = above.filter(|&above| is_nearer(above)) {
            let at = self.start(at);
            for page in (at.page..above).rev() {
                self.relocate(self.end_of(page).previous(), At { page: page + 1, slot: 0 });
            }
            return at;
        }

        let Some(below) = below else { unreachable!("there are less than {N} regions") };
        let at = if at.slot == 0 { self.end_of(at.page - 1) } else { at };
        for page in below..at.page {
            self.relocate(At { page: page + 1, slot: 0 }, self.end_of(page));
        }
        if below < at.page { at.previous() } else { at }
    }

    /// Moves the region at a position to another, between the same neighbours.
    fn relocate(&mut self, from: At, to: At) {
        if let Some(&region) = self.get(from) {
            self.remove(from, self.after(from));
            self.insert(to, region);
        }
    }

    /// Makes a page in a free place.
    pub(super) fn put_page(&mut self, index: usize, place: usize, len: usize, largest_gap: u64) {
        let first = (place * self.place_len) as u32;
        let page = Page { first, len: len as u32, largest_gap: Cell::new(largest_gap) };
        assert!(self.pages.insert(index, page).is_ok(), "there are no more places than pages");
        self.taken |= 1 << place;
    }

    /// Takes pages without regions out.
    pub(super) fn drop_empty(&mut self) {
        let (taken, place_len) = (&mut self.taken, self.place_len);
        self.pages.retain(|page| {
            if page.len == 0 {
                *taken &= !(1 << (page.first as usize / place_len));
            }
            page.len > 0
        });
    }
}
