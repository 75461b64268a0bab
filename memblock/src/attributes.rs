// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nodes and flags.

use crate::{Array, Error, Memblock};
use handoff::{Log, Nid, Region, RegionFlags, Rules};

/// Each function splits the regions at the ends of the range, changes those inside and merges equal neighbours.
impl<const N: usize, L: Log> Memblock<N, L> {
    /// Marks memory that can be unplugged. Linux: `memblock_mark_hotplug` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn mark_hotplug(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.set_flag(Array::Memory, base, size, RegionFlags::HOTPLUG)
    }

    /// Clears the mark of [`mark_hotplug`](Self::mark_hotplug). Linux: `memblock_clear_hotplug` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn clear_hotplug(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.clear_flag(Array::Memory, base, size, RegionFlags::HOTPLUG)
    }

    /// Marks mirrored memory, which every later allocation prefers.
    ///
    /// Nothing happens without `kernelcore=mirror` ([`Policy::kernelcore_mirror`](crate::Policy::kernelcore_mirror)),
    /// except with the rules of 5.4.
    ///
    /// Linux: `memblock_mark_mirror` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn mark_mirror(&mut self, base: u64, size: u64) -> Result<(), Error> {
        if !self.policy.kernelcore_mirror && self.policy.rules > Rules::V5_4 {
            return Ok(());
        }
        self.set_flag(Array::Memory, base, size, RegionFlags::MIRROR)?;
        self.policy.has_mirror = true; // even if the range held no memory
        Ok(())
    }

    /// Marks memory that must not be mapped, so that it is not allocated. Linux: `memblock_mark_nomap` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn mark_nomap(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.set_flag(Array::Memory, base, size, RegionFlags::NOMAP)
    }

    /// Clears the mark of [`mark_nomap`](Self::mark_nomap). Linux: `memblock_clear_nomap` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn clear_nomap(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.clear_flag(Array::Memory, base, size, RegionFlags::NOMAP)
    }

    /// Marks memory that a driver manages, so that it is not allocated.
    ///
    /// Linux has no such call: there a driver adds the memory with the flag `MEMBLOCK_DRIVER_MANAGED` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn mark_driver_managed(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.set_flag(Array::Memory, base, size, RegionFlags::DRIVER_MANAGED)
    }

    /// Marks reserved memory whose descriptors are not to be initialised. Linux: `memblock_reserved_mark_noinit` (6.12).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn reserved_mark_noinit(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.set_flag(Array::Reserved, base, size, RegionFlags::RSRV_NOINIT)
    }

    /// Sets the node of what `array` holds in a range. Linux: `memblock_set_node` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn set_node(&mut self, array: Array, base: u64, size: u64, nid: Nid) -> Result<(), Error> {
        self.change(array, base, size, |region| region.nid = nid)
    }

    /// Gives the reserved regions the nodes of the memory they lie in.
    ///
    /// Linux: `memmap_init_reserved_pages` (6.12), which starts again if the array grew meanwhile.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn reserved_take_nids(&mut self) -> Result<(), Error> {
        loop {
            let max = self.reserved.max;
            for index in 0..self.memory.len() {
                let Region { base, size, nid, .. } = self.memory()[index];
                self.set_node(Array::Reserved, base, size, nid)?;
            }
            if self.reserved.max == max {
                return Ok(());
            }
        }
    }

    fn set_flag(&mut self, array: Array, base: u64, size: u64, flag: RegionFlags) -> Result<(), Error> {
        self.change(array, base, size, |region| region.flags = region.flags.with(flag))
    }

    fn clear_flag(&mut self, array: Array, base: u64, size: u64, flag: RegionFlags) -> Result<(), Error> {
        self.change(array, base, size, |region| region.flags = region.flags.without(flag))
    }

    fn change(&mut self, array: Array, base: u64, size: u64, change: impl Fn(&mut Region)) -> Result<(), Error> {
        let rules = self.policy.rules;
        let range = self.isolate(array, base, size)?;
        self.regions_mut(array).change(range, rules, change);
        Ok(())
    }
}
