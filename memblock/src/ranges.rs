// SPDX-License-Identifier: MIT OR Apache-2.0
//! Iterators. All go up; `rev()` goes down.

use crate::Memblock;
use handoff::{FRAME_BYTES, Log, Nid, PhysRange, Region, RegionFlags, Rules};

/// A piece of memory that nobody reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FreeRange {
    /// The bytes.
    pub range: PhysRange,
    /// The node of the memory region.
    pub nid: Nid,
}

/// The whole page frames of a memory region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PfnRange {
    /// First frame number.
    pub start: u64,
    /// Frame number after the last.
    pub end: u64,
    /// The region's node.
    pub nid: Nid,
}

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Returns memory minus reserved, on `nid` ([`Nid::NONE`]: any) and by the skip rules with `flags`.
    ///
    /// `NOMAP` and `DRIVER_MANAGED` regions are skipped unless asked for, `HOTPLUG` ones with `movable_node`; `MIRROR`
    /// asks for mirrored memory only. No range spans two memory regions.
    ///
    /// Linux: `for_each_free_mem_range`, `for_each_free_mem_range_reverse` (6.1).
    pub fn free_ranges(&self, nid: Nid, flags: RegionFlags) -> impl DoubleEndedIterator<Item = FreeRange> {
        self.gaps(0, u64::MAX, nid, flags)
            .filter_map(|gap| PhysRange::new(gap.start, gap.end).map(|range| FreeRange { range, nid: gap.nid }))
    }

    /// Returns memory that may be mapped.
    ///
    /// Linux: `for_each_mem_range`, `for_each_mem_range_rev` (6.1).
    pub fn mem_ranges(&self) -> impl DoubleEndedIterator<Item = PhysRange> {
        let flags = RegionFlags::HOTPLUG.with(RegionFlags::DRIVER_MANAGED);
        self.memory().iter().filter(move |m| !self.skips(m, Nid::NONE, flags)).filter_map(range)
    }

    /// Returns what is reserved.
    ///
    /// Linux: `for_each_reserved_mem_range` (6.1).
    pub fn reserved_ranges(&self) -> impl DoubleEndedIterator<Item = PhysRange> {
        self.reserved().iter().filter_map(range)
    }

    /// Returns the whole page frames of memory on `nid` ([`Nid::UNSET`]: any), whatever its flags.
    ///
    /// Linux: `for_each_mem_pfn_range` (6.1).
    pub fn pfn_ranges(&self, nid: Nid) -> impl DoubleEndedIterator<Item = PfnRange> {
        let any = nid == Nid::UNSET || self.policy.rules >= Rules::V6_12 && nid.number().is_none();
        self.memory().iter().filter(move |m| any || m.nid == nid).filter_map(|m| {
            let frames = range(m)?.inward()?;
            Some(PfnRange { start: frames.start() / FRAME_BYTES, end: frames.end() / FRAME_BYTES, nid: m.nid })
        })
    }
}

fn range(region: &Region) -> Option<PhysRange> {
    PhysRange::from_size(region.base, region.size)
}
