// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where memory is free.

use crate::pages::Wanted;
use crate::{Array, Error, Line, Memblock};
use handoff::{Bounds, Direction, FRAME_BYTES, Log, Nid, Region, RegionFlags};

/// A piece of memory that nobody reserved, `[start, end)`; empty between two reservations that touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gap {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) nid: Nid,
}

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Returns an address for `size` bytes in `[start, end)` without reserving it, in mirrored memory if there is any.
    ///
    /// An `end` of 0 or 1 means the current limit. Page 0 is never returned.
    ///
    /// Linux: `memblock_find_in_range` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Alignment`].
    pub fn find_in_range(&self, start: u64, end: u64, size: u64, align: u64) -> Result<u64, Error> {
        let bounds = Bounds { size, align, min: start, max: end, nid: Nid::NONE };
        if !align.is_power_of_two() {
            return Err(Error::Alignment { align });
        }
        self.find_any(bounds).ok_or(Error::NoRoom { bounds })
    }

    /// Finds on any node; mirrored memory first.
    pub(crate) fn find_any(&self, bounds: Bounds) -> Option<u64> {
        let flags = self.preferred_flags();
        let found = self.find(bounds, flags);
        if found.is_some() || flags == RegionFlags::NONE {
            return found;
        }
        self.log.warn(Line::NotMirrored { size: bounds.size });
        self.find(bounds, RegionFlags::NONE)
    }

    /// Linux: `choose_memblock_flags` (6.1).
    pub(crate) const fn preferred_flags(&self) -> RegionFlags {
        if self.policy.has_mirror { RegionFlags::MIRROR } else { RegionFlags::NONE }
    }

    /// Finds the first place that fits, from the end that the direction says. `align` is a power of two.
    ///
    /// Linux: `memblock_find_in_range_node` (6.1).
    pub(crate) fn find(&self, bounds: Bounds, flags: RegionFlags) -> Option<u64> {
        let (start, end) = self.window(bounds);
        let Bounds { size, align, nid, .. } = bounds;
        let low_bits = align - 1;
        let lowest = |low: u64, high: u64| {
            let base = low.checked_add(low_bits)? & !low_bits;
            (base < high && high - base >= size).then_some(base)
        };
        let highest = |low: u64, high: u64| {
            let base = high.checked_sub(size)? & !low_bits;
            (base >= low).then_some(base)
        };

        if size == 0 {
            // This fits into a gap outside the window too, so Linux finds the window's end there.
            let clamped = |gap: Gap| (gap.start.clamp(start, end), gap.end.clamp(start, end));
            let mut gaps = self.gaps(0, u64::MAX, nid, flags).map(clamped);
            return match self.direction {
                Direction::BottomUp => gaps.find_map(|(low, high)| lowest(low, high)),
                Direction::TopDown => gaps.rev().find_map(|(low, high)| highest(low, high)),
            };
        }
        let memory = self.within(Array::Memory, start, end).iter().filter(|m| !self.skips(m, nid, flags));
        let mut windows = memory.map(|m| Wanted { low: m.base.max(start), high: m.end().min(end), size });
        let reserved = self.reserved.pages();
        match self.direction {
            Direction::BottomUp => windows.find_map(|wanted| reserved.lowest_gap(wanted, lowest)),
            Direction::TopDown => windows.rev().find_map(|wanted| reserved.highest_gap(wanted, highest)),
        }
    }

    /// Returns the window that `bounds` mean.
    pub(crate) fn window(&self, bounds: Bounds) -> (u64, u64) {
        let start = bounds.min.max(FRAME_BYTES); // page 0 is never given out: 0 is Linux's word for failure
        let end = if bounds.max <= 1 { self.current_limit } else { bounds.max };
        (start, end.max(start))
    }

    /// Returns what is free of memory in `[start, end)`, ascending, memory region by memory region.
    ///
    /// Linux: `__next_mem_range`, `__next_mem_range_rev` (6.1).
    pub(crate) fn gaps(
        &self,
        start: u64,
        end: u64,
        nid: Nid,
        flags: RegionFlags,
    ) -> impl DoubleEndedIterator<Item = Gap> {
        let memory = self.within(Array::Memory, start, end).iter().filter(move |m| !self.skips(m, nid, flags));
        memory.flat_map(move |m| {
            let (low, high) = (m.base.max(start), m.end().min(end));
            let taken = self.within(Array::Reserved, low, high);
            (0..=taken.len()).filter_map(move |i| {
                let start = i.checked_sub(1).map_or(low, |below| taken[below].end());
                let end = taken.get(i).map_or(high, |above| above.base);
                let inside = low < start && start < high;
                (start < end || start == end && inside).then_some(Gap { start, end, nid: m.nid })
            })
        })
    }

    /// Linux: `should_skip_region` (6.1).
    pub(crate) fn skips(&self, memory: &Region, nid: Nid, flags: RegionFlags) -> bool {
        let unwanted = |flag| memory.flags.contains(flag) && !flags.contains(flag);
        self.policy.is_wanted(nid) && nid != memory.nid
            || self.policy.movable_node && unwanted(RegionFlags::HOTPLUG)
            || flags.contains(RegionFlags::MIRROR) && !memory.flags.contains(RegionFlags::MIRROR)
            || unwanted(RegionFlags::NOMAP)
            || unwanted(RegionFlags::DRIVER_MANAGED)
    }
}
