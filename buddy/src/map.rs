// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which frames of a section are free: two bits each, in two levels.

mod check;
mod take;

use crate::tree::{LEAVES, Leaf, TREE_ORDERS, Tree};
use core::ops::Range;
use handoff::{FRAME_BYTES, MAX_ORDER, ORDERS};

/// Trees of frames in a map.
const TILES: usize = 512;
/// Trees of tiles in a map.
const GROUPS: usize = 8;
/// Frames of a tile.
pub(crate) const TILE_ORDER: u8 = TREE_ORDERS as u8;
/// Maps and the frames that they fill exactly.
pub(crate) const MAPS_PER_STEP: u64 = 4;
pub(crate) const STEP_FRAMES: u64 = 9;

/// What is free in a zone's part of a section, and what is allocated: 9216 bytes, so that four maps fill nine frames.
///
/// Blocks of up to 32 frames are described by the *tile* of 64 frames they lie in, larger ones by the *group* of 64 tiles; a tile
/// that is cut has a kept leaf in its group, any other is blank. Above that, bits lead to a free block in a few steps. They say where
/// one *may* be: a block that is freed sets them, and a search that finds nothing clears them, so that most calls change none.
///
/// A cut tile that is free as a whole again stays cut until another one is, or somebody needs large blocks of this section: it is
/// the *spare*. As long as it is free as a whole, it counts as part of the block that it belongs to.
///
/// Any bytes are a valid value, and the allocator writes each before it reads it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct FrameMap {
    tiles: [Tree<6>; TILES],
    groups: [Group; GROUPS],
    /// The orders for which there is a group in `may`.
    orders: u16,
    /// The orders whose ring of maps this one is on.
    pub(crate) listed: u16,
    /// The number of the spare tile plus 1, or 0.
    spare: u16,
    /// For each order, the groups that may have a free block: of at least that order in a cut tile, or for orders from 6 on of exactly
    /// that order.
    may: [u8; ORDERS],
    unused: [u8; 7],
    /// The zone's piece whose map this is, and its section.
    pub(crate) piece: u32,
    pub(crate) section: u32,
    /// For each order, the neighbours on the ring.
    pub(crate) links: [Link; ORDERS],
    padding: [u8; 392],
}

const _: () = assert!(size_of::<FrameMap>() as u64 * MAPS_PER_STEP == STEP_FRAMES * FRAME_BYTES);

/// Neighbours on a ring of maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub(crate) struct Link {
    pub(crate) next: u32,
    pub(crate) previous: u32,
}

/// 4096 frames: a cache line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
struct Group {
    /// The tiles.
    tree: Tree<4>,
    /// For each order, the cut tiles that may have a free block of at least that order.
    with: [u64; TREE_ORDERS],
}

/// A block, as a frame in it finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    /// The first frame, counted from the start of the section.
    pub(crate) start: u32,
    pub(crate) order: u8,
    pub(crate) leaf: Leaf,
}

impl Block {
    pub(crate) const fn end(self) -> u32 {
        self.start + (1 << self.order)
    }
}

/// Which group and which tile in it a frame lies in, and which frame of the tile it is.
#[inline]
const fn split(frame: u32) -> (usize, u32, u32) {
    ((frame >> 12) as usize % GROUPS, frame >> 6 & 63, frame & 63)
}

impl FrameMap {
    /// A map that is not in use yet.
    pub const UNUSED: Self = Self {
        tiles: [Tree::BLANK; TILES],
        groups: [Group { tree: Tree::BLANK, with: [0; TREE_ORDERS] }; GROUPS],
        orders: 0,
        listed: 0,
        spare: 0,
        may: [0; ORDERS],
        unused: [0; 7],
        piece: 0,
        section: 0,
        links: [Link { next: 0, previous: 0 }; ORDERS],
        padding: [0; 392],
    };

    /// Starts the map of a section that is all kept.
    pub(crate) fn start_kept(&mut self, piece: u32, section: u32) {
        self.start(piece, section, Tree::KEPT);
        self.tiles.fill(Tree::KEPT);
    }

    /// Starts the map of a section that is all free.
    pub(crate) fn start_free(&mut self, piece: u32, section: u32) {
        self.start(piece, section, Tree::FREE);
        self.tiles.fill(Tree::BLANK);
        self.may[usize::from(MAX_ORDER)] = u8::MAX;
        self.orders = 1 << MAX_ORDER;
    }

    fn start(&mut self, piece: u32, section: u32, tree: Tree<4>) {
        self.groups.fill(Group { tree, with: [0; TREE_ORDERS] });
        self.may = [0; ORDERS];
        (self.orders, self.listed, self.spare) = (0, 0, 0);
        (self.piece, self.section) = (piece, section);
        (self.unused, self.padding) = ([0; 7], [0; 392]);
    }

    /// Returns the orders for which this map may have a free block, one bit each.
    #[inline]
    pub(crate) const fn orders(&self) -> u16 {
        self.orders
    }

    /// Returns whether all of the section is free, in blocks of the largest order.
    pub(crate) fn is_free(&self) -> bool {
        (0..GROUPS).all(|group| self.tree(group) == Tree::FREE)
    }

