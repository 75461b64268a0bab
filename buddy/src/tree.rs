// SPDX-License-Identifier: MIT OR Apache-2.0
//! Up to 64 leaves that make up naturally aligned blocks, in two bits each.

/// Leaves in a tree.
pub(crate) const LEAVES: u32 = 64;
/// Orders of blocks smaller than a whole tree.
pub(crate) const TREE_ORDERS: usize = 6;

/// The bits 2^order, order 0 to 5: where the parts start that splitting leaves over.
const HALVES: u64 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16 | 1 << 32;

/// For each order, the leaves at which a block of that order can start.
const ALIGNED: [u64; 7] = {
    let mut masks = [0; 7];
    let mut leaf = 0;
    while leaf < LEAVES {
        let mut order = 0;
        while order < masks.len() {
            if leaf.trailing_zeros() as usize >= order {
                masks[order] |= 1 << leaf;
            }
            order += 1;
        }
        leaf += 1;
    }
    masks
};

/// What is at a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leaf {
    /// The inside of a block.
    Body,
    /// An allocated block starts.
    Allocated,
    /// A free block starts.
    Free,
    /// A block of its own, of one leaf, which is neither: kept from the allocator, or described elsewhere.
    Kept,
}

/// Leaves with two bits each. `head` and `free`: a free block starts here; `head` alone: an allocated one; `free` alone: the leaf
/// is kept; none: it belongs to the block that started before.
///
/// # Invariants
/// The blocks fill the tree; each has 2^order leaves and starts at a multiple of that. So a node of the binary tree over
/// the leaves is cut if and only if something starts at its middle: no order needs to be stored. `TOP` is the order of the largest
/// block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(transparent)]
pub(crate) struct Tree<const TOP: u32>(Bits);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
struct Bits {
    head: u64,
    free: u64,
}

/// Returns the bits of `2^order` leaves from the first on, order 0 to 6.
#[inline]
const fn low(order: u32) -> u64 {
    u64::MAX >> (64 - (1 << order))
}

impl<const TOP: u32> Tree<TOP> {
    /// Every leaf kept.
    pub(crate) const KEPT: Self = Self(Bits { head: 0, free: u64::MAX });
    /// Nothing at all; not a valid tree.
    pub(crate) const BLANK: Self = Self(Bits { head: 0, free: 0 });
    /// All free, in blocks of the largest order.
    pub(crate) const FREE: Self = Self(Bits { head: ALIGNED[TOP as usize], free: ALIGNED[TOP as usize] });

    /// Returns where anything starts.
    #[inline]
    const fn starts(self) -> u64 {
        self.0.head | self.0.free
    }

    #[inline]
    pub(crate) const fn leaf(self, at: u32) -> Leaf {
        match (self.0.head >> at & 1, self.0.free >> at & 1) {
            (0, 0) => Leaf::Body,
            (_, 0) => Leaf::Allocated,
            (0, _) => Leaf::Kept,
            _ => Leaf::Free,
        }
    }

    /// Returns the order of what starts at a leaf.
    #[inline]
    pub(crate) const fn order_at(self, at: u32) -> u32 {
        // The smallest order whose sibling starts something, or that the place is aligned to.
        let sibling = ((self.starts() >> at) & HALVES).trailing_zeros().trailing_zeros();
        let aligned = at.trailing_zeros();
        let order = if sibling < aligned { sibling } else { aligned };
        if order < TOP { order } else { TOP }
    }

    /// Returns where the block starts that contains a leaf.
    #[inline]
    pub(crate) const fn start_of(self, at: u32) -> Option<u32> {
        let before = self.starts() & (u64::MAX >> (63 - at));
        before.checked_ilog2()
    }

    /// Returns the leaves at which a free block of exactly this order starts, order 0 to `TOP`.
    #[inline]
    pub(crate) const fn free_of(self, order: u32) -> u64 {
        let mut found = self.0.head & self.0.free & ALIGNED[order as usize];
        if order > 0 {
            found &= !(self.starts() >> (1 << (order - 1)));
        }
        if order < TOP {
            found &= self.starts() >> (1 << order) | !ALIGNED[order as usize + 1];
        }
        found
    }

    /// Makes a block of what is at its place.
    #[inline]
    pub(crate) const fn set(&mut self, at: u32, order: u32, leaf: Leaf) {
        let clear = !(low(order) << at);
        (self.0.head, self.0.free) = (self.0.head & clear, self.0.free & clear);
        match leaf {
            Leaf::Body => {}
            Leaf::Allocated => self.0.head |= 1 << at,
            Leaf::Kept => self.0.free |= low(order) << at,
            Leaf::Free => (self.0.head, self.0.free) = (self.0.head | 1 << at, self.0.free | 1 << at),
        }
    }

