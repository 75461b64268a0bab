// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 2, memblock → crashkernel: memory and what is reserved in it.

use crate::firmware::{
    AFFINITIES, AFFINITY_BYTES, ENVELOPE_BYTES, IMAGES, IMAGES_BYTES, LEDGER_BYTES, RANGE_BYTES, VARINT,
};
use crate::{Account, Affinity, Direction, Handoff, Image, Ledger, NodeDistances, PhysRange, Region};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Entries of each region array. Linux: `INIT_MEMBLOCK_REGIONS` (6.1).
pub const REGIONS: usize = 128;

/// The state of memblock.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Blocks {
    /// Memory, sorted and disjoint.
    pub memory: Vec<Region, REGIONS>,
    /// What is reserved, sorted and disjoint; it may lie outside memory.
    pub reserved: Vec<Region, REGIONS>,
    /// Linux's count of memory bytes, which includes what trimming cut off. Linux: `memblock_phys_mem_size` (6.1).
    pub memory_size: u64,
    /// Linux's count of reserved bytes.
    pub reserved_size: u64,
    /// The address after the highest one an allocation may use by default.
    pub current_limit: u64,
    /// Which end allocations are taken from.
    pub direction: Direction,
    /// The frame number after the last frame of RAM.
    pub max_pfn: u64,
    /// The same below 4 GiB.
    pub low_max_pfn: u64,
    /// What lies in memory since the loader.
    pub images: Vec<Image, IMAGES>,
    /// Which memory belongs to which node.
    pub affinity: Vec<Affinity, AFFINITIES>,
    /// How far nodes are from each other; empty if all memory counts as one node.
    pub distances: NodeDistances,
    /// The account: every reserved byte of memory is claimed.
    pub ledger: Ledger,
}

/// The most bytes postcard needs for a region.
const REGION_BYTES: usize = RANGE_BYTES + 2 * VARINT.1;

impl Blocks {
    pub(crate) const PAYLOAD_BYTES: usize = 2 * (VARINT.2 + REGIONS * REGION_BYTES)
        + 5 * VARINT.0
        + 1
        + IMAGES_BYTES
        + AFFINITY_BYTES
        + NodeDistances::BYTES
        + LEDGER_BYTES;

    /// Returns the bytes of memory: the sum of the regions, not Linux's counter.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.iter().map(|r| r.size).sum()
    }

    /// Returns whether `range` is memory that nobody reserved.
    #[must_use]
    pub fn is_free(&self, range: PhysRange) -> bool {
        covered(&self.memory, range) == range.size() && covered(&self.reserved, range) == 0
    }

    /// Returns the bytes of `range` that are memory and not reserved.
    #[must_use]
    pub fn free_bytes(&self, range: PhysRange) -> u64 {
        let parts = self.memory.iter().filter_map(|m| PhysRange::capped(m.base, m.size)?.intersection(range));
        parts.map(|part| part.size() - covered(&self.reserved, part)).sum()
    }

    /// Returns the bytes of memory that are reserved.
    #[must_use]
    pub fn reserved_bytes(&self) -> u64 {
        self.memory
            .iter()
            .filter_map(|m| PhysRange::capped(m.base, m.size))
            .map(|memory| covered(&self.reserved, memory))
            .sum()
    }
}

/// Returns how many bytes of `range` the regions cover.
fn covered(regions: &[Region], range: PhysRange) -> u64 {
    let parts = regions.iter().filter_map(|r| PhysRange::capped(r.base, r.size)?.intersection(range));
    parts.map(PhysRange::size).sum()
}

fn sorted(regions: &[Region]) -> bool {
    regions.iter().all(|r| PhysRange::from_size(r.base, r.size).is_some())
        && regions.is_sorted_by(|a, b| a.end() <= b.base)
}

impl Handoff for Blocks {
    const EDGE: u8 = 2;
    const VERSION: u16 = 2;
    const MAX_BYTES: usize = ENVELOPE_BYTES + Self::PAYLOAD_BYTES;

    fn validate(&self) -> Result<(), &'static str> {
        if !sorted(&self.memory) {
            Err("memory regions are sorted and disjoint")
        } else if !sorted(&self.reserved) {
            Err("reserved regions are sorted and disjoint")
        } else if !self.distances.is_valid() {
            Err("a node is nearest to itself")
        } else if !self.ledger.is_valid() {
            Err("claims are sorted and disjoint")
        } else if self.ledger.total(Account::Reserved) != self.reserved_bytes() {
            Err("every reserved byte of memory has an owner")
        } else if self.ledger.firmware_ram.checked_add(self.ledger.added)
            != self.ledger.total(Account::Lost).checked_add(self.memory_bytes())
        {
            Err("RAM of the map is memory or was lost to a named owner")
        } else {
            Ok(())
        }
    }
}