    /// Returns the tiles of a group, as if there were no spare.
    fn tree(&self, group: usize) -> Tree<4> {
        let mut tree = self.groups[group].tree;
        if let Some(spare) = self.spare_in(group) {
            tree.set(spare, 0, Leaf::Free);
        }
        tree
    }

    /// Returns which tile of a group is the spare, if it is one of them and free as a whole.
    fn spare_in(&self, group: usize) -> Option<u32> {
        let tile = u32::from(self.spare).checked_sub(1)?;
        (tile / LEAVES == group as u32 && *self.tile(group, tile % LEAVES) == Tree::FREE).then_some(tile % LEAVES)
    }

    /// Returns the block that a frame lies in; `None` if the bits are no blocks.
    pub(crate) fn block_of(&self, frame: u32) -> Option<Block> {
        let (group, tile, at) = split(frame);
        let base = frame & !0xfff;
        let (first, leaf, order) = self.tree(group).block_of(tile)?;
        if leaf != Leaf::Kept {
            return Some(Block { start: base + (first << 6), order: TILE_ORDER + order as u8, leaf });
        }
        let (first, leaf, order) = self.tile(group, tile).block_of(at)?;
        Some(Block { start: base + (tile << 6) + first, order: order as u8, leaf })
    }

    /// Returns whether an allocated block of exactly this order starts at a frame, whose number is a multiple of its size.
    #[inline]
    pub(crate) fn is_allocated(&self, frame: u32, order: u8) -> bool {
        let (group, tile, at) = split(frame);
        // No block starts in a blank tile.
        match order.checked_sub(TILE_ORDER) {
            None => self.tile(group, tile).is_allocated(at, order.into()),
            Some(tiles) => self.groups[group].tree.is_allocated(tile, tiles.into()),
        }
    }

    #[inline]
    fn tile(&self, group: usize, tile: u32) -> &Tree<6> {
        &self.tiles[(group * LEAVES as usize + tile as usize) % TILES]
    }

    /// Returns the blocks of a stretch of frames in ascending order, the first and last of which may reach beyond it.
    pub(crate) fn blocks(&self, frames: Range<u32>) -> impl Iterator<Item = Block> {
        let mut at = frames.start;
        core::iter::from_fn(move || {
            let block = (at < frames.end).then(|| self.block_of(at))??;
            at = block.end();
            Some(block)
        })
    }

    /// Returns the first of these frames that is not kept.
    pub(crate) fn first_not_kept(&self, frames: Range<u32>) -> Option<u32> {
        let mut at = frames.start;
        while at < frames.end {
            let (group, tile, _) = split(at);
            if self.groups[group].tree.leaf(tile) == Leaf::Kept && *self.tile(group, tile) == Tree::KEPT {
                at = (at | (LEAVES - 1)) + 1;
            } else if self.block_of(at).is_some_and(|block| block.leaf == Leaf::Kept) {
                at += 1;
            } else {
                return Some(at);
            }
        }
        None
    }

    /// Returns the free blocks of an order, ascending.
    pub(crate) fn free_blocks(&self, order: u8) -> impl Iterator<Item = u32> {
        let groups = (0..GROUPS).filter(move |group| self.may_have(order, *group));
        groups.flat_map(move |group| {
            let base = (group as u32) << 12;
            let tiles = match order.checked_sub(TILE_ORDER) {
                None => self.groups[group].with[usize::from(order)],
                Some(tiles) => self.tree(group).free_of(tiles.into()),
            };
            bits(tiles).flat_map(move |tile| {
                let frames = match order {
                    0..TILE_ORDER => self.tile(group, tile).free_of(order.into()),
                    _ => 1,
                };
                bits(frames).map(move |at| base + (tile << 6) + at)
            })
        })
    }

    /// Adds the number of free blocks of each order.
    pub(crate) fn count(&self, blocks: &mut [u64; ORDERS]) {
        let mut add = |order: usize, free: u64| blocks[order] += u64::from(free.count_ones());
        for group in 0..GROUPS {
            let tree = self.tree(group);
            (TREE_ORDERS..ORDERS).for_each(|order| add(order, tree.free_of((order - TREE_ORDERS) as u32)));
            // Whatever is free in a tile is a block of order 0 at least.
            for tile in bits(self.groups[group].with[0]) {
                let frames = self.tile(group, tile);
                (0..TREE_ORDERS).for_each(|order| add(order, frames.free_of(order as u32)));
            }
        }
    }

    /// Returns whether there is a free block of exactly this order, 0 to 10.
    pub(crate) fn has(&self, order: u8) -> bool {
        (0..GROUPS).any(|group| match order.checked_sub(TILE_ORDER) {
            None => bits(self.groups[group].with[usize::from(order)])
                .any(|tile| self.tile(group, tile).free_of(order.into()) != 0),
            Some(tiles) => self.tree(group).free_of(tiles.into()) != 0,
        })
    }

    #[inline]
    fn may_have(&self, order: u8, group: usize) -> bool {
        self.may.get(usize::from(order)).is_some_and(|groups| groups >> group & 1 != 0)
    }
}

/// Returns the numbers of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = set.checked_ilog2().map(|_| set.trailing_zeros())?;
        set &= set - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests;
