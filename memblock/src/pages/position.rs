// SPDX-License-Identifier: MIT OR Apache-2.0
//! Positions: where a region is or would be.

use super::Pages;
use handoff::Region;

/// A position: in front of the region in that slot of a page, or behind the page's last region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) page: usize,
    pub(crate) slot: usize,
}

impl At {
    /// Returns the position in front of the region that comes before this one in the page.
    pub(super) const fn previous(self) -> Self {
        Self { page: self.page, slot: self.slot - 1 }
    }
}

impl<const N: usize> Pages<N> {
    /// Returns the position of the first region that ends above `address`.
    pub(crate) fn seek(&self, address: u64) -> At {
        let found = self.found.get();
        if found.start <= address && address < found.end {
            return found.at;
        }
        let page = match &*self.pages {
            [] => return At { page: 0, slot: 0 },
            [_] => 0,
            pages => bisect(pages, |page| self.slots[page.first as usize].base <= address).saturating_sub(1),
        };
        let regions = self.regions(&self.pages[page]);
        let slot = bisect(regions, |r| r.base <= address);
        let holds = slot > 0 && regions[slot - 1].end() > address;
        At { page, slot: slot - usize::from(holds) }
    }

    /// Returns the same position as [`seek`](Self::seek), sooner if the region at `guess` holds the address.
    pub(super) fn seek_near(&self, guess: At, address: u64) -> At {
        let region = self.pages.get(guess.page).and_then(|page| self.regions(page).get(guess.slot));
        if region.is_some_and(|r| r.base <= address && address < r.end()) { guess } else { self.seek(address) }
    }

    /// Returns the same position as [`seek`](Self::seek), sooner if it is the end or in front of the last region.
    pub(super) fn seek_down(&self, address: u64) -> At {
        let end = self.end();
        match self.before(end) {
            Some(last) if last.end() <= address => end,
            Some(last) if last.base <= address => end.previous(),
            _ => self.seek(address),
        }
    }

    /// Returns the position behind the last region of a page.
    pub(super) fn end_of(&self, page: usize) -> At {
        At { page, slot: self.pages[page].len as usize }
    }

    /// Returns the position behind the last region.
    pub(super) fn end(&self) -> At {
        self.pages.len().checked_sub(1).map_or(At { page: 0, slot: 0 }, |page| self.end_of(page))
    }

    /// Returns `at`, or the start of the next page if it is the end of one.
    pub(super) fn start(&self, at: At) -> At {
        match self.pages.get(at.page) {
            Some(page) if at.slot == page.len as usize => At { page: at.page + 1, slot: 0 },
            _ => at,
        }
    }

    /// Returns the region at a position.
    pub(crate) fn get(&self, at: At) -> Option<&Region> {
        let At { page, slot } = self.start(at);
        self.pages.get(page).map(|page| &self.slots[page.first as usize + slot])
    }

    /// Returns the region in front of a position.
    pub(crate) fn before(&self, at: At) -> Option<&Region> {
        match at.slot.checked_sub(1) {
            Some(slot) => self.regions(&self.pages[at.page]).get(slot),
            None => self.regions(&self.pages[at.page.checked_sub(1)?]).last(),
        }
    }

    /// Returns where the region in front of a position ends, 0 if there is none.
    pub(super) fn end_before(&self, at: At) -> u64 {
        self.before(at).map_or(0, Region::end)
    }

    /// Returns the position behind the region at `at`.
    pub(crate) fn after(&self, at: At) -> At {
        let At { page, slot } = self.start(at);
        At { page, slot: slot + 1 }
    }
}

/// Returns how many of `items` are below, as `partition_point` does: it asks about several at once, because nearly all of
/// the time goes into waiting for one answer after the other.
fn bisect<T>(items: &[T], is_below: impl Fn(&T) -> bool) -> usize {
    let (mut first, mut rest) = (0, items);
    while rest.len() > 8 {
        let quarter = rest.len() / 4;
        let below: usize = [1, 2, 3].iter().map(|i| usize::from(is_below(&rest[i * quarter]))).sum();
        first += below * quarter;
        rest = &items[first..first + rest.len() - 3 * quarter];
    }
    first + rest.iter().filter(|item| is_below(item)).count()
}

#[cfg(test)]
mod tests {
    use super::bisect;
    use std::vec::Vec;

    #[test]
    fn bisects_any_length_at_any_point() {
        for len in 0..if cfg!(miri) { 20 } else { 300 } {
            let items: Vec<usize> = (0..len).collect();
            assert!((0..=len).all(|point| bisect(&items, |&item| item < point) == point), "{len}");
        }
    }
}