    /// Splits a free block and puts something of a smaller or the same order at its start; the rest is free.
    #[inline]
    pub(crate) const fn split(&mut self, at: u32, order: u32, smaller: u32, leaf: Leaf) {
        // Of the places where halves start: those between the two sizes.
        let rest = (HALVES & low(order) & !low(smaller)) << at;
        self.0.head |= rest;
        self.0.free |= rest;
        self.set(at, 0, leaf);
    }

    /// Frees the block at a place, merges it with its free buddies and returns the block that this makes. A whole tree is
    /// left blank.
    #[inline]
    pub(crate) const fn merge(&mut self, mut at: u32, mut order: u32) -> (u32, u32) {
        self.set(at, 0, Leaf::Body);
        while order < TOP {
            let buddy = at ^ 1 << order;
            let whole = order == 0 || self.starts() >> (buddy + (1 << (order - 1))) & 1 == 0;
            if (self.0.head & self.0.free) >> buddy & 1 == 0 || !whole {
                break;
            }
            self.set(buddy, 0, Leaf::Body);
            at &= !(1 << order);
            order += 1;
        }
        if 1 << order < LEAVES {
            self.set(at, 0, Leaf::Free);
        }
        (at, order)
    }

    /// Returns the blocks in ascending order: where they start, what they are, their order. Ends where they do not fill the tree.
    pub(crate) fn blocks(self) -> impl Iterator<Item = (u32, Leaf, u32)> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let leaf = if at < LEAVES { self.leaf(at) } else { Leaf::Body };
            let order = match leaf {
                Leaf::Body => return None,
                Leaf::Kept => 0,
                _ => self.order_at(at),
            };
            let start = at;
            at += 1 << order;
            Some((start, leaf, order))
        })
    }

    /// Returns the leaf where the blocks stop filling the tree, if they do.
    pub(crate) fn broken_at(self) -> Option<u32> {
        let mut after = 0;
        for (start, _, order) in self.blocks() {
            if self.starts() & low(order) << start != 1 << start {
                return Some(start);
            }
            after = start + (1 << order);
        }
        (after < LEAVES).then_some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn blocks<const TOP: u32>(tree: Tree<TOP>) -> Vec<(u32, Leaf, u32)> {
        tree.blocks().collect()
    }

    #[test]
    fn a_split_leaves_halves_and_a_merge_undoes_it() {
        let mut tree = Tree::<6>::BLANK;
        tree.set(0, 6, Leaf::Free);
        tree.split(0, 6, 1, Leaf::Allocated);
        let free = |at, order| (at, Leaf::Free, order);
        assert_eq!(
            blocks(tree),
            [(0, Leaf::Allocated, 1), free(2, 1), free(4, 2), free(8, 3), free(16, 4), free(32, 5)]
        );
        assert_eq!((1..6).map(|order| tree.free_of(order)).collect::<Vec<_>>(), [4, 1 << 4, 1 << 8, 1 << 16, 1 << 32]);
        assert_eq!((tree.start_of(1), tree.start_of(63), tree.broken_at()), (Some(0), Some(32), None));
        assert_eq!(tree.merge(0, 1), (0, 6));
        assert_eq!(tree, Tree::BLANK);
    }

    #[test]
    fn the_top_order_does_not_merge() {
        let mut tree = Tree::<4>::FREE;
        assert_eq!(tree.free_of(4).count_ones(), 4);
        tree.split(16, 4, 0, Leaf::Kept);
        assert_eq!(tree.free_of(4), 1 | 1 << 32 | 1 << 48);
        assert_eq!(tree.merge(16, 0), (16, 4));
        assert_eq!(tree, Tree::FREE);
    }

    #[test]
    fn only_whole_free_buddies_merge() {
        let mut tree = Tree::<6>::KEPT;
        assert_eq!(tree.merge(5, 0), (5, 0));
        assert_eq!(tree.merge(6, 0), (6, 0));
        // 5 is free, but 4 is not: the pair beside 6 and 7 is cut.
        assert_eq!(tree.merge(7, 0), (6, 1));
        assert_eq!(tree.merge(4, 0), (4, 2));
        assert_eq!((tree.leaf(5), tree.order_at(4), tree.leaf(3)), (Leaf::Body, 2, Leaf::Kept));
    }

    #[test]
    fn damage_is_found() {
        assert_eq!(Tree::<6>::BLANK.broken_at(), Some(0));
        assert_eq!((Tree::<6>::KEPT.broken_at(), Tree::<4>::FREE.broken_at()), (None, None));
        // A block of two at 1; one that ends early.
        assert_eq!(Tree::<6>(Bits { head: 0b11, free: u64::MAX << 3 }).broken_at(), Some(2));
        assert_eq!(Tree::<6>(Bits { head: 1, free: u64::MAX << 3 }).broken_at(), Some(0));
    }
}
