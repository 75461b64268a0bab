// SPDX-License-Identifier: MIT OR Apache-2.0
//! One byte per frame that says what the caches know of the block that starts there.

use core::sync::atomic::{AtomicU8, Ordering};

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

    /// Returns the mark of a block that somebody uses, from the one it has in the cache; or the other way round.
    #[inline]
    pub(crate) const fn in_use(self) -> Self {
        Self(self.0 & !Self::IDLE)
    }

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

/// The marks of all frames, or of as many as there are marks for.
#[derive(Clone, Copy)]
pub(crate) struct Marks<'a>(pub(crate) &'a [AtomicU8]);

impl Marks<'_> {
    /// Returns whether there is such a mark.
    pub(crate) fn has(self, index: usize) -> bool {
        index < self.0.len()
    }

    #[inline]
    pub(crate) fn get(self, index: usize) -> Mark {
        self.0.get(index).map_or(Mark::NONE, |mark| Mark(mark.load(Ordering::Acquire)))
    }

    /// Sets the mark of a block that only the caller has, or whose zone it has locked.
    #[inline]
    pub(crate) fn set(self, index: usize, mark: Mark) {
        if let Some(slot) = self.0.get(index) {
            slot.store(mark.0, Ordering::Release);
        }
    }

    /// Makes a block that is in use idle, for one of those who try it at the same time; returns whether that was the caller.
    #[inline]
    pub(crate) fn claim(self, index: usize, mark: Mark) -> bool {
        let change = |slot: &AtomicU8| {
            slot.compare_exchange(mark.0, mark.idled().0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        self.0.get(index).is_some_and(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_knows_order_and_use() {
        for large in [false, true] {
            let idle = Mark::idle(large);
            let used = idle.in_use();
            assert_eq!(used.idled(), idle);
            assert_eq!((idle.is_idle(), used.is_idle(), used.is_none()), (true, false, false));
            assert_eq!(idle.order(), if large { 9 } else { 0 });
        }
    }

    #[test]
    fn one_of_two_claims() {
        let bytes = [const { AtomicU8::new(0) }; 2];
        let marks = Marks(&bytes);
        assert!(marks.has(1) && !marks.has(2));
        let used = Mark::idle(false).in_use();
        marks.set(1, used);
        assert!(marks.claim(1, used) && !marks.claim(1, used));
        assert!(marks.get(1).is_idle() && marks.get(0).is_none() && marks.get(2).is_none() && !marks.claim(2, used));
    }
}
