// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 6, a second kernel → boot: the live allocator again, and what was proved with it.

use crate::firmware::{ENVELOPE_BYTES, VARINT};
use crate::zones::{ZONE_BYTES, check_zones};
use crate::{Handoff, MAX_ZONES, ZoneState};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// What changed of an allocator while a second kernel had it, and what that did with it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Succession {
    /// The zones as it leaves them; all the rest is as in the [`Zones`](crate::Zones) that it was given.
    pub zones: Vec<ZoneState, MAX_ZONES>,
    /// What it did with it.
    pub proof: Proof,
}

/// What a second kernel did with the allocator. Boot believes none of it but prints it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Proof {
    /// Number of blocks it allocated and freed again.
    pub blocks: u32,
    /// Number of requests that were refused, for want of a block that large.
    pub refused: u32,
    /// Number of frames it wrote to and read again.
    pub frames: u64,
    /// Address of the highest frame that was free, which kept what was written to it.
    pub top: u64,
    /// Most bytes on the heap at once.
    pub heap_bytes: u64,
    /// Bytes of bitmaps and links that the heap needed for them.
    pub heap_overhead_bytes: u64,
    /// Number of objects among them.
    pub heap_objects: u64,
}

impl Handoff for Succession {
    const EDGE: u8 = 6;
    const VERSION: u16 = 1;
    const MAX_BYTES: usize = ENVELOPE_BYTES + VARINT.2 + MAX_ZONES * ZONE_BYTES + 2 * VARINT.1 + 5 * VARINT.0;

    fn validate(&self) -> Result<(), &'static str> {
        check_zones(&self.zones)
    }
}
