// SPDX-License-Identifier: MIT OR Apache-2.0
//! Free memory as the search sees it, to explain why the search failed.

use crate::{LOW_MAX, Request};
use handoff::{Bounds, EarlyMemory, FRAME_BYTES, PhysRange, Region, RegionFlags, Rules};

/// Whether memory that can be unplugged is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hotplug {
    Searched,
    Skipped,
}

impl Hotplug {
    /// Returns what `movable_node` on the command line makes of it.
    pub(crate) fn of(command_line: &str) -> Self {
        let skipped = handoff::parameters(command_line).any(|(name, _)| name == "movable_node");
        if skipped { Self::Skipped } else { Self::Searched }
    }
}

/// The free pieces of memory.
#[derive(Clone, Copy)]
pub(crate) struct Holes<'a> {
    memory: &'a [Region],
    reserved: &'a [Region],
    /// Regions with one of these flags are not searched.
    skip: RegionFlags,
}

impl<'a> Holes<'a> {
    pub(crate) fn new<M: EarlyMemory>(memory: &'a M, hotplug: Hotplug) -> Self {
        let hotplug = if hotplug == Hotplug::Skipped { RegionFlags::HOTPLUG } else { RegionFlags::NONE };
        let skip = RegionFlags::NOMAP.with(RegionFlags::DRIVER_MANAGED).with(hotplug);
        Self { memory: memory.memory(), reserved: memory.reserved(), skip }
    }

    /// Returns the bytes of memory in `window`, searched or not.
    pub(crate) fn memory_bytes(self, window: PhysRange) -> u64 {
        self.memory.iter().filter_map(|m| range(m)?.intersection(window)).map(PhysRange::size).sum()
    }

    /// Returns the bytes of `window` that are free to be searched.
    pub(crate) fn free_bytes(self, window: PhysRange) -> u64 {
        self.pieces().filter_map(|hole| hole.intersection(window)).map(PhysRange::size).sum()
    }

    /// Returns the piece of free memory that takes the most within `bounds`, and the aligned part of it.
    pub(crate) fn largest(self, bounds: Bounds) -> Option<(PhysRange, PhysRange)> {
        let rooms = self.pieces().filter_map(|hole| Some((hole, room(hole, bounds)?)));
        rooms.max_by_key(|(_, room)| room.size())
    }

    /// Returns whether some piece takes `bounds`.
    pub(crate) fn fits(self, bounds: Bounds) -> bool {
        self.top_down(bounds).is_some()
    }

    /// Returns the most whole MiB that `request` could have asked for instead; 0 if even one is too much.
    ///
    /// 6.12 refuses to give away all of `system_ram`, in bytes.
    pub(crate) fn largest_request(self, request: Request, rules: Rules, system_ram: u64) -> u64 {
        let sized = |size_mib: u64| Request { size: size_mib << 20, ..request };
        let most = if rules < Rules::V6_12 { u64::MAX } else { system_ram.saturating_sub(1) };
        let windows = request.windows(rules);
        let sizes = windows.iter().flat_map(|w| self.pieces().filter_map(|hole| room(hole, *w)));
        sizes
            .map(|room| room.size().min(most) >> 20)
            .filter(|mib| *mib > 0)
            .filter(|mib| self.succeeds(sized(*mib), rules))
            .max()
            .unwrap_or(0)
    }

    /// Returns how many bytes from `base` on are free.
    pub(crate) fn free_from(self, base: u64) -> u64 {
        self.pieces().find(|hole| hole.contains(base)).map_or(0, |hole| hole.end() - base)
    }

    /// Returns whether both parts of `request` have room.
    pub(crate) fn succeeds(self, request: Request, rules: Rules) -> bool {
        let Some(base) = request.windows(rules).into_iter().find_map(|w| self.top_down(w)) else { return false };
        base < LOW_MAX || request.low_window().is_none_or(|w| self.fits(w))
    }

    /// Returns the highest address that takes `bounds`.
    fn top_down(self, bounds: Bounds) -> Option<u64> {
        let rooms = self.pieces().filter_map(|hole| room(hole, bounds)).filter(|room| room.size() >= bounds.size);
        rooms.map(|room| (room.end() - bounds.size) & !(bounds.align - 1)).max()
    }

    /// Returns the free pieces; each lies in one memory region, as an allocation must.
    fn pieces(self) -> impl Iterator<Item = PhysRange> {
        let gaps = (0..=self.reserved.len()).filter_map(move |i| {
            let start = i.checked_sub(1).map_or(0, |below| self.reserved[below].end());
            PhysRange::new(start, self.reserved.get(i).map_or(u64::MAX, |above| above.base))
        });
        let searched = self.memory.iter().filter(move |m| m.flags.without(self.skip) == m.flags).filter_map(range);
        searched.flat_map(move |memory| gaps.clone().filter_map(move |gap| gap.intersection(memory)))
    }
}

fn range(region: &Region) -> Option<PhysRange> {
    PhysRange::capped(region.base, region.size)
}

/// Returns the part of `hole` within `bounds` from the first aligned address on. Page 0 is never given out.
fn room(hole: PhysRange, bounds: Bounds) -> Option<PhysRange> {
    let part = hole.intersection(PhysRange::new(bounds.min.max(FRAME_BYTES), bounds.max)?)?;
    PhysRange::new(part.start().checked_next_multiple_of(bounds.align)?, part.end())
}
