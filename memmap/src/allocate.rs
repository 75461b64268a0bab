// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the place for the descriptors and the tables around them.

use crate::layout::Stretch;
use crate::{Error, Layout, SECTION_DESCRIPTOR_BYTES, SparseModel};
use handoff::{
    Bounds, DESCRIPTOR_BLOCKS, EarlyMemory, FRAME_BYTES, Ledger, Nid, Owner, PhysRange, SECTION_BYTES, SECTION_RUNS,
};
use heapless::Vec;

/// Alignment of tables: a cache line. Linux: `SMP_CACHE_BYTES` (6.1).
const CACHE_LINE: u64 = 64;
/// Descriptors stay above this as long as they can. Linux: `MAX_DMA_ADDRESS` (6.1).
const ABOVE_DMA: u64 = 16 << 20;

/// Allocates the descriptors of `layout` and the tables around them; returns where the descriptors lie.
///
/// The blocks, taken as one array in this order, hold the descriptors of the present sections in order. What was taken is
/// claimed in `ledger` as [`Owner::SECTIONS`], [`Owner::DESCRIPTORS`] and [`Owner::DESCRIPTOR_TABLES`]. Where a node's
/// bookkeeping lies, next to which its usage maps go, is read from the claims of [`Owner::NODE_DATA`].
///
/// Linux: `sparse_init` and `vmemmap_populate` (6.1): the same requests in the same order.
///
/// # Errors
/// [`Error::Beyond`], [`Error::OutOfMemory`], [`Error::Blocks`] and [`Error::LedgerFull`]. What was taken until then stays
/// reserved; it is claimed but for, at most, the last piece.
pub fn allocate<M: EarlyMemory>(
    layout: &Layout,
    model: &SparseModel,
    memory: &mut M,
    ledger: &mut Ledger,
) -> Result<Vec<PhysRange, DESCRIPTOR_BLOCKS>, Error> {
    let end = layout.memory().last().map_or(0, |r| r.end_pfn * FRAME_BYTES);
    if end > model.address_limit() {
        return Err(Error::Beyond { end, limit: model.address_limit() });
    }

    let stretches: Vec<Stretch, SECTION_RUNS> = layout.stretches().collect();
    let mut sparse = Sparse { layout, model, memory, ledger, mapped: None, blocks: Vec::new() };
    sparse.index(&stretches)?;
    for of_one_node in stretches.chunk_by(|a, b| a.nid == b.nid) {
        sparse.populate(of_one_node)?;
    }
    Ok(sparse.blocks)
}

struct Sparse<'a, M> {
    layout: &'a Layout,
    model: &'a SparseModel,
    memory: &'a mut M,
    ledger: &'a mut Ledger,
    /// The last section whose descriptors have page tables.
    mapped: Option<u64>,
    blocks: Vec<PhysRange, DESCRIPTOR_BLOCKS>,
}

