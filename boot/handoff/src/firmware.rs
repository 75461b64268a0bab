// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 0, boot → e820: what the firmware and the loader say.

use crate::ledger::CLAIMS;
use crate::{Handoff, Ledger, NodeDistances, Owner, PhysRange, RawEntry};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Entries of the firmware's map. Linux: `E820_MAX_ENTRIES_ZEROPAGE` (6.1).
pub const RAW_ENTRIES: usize = 128;
/// Things the loader placed in memory.
pub const IMAGES: usize = 32;
/// Ranges with a node.
pub const AFFINITIES: usize = 64;

/// Something that lies in memory before the first stage runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Image {
    /// Where it lies.
    pub range: PhysRange,
    /// What it is.
    pub owner: Owner,
}

/// A range that belongs to a node, from the ACPI SRAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Affinity {
    /// The range; it may cover holes.
    pub range: PhysRange,
    /// The node.
    pub node: u16,
    /// Whether the memory can be unplugged.
    pub hotplug: bool,
}

/// What the firmware and the loader say.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Firmware {
    /// The firmware's map in the firmware's order.
    pub map: Vec<RawEntry, RAW_ENTRIES>,
    /// What lies in memory already.
    pub images: Vec<Image, IMAGES>,
    /// Which memory belongs to which node; empty on a machine with one node.
    pub affinity: Vec<Affinity, AFFINITIES>,
    /// How far nodes are from each other, from the ACPI SLIT.
    pub distances: NodeDistances,
    /// The account, opened with what SMBIOS says is installed.
    pub ledger: Ledger,
}

/// The most bytes postcard needs for a `u64`, a `u32` and a `u16`.
pub(crate) const VARINT: (usize, usize, usize) = (10, 5, 3);
/// The most bytes postcard needs for a range, an image, an affinity and a ledger.
pub(crate) const RANGE_BYTES: usize = 2 * VARINT.0;
pub(crate) const IMAGES_BYTES: usize = VARINT.2 + IMAGES * (RANGE_BYTES + 1);
pub(crate) const AFFINITY_BYTES: usize = VARINT.2 + AFFINITIES * (RANGE_BYTES + VARINT.2 + 1);
pub(crate) const LEDGER_BYTES: usize = 1 + 3 * VARINT.0 + VARINT.2 + CLAIMS * (RANGE_BYTES + 1);
/// The envelope and the CRC.
pub(crate) const ENVELOPE_BYTES: usize = crate::HEADER_BYTES + 4;

impl Handoff for Firmware {
    const EDGE: u8 = 0;
    const VERSION: u16 = 2;
    const MAX_BYTES: usize = ENVELOPE_BYTES
        + VARINT.2
        + RAW_ENTRIES * (RANGE_BYTES + VARINT.1)
        + IMAGES_BYTES
        + AFFINITY_BYTES
        + NodeDistances::BYTES
        + LEDGER_BYTES;

    fn validate(&self) -> Result<(), &'static str> {
        if !self.distances.is_valid() {
            Err("a node is nearest to itself")
        } else if !self.ledger.is_valid() {
            Err("claims are sorted and disjoint")
        } else {
            Ok(())
        }
    }
}
