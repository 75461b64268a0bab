// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zones of a live allocator: what of its state does not lie in the frame maps.

use crate::{ORDERS, PhysRange, SECTION_FRAMES, ZoneSpan};

/// No piece, no map: the end of a list.
pub const NONE: u32 = u32::MAX;

/// The free blocks of one order that lie in frame maps.
///
/// Linux: `struct free_area` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FreeArea {
    /// The map that the next block comes from: the first of a ring of maps, or [`NONE`].
    pub first_map: u32,
    /// Number of blocks.
    pub blocks: u64,
}

impl FreeArea {
    /// No blocks.
    pub const EMPTY: Self = Self { first_map: NONE, blocks: 0 };
}

/// A ring of pieces or maps that wait for use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Waiting {
    /// The next one, or [`NONE`].
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Waiting {
    /// Nothing waits.
    pub const NOTHING: Self = Self { first: NONE, count: 0 };
}

/// A zone with what is free in it. All numbers are frames unless they say otherwise.
///
/// Linux: `struct zone` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ZoneState {
    /// Where it is and what it has.
    pub span: ZoneSpan,
    /// Frames the allocator manages: free, allocated, or holding its own maps.
    pub managed: u64,
    /// Free blocks in maps, by order.
    pub free_area: [FreeArea; ORDERS],
    /// Dormant sections: free as a whole, without a map.
    pub dormant: Waiting,
    /// Managed frames that hold frame maps.
    pub map_frames: u64,
    /// Entries in the zone's table of pieces.
    pub pieces: u32,
    /// How many of them were ever used.
    pub used_pieces: u32,
    /// How many of the zone's maps were ever used.
    pub used_maps: u32,
    /// Maps that were used and are not any more.
    pub idle_maps: Waiting,
}

impl ZoneState {
    /// Returns a zone that manages nothing yet.
    #[must_use]
    pub const fn new(span: ZoneSpan) -> Self {
        Self {
            span,
            managed: 0,
            free_area: [FreeArea::EMPTY; ORDERS],
            dormant: Waiting::NOTHING,
            map_frames: 0,
            pieces: 0,
            used_pieces: 0,
            used_maps: 0,
            idle_maps: Waiting::NOTHING,
        }
    }

    /// Returns the number of free blocks by order. A dormant section is 32 of the largest.
    #[must_use]
    pub fn free_blocks(&self) -> [u64; ORDERS] {
        let mut blocks = self.free_area.map(|area| area.blocks);
        let largest = &mut blocks[ORDERS - 1];
        *largest = largest.saturating_add(u64::from(self.dormant.count) * (SECTION_FRAMES >> (ORDERS - 1)));
        blocks
    }

    /// Returns the number of free frames.
    #[must_use]
    pub fn free(&self) -> u64 {
        // Saturating, because the numbers may come from a hand-off that nobody has checked yet.
        let frames = self.free_blocks().into_iter().enumerate().map(|(order, n)| n.saturating_mul(1 << order));
        frames.fold(0, u64::saturating_add)
    }
}

/// Frames of one zone without a hole.
///
/// The zone's table has an entry, a piece, for each section in which it has memory. Runs of one zone that meet in a section
/// share the piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Run {
    /// First frame number.
    pub start_pfn: u64,
    /// The frame number after the last.
    pub end_pfn: u64,
    /// The zone, by its index.
    pub zone: u16,
    /// The piece of the first section, by its index in the zone's table; those of the next sections follow.
    pub first_piece: u32,
}

/// A stretch of the array of frame maps that belongs to one zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MapShare {
    /// The zone, by its index.
    pub zone: u16,
    /// How many maps.
    pub maps: u32,
    /// Where they lie, if in frames that the zone took from itself.
    pub own: Option<PhysRange>,
}
