// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a caller asks for.

use crate::Error;
use handoff::{FRAME_BYTES, MAX_ORDER, ZoneKind};

/// A request: how large, how aligned, from which zones, nodes and addresses, how urgent.
///
/// ```
/// use buddy::{Node, Priority, Request};
/// use handoff::ZoneKind;
/// let request = Request::order(0).prefer(1).below(4 << 30).zeroed();
/// let other = Request::bytes(5 << 12, 64 << 10).zone(ZoneKind::DMA32).node(Node::Bind(0)).priority(Priority::High);
/// assert_ne!(request, other);
/// ```
///
/// Linux: the order and the `gfp_t` of `alloc_pages` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    pub(crate) order: u8,
    pub(crate) zone: ZoneKind,
    pub(crate) node: Node,
    pub(crate) priority: Priority,
    pub(crate) align_order: u8,
    /// The first frame number allowed, and the one after the last.
    pub(crate) above: u64,
    pub(crate) below: u64,
    pub(crate) content: Content,
}

/// Which node a block should be of. Linux: `MPOL_DEFAULT`, `MPOL_PREFERRED` and `MPOL_BIND` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Node {
    /// Any, the lowest first.
    #[default]
    Any,
    /// This one, else the next ones: by distance if [`Buddy::set_distances`](crate::Buddy::set_distances) was told, else round
    /// by number.
    Preferred(u16),
    /// This one and no other.
    Bind(u16),
}

/// How far below a zone's [`Watermarks`](crate::Watermarks) a request may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Priority {
    /// Down to `min`.
    #[default]
    Usual,
    /// Down to half of it: for callers that cannot wait. Linux: `__GFP_HIGH` (6.1).
    High,
    /// Down to the last frame, whatever is kept for whom: for callers that are about to free more than they take. Linux:
    /// `__GFP_MEMALLOC` (6.1).
    Emergency,
}

/// What the memory contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Content {
    #[default]
    Undefined,
    Zero,
}

impl Request {
    /// Returns a request for a block of 2^`order` frames from the zones Normal, DMA32 and DMA of any node.
    #[must_use]
    pub const fn order(order: u8) -> Self {
        Self {
            order,
            zone: ZoneKind::NORMAL,
            node: Node::Any,
            priority: Priority::Usual,
            align_order: 0,
            above: 0,
            below: u64::MAX,
            content: Content::Undefined,
        }
    }

    /// Returns a request for a block of at least `bytes` bytes that starts at a multiple of `align` bytes.
    ///
    /// A block starts at a multiple of its size, so the larger of the two numbers decides. Sizes beyond every order make a
    /// request that fails.
    #[must_use]
    pub const fn bytes(bytes: u64, align: u64) -> Self {
        Self::order(order_of(if bytes > align { bytes } else { align }))
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

    /// Returns the request for this node, or one near it if that has nothing.
    #[must_use]
    pub const fn prefer(self, node: u16) -> Self {
        self.node(Node::Preferred(node))
    }

    /// Returns the request for this node and no other. Linux: `__GFP_THISNODE` (6.1).
    #[must_use]
    pub const fn bind(self, node: u16) -> Self {
        self.node(Node::Bind(node))
    }

    /// Returns the request with a priority.
    #[must_use]
    pub const fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// Returns the request for memory that starts at a multiple of `bytes` bytes, rounded up to a power of two.
    ///
    /// A block starts at a multiple of its size anyway. Unlike [`bytes`](Self::bytes) this takes no more than the size asked
    /// for: what lies between is free.
    #[must_use]
    pub const fn aligned(self, bytes: u64) -> Self {
        Self { align_order: order_of(bytes), ..self }
    }

    /// Returns the request for memory that ends at or below the address `limit`.
    ///
    /// For a device with few address lines. If a zone lies in part below the limit, its free lists are searched, in time
    /// proportional to their length; a [`zone`](Self::zone) that says the same costs nothing. Linux: `coherent_dma_mask`,
    /// `dma_alloc_from_pool` (6.1).
    #[must_use]
    pub const fn below(self, limit: u64) -> Self {
        Self { below: limit / FRAME_BYTES, ..self }
    }

    /// Returns the request for memory that starts at or above the address `limit`. Costs what [`below`](Self::below) costs.
    #[must_use]
    pub const fn above(self, limit: u64) -> Self {
        Self { above: limit.div_ceil(FRAME_BYTES), ..self }
    }

    /// Returns the request for memory full of zeros.
    ///
    /// This crate touches no memory: [`Buddy::set_zeroing`](crate::Buddy::set_zeroing) says who does it. Linux: `__GFP_ZERO` (6.1).
    #[must_use]
    pub const fn zeroed(self) -> Self {
        Self { content: Content::Zero, ..self }
    }

    /// Checks that one block can be what is asked for.
    pub(crate) const fn check(&self) -> Result<(), Error> {
        let order = if self.order > self.align_order { self.order } else { self.align_order };
        if order > MAX_ORDER { Err(Error::Order { order, max: MAX_ORDER }) } else { Ok(()) }
    }

    /// Returns whether this is what [`order`](Self::order) returns.
    #[inline]
    pub(crate) fn has_no_wish(&self) -> bool {
        let Self { node, priority, content, .. } = self;
        let usual = (node, priority, content) == (&Node::Any, &Priority::Usual, &Content::Undefined);
        usual && self.zone == ZoneKind::NORMAL && self.align_order == 0 && self.anywhere()
    }

    /// Returns whether any address will do.
    pub(crate) const fn anywhere(&self) -> bool {
        self.above == 0 && self.below == u64::MAX
    }
}

/// Returns the order of the smallest block of at least so many bytes.
const fn order_of(bytes: u64) -> u8 {
    let frames = bytes.div_ceil(FRAME_BYTES);
    if frames <= 1 { 0 } else { ((frames - 1).ilog2() + 1) as u8 }
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
        for (bytes, order) in [(0, 0), (1, 0), (4096, 0), (4097, 1), (8192, 1), (12288, 2), (1 << 30, 18)] {
            assert_eq!(Request::order(0).aligned(bytes).align_order, order);
        }
    }

    #[test]
    fn limits_are_rounded_so_that_every_byte_obeys() {
        assert_eq!((Request::order(0).below(8191).below, Request::order(0).above(4097).above), (1, 2));
        assert!(Request::order(3).zeroed().prefer(1).anywhere());
        assert!(!Request::order(3).above(1).anywhere());
    }
}
