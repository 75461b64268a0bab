// SPDX-License-Identifier: MIT OR Apache-2.0
//! The descriptor of a page frame.

use crate::ZoneKind;

/// What a frame is in the memory map.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FrameState {
    /// No memory: part of a hole in a present section.
    Hole,
    /// Memory that is kept from the allocator until its owner gives it back.
    Reserved,
    /// Memory that the allocator gets.
    Body,
}

/// The descriptor of one page frame: 64 bytes, of which the memory map writes 16.
///
/// The size is Linux's, so that the memory map costs what it costs there; the rest is for the kernel that adopts it. The page
/// allocator needs no descriptors. Every bit pattern is a valid value (an unknown state reads as [`FrameState::Hole`]), so
/// memory from anywhere may be viewed as descriptors.
///
/// Linux: `struct page` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct Page {
    state: u8,
    zone: u8,
    node: u16,
    padding: u32,
    /// Owners of the frame: 1 as the memory map starts it.
    pub refcount: u32,
    mapcount: i32,
    /// For the kernel that owns the frame.
    pub private: [u64; 6],
}

const _: () = assert!(size_of::<Page>() == 64);

impl Page {
    /// Returns the descriptor of a frame as the memory map starts it: one owner.
    ///
    /// Linux: `__init_single_page` (6.1).
    #[must_use]
    pub const fn new(zone: ZoneKind, node: u16, state: FrameState) -> Self {
        let state = match state {
            FrameState::Hole => 0,
            FrameState::Reserved => 1,
            FrameState::Body => 2,
        };
        Self { state, zone: zone.0, node, padding: 0, refcount: 1, mapcount: -1, private: [0; 6] }
    }

    /// Returns what the frame is in the memory map.
    #[must_use]
    pub const fn state(&self) -> FrameState {
        match self.state {
            1 => FrameState::Reserved,
            2 => FrameState::Body,
            _ => FrameState::Hole,
        }
    }

    /// Returns the zone type.
    #[must_use]
    pub const fn zone(&self) -> ZoneKind {
        ZoneKind(self.zone)
    }

    /// Returns the node.
    #[must_use]
    pub const fn node(&self) -> u16 {
        self.node
    }
}
