// SPDX-License-Identifier: MIT OR Apache-2.0
//! Early memory in the plainest form: sets of bytes, searched from one end. It remembers what it was asked for.
#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use handoff::{Bounds, Direction, EarlyMemory, Nid, Region, RegionFlags};

/// The name of the function that was called, what was asked for, and the answer.
pub(crate) type Request = (&'static str, Bounds, Option<u64>);

#[derive(Clone, Default)]
pub(crate) struct Early {
    pub(crate) memory: Vec<Region>,
    pub(crate) reserved: Vec<Region>,
    pub(crate) limit: u64,
    pub(crate) direction: Direction,
    pub(crate) movable_node: bool,
    pub(crate) requests: Vec<Request>,
}

impl Early {
    pub(crate) fn new(memory: Vec<Region>, reserved: &[Region]) -> Self {
        let mut early = Self { memory, limit: u64::MAX, ..Self::default() };
        reserved.iter().for_each(|r| early.reserve(r.base, r.size));
        early
    }

    pub(crate) fn reserve(&mut self, base: u64, size: u64) {
        let (mut base, mut end) = (base, base + size);
        self.reserved.retain(|r| {
            let apart = r.end() < base || end < r.base;
            if !apart {
                (base, end) = (base.min(r.base), end.max(r.end()));
            }
            apart
        });
        let at = self.reserved.partition_point(|r| r.base < base);
        self.reserved.insert(at, Region::new(base, end - base));
    }

    /// Free pieces of memory that may be used, by rising address.
    fn free_pieces(&self, nid: Nid, flags: RegionFlags) -> Vec<(u64, u64)> {
        let has = |r: &Region, flag| r.flags.contains(flag);
        let usable = |r: &&Region| {
            (nid == Nid::NONE || nid == r.nid)
                && !(self.movable_node && has(r, RegionFlags::HOTPLUG))
                && (!flags.contains(RegionFlags::MIRROR) || has(r, RegionFlags::MIRROR))
                && !has(r, RegionFlags::NOMAP)
                && !has(r, RegionFlags::DRIVER_MANAGED)
        };
        let mut pieces = Vec::new();
        for region in self.memory.iter().filter(usable) {
            let mut at = region.base;
            for taken in self.reserved.iter().filter(|t| t.base < region.end() && region.base < t.end()) {
                pieces.push((at, taken.base));
                at = taken.end();
            }
            pieces.push((at, region.end()));
        }
        pieces.retain(|(start, end)| start < end);
        pieces
    }

    fn find(&self, bounds: Bounds, nid: Nid, min: u64, flags: RegionFlags) -> Option<u64> {
        let max = if bounds.max == 0 { self.limit } else { bounds.max.min(self.limit) };
        let min = min.max(4096);
        let inside = |(start, end): (u64, u64)| (start.max(min), end.min(max));
        let mut pieces = self.free_pieces(nid, flags).into_iter().map(inside).filter(|(start, end)| start < end);
        match self.direction {
            Direction::BottomUp => pieces.find_map(|(start, end)| {
                let base = start.next_multiple_of(bounds.align);
                (base + bounds.size <= end).then_some(base)
            }),
            Direction::TopDown => pieces.rev().find_map(|(start, end)| {
                let base = end.checked_sub(bounds.size)? & !(bounds.align - 1);
                (start <= base).then_some(base)
            }),
        }
    }

    /// Tries above each of `mins` in turn, and there on each of `nids`.
    fn alloc(&mut self, name: &'static str, bounds: Bounds, mins: &[u64], nids: &[Nid]) -> Option<u64> {
        let mirror = self.memory.iter().any(|r| r.flags.contains(RegionFlags::MIRROR));
        let flags = [RegionFlags::MIRROR, RegionFlags::NONE];
        let flags = &flags[usize::from(!mirror)..];
        let mins = mins.iter();
        let tries = mins.flat_map(|min| flags.iter().flat_map(move |f| nids.iter().map(move |nid| (*min, *f, *nid))));
        let found = tries.into_iter().find_map(|(min, flags, nid)| self.find(bounds, nid, min, flags));
        self.requests.push((name, bounds, found));
        if let Some(base) = found {
            self.reserve(base, bounds.size);
        }
        found
    }
}

impl EarlyMemory for Early {
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64> {
        self.alloc("range", bounds, &[bounds.min], &[Nid::NONE])
    }

    fn alloc_try_nid(&mut self, bounds: Bounds) -> Option<u64> {
        self.alloc("try", bounds, &[bounds.min, 0], &[bounds.nid, Nid::NONE])
    }

    fn alloc_exact_nid(&mut self, bounds: Bounds) -> Option<u64> {
        self.alloc("exact", bounds, &[bounds.min, 0], &[bounds.nid])
    }

    fn free(&mut self, base: u64, size: u64) -> bool {
        let rest = |r: &Region| [(r.base, r.end().min(base)), (r.base.max(base + size), r.end())];
        let rest = self.reserved.iter().flat_map(rest).filter(|(start, end)| start < end);
        self.reserved = rest.map(|(start, end)| Region::new(start, end - start)).collect();
        true
    }

    fn memory(&self) -> &[Region] {
        &self.memory
    }

    fn reserved(&self) -> &[Region] {
        &self.reserved
    }

    fn memory_size(&self) -> u64 {
        self.memory.iter().map(|r| r.size).sum()
    }
}

#[cfg(feature = "serde")]
pub(crate) mod store {
    use super::Early;
    use handoff::{Blocks, EarlyStore, Log, Region};

    /// Keeps plain early memory in a hand-off.
    pub(crate) struct Plain;

    impl EarlyStore for Plain {
        type Memory<L: Log> = Early;

        fn restore<L: Log>(blocks: &Blocks, _: &str, _: L) -> Early {
            let mut early = Early::new(blocks.memory.to_vec(), &blocks.reserved);
            early.limit = blocks.current_limit;
            early.direction = blocks.direction;
            early
        }

        fn save<L: Log>(memory: &Early, blocks: &mut Blocks) {
            blocks.reserved = memory.reserved.iter().copied().collect();
            blocks.reserved_size = memory.reserved.iter().map(|r: &Region| r.size).sum();
        }
    }
}
