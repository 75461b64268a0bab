// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the frames are: zones, sections, and the limits of their tables.

use crate::{FRAME_BYTES, ZoneKind};

/// Bytes in a section. Linux: `1 << SECTION_SIZE_BITS` (6.1).
pub const SECTION_BYTES: u64 = 128 << 20;
/// Frames in a section. Linux: `PAGES_PER_SECTION` (6.1).
pub const SECTION_FRAMES: u64 = SECTION_BYTES / FRAME_BYTES;
/// Nodes the image can handle.
pub const MAX_NODES: usize = 16;
/// Zones the image can handle: DMA, DMA32, Normal and Movable of each node.
pub const MAX_ZONES: usize = 4 * MAX_NODES;
/// Runs of present sections.
pub const SECTION_RUNS: usize = 128;
/// Blocks of descriptors.
pub const DESCRIPTOR_BLOCKS: usize = 64;
/// Runs of frames of one zone.
pub const RUNS: usize = 192;
/// Stretches of the array of frame maps.
pub const MAP_SHARES: usize = 96;
/// Blocks of memory in which an allocator's tables lie.
pub const TABLE_BLOCKS: usize = MAP_SHARES + 1;

/// A zone of a node, before anything was handed over. All numbers are frames.
///
/// Linux: `calculate_node_totalpages` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
        self.start_pfn.saturating_add(self.spanned)
    }
}

/// Consecutive present sections, whose descriptors lie one after another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SectionRun {
    /// Number of the first section: its address / 128 MiB.
    pub first_section: u32,
    /// How many sections.
    pub sections: u32,
    /// The number of the descriptor of the first frame.
    pub first_frame: u64,
}
