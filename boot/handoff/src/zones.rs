// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 5, buddy → the kernel: a live allocator.

use crate::firmware::{ENVELOPE_BYTES, LEDGER_BYTES, VARINT};
use crate::frames::{LAYOUT_BYTES, check_layout};
use crate::{
    Account, DESCRIPTOR_BLOCKS, FRAME_BYTES, Frame, Handoff, Ledger, MAX_ZONES, NodeDistances, ORDERS, PhysRange,
    SECTION_RUNS, SectionRun, ZoneState,
};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The state of a live allocator; the rest of it lies in the descriptors.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Zones {
    /// The populated zones, by node and then by address.
    pub zones: Vec<ZoneState, MAX_ZONES>,
    /// The present sections, sorted.
    pub sections: Vec<SectionRun, SECTION_RUNS>,
    /// Where the descriptors lie: mapped one after another in this order, they are one array.
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
}

/// Returns the bytes of so many frames, at most all there can be: a decoded number may be anything.
fn bytes(frames: impl Iterator<Item = u64>) -> u64 {
    frames.fold(0, u64::saturating_add).saturating_mul(FRAME_BYTES)
}

impl Handoff for Zones {
    const EDGE: u8 = 5;
    const VERSION: u16 = 2;
    const MAX_BYTES: usize = ENVELOPE_BYTES
        + VARINT.2
        + MAX_ZONES * (VARINT.2 + 1 + 4 * VARINT.0 + ORDERS * (2 * VARINT.1 + VARINT.0))
        + LAYOUT_BYTES
        + NodeDistances::BYTES
        + LEDGER_BYTES;

    fn validate(&self) -> Result<(), &'static str> {
        check_layout(&self.sections, &self.descriptors)?;
        let frames: u64 = self.sections.iter().map(|run| u64::from(run.sections) * crate::SECTION_FRAMES).sum();
        let inside = |frame: Frame| frame == Frame::NONE || u64::from(frame.0) < frames;
        let mut lists = self.zones.iter().flat_map(|z| &z.free_area);
        if !lists.all(|l| inside(l.head) && inside(l.tail) && (l.blocks == 0) == (l.head == Frame::NONE)) {
            Err("free lists start and end at a descriptor")
        } else if self.zones.iter().any(|z| z.managed > z.span.present || z.free() > z.managed) {
            Err("free frames are managed, managed frames are present")
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
