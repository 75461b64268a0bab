// SPDX-License-Identifier: MIT OR Apache-2.0
//! Up to 64 leaves that make up naturally aligned blocks, in two bits each.

/// Leaves in a tree.
pub(crate) const LEAVES: u32 = 64;
/// Orders of blocks smaller than a whole tree.
pub(crate) const TREE_ORDERS: usize = 6;

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
    /// The inside of an allocated block, or of one that is described elsewhere.
    Body,
    /// An allocated block starts.
    Allocated,
    /// It is free.
    Free,
    /// A block of its own, of one leaf, which is neither: kept from the allocator, or described elsewhere.
    Kept,
}

/// Leaves with two bits each. `free` alone: the leaf is free; `head` alone: an allocated block starts here; both: the leaf is kept;
/// none: it belongs to the allocated block that started before.
///
/// # Invariants
/// The allocated blocks fill what is neither free nor kept; each has 2^order leaves and starts at a multiple of that. An allocated block ends
/// where anything starts, so no order needs to be stored. What is free is no more than a set of leaves: the largest aligned parts
/// of it, up to order `TOP`, are the free blocks, and to free a block merges it with its buddies.
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

/// What does not depend on `TOP` at compile time: it is there once.
impl Bits {
    #[inline]
    const fn free(self) -> u64 {
        self.free & !self.head
    }

    /// Returns where an allocated block cannot go on.
    #[inline]
    const fn starts(self) -> u64 {
        self.head | self.free
    }

    #[inline]
    const fn leaf(self, at: u32) -> Leaf {
        match (self.head >> at & 1, self.free >> at & 1) {
            (0, 0) => Leaf::Body,
            (_, 0) => Leaf::Allocated,
            (0, _) => Leaf::Free,
            _ => Leaf::Kept,
        }
    }

    #[inline]
    const fn order_around(self, at: u32, top: u32) -> u32 {
        // A block of order n that contains the leaf consists of all leaves whose numbers differ from it in the lowest n bits only. So
        // the nearest leaves that are not free, below and above, say how large it is.
        let taken = !self.free();
        let (below, above) = (taken & ((1 << at) - 1), taken >> at);
        let below = if below == 0 { LEAVES } else { at ^ (LEAVES - 1 - below.leading_zeros()) };
        let above = if above == 0 { LEAVES } else { at ^ (at + above.trailing_zeros()) };
        let order = (if below < above { below } else { above } | 1).ilog2();
        if order < top { order } else { top }
    }

    fn block_of(self, at: u32, top: u32) -> Option<(u32, Leaf, u32)> {
        match self.leaf(at) {
            Leaf::Kept => Some((at, Leaf::Kept, 0)),
            Leaf::Free => {
                let order = self.order_around(at, top);
                Some((at & !((1 << order) - 1), Leaf::Free, order))
            }
            Leaf::Allocated | Leaf::Body => {
                let start = (self.starts() & (u64::MAX >> (63 - at))).checked_ilog2()?;
                let after = self.starts().unbounded_shr(start + 1).trailing_zeros() + 1;
                let leaves = after.min(LEAVES - start);
                let aligned = leaves.is_power_of_two() && start.is_multiple_of(leaves) && leaves.ilog2() <= top;
                (aligned && self.leaf(start) == Leaf::Allocated).then_some((start, Leaf::Allocated, leaves.ilog2()))
            }
        }
    }

    fn free_of(self, order: u32, top: u32) -> u64 {
        let larger = |parts: u64, order: u32| parts & parts >> (1 << order) & ALIGNED[order as usize + 1];
        let parts = (0..order).fold(self.free(), larger);
        let merged = if order < top { larger(parts, order) } else { 0 };
        parts & !(merged | merged.unbounded_shl(1 << order))
    }
}

/// Returns the bits of `2^order` leaves from the first on, order 0 to 6.
#[inline]
const fn low(order: u32) -> u64 {
    u64::MAX >> (64 - (1 << order))
}