impl<M: EarlyMemory> Sparse<'_, M> {
    /// Takes the root array and one root page for each group of sections with memory.
    fn index(&mut self, stretches: &[Stretch]) -> Result<(), Error> {
        let array = Bounds { size: self.model.root_array_bytes(), align: CACHE_LINE, min: 0, max: 0, nid: Nid::NONE };
        self.take(Owner::SECTIONS, array)?;

        let mut next = 0;
        for stretch in stretches {
            let root = |section| section / self.model.sections_per_root();
            for group in root(stretch.first_section).max(next)..=root(stretch.end_section - 1) {
                let page = Bounds { size: FRAME_BYTES, align: CACHE_LINE, min: 0, max: 0, nid: stretch.nid };
                self.take(Owner::SECTIONS, page)?;
                next = group + 1;
            }
        }
        Ok(())
    }

    /// Takes usage maps, descriptors and page tables for consecutive sections of one node.
    fn populate(&mut self, stretches: &[Stretch]) -> Result<(), Error> {
        let nid = stretches[0].nid;
        let sections: u64 = stretches.iter().map(|s| s.end_section - s.first_section).sum();
        self.usage_maps(nid, sections * self.model.usage_bytes)?;

        let size = sections * SECTION_DESCRIPTOR_BYTES;
        let bounds = Bounds { size, align: SECTION_DESCRIPTOR_BYTES, min: ABOVE_DMA, max: 0, nid };
        let first_block = self.blocks.len();
        let in_pieces = match self.memory.alloc_exact_nid(bounds) {
            Some(base) => {
                self.add_block(first_block, base, size)?;
                None
            }
            // Should the pieces not suffice either, this is what to report: they will have used up what is free.
            None => Some(self.out_of_memory(Owner::DESCRIPTORS, size)),
        };
        for section in stretches.iter().flat_map(|s| s.first_section..s.end_section) {
            for _ in 0..self.model.new_tables(self.mapped, section) {
                self.table(nid)?;
            }
            self.mapped = Some(section);
            if let Some(shortage) = in_pieces {
                self.section_descriptors(nid, first_block, shortage)?;
            }
        }
        Ok(())
    }

    /// Takes the usage maps in the section of the node's bookkeeping, so that no other section depends on it, or anywhere.
    fn usage_maps(&mut self, nid: Nid, size: u64) -> Result<(), Error> {
        let anywhere = Bounds { size, align: CACHE_LINE, min: 0, max: 0, nid };
        let Some(node_data) = self.node_data(nid) else {
            return self.take(Owner::SECTIONS, anywhere);
        };
        let section = node_data & !(SECTION_BYTES - 1);
        let near = Bounds { min: section, max: section + SECTION_BYTES, nid: self.nid_at(section), ..anywhere };
        match self.memory.alloc_try_nid(near) {
            Some(base) => self.claim(Owner::SECTIONS, base, size),
            None => self.take(Owner::SECTIONS, Bounds { max: 0, ..near }),
        }
    }

    /// Takes the descriptors of one section where no place was found for all of the node's in one piece.
    fn section_descriptors(&mut self, nid: Nid, first_block: usize, shortage: Error) -> Result<(), Error> {
        let mut size = SECTION_DESCRIPTOR_BYTES;
        let block = Bounds { size, align: size, min: ABOVE_DMA, max: 0, nid };
        if let Some(base) = self.memory.alloc_try_nid(block) {
            return self.add_block(first_block, base, size);
        }

        // Not one aligned block is left. Linux takes 512 single pages; halving leaves fewer pieces to keep track of.
        self.table(nid)?;
        let mut left = SECTION_DESCRIPTOR_BYTES;
        while left > 0 {
            match self.memory.alloc_try_nid(Bounds { size, align: FRAME_BYTES, ..block }) {
                Some(base) => {
                    self.add_block(first_block, base, size)?;
                    left -= size;
                }
                None if size > FRAME_BYTES => size /= 2,
                None => return Err(shortage),
            }
        }
        Ok(())
    }

    /// Takes a page table.
    fn table(&mut self, nid: Nid) -> Result<(), Error> {
        let bounds = Bounds { size: FRAME_BYTES, align: FRAME_BYTES, min: ABOVE_DMA, max: 0, nid };
        self.take(Owner::DESCRIPTOR_TABLES, bounds)
    }

    /// Notes that descriptors lie at `base`; blocks from `first_block` on may be used in any order, so keep them sorted.
    fn add_block(&mut self, first_block: usize, base: u64, size: u64) -> Result<(), Error> {
        self.claim(Owner::DESCRIPTORS, base, size)?;
        let Some(mut range) = PhysRange::from_size(base, size) else { return Ok(()) };

        let at = first_block + self.blocks[first_block..].partition_point(|b| b.start() < base);
        if let Some(above) = self.blocks.get(at).copied().filter(|b| b.start() == range.end()) {
            range = PhysRange::new(range.start(), above.end()).unwrap_or(range);
            self.blocks.remove(at);
        }
        match self.blocks[first_block..at].last_mut() {
            Some(below) if below.end() == range.start() => {
                *below = PhysRange::new(below.start(), range.end()).unwrap_or(range);
                Ok(())
            }
            _ => self.blocks.insert(at, range).map_err(|_| Error::Blocks { capacity: DESCRIPTOR_BLOCKS }),
        }
    }

    fn take(&mut self, owner: Owner, bounds: Bounds) -> Result<(), Error> {
        match self.memory.alloc_try_nid(bounds) {
            Some(base) => self.claim(owner, base, bounds.size),
            None => Err(self.out_of_memory(owner, bounds.size)),
        }
    }

    fn claim(&mut self, owner: Owner, base: u64, size: u64) -> Result<(), Error> {
        match PhysRange::from_size(base, size) {
            Some(range) => Ok(self.ledger.claim(owner, range)?),
            None => Ok(()),
        }
    }

    /// Returns where the bookkeeping of a node lies: highest on the node itself, else, for a node whose memory could not
    /// hold it, highest anywhere.
    fn node_data(&self, nid: Nid) -> Option<u64> {
        let claims = || self.ledger.claims().iter().filter(|c| c.owner == Owner::NODE_DATA).map(|c| c.range).rev();
        let own = |claim: PhysRange| {
            let ranges = self.layout.memory().iter().rev().filter(|r| r.nid == nid);
            let bytes = |r: &crate::MemoryRange| PhysRange::new(r.start_pfn * FRAME_BYTES, r.end_pfn * FRAME_BYTES);
            ranges.filter_map(bytes).find_map(|r| r.intersection(claim))
        };
        claims().find_map(own).or_else(|| claims().next()).map(PhysRange::start)
    }

    /// Returns the node of the memory at `address`, else the first node. Linux: `early_pfn_to_nid` (6.1).
    fn nid_at(&self, address: u64) -> Nid {
        let pfn = address / FRAME_BYTES;
        let there = self.layout.memory().iter().find(|r| r.start_pfn <= pfn && pfn < r.end_pfn);
        there.map(|r| r.nid).or_else(|| self.layout.memory().iter().map(|r| r.nid).min()).unwrap_or(Nid::NONE)
    }

    fn out_of_memory(&self, owner: Owner, needed: u64) -> Error {
        let (mut largest_hole, mut free) = (0, 0);
        for memory in self.memory.memory() {
            let mut at = memory.base;
            let mut hole = |start: u64, end: u64| {
                largest_hole = largest_hole.max(end.saturating_sub(start));
                free += end.saturating_sub(start);
            };
            for taken in self.memory.reserved().iter().filter(|r| r.end() > memory.base && r.base < memory.end()) {
                hole(at, taken.base);
                at = at.max(taken.end());
            }
            hole(at, memory.end());
        }
        Error::OutOfMemory { owner, needed, largest_hole, free }
    }
}
