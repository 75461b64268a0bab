// SPDX-License-Identifier: MIT OR Apache-2.0
//! The naive model: one entry per 128 bytes of a small space, every question answered by looking at all of them.

pub(crate) mod compare;
pub(crate) mod ops;

use handoff::{Bounds, Direction, Nid, Region, RegionFlags, Rules};
use memblock::{Array, Policy};

/// Bytes of a cell.
pub(crate) const CELL: u64 = 128;
/// Cells of the space: 16 pages.
pub(crate) const CELLS: u64 = 512;

/// Node and flags of a cell that the array covers.
pub(crate) type Cell = Option<(Nid, RegionFlags)>;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Where the space starts.
    pub(crate) origin: u64,
    pub(crate) memory: Vec<Cell>,
    pub(crate) reserved: Vec<Cell>,
    /// Bytes that trimming cut off and Linux still counts.
    pub(crate) stale: u64,
    pub(crate) limit: u64,
    pub(crate) direction: Direction,
    pub(crate) policy: Policy,
}

impl Model {
    pub(crate) fn new(origin: u64, policy: Policy) -> Self {
        let empty = vec![None; CELLS as usize];
        let (limit, direction) = (u64::MAX, Direction::TopDown);
        Self { origin, memory: empty.clone(), reserved: empty, stale: 0, limit, direction, policy }
    }

    /// Returns the address after the last byte of the space; the last byte of all is out of reach.
    pub(crate) fn end(&self) -> u64 {
        self.origin.saturating_add(CELLS * CELL)
    }

    fn address(&self, cell: usize) -> u64 {
        self.origin.saturating_add(cell as u64 * CELL)
    }

    /// Returns the cells in `[start, end)`.
    pub(crate) fn cells(&self, start: u64, end: u64) -> impl Iterator<Item = usize> + use<> {
        let origin = self.origin;
        (0..CELLS as usize).filter(move |&i| {
            let base = origin + i as u64 * CELL;
            start <= base && base < end
        })
    }

    pub(crate) fn array(&self, array: Array) -> &[Cell] {
        match array {
            Array::Memory => &self.memory,
            Array::Reserved => &self.reserved,
        }
    }

    pub(crate) fn array_mut(&mut self, array: Array) -> &mut Vec<Cell> {
        match array {
            Array::Memory => &mut self.memory,
            Array::Reserved => &mut self.reserved,
        }
    }

    /// Returns the regions: runs of equal cells.
    pub(crate) fn regions(&self, array: Array) -> Vec<Region> {
        self.runs(self.array(array))
    }

    fn runs(&self, cells: &[Cell]) -> Vec<Region> {
        let mut regions: Vec<Region> = Vec::new();
        for (i, cell) in cells.iter().enumerate() {
            let Some((nid, flags)) = *cell else { continue };
            let (base, size) = (self.address(i), self.address(i + 1) - self.address(i));
            match regions.last_mut() {
                Some(last) if (last.end(), last.nid, last.flags) == (base, nid, flags) => last.size += size,
                _ => regions.push(Region { base, size, nid, flags }),
            }
        }
        regions
    }

    pub(crate) fn bytes(&self, array: Array) -> u64 {
        self.regions(array).iter().map(|r| r.size).sum()
    }

    /// Returns how many pieces of the range the array does not cover.
    pub(crate) fn missing(&self, array: Array, start: u64, end: u64) -> usize {
        let covered: Vec<bool> = self.cells(start, end).map(|i| self.array(array)[i].is_some()).collect();
        (0..covered.len()).filter(|&i| !covered[i] && (i == 0 || covered[i - 1])).count()
    }

    pub(crate) fn put(&mut self, array: Array, start: u64, end: u64, nid: Nid, flags: RegionFlags) {
        if array == Array::Memory && self.memory.iter().all(Option::is_none) && start < end {
            self.stale = 0;
        }
        for i in self.cells(start, end) {
            self.array_mut(array)[i].get_or_insert((nid, flags));
        }
    }

    pub(crate) fn take(&mut self, array: Array, start: u64, end: u64) {
        for i in self.cells(start, end) {
            self.array_mut(array)[i] = None;
        }
    }

    pub(crate) fn change(&mut self, array: Array, start: u64, end: u64, change: impl Fn(&mut (Nid, RegionFlags))) {
        for i in self.cells(start, end) {
            self.array_mut(array)[i].iter_mut().for_each(&change);
        }
    }