impl<const TOP: u32> Tree<TOP> {
    /// Every leaf kept.
    pub(crate) const KEPT: Self = Self(Bits { head: u64::MAX, free: u64::MAX });
    /// Nothing of its own: all of it is part of a block that is described elsewhere.
    pub(crate) const BLANK: Self = Self(Bits { head: 0, free: 0 });
    /// All free.
    pub(crate) const FREE: Self = Self(Bits { head: 0, free: u64::MAX });

    /// Returns the free leaves.
    #[inline]
    pub(crate) const fn free(self) -> u64 {
        self.0.free()
    }

    /// For each order up to `TOP`, the leaves at which an aligned part of that order starts which is free as a whole. Above, none.
    #[inline]
    const fn parts(self) -> [u64; 8] {
        let mut parts = [0; 8];
        parts[0] = self.free();
        let mut order = 0;
        while order < TOP as usize {
            parts[order + 1] = parts[order] & parts[order] >> (1 << order) & ALIGNED[order + 1];
            order += 1;
        }
        parts
    }

    /// Returns the leaves at which an aligned part of an order starts that is free as a whole.
    #[inline]
    pub(crate) const fn parts_of(self, order: u32) -> u64 {
        self.parts()[order as usize & 7]
    }

    /// Returns the leaf at which to take a block of an order less than 6: the lowest free block of that order, or, if there is none, the lowest
    /// larger one. It computes all orders, since to branch for each would be slower.
    #[inline]
    pub(crate) const fn best_fit(self, order: u32) -> Option<u32> {
        let all = self.parts();
        let (parts, larger) = (all[order as usize & 7], all[(order as usize + 1) & 7]);
        let exact = parts & !(larger | larger << (1 << (order & 31)));
        let leaf = (if exact == 0 { parts } else { exact }).trailing_zeros();
        if leaf < LEAVES { Some(leaf) } else { None }
    }

    /// Returns the order of the free block that contains a leaf, which is free.
    #[inline]
    pub(crate) const fn order_around(self, at: u32) -> u32 {
        self.0.order_around(at, TOP)
    }
    #[inline]
    pub(crate) const fn leaf(self, at: u32) -> Leaf {
        self.0.leaf(at)
    }

    /// Returns whether an allocated block of exactly this order, less than 6, starts at a leaf, whose number is a multiple of its size.
    #[inline]
    pub(crate) const fn is_allocated(self, at: u32, order: u32) -> bool {
        let size = 1 << order;
        // Behind the last leaf something starts.
        let starts = self.0.starts() >> at | !(u64::MAX >> at);
        let ends = starts & (low(order) | 1 << size) == 1 | 1 << size;
        ends && self.0.free >> at & 1 == 0
    }

    /// Returns the block that contains a leaf: where it starts, what it is and its order. `None` if there is none.
    pub(crate) fn block_of(self, at: u32) -> Option<(u32, Leaf, u32)> {
        self.0.block_of(at, TOP)
    }

    /// Returns the leaves at which a free block of exactly this order starts, order 0 to `TOP`.
    pub(crate) fn free_of(self, order: u32) -> u64 {
        self.0.free_of(order, TOP)
    }

    /// Makes free leaves an allocated block.
    #[inline]
    pub(crate) const fn claim(&mut self, at: u32, order: u32) {
        self.0.free &= !(low(order) << at);
        self.0.head |= 1 << at;
    }

    /// Makes an allocated block free.
    #[inline]
    pub(crate) const fn release(&mut self, at: u32, order: u32) {
        self.0.head &= !(1 << at);
        self.0.free |= low(order) << at;
    }

    /// Makes a block of what is at its place.
    #[inline]
    pub(crate) const fn set(&mut self, at: u32, order: u32, leaf: Leaf) {
        let leaves = low(order) << at;
        (self.0.head, self.0.free) = (self.0.head & !leaves, self.0.free & !leaves);
        match leaf {
            Leaf::Body => {}
            Leaf::Allocated => self.0.head |= 1 << at,
            Leaf::Kept => (self.0.head, self.0.free) = (self.0.head | leaves, self.0.free | leaves),
            Leaf::Free => self.0.free |= leaves,
        }
    }

