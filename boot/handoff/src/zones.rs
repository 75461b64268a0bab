// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 5, buddy → the kernel: a live allocator.

use crate::firmware::{ENVELOPE_BYTES, LEDGER_BYTES, RANGE_BYTES, VARINT};
use crate::frames::{LAYOUT_BYTES, check_layout};
use crate::{
    Account, DESCRIPTOR_BLOCKS, FRAME_BYTES, Handoff, Ledger, MAP_SHARES, MAX_ZONES, MapShare, NodeDistances, ORDERS,
    PhysRange, RUNS, Run, SECTION_RUNS, SectionRun, TABLE_BLOCKS, ZoneState,
};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The state of a live allocator; the rest of it lies in its tables.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Zones {
    /// The populated zones, by node and then by address.
    pub zones: Vec<ZoneState, MAX_ZONES>,
    /// Their frames, sorted.
    pub runs: Vec<Run, RUNS>,
    /// Whose the frame maps are, in the order of the array.
    pub shares: Vec<MapShare, MAP_SHARES>,
    /// Where the tables lie: mapped one after another in this order, they are one array of bytes. First the pieces of all
    /// zones, filled up to whole frames; then the maps.
    pub tables: Vec<PhysRange, TABLE_BLOCKS>,
    /// The present sections, sorted.
    pub sections: Vec<SectionRun, SECTION_RUNS>,
    /// Where the kernel's descriptors lie, if it has any: mapped one after another in this order, they are one array.
    pub descriptors: Vec<PhysRange, DESCRIPTOR_BLOCKS>,
    /// How far nodes are from each other; empty if all memory counts as one node.
    pub distances: NodeDistances,
    /// The account, closed: every byte of memory is claimed or managed.
    pub ledger: Ledger,
}

impl Zones {
    /// Returns the bytes the allocator manages.
    #[must_use]
    pub fn managed_bytes(&self) -> u64 {
        bytes(self.zones.iter().map(|z| z.managed))
    }

    /// Returns the bytes of memory.
    #[must_use]
    pub fn present_bytes(&self) -> u64 {
        bytes(self.zones.iter().map(|z| z.span.present))
    }

    /// Returns the bytes of the allocator's tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.tables.iter().map(|range| range.size()).fold(0, u64::saturating_add)
    }
}

/// Returns the bytes of so many frames, at most all there can be: a decoded number may be anything.
fn bytes(frames: impl Iterator<Item = u64>) -> u64 {
    frames.fold(0, u64::saturating_add).saturating_mul(FRAME_BYTES)
}

/// The most bytes postcard needs for a zone, a run and a share.
pub(crate) const ZONE_BYTES: usize = VARINT.2 + 1 + 5 * VARINT.0 + ORDERS * (VARINT.1 + VARINT.0) + 7 * VARINT.1;
const RUN_BYTES: usize = 2 * VARINT.0 + VARINT.2 + VARINT.1;
const SHARE_BYTES: usize = VARINT.2 + VARINT.1 + 1 + RANGE_BYTES;

impl Handoff for Zones {
    const EDGE: u8 = 5;
    const VERSION: u16 = 3;
    const MAX_BYTES: usize = ENVELOPE_BYTES
        + 4 * VARINT.2
        + MAX_ZONES * ZONE_BYTES
        + RUNS * RUN_BYTES
        + MAP_SHARES * SHARE_BYTES
        + TABLE_BLOCKS * RANGE_BYTES
        + LAYOUT_BYTES
        + NodeDistances::BYTES
        + LEDGER_BYTES;

    fn validate(&self) -> Result<(), &'static str> {
        check_layout(&self.sections, &self.descriptors)?;
        let mut end = 0;
        for run in &self.runs {
            if run.start_pfn < end || run.end_pfn <= run.start_pfn || usize::from(run.zone) >= self.zones.len() {
                return Err("runs are sorted, disjoint, not empty and of a zone");
            }
            end = run.end_pfn;
        }
        check_zones(&self.zones)?;
        if self.shares.iter().any(|share| usize::from(share.zone) >= self.zones.len()) {
            Err("frame maps belong to a zone")
        } else if !self.distances.is_valid() {
            Err("a node is nearest to itself")
        } else if !self.ledger.is_valid() {
            Err("claims are sorted and disjoint")
        } else if self.present_bytes() != self.ledger.total(Account::Reserved) + self.managed_bytes() {
            Err("every byte of memory is reserved by a named owner or managed")
        } else {
            Ok(())
        }
    }
}

/// Checks the invariants of single zones.
pub(crate) fn check_zones(zones: &[ZoneState]) -> Result<(), &'static str> {
    if zones.iter().any(|z| z.managed > z.span.present || z.free() > z.managed) {
        return Err("free frames are managed, managed frames are present");
    }
    Ok(())
}
