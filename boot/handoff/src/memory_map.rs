// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 1, e820 → memblock: the sanitized map.

use crate::firmware::{
    AFFINITIES, AFFINITY_BYTES, ENVELOPE_BYTES, IMAGES, IMAGES_BYTES, LEDGER_BYTES, RANGE_BYTES, VARINT,
};
use crate::{Affinity, FRAME_BYTES, Handoff, Image, Ledger, MemoryKind, NodeDistances, PhysRange};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Entries of a sanitized map: Linux's `E820_MAX_ENTRIES` (6.1) for 64 nodes.
pub const MAP_ENTRIES: usize = 128 + 3 * 64;

/// An entry of the sanitized map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MapEntry {
    /// The range.
    pub range: PhysRange,
    /// What it is.
    pub kind: MemoryKind,
}

/// The sanitized map, after the command line changed it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MemoryMap {
    /// The map, sorted and disjoint.
    pub map: Vec<MapEntry, MAP_ENTRIES>,
    /// The frame number after the last frame of RAM. Linux: `max_pfn` (6.1).
    pub max_pfn: u64,
    /// The same below 4 GiB. Linux: `e820__end_of_low_ram_pfn` (6.1).
    pub low_max_pfn: u64,
    /// What lies in memory already.
    pub images: Vec<Image, IMAGES>,
    /// Which memory belongs to which node.
    pub affinity: Vec<Affinity, AFFINITIES>,
    /// How far nodes are from each other.
    pub distances: NodeDistances,
    /// The account: what was lost to the BIOS and to limits is claimed.
    pub ledger: Ledger,
}

impl Handoff for MemoryMap {
    const EDGE: u8 = 1;
    const VERSION: u16 = 2;
    const MAX_BYTES: usize = ENVELOPE_BYTES
        + VARINT.2
        + MAP_ENTRIES * (RANGE_BYTES + VARINT.1)
        + 2 * VARINT.0
        + IMAGES_BYTES
        + AFFINITY_BYTES
        + NodeDistances::BYTES
        + LEDGER_BYTES;

    fn validate(&self) -> Result<(), &'static str> {
        let ram_end = self.map.iter().filter(|e| e.kind.is_ram()).map(|e| e.range.end()).max().unwrap_or(0);
        if !self.map.is_sorted_by(|a, b| a.range.end() <= b.range.start()) {
            Err("the map is sorted and disjoint")
        } else if self.low_max_pfn > self.max_pfn {
            Err("RAM below 4 GiB ends at or before all RAM")
        } else if self.max_pfn > ram_end.div_ceil(FRAME_BYTES) && !self.map.iter().any(|e| e.kind == MemoryKind::ACPI) {
            Err("RAM ends where the map says")
        } else if !self.distances.is_valid() {
            Err("a node is nearest to itself")
        } else if !self.ledger.is_valid() {
            Err("claims are sorted and disjoint")
        } else {
            Ok(())
        }
    }
}
