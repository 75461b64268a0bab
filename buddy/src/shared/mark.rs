// SPDX-License-Identifier: MIT OR Apache-2.0
//! One byte per frame that says what the caches know of the block that starts there.

use core::sync::atomic::{AtomicU8, Ordering};

/// The orders that are cached: single frames and huge pages.
pub(crate) const CACHED_ORDERS: [u8; 2] = [0, 9];
/// Zones whose index a mark has room for. Blocks of others are not cached.
pub(crate) const MARKED_ZONES: usize = 62;

/// What the caches know of a block.
///
/// A frame without a mark is none of theirs: the descriptor says what it is. A block that came out of a zone for a cache has
/// a mark until it returns to its zone, and its descriptor says all that time that it is allocated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark(u8);

impl Mark {
    /// Nothing.
    pub(crate) const NONE: Self = Self(0);
    /// Nobody uses it: it is in a cache, or on the way from or to one.
    const IDLE: u8 = 0x80;
    /// The order is the second of [`CACHED_ORDERS`].
    const LARGE: u8 = 0x40;

    /// Returns the mark of a block of the zone with this index that is in a cache.
    #[inline]
    pub(crate) const fn idle(zone: usize, large: bool) -> Self {
        Self(Self::IDLE | if large { Self::LARGE } else { 0 } | (zone as u8 + 1))
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

    /// Returns the index of the zone. There is one unless the mark is [`NONE`](Self::NONE).
    #[inline]
    pub(crate) const fn zone(self) -> usize {
        ((self.0 & !(Self::IDLE | Self::LARGE)) as usize).wrapping_sub(1)
    }
}

/// The marks of all frames.
#[derive(Clone, Copy)]
pub(crate) struct Marks<'a>(pub(crate) &'a [AtomicU8]);

impl Marks<'_> {
    #[inline]
    pub(crate) fn get(self, index: u32) -> Mark {
        self.0.get(index as usize).map_or(Mark::NONE, |mark| Mark(mark.load(Ordering::Acquire)))
    }

    /// Sets the mark of a block that only the caller has, or whose zone it has locked.
    #[inline]
    pub(crate) fn set(self, index: u32, mark: Mark) {
        if let Some(slot) = self.0.get(index as usize) {
            slot.store(mark.0, Ordering::Release);
        }
    }

    /// Makes a block that is in use idle, for one of those who try it at the same time; returns whether that was the caller.
    #[inline]
    pub(crate) fn claim(self, index: u32, mark: Mark) -> bool {
        let change = |slot: &AtomicU8| {
            slot.compare_exchange(mark.0, mark.idled().0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        self.0.get(index as usize).is_some_and(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_knows_zone_order_and_use() {
        for (zone, large) in [(0, false), (5, true), (MARKED_ZONES - 1, true)] {
            let idle = Mark::idle(zone, large);
            let used = idle.in_use();
            assert_eq!((idle.zone(), used.zone(), used.idled()), (zone, zone, idle));
            assert_eq!((idle.is_idle(), used.is_idle(), used.is_none()), (true, false, false));
            assert_eq!(idle.order(), if large { 9 } else { 0 });
        }
    }

    #[test]
    fn one_of_two_claims() {
        let bytes = [const { AtomicU8::new(0) }; 2];
        let marks = Marks(&bytes);
        let used = Mark::idle(3, false).in_use();
        marks.set(1, used);
        assert!(marks.claim(1, used) && !marks.claim(1, used));
        assert!(marks.get(1).is_idle() && marks.get(0).is_none() && marks.get(2).is_none() && !marks.claim(2, used));
    }
}
