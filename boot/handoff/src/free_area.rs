// SPDX-License-Identifier: MIT OR Apache-2.0
//! Free lists: what of an allocator's state does not lie in the descriptors.

use crate::{Frame, ORDERS, ZoneSpan};

/// The free list of one order.
///
/// Linux: `struct free_area` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FreeArea {
    /// First block, the next to be handed out; [`Frame::NONE`] if there is none.
    pub head: Frame,
    /// Last block.
    pub tail: Frame,
    /// Number of blocks.
    pub blocks: u64,
}

impl FreeArea {
    /// A list without blocks.
    pub const EMPTY: Self = Self { head: Frame::NONE, tail: Frame::NONE, blocks: 0 };
}

/// A zone with its free lists. All numbers are frames.
///
/// Linux: `struct zone` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ZoneState {
    /// Where it is and what it has.
    pub span: ZoneSpan,
    /// Frames the allocator manages: free or allocated.
    pub managed: u64,
    /// Free blocks by order.
    pub free_area: [FreeArea; ORDERS],
}

impl ZoneState {
    /// Returns the number of free frames.
    #[must_use]
    pub fn free(&self) -> u64 {
        // Saturating, because the numbers may come from a hand-off that nobody has checked yet.
        let frames = self.free_area.iter().enumerate().map(|(order, area)| area.blocks.saturating_mul(1 << order));
        frames.fold(0, u64::saturating_add)
    }
}