    pub(crate) fn trim(&mut self, align: u64) {
        for region in self.regions(Array::Memory) {
            let end = region.end() / align * align;
            let start = region.base.checked_next_multiple_of(align).unwrap_or(u64::MAX).min(region.end());
            self.take(Array::Memory, region.base, start);
            self.take(Array::Memory, end.max(start), region.end());
            if start < end {
                self.stale += region.size - (end - start);
            }
        }
    }

    /// Returns the address after the lowest `limit` bytes of memory.
    pub(crate) fn end_of(&self, limit: u64) -> Option<u64> {
        let mut left = limit;
        for (i, _) in self.memory.iter().enumerate().filter(|(_, cell)| cell.is_some()) {
            let size = self.address(i + 1) - self.address(i);
            if left <= size {
                return (limit != 0).then(|| self.address(i) + left).filter(|&end| end != u64::MAX);
            }
            left -= size;
        }
        None
    }

    pub(crate) fn cap(&mut self, start: u64, end: u64) {
        if start >= end || self.bytes(Array::Memory) + self.stale == 0 {
            return;
        }
        for i in self.cells(0, start).chain(self.cells(end, u64::MAX)) {
            self.memory[i] = self.memory[i].filter(|(_, flags)| flags.contains(RegionFlags::NOMAP));
            self.reserved[i] = None;
        }
    }

    pub(crate) fn take_nids(&mut self) {
        for (reserved, memory) in self.reserved.iter_mut().zip(&self.memory) {
            if let (Some(reserved), Some(memory)) = (reserved, memory) {
                reserved.0 = memory.0;
            }
        }
    }

    fn wants(&self, nid: Nid) -> bool {
        if self.policy.rules < Rules::V6_12 { nid != Nid::NONE } else { nid.number().is_some() }
    }

    /// Returns whether an allocation may look at memory like this.
    pub(crate) fn offers(&self, (node, flags): (Nid, RegionFlags), nid: Nid, wanted: RegionFlags) -> bool {
        let skipped = [
            self.wants(nid) && node != nid,
            self.policy.movable_node && flags.contains(RegionFlags::HOTPLUG),
            wanted.contains(RegionFlags::MIRROR) && !flags.contains(RegionFlags::MIRROR),
            flags.contains(RegionFlags::NOMAP),
            flags.contains(RegionFlags::DRIVER_MANAGED),
        ];
        !skipped.contains(&true)
    }

    /// Returns the memory cells that are free and offered.
    fn free(&self, nid: Nid, wanted: RegionFlags) -> Vec<Cell> {
        let free =
            |(memory, reserved): (&Cell, &Cell)| memory.filter(|&m| reserved.is_none() && self.offers(m, nid, wanted));
        self.memory.iter().zip(&self.reserved).map(free).collect()
    }

    /// Returns what is free, region by region.
    pub(crate) fn free_regions(&self, nid: Nid, wanted: RegionFlags) -> Vec<Region> {
        self.runs(&self.free(nid, wanted))
    }

    /// Finds by trying every aligned address of the space from the end that the direction says.
    pub(crate) fn find(&self, bounds: Bounds, nid: Nid, wanted: RegionFlags) -> Option<u64> {
        let start = bounds.min.max(4096);
        let end = if bounds.max <= 1 { self.limit } else { bounds.max };
        let free = self.free(nid, wanted);
        let fits = |address: u64| {
            let Some(top) = address.checked_add(bounds.size).filter(|&top| start <= address && top <= end) else {
                return false;
            };
            let mut cells = self.cells(address, top).map(|i| free[i]);
            let inside = self.origin <= address && top <= self.end();
            inside && cells.next().flatten().is_some_and(|first| cells.all(|cell| cell == Some(first)))
        };
        let candidates = (0..CELLS).map(|i| self.origin + i * CELL).filter(|a| a % bounds.align == 0 && fits(*a));
        match self.direction {
            Direction::BottomUp => candidates.min(),
            Direction::TopDown => candidates.max(),
        }
    }

    /// Finds with the fall-backs: below `min`, without the mirror, on any node - the last given up first.
    pub(crate) fn find_with_fallbacks(&self, bounds: Bounds, mins: &[u64], any_node: bool) -> Option<u64> {
        let mirror = if self.policy.has_mirror { RegionFlags::MIRROR } else { RegionFlags::NONE };
        let flags = [Some(mirror), Some(RegionFlags::NONE).filter(|_| self.policy.has_mirror)];
        let nids = [Some(bounds.nid), Some(Nid::NONE).filter(|_| any_node && self.wants(bounds.nid))];
        for &min in mins {
            for wanted in flags.into_iter().flatten() {
                for nid in nids.into_iter().flatten() {
                    let found = self.find(Bounds { min, ..bounds }, nid, wanted);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        None
    }
}
