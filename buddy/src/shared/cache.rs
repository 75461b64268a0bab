// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one CPU keeps ready.

use super::mark::Marks;

/// Single frames that a CPU keeps at most, and how many go to or come from the zones at once. Models keep few.
pub(crate) const SMALL: usize = 2 * SMALL_BATCH;
pub(crate) const SMALL_BATCH: usize = if cfg!(all(test, loom)) { 2 } else { 128 };
/// The same for huge pages: 16 MiB, as Linux keeps at most.
pub(crate) const LARGE: usize = 8;
pub(crate) const LARGE_BATCH: usize = 4;

/// A stack of blocks, by the numbers of their first frames: the last one freed is the next one handed out, while it is in the CPU's cache.
#[derive(Debug)]
pub(crate) struct Magazine<const N: usize> {
    blocks: [u64; N],
    len: usize,
}

impl<const N: usize> Magazine<N> {
    const EMPTY: Self = Self { blocks: [0; N], len: 0 };

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u64> {
        let len = self.len.checked_sub(1)?;
        let block = *self.blocks.get(len)?;
        self.len = len;
        Some(block)
    }

    /// Puts a block on top. Returns whether there was room.
    #[inline]
    pub(crate) fn push(&mut self, block: u64) -> bool {
        match self.blocks.get_mut(self.len) {
            Some(slot) => {
                *slot = block;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Takes out the `count` blocks that have been there longest and passes them on in ascending order, so that neighbours
    /// can go back as one.
    pub(crate) fn take_oldest(&mut self, count: usize, pass: impl FnOnce(&[u64])) {
        let count = count.min(self.len);
        let (oldest, _) = self.blocks.split_at_mut(count);
        oldest.sort_unstable();
        pass(oldest);
        self.blocks.copy_within(count..self.len, 0);
        self.len -= count;
    }
}

/// What one CPU keeps ready, and of which zones.
pub(crate) struct Cache<'b> {
    pub(crate) small: Magazine<SMALL>,
    pub(crate) large: Magazine<LARGE>,
    /// The node whose blocks these are.
    pub(crate) node: u16,
    /// Its zones by their index, one bit each.
    pub(crate) zones: u64,
    /// The marks of their largest run: most blocks are from there.
    pub(crate) marks: Marks<'b>,
}

impl Cache<'_> {
    pub(crate) const EMPTY: Self =
        Self { small: Magazine::EMPTY, large: Magazine::EMPTY, node: 0, zones: 0, marks: Marks::NONE };

    #[inline]
    pub(crate) fn pop(&mut self, large: bool) -> Option<u64> {
        if large { self.large.pop() } else { self.small.pop() }
    }

    #[inline]
    pub(crate) fn push(&mut self, block: u64, large: bool) -> bool {
        if large { self.large.push(block) } else { self.small.push(block) }
    }

    /// Takes out a batch of the blocks that have been there longest, or all.
    pub(crate) fn take_oldest(&mut self, large: bool, all: bool, pass: impl FnOnce(&[u64])) {
        match (large, all) {
            (true, true) => self.large.take_oldest(LARGE, pass),
            (true, false) => self.large.take_oldest(LARGE_BATCH, pass),
            (false, true) => self.small.take_oldest(SMALL, pass),
            (false, false) => self.small.take_oldest(SMALL_BATCH, pass),
        }
    }

    pub(crate) const fn is_empty(&self, large: bool) -> bool {
        if large { self.large.len() == 0 } else { self.small.len() == 0 }
    }

    /// Returns the frames in it.
    pub(crate) fn frames(&self) -> u64 {
        self.small.len() as u64 + ((self.large.len() as u64) << 9)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn last_in_first_out_and_the_oldest_leave() {
        let mut magazine = Magazine::<4>::EMPTY;
        assert_eq!(magazine.pop(), None);
        assert!([7, 3, 5, 1].iter().all(|block| magazine.push(*block)));
        assert!(!magazine.push(9));
        let mut oldest = Vec::new();
        magazine.take_oldest(3, |blocks| oldest.extend_from_slice(blocks));
        assert_eq!(oldest, [3, 5, 7]);
        assert_eq!((magazine.pop(), magazine.pop(), magazine.len()), (Some(1), None, 0));
        magazine.take_oldest(3, |blocks| assert!(blocks.is_empty()));
    }

    #[test]
    fn counts_frames() {
        let mut cache = Cache::EMPTY;
        assert!(cache.push(0, false) && cache.push(512, true));
        assert_eq!(cache.frames(), 513);
    }
}
