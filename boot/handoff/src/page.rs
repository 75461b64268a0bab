// SPDX-License-Identifier: MIT OR Apache-2.0
//! The descriptor of a page frame.

use crate::ZoneKind;

/// A frame by its index in the descriptor array.
///
/// Descriptors of present sections lie one after another, so an index is not a page frame number; the section table of
/// the hand-off translates. The index is stable for the life of the array and costs 32 bits where a pointer costs 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Frame(pub u32);

impl Frame {
    /// The end of a list.
    pub const NONE: Self = Self(u32::MAX);
}

/// What a frame is to the allocator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FrameState {
    /// No memory: part of a hole in a present section.
    Hole,
    /// Memory that is kept from the allocator until its owner gives it back.
    Reserved,
    /// Memory at which no block starts: inside a block, or not handed over yet.
    Body,
    /// The first frame of a free block of the descriptor's order.
    Free,
    /// The first frame of an allocated block of the descriptor's order.
    Allocated,
}

/// The descriptor of one page frame: 64 bytes, of which the allocator uses 20.
///
/// The size is Linux's, so that the memory map costs what it costs there; the rest is for the kernel that adopts it.
/// Every bit pattern is a valid value (an unknown state reads as [`FrameState::Hole`]), so memory from anywhere may be
/// viewed as descriptors.
///
/// Linux: `struct page` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(64))]
pub struct Page {
    state: u8,
    order: u8,
    zone: u8,
    reserved: u8,
    node: u16,
    padding: u16,
    /// Next block of the free list, or [`Frame::NONE`].
    pub next: Frame,
    /// Previous block of the free list, or [`Frame::NONE`].
    pub prev: Frame,
    /// Owners of the frame: 1 for a reserved or allocated one, 0 for a free one.
    pub refcount: u32,
    mapcount: i32,
    /// For the kernel that owns the frame; the allocator never reads or writes it.
    pub private: [u64; 5],
}

const _: () = assert!(size_of::<Page>() == 64);

impl Page {
    /// Returns the descriptor of a frame as the memory map starts it: one owner, on no list.
    ///
    /// Linux: `__init_single_page` (6.1).
    #[must_use]
    pub const fn new(zone: ZoneKind, node: u16, state: FrameState) -> Self {
        Self {
            state: encode(state),
            order: 0,
            zone: zone.0,
            reserved: 0,
            node,
            padding: 0,
            next: Frame::NONE,
            prev: Frame::NONE,
            refcount: 1,
            mapcount: -1,
            private: [0; 5],
        }
    }

    /// Returns what the frame is to the allocator.
    #[must_use]
    pub const fn state(&self) -> FrameState {
        match self.state {
            1 => FrameState::Reserved,
            2 => FrameState::Body,
            3 => FrameState::Free,
            4 => FrameState::Allocated,
            _ => FrameState::Hole,
        }
    }

    /// Sets what the frame is to the allocator.
    pub const fn set_state(&mut self, state: FrameState) {
        self.state = encode(state);
    }

    /// Returns the order of the block that starts here; meaningless for any other frame.
    #[must_use]
    pub const fn order(&self) -> u8 {
        self.order
    }

    /// Sets the order of the block that starts here.
    pub const fn set_order(&mut self, order: u8) {
        self.order = order;
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

const fn encode(state: FrameState) -> u8 {
    match state {
        FrameState::Hole => 0,
        FrameState::Reserved => 1,
        FrameState::Body => 2,
        FrameState::Free => 3,
        FrameState::Allocated => 4,
    }
}
