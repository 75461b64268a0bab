// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a caller asks for.

use handoff::ZoneKind;

/// A request for a block: how large, from which zones, on which node.
///
/// Linux: the order and the `gfp_t` of `alloc_pages` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    pub(crate) order: u8,
    pub(crate) zone: ZoneKind,
    pub(crate) node: Node,
}

/// Which node a block should be of. Linux: `MPOL_DEFAULT`, `MPOL_PREFERRED` and `MPOL_BIND` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Node {
    /// Any, the lowest first.
    #[default]
    Any,
    /// This one, else the next ones round.
    Preferred(u16),
    /// This one and no other.
    Bind(u16),
}

impl Request {
    /// Returns a request for a block of 2^`order` frames from the zones Normal, DMA32 and DMA of any node.
    #[must_use]
    pub const fn order(order: u8) -> Self {
        Self { order, zone: ZoneKind::NORMAL, node: Node::Any }
    }

    /// Returns a request for a block of at least `bytes` bytes that starts at a multiple of `align` bytes.
    ///
    /// A block starts at a multiple of its size, so the larger of the two numbers decides. Sizes beyond every order make a
    /// request that fails.
    #[must_use]
    pub const fn bytes(bytes: u64, align: u64) -> Self {
        let largest = if bytes > align { bytes } else { align };
        let frames = largest.div_ceil(handoff::FRAME_BYTES);
        Self::order(if frames <= 1 { 0 } else { ((frames - 1).ilog2() + 1) as u8 })
    }

    /// Returns the request with `zone` as the highest zone it may use; the ones below it are used if that is full.
    ///
    /// Linux: `GFP_DMA`, `GFP_DMA32`, `__GFP_MOVABLE` (6.1).
    #[must_use]
    pub const fn zone(self, zone: ZoneKind) -> Self {
        Self { zone, ..self }
    }

    /// Returns the request with a wish for a node.
    #[must_use]
    pub const fn node(self, node: Node) -> Self {
        Self { node, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_size_and_alignment_decides() {
        for (bytes, align, order) in [
            (0, 1, 0),
            (1, 1, 0),
            (4096, 1, 0),
            (4097, 1, 1),
            (1, 8192, 1),
            (5 * 4096, 4096, 3),
            (4096, 2 << 20, 9),
            (1 << 30, 1, 18),
            (u64::MAX, 1, 52),
        ] {
            assert_eq!(Request::bytes(bytes, align), Request::order(order), "{bytes} {align}");
        }
    }
}