    /// Returns the blocks in ascending order: where they start, what they are, their order. Ends where they do not fill the tree.
    pub(crate) fn blocks(self) -> impl Iterator<Item = (u32, Leaf, u32)> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let block = (at < LEAVES).then(|| self.block_of(at)).flatten();
            let (start, leaf, order) = block.filter(|(start, ..)| *start == at)?;
            at += 1 << order;
            Some((start, leaf, order))
        })
    }

    /// Returns the leaf where the blocks stop filling the tree, if they do.
    pub(crate) fn broken_at(self) -> Option<u32> {
        let after = self.blocks().last().map_or(0, |(start, _, order)| start + (1 << order));
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
    fn a_claim_leaves_halves_and_a_release_undoes_it() {
        let mut tree = Tree::<6>::FREE;
        tree.claim(0, 1);
        let free = |at, order| (at, Leaf::Free, order);
        assert_eq!(
            blocks(tree),
            [(0, Leaf::Allocated, 1), free(2, 1), free(4, 2), free(8, 3), free(16, 4), free(32, 5)]
        );
        assert_eq!((1..6).map(|order| tree.free_of(order)).collect::<Vec<_>>(), [4, 1 << 4, 1 << 8, 1 << 16, 1 << 32]);
        let order_of = |leaf| tree.order_around(leaf);
        assert_eq!([2, 3, 7, 15, 31, 63].map(order_of), [1, 1, 2, 3, 4, 5]);
        assert_eq!((tree.block_of(1), tree.broken_at()), (Some((0, Leaf::Allocated, 1)), None));
        assert!(tree.is_allocated(0, 1) && !tree.is_allocated(0, 0) && !tree.is_allocated(0, 2));
        tree.release(0, 1);
        assert_eq!(tree, Tree::FREE);
    }

    #[test]
    fn the_top_order_does_not_merge() {
        let mut tree = Tree::<4>::FREE;
        assert_eq!(tree.free_of(4), 1 | 1 << 16 | 1 << 32 | 1 << 48);
        tree.claim(16, 0);
        assert_eq!((tree.free_of(4), tree.order_around(31)), (1 | 1 << 32 | 1 << 48, 3));
        tree.release(16, 0);
        assert_eq!((tree, tree.order_around(31)), (Tree::FREE, 4));
    }

    #[test]
    fn only_whole_free_buddies_merge() {
        let mut tree = Tree::<6>::KEPT;
        let mut free = |leaf| {
            tree.set(leaf, 0, Leaf::Allocated);
            tree.release(leaf, 0);
            tree.block_of(leaf).unwrap()
        };
        assert_eq!([5, 6].map(&mut free), [(5, Leaf::Free, 0), (6, Leaf::Free, 0)]);
        // 5 is free, but 4 is not: the pair beside 6 and 7 is cut.
        assert_eq!(free(7), (6, Leaf::Free, 1));
        assert_eq!(free(4), (4, Leaf::Free, 2));
        assert_eq!((tree.leaf(5), tree.leaf(3), tree.broken_at()), (Leaf::Free, Leaf::Kept, None));
    }

    #[test]
    fn every_allocated_block_is_found_and_no_other() {
        for order in 0..6 {
            for at in (0..LEAVES).step_by(1 << order) {
                let mut tree = Tree::<6>::KEPT;
                tree.set(at, order, Leaf::Allocated);
                for other in 0..6 {
                    for place in (0..LEAVES).step_by(1 << other) {
                        assert_eq!(tree.is_allocated(place, other), (place, other) == (at, order), "{at} {order}");
                    }
                }
                assert_eq!(tree.block_of(at + (1 << order) - 1), Some((at, Leaf::Allocated, order)));
            }
        }
    }

    #[test]
    fn damage_is_found() {
        assert_eq!(Tree::<6>::BLANK.broken_at(), Some(0));
        assert_eq!((Tree::<6>::KEPT.broken_at(), Tree::<4>::FREE.broken_at()), (None, None));
        // A block of two at 1; one of three leaves.
        assert_eq!(Tree::<6>(Bits { head: 0b11, free: u64::MAX << 3 }).broken_at(), Some(1));
        assert_eq!(Tree::<6>(Bits { head: 1, free: u64::MAX << 3 }).broken_at(), Some(0));
    }
}
