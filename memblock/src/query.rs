// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions.

use crate::state::capped_end;
use crate::{Array, Memblock};
use handoff::{FRAME_BYTES, Log, Nid, RegionFlags, Rules};

/// The memory region around a page frame: frame numbers, both ends rounded down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeSpan {
    /// First frame number.
    pub start_pfn: u64,
    /// Frame number after the last.
    pub end_pfn: u64,
    /// The region's node.
    pub nid: Nid,
}

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Returns how many regions an array has by Linux's count: before 6.12 an empty one has a dummy region.
    #[must_use]
    pub fn count(&self, array: Array) -> usize {
        match self.regions(array).len() {
            0 if self.policy.rules < Rules::V6_12 => 1,
            count => count,
        }
    }

    /// Returns whether the byte at `address` is memory. Linux: `memblock_is_memory` (6.1).
    #[must_use]
    pub fn is_memory(&self, address: u64) -> bool {
        self.memory.find(address).is_some()
    }

    /// Returns whether the byte at `address` is reserved. Linux: `memblock_is_reserved` (6.1).
    #[must_use]
    pub fn is_reserved(&self, address: u64) -> bool {
        self.reserved.find(address).is_some()
    }

    /// Returns whether the byte at `address` is memory that may be mapped. Linux: `memblock_is_map_memory` (6.1).
    #[must_use]
    pub fn is_map_memory(&self, address: u64) -> bool {
        self.memory.find(address).is_some_and(|r| !r.flags.contains(RegionFlags::NOMAP))
    }

    /// Returns whether one memory region covers the whole range; two that touch do not count.
    ///
    /// Linux: `memblock_is_region_memory` (6.1).
    #[must_use]
    pub fn is_region_memory(&self, base: u64, size: u64) -> bool {
        self.memory.find(base).is_some_and(|r| r.end() >= capped_end(base, size))
    }

    /// Returns whether any byte of the range is reserved. Linux: `memblock_is_region_reserved` (6.1).
    #[must_use]
    pub fn is_region_reserved(&self, base: u64, size: u64) -> bool {
        self.overlaps(Array::Reserved, base, size)
    }

    /// Returns whether a region of `array` and the range share a byte.
    ///
    /// A range of size 0 overlaps a region that `base` lies strictly inside.
    ///
    /// Linux: `memblock_overlaps_region` (6.1).
    #[must_use]
    pub fn overlaps(&self, array: Array, base: u64, size: u64) -> bool {
        self.regions(array).overlaps(base, capped_end(base, size))
    }

    /// Returns the memory region around a page frame. Linux: `memblock_search_pfn_nid` (6.1).
    #[must_use]
    pub fn search_pfn_nid(&self, pfn: u64) -> Option<NodeSpan> {
        let region = self.memory.find(pfn.checked_mul(FRAME_BYTES)?)?;
        Some(NodeSpan { start_pfn: region.base / FRAME_BYTES, end_pfn: region.end() / FRAME_BYTES, nid: region.nid })
    }

    /// Returns Linux's count of memory bytes, which includes what trimming cut off.
    ///
    /// Linux: `memblock_phys_mem_size` (6.1).
    #[must_use]
    pub const fn phys_mem_size(&self) -> u64 {
        self.memory.total_size
    }

    /// Returns Linux's count of reserved bytes. Linux: `memblock_reserved_size` (6.1).
    #[must_use]
    pub const fn reserved_size(&self) -> u64 {
        self.reserved.total_size
    }

    /// Returns the bytes of memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Returns the bytes of memory that nobody reserved, whatever flags they have.
    ///
    /// Never the difference of two totals: reservations may lie outside memory.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let taken = |base: u64, end: u64| -> u64 {
            let parts = self.within(Array::Reserved, base, end).iter();
            parts.map(|r| r.end().min(end) - r.base.max(base)).sum()
        };
        self.memory().iter().map(|m| m.size - taken(m.base, m.end())).sum()
    }

    /// Returns the first address of memory, 0 if there is none. Linux: `memblock_start_of_DRAM` (6.1).
    #[must_use]
    pub fn start_of_dram(&self) -> u64 {
        self.memory().first().map_or(0, |r| r.base)
    }

    /// Returns the address after the last byte of memory, 0 if there is none. Linux: `memblock_end_of_DRAM` (6.1).
    #[must_use]
    pub fn end_of_dram(&self) -> u64 {
        self.memory().last().map_or(0, handoff::Region::end)
    }
}
