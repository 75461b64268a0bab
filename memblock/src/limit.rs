// SPDX-License-Identifier: MIT OR Apache-2.0
//! Less memory: whole pages only, and limits.

use crate::state::capped_end;
use crate::{Array, Error, Line, Memblock};
use handoff::{Log, PhysRange, RegionFlags};

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Cuts every memory region to multiples of `align` bytes, a power of two; a region without one goes.
    ///
    /// The count of memory bytes is corrected for regions that go, not for those that shrink, as in Linux:
    /// [`phys_mem_size`](Self::phys_mem_size) stays too large, [`memory_bytes`](Self::memory_bytes) does not.
    ///
    /// Linux: `memblock_trim_memory` (6.1).
    ///
    /// # Errors
    /// [`Error::Alignment`].
    pub fn trim_memory(&mut self, align: u64) -> Result<(), Error> {
        if !align.is_power_of_two() {
            return Err(Error::Alignment { align });
        }
        self.memory.retain(|region| {
            // A base in the last unit of the address space has no multiple above it; Linux wraps to 0 there.
            let start = region.base.checked_next_multiple_of(align);
            let range = start.and_then(|start| PhysRange::new(start, region.end() & !(align - 1)));
            if let Some(range) = range {
                (region.base, region.size) = (range.start(), range.size());
            }
            range.is_some()
        });
        Ok(())
    }

    /// Keeps the lowest `limit` bytes of memory and removes what lies above, also from the reserved array.
    ///
    /// A limit of 0 or above the memory there is changes nothing.
    ///
    /// Linux: `memblock_enforce_memory_limit` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn enforce_memory_limit(&mut self, limit: u64) -> Result<(), Error> {
        let Some(end) = self.end_of(limit) else { return Ok(()) };
        self.ensure_spare(Array::Reserved)?;
        self.remove_range(Array::Memory, end, u64::MAX)?;
        self.remove_range(Array::Reserved, end, u64::MAX)
    }

    /// Keeps the lowest `limit` bytes of memory as [`cap_memory_range`](Self::cap_memory_range) does.
    ///
    /// Linux: `memblock_mem_limit_remove_map` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn mem_limit_remove_map(&mut self, limit: u64) -> Result<(), Error> {
        self.end_of(limit).map_or(Ok(()), |end| self.cap_memory_range(0, end))
    }

    /// Removes memory and reservations outside a range; memory marked as not to be mapped stays.
    ///
    /// Size 0 changes nothing.
    ///
    /// Linux: `memblock_cap_memory_range` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn cap_memory_range(&mut self, base: u64, size: u64) -> Result<(), Error> {
        if size == 0 {
            return Ok(());
        }
        if self.memory.total_size == 0 {
            self.log.warn(Line::NothingToCap);
            return Ok(());
        }
        let end = capped_end(base, size); // Linux does not cap this end, and a wrapped one takes every reservation
        self.ensure_spare(Array::Reserved)?;
        self.isolate(Array::Memory, base, size)?;
        let inside = |base_of: u64| base <= base_of && base_of < end;
        self.memory.retain(|r| inside(r.base) || r.flags.contains(RegionFlags::NOMAP));
        self.remove_range(Array::Reserved, 0, base)?;
        self.remove_range(Array::Reserved, end, u64::MAX)
    }

    /// Returns where the lowest `limit` bytes of memory end. Linux: `__find_max_addr` (6.1).
    fn end_of(&self, limit: u64) -> Option<u64> {
        let mut rest = Some(limit).filter(|&limit| limit != 0)?;
        for region in self.memory() {
            if rest <= region.size {
                return Some(region.base + rest).filter(|&end| end != u64::MAX);
            }
            rest -= region.size;
        }
        None
    }

    /// Fails early where an array cannot grow, so that nothing is done by halves.
    fn ensure_spare(&self, array: Array) -> Result<(), Error> {
        let capacity = self.regions(array).max;
        if self.policy.can_resize || self.count(array) + 2 <= capacity {
            Ok(())
        } else {
            Err(Error::Full { array, capacity })
        }
    }
}
