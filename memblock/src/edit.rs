// SPDX-License-Identifier: MIT OR Apache-2.0
//! Adding, removing, reserving, freeing.

use crate::message::last;
use crate::{Array, Error, Line, Memblock};
use core::panic::Location;
use handoff::{Log, Nid, PhysRange, Region, RegionFlags, Rules};

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Adds memory without a node.
    ///
    /// What is memory already keeps its node and flags. The size is cut at the last address; nothing left is no error.
    ///
    /// Linux: `memblock_add` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    #[track_caller]
    pub fn add(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.trace(Line::Add { base, last: last(base, size), caller: Location::caller() });
        self.add_range(Array::Memory, Region::new(base, size))
    }

    /// Adds memory with node and flags.
    ///
    /// Linux: `memblock_add_node` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    #[track_caller]
    pub fn add_node(&mut self, base: u64, size: u64, nid: Nid, flags: RegionFlags) -> Result<(), Error> {
        let caller = Location::caller();
        self.trace(Line::AddNode { base, last: last(base, size), nid: nid.0, flags: flags.0, caller });
        self.add_range(Array::Memory, Region { base, size, nid, flags })
    }

    /// Removes memory; reservations in it stay.
    ///
    /// Linux: `memblock_remove` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`]: two free entries are needed, even if no region is split.
    #[track_caller]
    pub fn remove(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.trace(Line::Remove { base, last: last(base, size), caller: Location::caller() });
        self.remove_range(Array::Memory, base, size)
    }

    /// Reserves a range, whether it is memory or not.
    ///
    /// Linux: `memblock_reserve` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    #[track_caller]
    pub fn reserve(&mut self, base: u64, size: u64) -> Result<(), Error> {
        self.trace(Line::Reserve { base, last: last(base, size), caller: Location::caller() });
        self.add_range(Array::Reserved, Region::new(base, size))
    }

    /// Takes a range out of the reserved array; parts that are not reserved are no error.
    ///
    /// Linux: `memblock_phys_free` (6.1), `memblock_free` (5.4).
    ///
    /// # Errors
    /// [`Error::Full`]: two free entries are needed, even if no region is split.
    #[track_caller]
    pub fn free(&mut self, base: u64, size: u64) -> Result<(), Error> {
        let (last, caller) = (last(base, size), Location::caller());
        self.trace(match self.policy.rules {
            Rules::V5_4 => Line::Free54 { base, last, caller },
            _ => Line::Free { base, last, caller },
        });
        self.remove_range(Array::Reserved, base, size)
    }

    /// Covers what `region` covers and the array does not.
    ///
    /// Linux: `memblock_add_range` (6.1).
    pub(crate) fn add_range(&mut self, array: Array, region: Region) -> Result<(), Error> {
        let Some(range) = PhysRange::capped(region.base, region.size) else { return Ok(()) };
        let new = Region { size: range.size(), ..region };
        let rules = self.policy.rules;
        while !self.regions_mut(array).cover(new, rules) {
            self.double(array, range)?;
        }
        Ok(())
    }

    /// Linux: `memblock_remove_range` (6.1).
    pub(crate) fn remove_range(&mut self, array: Array, base: u64, size: u64) -> Result<(), Error> {
        if let Some(range) = self.isolate(array, base, size)? {
            self.regions_mut(array).remove(range);
        }
        Ok(())
    }

    /// Makes `[base, base + size)` begin and end between regions; returns it unless it is empty.
    ///
    /// Linux: `memblock_isolate_range` (6.1), which wants two free entries before it looks.
    pub(crate) fn isolate(&mut self, array: Array, base: u64, size: u64) -> Result<Option<PhysRange>, Error> {
        let Some(range) = PhysRange::capped(base, size) else { return Ok(None) };
        while self.count(array) + 2 > self.regions(array).max {
            self.double(array, range)?;
        }
        self.regions_mut(array).isolate(range);
        Ok(Some(range))
    }
}
