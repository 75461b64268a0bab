// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the bits of a map contradict each other.

use super::{FrameMap, GROUPS, TILE_ORDER};
use crate::tree::{Leaf, Tree};
use handoff::MAX_ORDER;

impl FrameMap {
    /// Returns the first frame at which the bits contradict each other, if they do.
    pub(crate) fn broken_at(&self) -> Option<u32> {
        let orders = (0..).zip(self.may).fold(0, |orders, (order, groups)| orders | u16::from(groups != 0) << order);
        (0..GROUPS).find_map(|group| self.broken_in(group)).or((orders & !self.orders != 0).then_some(0))
    }

    fn broken_in(&self, group: usize) -> Option<u32> {
        let (tree, with) = (self.groups[group].tree, self.groups[group].with);
        let base = (group as u32) << 12;
        if let Some(tile) = tree.broken_at() {
            return Some(base + (tile << 6));
        }
        // A bit for an order implies those for the orders below.
        if let Some(bits) = with.windows(2).map(|pair| pair[1] & !pair[0]).find(|bits| *bits != 0) {
            return Some(base + (bits.trailing_zeros() << 6));
        }
        let spare = self.spare_in(group);
        for tile in 0..64 {
            let (frames, start) = (*self.tile(group, tile), base + (tile << 6));
            let cut = tree.leaf(tile) == Leaf::Kept;
            // A cut tile that is free as a whole can only be the spare.
            if (!cut && frames != Tree::BLANK) || (frames == Tree::FREE) != (spare == Some(tile)) {
                return Some(start);
            }
            if !cut || frames == Tree::KEPT {
                continue;
            }
            let hidden = (0..).zip(with).any(|(order, tiles)| frames.parts_of(order) != 0 && tiles >> tile & 1 == 0);
            if let Some(at) = frames.broken_at().or(hidden.then_some(0)) {
                return Some(start + at);
            }
        }
        let whole = self.tree(group);
        let unlisted = (0..=MAX_ORDER).any(|order| {
            let any = match order.checked_sub(TILE_ORDER) {
                None => with[usize::from(order)] != 0,
                Some(tiles) => (tree.free_of(tiles.into()) | whole.free_of(tiles.into())) != 0,
            };
            any && !self.may_have(order, group)
        });
        unlisted.then_some(base)
    }
}
