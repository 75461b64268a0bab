// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 4, memmap → buddy: zones, sections and where the descriptors lie.

use crate::firmware::{ENVELOPE_BYTES, RANGE_BYTES, VARINT};
use crate::{Blocks, FRAME_BYTES, Frame, Handoff, PhysRange, ZoneKind};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Bytes in a section. Linux: `1 << SECTION_SIZE_BITS` (6.1).
pub const SECTION_BYTES: u64 = 128 << 20;
/// Frames in a section. Linux: `PAGES_PER_SECTION` (6.1).
pub const SECTION_FRAMES: u64 = SECTION_BYTES / FRAME_BYTES;
/// Nodes the image can handle.
pub const MAX_NODES: usize = 16;
/// Zones the image can handle.
pub const MAX_ZONES: usize = 3 * MAX_NODES;
/// Runs of present sections.
pub const SECTION_RUNS: usize = 128;
/// Blocks of descriptors.
pub const DESCRIPTOR_BLOCKS: usize = 64;

/// A zone of a node, before anything was handed over. All numbers are frames.
///
/// Linux: `calculate_node_totalpages` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ZoneSpan {
    /// The node.
    pub node: u16,
    /// The zone type.
    pub kind: ZoneKind,
    /// First frame number.
    pub start_pfn: u64,
    /// Frames from the first to the last, holes included.
    pub spanned: u64,
    /// Frames of memory among them.
    pub present: u64,
}

impl ZoneSpan {
    /// Returns the frame number after the last.
    #[must_use]
    pub const fn end_pfn(&self) -> u64 {
        self.start_pfn + self.spanned
    }
}

/// Consecutive present sections, whose descriptors lie one after another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SectionRun {
    /// Number of the first section: its address / 128 MiB.
    pub first_section: u32,
    /// How many sections.
    pub sections: u32,
    /// The descriptor of the first frame.
    pub first_frame: Frame,
}

/// Zones, sections and where the descriptors lie.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Frames {
    /// Memory and what is reserved.
    pub blocks: Blocks,
    /// The populated zones, by node and then by address.
    pub zones: Vec<ZoneSpan, MAX_ZONES>,
    /// The present sections, sorted.
    pub sections: Vec<SectionRun, SECTION_RUNS>,
    /// Where the descriptors lie: mapped one after another in this order, they are one array.
    pub descriptors: Vec<PhysRange, DESCRIPTOR_BLOCKS>,
}

/// The most bytes postcard needs for the sections and the descriptors.
pub(crate) const LAYOUT_BYTES: usize =
    VARINT.2 + SECTION_RUNS * 3 * VARINT.1 + VARINT.2 + DESCRIPTOR_BLOCKS * RANGE_BYTES;

/// Checks that sections are sorted and that there are exactly their descriptors.
pub(crate) fn check_layout(sections: &[SectionRun], descriptors: &[PhysRange]) -> Result<(), &'static str> {
    let mut next = (0, 0);
    for run in sections {
        if u64::from(run.first_section) < next.0 || run.sections == 0 {
            return Err("section runs are sorted, disjoint and not empty");
        }
        if u64::from(run.first_frame.0) != next.1 {
            return Err("descriptors of section runs lie one after another");
        }
        next =
            (u64::from(run.first_section) + u64::from(run.sections), next.1 + u64::from(run.sections) * SECTION_FRAMES);
    }
    let bytes: u64 = descriptors.iter().map(|r| r.size()).sum();
    if bytes != next.1 * size_of::<crate::Page>() as u64 {
        return Err("there is one descriptor for each frame of a present section");
    }
    Ok(())
}

impl Handoff for Frames {
    const EDGE: u8 = 4;
    const VERSION: u16 = 1;
    const MAX_BYTES: usize =
        ENVELOPE_BYTES + Blocks::PAYLOAD_BYTES + VARINT.2 + MAX_ZONES * (VARINT.2 + 1 + 3 * VARINT.0) + LAYOUT_BYTES;

    fn validate(&self) -> Result<(), &'static str> {
        self.blocks.validate()?;
        check_layout(&self.sections, &self.descriptors)?;
        let present: u64 = self.zones.iter().map(|z| z.present).sum();
        if self.zones.iter().any(|z| z.present > z.spanned || z.present == 0) {
            Err("a zone has frames, and no more than it spans")
        } else if present * FRAME_BYTES != self.blocks.memory_bytes() {
            Err("every frame of memory is present in one zone")
        } else {
            Ok(())
        }
    }
}
