// SPDX-License-Identifier: MIT OR Apache-2.0
//! How blocks of a map become allocated and free again.

use super::{Block, FrameMap, GROUPS, Group, TILE_ORDER, TILES, split};
use crate::tree::{LEAVES, Leaf, Tree};

impl FrameMap {
    /// Takes a free block of a tile, one of `order`, less than 6, if there is one, else a part of a larger one, and returns the first frame.
    /// `None` if the tile has none that is large enough.
    #[inline]
    pub(crate) fn take_in_tile(&mut self, tile: u32, order: u8) -> Option<u32> {
        let frames = self.tiles.get_mut(tile as usize)?;
        let at = frames.best_fit(order.into())?;
        frames.claim(at, order.into());
        Some(tile << 6 | at)
    }

    /// Returns a tile that has a free block of at least `order`, less than 6: if possible one that has no larger ones. `None` if no cut
    /// tile has one.
    pub(crate) fn find_tile(&mut self, order: u8) -> Option<u32> {
        let at = usize::from(order);
        while let Some(group) = lowest(self.may.get(at).copied()?.into()) {
            let with = &mut self.groups[group as usize % GROUPS].with;
            while with[at] != 0 {
                let only = |larger: &u64| with[at] & !larger;
                let tiles = with[at + 1..].iter().map(only).find(|tiles| *tiles != 0).unwrap_or(with[at]);
                let tile = tiles.trailing_zeros();
                if self.tiles[(group * LEAVES + tile) as usize % TILES].parts_of(order.into()) != 0 {
                    return Some(group * LEAVES + tile);
                }
                with[at..].iter_mut().for_each(|tiles| *tiles &= !(1 << tile));
            }
            self.may[at] &= !(1 << group);
        }
        self.orders &= !(1 << order);
        None
    }

    /// Takes the lowest free block of order `from`, leaves what is more than `order` free, both 6 or more, and returns its first
    /// tile. `None` if there is none.
    pub(crate) fn take_tiles(&mut self, from: u8, order: u8) -> Option<u32> {
        if self.orders >> from & 1 == 0 {
            return None;
        }
        self.merge_spare();
        while let Some(group) = lowest(self.may.get(usize::from(from)).copied()?.into()) {
            let tree = &mut self.groups[group as usize % GROUPS].tree;
            if let Some(tile) = lowest(tree.free_of(u32::from(from - TILE_ORDER))) {
                tree.claim(tile, u32::from(order - TILE_ORDER));
                (order..from).for_each(|part| self.may[usize::from(part)] |= 1 << group);
                self.orders |= (1 << from) - (1 << order);
                return Some(group * LEAVES + tile);
            }
            self.may[usize::from(from)] &= !(1 << group);
        }
        self.orders &= !(1 << from);
        None
    }

    /// Cuts a tile that [`take_tiles`](Self::take_tiles) returned: all of it is free now, and the caller takes from it.
    pub(crate) fn cut(&mut self, tile: u32) {
        let (group, at) = ((tile / LEAVES) as usize % GROUPS, tile % LEAVES);
        self.groups[group].tree.set(at, 0, Leaf::Kept);
        self.tiles[tile as usize % TILES] = Tree::FREE;
        self.announce(group, at, TILE_ORDER - 1);
    }

    /// Says that a cut tile may have free blocks up to an order.
    #[cold]
    fn announce(&mut self, group: usize, tile: u32, largest: u8) {
        let orders = ..=usize::from(largest);
        self.groups[group].with[orders].iter_mut().for_each(|tiles| *tiles |= 1 << tile);
        self.may[orders].iter_mut().for_each(|groups| *groups |= 1 << group);
        self.orders |= (2 << largest) - 1;
    }

    /// Makes a cut tile that is free as a whole the spare.
    #[inline(never)]
    fn make_spare(&mut self, group: usize, tile: u32) {
        self.merge_spare();
        self.spare = ((group * LEAVES as usize) as u16 + tile as u16) + 1;
        let order = TILE_ORDER + self.tree(group).order_around(tile) as u8;
        self.announce_tiles(group, order);
    }

    /// Makes the spare, if all of it is free, a tile that is not cut, as all others that are free.
    pub(crate) fn merge_spare(&mut self) {
        let Some(tile) = u32::from(self.spare).checked_sub(1) else { return };
        self.spare = 0;
        let Some(frames) = self.tiles.get_mut(tile as usize).filter(|frames| **frames == Tree::FREE) else { return };
        *frames = Tree::BLANK;
        let Group { tree, with } = &mut self.groups[(tile / LEAVES) as usize % GROUPS];
        tree.set(tile % LEAVES, 0, Leaf::Free);
        with.iter_mut().for_each(|tiles| *tiles &= !(1 << (tile % LEAVES)));
    }

    /// Says that a group has a free block of an order, 6 or more.
    fn announce_tiles(&mut self, group: usize, order: u8) {
        self.may[usize::from(order)] |= 1 << group;
        self.orders |= 1 << order;
    }

    /// Frees an allocated block, which merges with its free buddies.
    ///
    /// Linux: `__free_one_page` (6.1).
    #[inline]
    pub(crate) fn release(&mut self, frame: u32, order: u8) {
        if order >= TILE_ORDER {
            return self.release_tiles(frame, order);
        }
        let (group, tile, at) = split(frame);
        let index = (group * LEAVES as usize + tile as usize) % TILES;
        let frames = &mut self.tiles[index];
        frames.release(at, order.into());
        let merged = frames.order_around(at) as u8;
        let largest = merged.min(TILE_ORDER - 1);
        if self.groups[group].with[usize::from(largest)] >> tile & 1 == 0 {
            self.announce(group, tile, largest);
        }
        if merged == TILE_ORDER && usize::from(self.spare) != index + 1 {
            self.make_spare(group, tile);
        }
    }

    #[inline(never)]
    fn release_tiles(&mut self, frame: u32, order: u8) {
        let (group, tile, _) = split(frame);
        self.merge_spare();
        let tree = &mut self.groups[group].tree;
        tree.release(tile, u32::from(order - TILE_ORDER));
        let merged = TILE_ORDER + tree.order_around(tile) as u8;
        self.announce_tiles(group, merged);
    }

    /// Takes a whole free block out of the free ones. It is to be described anew, from its first frame on.
    pub(crate) fn withdraw(&mut self, block: Block) {
        self.merge_spare();
        self.describe(block.start, block.order, Leaf::Allocated);
    }

    /// Says of a block what it is. The blocks it was part of must be described anew as well; none of it was free.
    pub(crate) fn describe(&mut self, frame: u32, order: u8, leaf: Leaf) {
        let (group, tile, at) = split(frame);
        let Group { tree, .. } = &mut self.groups[group];
        let tiles = &mut self.tiles[group * LEAVES as usize..][..LEAVES as usize];
        match order.checked_sub(TILE_ORDER) {
            None => {
                if tree.leaf(tile) != Leaf::Kept {
                    tree.set(tile, 0, Leaf::Kept);
                }
                tiles[tile as usize].set(at, order.into(), leaf);
            }
            Some(order) => {
                tree.set(tile, order.into(), leaf);
                let inside = if leaf == Leaf::Kept { Tree::KEPT } else { Tree::BLANK };
                tiles[tile as usize..][..1 << order].fill(inside);
            }
        }
    }
}

/// Returns the number of the lowest bit that is set.
#[inline]
fn lowest(bits: u64) -> Option<u32> {
    (bits != 0).then(|| bits.trailing_zeros())
}
