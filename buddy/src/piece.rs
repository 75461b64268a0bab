// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of a zone's part of a section.

use handoff::NONE;

/// What is known of a zone's part of one section: eight bytes. Where it is not all alike, there is a
/// [`FrameMap`](crate::FrameMap).
///
/// Any bytes are a valid value, and the allocator writes each before it reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Piece {
    tag_and_value: u32,
    previous: u32,
}

/// A piece, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// All of it is kept from the allocator.
    Kept,
    /// A whole section, free as a whole: in a ring with others.
    Dormant { next: u32, previous: u32 },
    /// The map has it.
    Online { map: u32 },
    /// A whole section, allocated as a whole.
    Giant,
}

const TAG_SHIFT: u32 = 30;
const VALUE: u32 = (1 << TAG_SHIFT) - 1;

impl Piece {
    /// An entry of a table that is not in use yet.
    pub const UNUSED: Self = Self::new(State::Kept);

    pub(crate) const fn new(state: State) -> Self {
        let (tag, value, previous) = match state {
            State::Kept => (0, 0, 0),
            State::Dormant { next, previous } => (1, next, previous),
            State::Online { map } => (2, map, 0),
            State::Giant => (3, 0, 0),
        };
        Self { tag_and_value: tag << TAG_SHIFT | (value & VALUE), previous }
    }

    #[inline]
    pub(crate) const fn state(self) -> State {
        let value = self.tag_and_value & VALUE;
        match self.tag_and_value >> TAG_SHIFT {
            0 => State::Kept,
            1 => State::Dormant { next: value, previous: self.previous },
            2 => State::Online { map: value },
            _ => State::Giant,
        }
    }

    /// Returns the map if there is one, else [`NONE`].
    #[inline]
    pub(crate) const fn map(self) -> u32 {
        match self.state() {
            State::Online { map } => map,
            _ => NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive() {
        for state in [State::Kept, State::Dormant { next: 5, previous: 7 }, State::Online { map: VALUE }, State::Giant]
        {
            assert_eq!(Piece::new(state).state(), state);
        }
        assert_eq!((Piece::new(State::Online { map: 3 }).map(), Piece::new(State::Giant).map()), (3, NONE));
    }
}
