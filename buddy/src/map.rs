// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which frames of a section are free: two bits each, in two levels.

use crate::tree::{LEAVES, Leaf, TREE_ORDERS, Tree};
use core::ops::Range;
use handoff::{FRAME_BYTES, FreeArea, MAX_ORDER, ORDERS};

/// Trees of frames in a map.
const TILES: usize = 512;
/// Trees of tiles in a map.
const GROUPS: usize = 8;
/// Frames of a tile.
const TILE_ORDER: u8 = TREE_ORDERS as u8;
/// Maps and the frames that they fill exactly.
pub(crate) const MAPS_PER_STEP: u64 = 4;
pub(crate) const STEP_FRAMES: u64 = 9;

/// What is free in a zone's part of a section, and what is allocated: 9216 bytes, so that four maps fill nine frames.
///
/// Blocks of up to 32 frames are described by the *tile* of 64 frames they lie in, larger ones by the *group* of 64 tiles; a tile
/// that is cut has a kept leaf in its group. Above that, one bit per group or tile and order leads to a free block in a few steps.
///
/// Any bytes are a valid value, and the allocator writes each before it reads it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct FrameMap {
    tiles: [Tree<6>; TILES],
    groups: [Group; GROUPS],
    /// For each order, the groups with a free block of exactly that order.
    free_groups: [u8; ORDERS],
    unused: [u8; 3],
    /// The orders that the map has a free block of.
    orders: u16,
    /// The orders whose ring of maps this one is on, and those where it is the first.
    pub(crate) listed: u16,
    pub(crate) first_of: u16,
    /// The zone's piece whose map this is, and its section.
    pub(crate) piece: u32,
    pub(crate) section: u32,
    /// For each order, the neighbours on the ring.
    pub(crate) links: [Link; ORDERS],
    padding: [u8; 396],
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
    /// For each order, the tiles with a free block of exactly that order.
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
        free_groups: [0; ORDERS],
        unused: [0; 3],
        orders: 0,
        listed: 0,
        first_of: 0,
        piece: 0,
        section: 0,
        links: [Link { next: 0, previous: 0 }; ORDERS],
        padding: [0; 396],
    };

    /// Starts the map of a section that is all kept.
    pub(crate) fn start_kept(&mut self, piece: u32, section: u32) {
        self.start(piece, section, Tree::KEPT);
        self.tiles.fill(Tree::KEPT);
    }

    /// Starts the map of a section that is all free. What is in tiles does not matter then.
    pub(crate) fn start_free(&mut self, piece: u32, section: u32) {
        self.start(piece, section, Tree::FREE);
        self.free_groups[usize::from(MAX_ORDER)] = u8::MAX;
        self.orders = 1 << MAX_ORDER;
    }

    fn start(&mut self, piece: u32, section: u32, tree: Tree<4>) {
        self.groups.fill(Group { tree, with: [0; TREE_ORDERS] });
        self.free_groups = [0; ORDERS];
        (self.orders, self.listed, self.first_of) = (0, 0, 0);
        (self.piece, self.section) = (piece, section);
        (self.unused, self.padding) = ([0; 3], [0; 396]);
    }

    /// Returns the orders the map has a free block of, one bit each.
    #[inline]
    pub(crate) const fn orders(&self) -> u16 {
        self.orders
    }

    /// Returns whether all of the section is free, in blocks of the largest order.
    pub(crate) fn is_free(&self) -> bool {
        self.groups.iter().all(|group| group.tree == Tree::FREE)
    }

    /// Returns the block that a frame lies in; `None` if the bits are no blocks.
    pub(crate) fn block_of(&self, frame: u32) -> Option<Block> {
        let (group, tile, at) = split(frame);
        let tree = self.groups[group].tree;
        let first = tree.start_of(tile)?;
        let base = (frame & !0xfff) + (first << 6);
        let block = if tree.leaf(first) != Leaf::Kept {
            Block { start: base, order: TILE_ORDER + tree.order_at(first) as u8, leaf: tree.leaf(first) }
        } else {
            let frames = self.tile(group, first);
            let first = frames.start_of(at)?;
            let leaf = frames.leaf(first);
            let order = if leaf == Leaf::Kept { 0 } else { frames.order_at(first) as u8 };
            Block { start: base + first, order, leaf }
        };
        (block.start <= frame && frame < block.end()).then_some(block)
    }

    /// Returns whether an allocated block of exactly this order starts at a frame, whose number is a multiple of its size.
    #[inline]
    pub(crate) fn is_allocated(&self, frame: u32, order: u8) -> bool {
        let (group, tile, at) = split(frame);
        let tree = &self.groups[group].tree;
        if order < TILE_ORDER {
            let frames = self.tile(group, tile);
            tree.leaf(tile) == Leaf::Kept
                && frames.leaf(at) == Leaf::Allocated
                && frames.order_at(at) == u32::from(order)
        } else {
            tree.leaf(tile) == Leaf::Allocated && tree.order_at(tile) == u32::from(order - TILE_ORDER)
        }
    }

    #[inline]
    fn tile(&self, group: usize, tile: u32) -> &Tree<6> {
        &self.tiles[group * LEAVES as usize + (tile % LEAVES) as usize]
    }

    /// Takes the lowest free block of order `from`, leaves what is more than `order` free, and returns the first frame. `None` if
    /// there is none: then the map is damaged.
    #[inline]
    pub(crate) fn take(&mut self, from: u8, order: u8, area: &mut [FreeArea; ORDERS]) -> Option<u32> {
        let group = self.free_groups[usize::from(from)].trailing_zeros() as usize;
        let bit = 1u8.checked_shl(group as u32)?;
        let Group { tree, with } = self.groups.get_mut(group)?;
        let (tile, at);
        if from < TILE_ORDER {
            tile = with[usize::from(from)].trailing_zeros();
            let frames = &mut self.tiles[group * LEAVES as usize..][..LEAVES as usize].get_mut(tile as usize)?;
            at = frames.free_of(from.into()).trailing_zeros();
            if at == LEAVES {
                return None;
            }
            frames.split(at, from.into(), order.into(), Leaf::Allocated);
            if frames.free_of(from.into()) == 0 {
                with[usize::from(from)] &= !(1 << tile);
            }
        } else {
            (tile, at) = (tree.free_of(u32::from(from - TILE_ORDER)).trailing_zeros(), 0);
            if tile == LEAVES {
                return None;
            }
            let top = u32::from(from - TILE_ORDER);
            if order < TILE_ORDER {
                tree.split(tile, top, 0, Leaf::Kept);
                let mut frames = Tree::BLANK;
                frames.split(0, TILE_ORDER.into(), order.into(), Leaf::Allocated);
                self.tiles[group * LEAVES as usize + tile as usize] = frames;
            } else {
                tree.split(tile, top, u32::from(order - TILE_ORDER), Leaf::Allocated);
            }
        }
        for part in order..from {
            if part < TILE_ORDER {
                with[usize::from(part)] |= 1 << tile;
            }
            self.free_groups[usize::from(part)] |= bit;
            more(area, part);
        }
        // The parts' orders are there now; that of the block only if there is another.
        self.orders |= (1 << from) - (1 << order);
        less(area, from);
        self.recheck(from, group);
        Some((group as u32) << 12 | tile << 6 | at)
    }

    /// Updates what says where free blocks of an order are, after one in this group may have been the last.
    #[inline]
    fn recheck(&mut self, order: u8, group: usize) {
        // Not copied: the processor would wait until what was just written to it is in the cache.
        let Group { tree, with } = &self.groups[group];
        let none = match order.checked_sub(TILE_ORDER) {
            None => with[usize::from(order)] == 0,
            Some(tiles) => tree.free_of(tiles.into()) == 0,
        };
        if none {
            let groups = &mut self.free_groups[usize::from(order)];
            *groups &= !(1 << group);
            if *groups == 0 {
                self.orders &= !(1 << order);
            }
        }
    }

    /// Frees an allocated block and merges it with its free buddies.
    ///
    /// Linux: `__free_one_page` (6.1).
    #[inline]
    pub(crate) fn release(&mut self, frame: u32, order: u8, area: &mut [FreeArea; ORDERS]) {
        let (group, tile, at) = split(frame);
        let mut merged = order;
        if order < TILE_ORDER {
            let index = group * LEAVES as usize + tile as usize;
            let mut frames = *self.tile(group, tile);
            merged = frames.merge(at, order.into()).1 as u8;
            self.tiles[index] = frames;
            for part in order..merged {
                // A tile that is whole now is blank.
                if frames.free_of(part.into()) == 0 {
                    self.groups[group].with[usize::from(part)] &= !(1 << tile);
                }
                self.recheck(part, group);
            }
            if merged < TILE_ORDER {
                self.groups[group].with[usize::from(merged)] |= 1 << tile;
            }
        }
        if merged >= TILE_ORDER {
            let before = merged;
            merged = TILE_ORDER + self.groups[group].tree.merge(tile, u32::from(before - TILE_ORDER)).1 as u8;
            (before..merged).for_each(|part| self.recheck(part, group));
        }
        (order..merged).for_each(|part| less(area, part));
        more(area, merged);
        self.free_groups[usize::from(merged)] |= 1 << group;
        self.orders |= 1 << merged;
    }

    /// Takes a whole free block out of the free ones. It is to be described anew, from its first frame on.
    pub(crate) fn withdraw(&mut self, block: Block, area: &mut [FreeArea; ORDERS]) {
        self.describe(block.start, block.order, Leaf::Allocated);
        let (group, tile, _) = split(block.start);
        if block.order < TILE_ORDER && self.tile(group, tile).free_of(block.order.into()) == 0 {
            self.groups[group].with[usize::from(block.order)] &= !(1 << tile);
        }
        self.recheck(block.order, group);
        less(area, block.order);
    }

    /// Says of a block what it is. The blocks it was part of must be described anew as well; none of it was free.
    pub(crate) fn describe(&mut self, frame: u32, order: u8, leaf: Leaf) {
        let (group, tile, at) = split(frame);
        let Group { tree, .. } = &mut self.groups[group];
        let tiles = &mut self.tiles[group * LEAVES as usize..][..LEAVES as usize];
        match order.checked_sub(TILE_ORDER) {
            None => {
                let frames = &mut tiles[tile as usize];
                if tree.leaf(tile) != Leaf::Kept {
                    tree.set(tile, 0, Leaf::Kept);
                    *frames = Tree::BLANK;
                }
                frames.set(at, order.into(), leaf);
            }
            Some(order) => {
                tree.set(tile, order.into(), leaf);
                if leaf == Leaf::Kept {
                    tiles[tile as usize..][..1 << order].fill(Tree::KEPT);
                }
            }
        }
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
        let groups = self.groups.iter().enumerate().filter(move |(group, _)| self.has(order, *group));
        groups.flat_map(move |(group, Group { tree, with })| {
            let base = (group as u32) << 12;
            let tiles = match order.checked_sub(TILE_ORDER) {
                None => with[usize::from(order)],
                Some(tiles) => tree.free_of(tiles.into()),
            };
            bits(tiles).flat_map(move |tile| {
                let frames = if order < TILE_ORDER { self.tile(group, tile).free_of(order.into()) } else { 1 };
                bits(frames).map(move |at| base + (tile << 6) + at)
            })
        })
    }

    fn has(&self, order: u8, group: usize) -> bool {
        self.free_groups.get(usize::from(order)).is_some_and(|groups| groups >> group & 1 != 0)
    }

    /// Returns the first frame at which the bits contradict each other, if they do.
    pub(crate) fn broken_at(&self) -> Option<u32> {
        let broken = (0..GROUPS).find_map(|group| {
            let Group { tree, with } = self.groups[group];
            let base = (group as u32) << 12;
            if let Some(tile) = tree.broken_at() {
                return Some(base + (tile << 6));
            }
            let mut expected = [0; TREE_ORDERS];
            for (tile, leaf, _) in tree.blocks().filter(|(_, leaf, _)| *leaf == Leaf::Kept) {
                let frames = self.tile(group, tile);
                let whole = leaf == Leaf::Kept && frames.order_at(0) == TILE_ORDER.into();
                if let Some(at) = frames.broken_at().or(whole.then_some(0)) {
                    return Some(base + (tile << 6) + at);
                }
                for (order, tiles) in (0..).zip(&mut expected) {
                    *tiles |= u64::from(frames.free_of(order) != 0) << tile;
                }
            }
            let listed = (0..=MAX_ORDER).all(|order| {
                let any = match order.checked_sub(TILE_ORDER) {
                    None => with[usize::from(order)] != 0,
                    Some(tiles) => tree.free_of(tiles.into()) != 0,
                };
                self.has(order, group) == any
            });
            (with != expected || !listed).then_some(base)
        });
        let orders =
            (0..).zip(self.free_groups).fold(0, |orders, (order, groups)| orders | u16::from(groups != 0) << order);
        broken.or((orders != self.orders).then_some(0))
    }
}

/// Counts a free block more. The numbers may come from a damaged hand-off: they must not overflow.
#[inline]
fn more(area: &mut [FreeArea; ORDERS], order: u8) {
    let blocks = &mut area[usize::from(order)].blocks;
    *blocks = blocks.saturating_add(1);
}

/// Counts a free block less.
#[inline]
fn less(area: &mut [FreeArea; ORDERS], order: u8) {
    let blocks = &mut area[usize::from(order)].blocks;
    *blocks = blocks.saturating_sub(1);
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
