// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 4, memmap → buddy: zones, sections and where the descriptors lie.

use crate::firmware::{ENVELOPE_BYTES, RANGE_BYTES, VARINT};
use crate::{
    Blocks, DESCRIPTOR_BLOCKS, FRAME_BYTES, Handoff, MAX_ZONES, PhysRange, SECTION_FRAMES, SECTION_RUNS, SectionRun,
    ZoneSpan,
};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Zones, sections and where the descriptors lie.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Frames {
    /// Memory and what is reserved.
    pub blocks: Blocks,
    /// The populated zones, by node and then by address.
    pub zones: Vec<ZoneSpan, MAX_ZONES>,
    /// The present sections, sorted.
    pub sections: Vec<SectionRun, SECTION_RUNS>,
    /// Where the descriptors lie: mapped one after another in this order, they are one array. None if they were not
    /// written: whoever wants descriptors makes them later.
    pub descriptors: Vec<PhysRange, DESCRIPTOR_BLOCKS>,
}

/// The most bytes postcard needs for the sections and the descriptors.
pub(crate) const LAYOUT_BYTES: usize =
    VARINT.2 + SECTION_RUNS * (2 * VARINT.1 + VARINT.0) + VARINT.2 + DESCRIPTOR_BLOCKS * RANGE_BYTES;

/// Checks that sections are sorted and that there are exactly their descriptors, or none.
pub(crate) fn check_layout(sections: &[SectionRun], descriptors: &[PhysRange]) -> Result<(), &'static str> {
    let mut next = (0, 0);
    for run in sections {
        if u64::from(run.first_section) < next.0 || run.sections == 0 {
            return Err("section runs are sorted, disjoint and not empty");
        }
        if run.first_frame != next.1 {
            return Err("descriptors of section runs lie one after another");
        }
        next =
            (u64::from(run.first_section) + u64::from(run.sections), next.1 + u64::from(run.sections) * SECTION_FRAMES);
    }
    let bytes: u64 = descriptors.iter().map(|r| r.size()).fold(0, u64::saturating_add);
    if !descriptors.is_empty() && bytes != next.1 * size_of::<crate::Page>() as u64 {
        return Err("there is one descriptor for each frame of a present section");
    }
    Ok(())
}

impl Handoff for Frames {
    const EDGE: u8 = 4;
    const VERSION: u16 = 2;
    const MAX_BYTES: usize =
        ENVELOPE_BYTES + Blocks::PAYLOAD_BYTES + VARINT.2 + MAX_ZONES * (VARINT.2 + 1 + 3 * VARINT.0) + LAYOUT_BYTES;

    fn validate(&self) -> Result<(), &'static str> {
        self.blocks.validate()?;
        check_layout(&self.sections, &self.descriptors)?;
        let present = self.zones.iter().map(|z| z.present).fold(0, u64::saturating_add);
        if self.zones.iter().any(|z| z.present > z.spanned || z.present == 0) {
            Err("a zone has frames, and no more than it spans")
        } else if present.saturating_mul(FRAME_BYTES) != self.blocks.memory_bytes() {
            Err("every frame of memory is present in one zone")
        } else {
            Ok(())
        }
    }
}
