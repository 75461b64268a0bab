// SPDX-License-Identifier: MIT OR Apache-2.0
//! The allocation family, each member with its fall-backs.

use crate::{Error, Line, Memblock};
use core::panic::Location;
use handoff::{Bounds, Log, Nid, RegionFlags, Rules};

/// What to do when the wanted node has no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallback {
    /// Take any node.
    AnyNode,
    /// Fail.
    Never,
}

/// The alignment that 0 stands for. Linux: `SMP_CACHE_BYTES` (6.1, x86-64).
const CACHE_LINE_BYTES: u64 = 64;
/// The end of what [`Memblock::alloc_low`] may use. Linux: `ARCH_LOW_ADDRESS_LIMIT` (6.1).
const LOW_LIMIT: u64 = 0xffff_ffff;

/// Every function returns the address of `size` bytes that are reserved from then on, never 0 (but see size 0 below).
///
/// Alignments are in bytes and powers of two; 0 stands for 64. Sizes are not rounded. A request for 0 bytes returns an
/// address that is not reserved, as in Linux. In [`Bounds`] a `max` of 0 or 1 means the current limit.
impl<const N: usize, L: Log> Memblock<N, L> {
    /// Allocates in `[min, max)` on any node, whatever [`Bounds::nid`] says; the current limit does not count.
    ///
    /// Linux: `memblock_phys_alloc_range` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn phys_alloc_range(&mut self, bounds: Bounds) -> Result<u64, Error> {
        let (Bounds { size, align, min: from, max, .. }, caller) = (bounds, Location::caller());
        self.trace(Line::PhysAllocRange { size, align, from, max, caller });
        self.alloc_range_nid(Bounds { nid: Nid::NONE, ..bounds }, Fallback::AnyNode)
    }

    /// Allocates anywhere below the current limit.
    ///
    /// Linux: `memblock_phys_alloc` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn phys_alloc(&mut self, size: u64, align: u64) -> Result<u64, Error> {
        self.phys_alloc_range(Bounds { size, align, min: 0, max: 0, nid: Nid::NONE })
    }

    /// Allocates on `nid`, else on any node, below the current limit.
    ///
    /// Linux: `memblock_phys_alloc_try_nid` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn phys_alloc_try_nid(&mut self, size: u64, align: u64, nid: Nid) -> Result<u64, Error> {
        self.alloc_range_nid(Bounds { size, align, min: 0, max: 0, nid }, Fallback::AnyNode)
    }

    /// Allocates on the wanted node in `[min, max)`, else on any node there, else both again from address 0.
    ///
    /// So `min` is kept rather than the node. `max` is cut to the current limit.
    ///
    /// Linux: `memblock_alloc_try_nid` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_try_nid(&mut self, bounds: Bounds) -> Result<u64, Error> {
        self.trace_alloc("memblock_alloc_try_nid", bounds, Location::caller());
        self.alloc_internal(bounds, Fallback::AnyNode)
    }

    /// Allocates as [`alloc_try_nid`](Self::alloc_try_nid) does, and says so under its own name.
    ///
    /// Linux: `memblock_alloc_try_nid_raw` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_try_nid_raw(&mut self, bounds: Bounds) -> Result<u64, Error> {
        self.trace_alloc("memblock_alloc_try_nid_raw", bounds, Location::caller());
        self.alloc_internal(bounds, Fallback::AnyNode)
    }

    /// Allocates on the wanted node only: in `[min, max)`, else below `min`. `max` is cut to the current limit.
    ///
    /// Linux: `memblock_alloc_exact_nid_raw` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_exact_nid_raw(&mut self, bounds: Bounds) -> Result<u64, Error> {
        self.trace_alloc("memblock_alloc_exact_nid_raw", bounds, Location::caller());
        self.alloc_internal(bounds, Fallback::Never)
    }

    /// Allocates anywhere below the current limit.
    ///
    /// Linux: `memblock_alloc` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc(&mut self, size: u64, align: u64) -> Result<u64, Error> {
        self.alloc_try_nid(Bounds { size, align, min: 0, max: 0, nid: Nid::NONE })
    }

    /// Allocates as [`alloc`](Self::alloc) does, and says so under its own name.
    ///
    /// Linux: `memblock_alloc_raw` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_raw(&mut self, size: u64, align: u64) -> Result<u64, Error> {
        self.alloc_try_nid_raw(Bounds { size, align, min: 0, max: 0, nid: Nid::NONE })
    }

    /// Allocates at `min` or above, else below it.
    ///
    /// Linux: `memblock_alloc_from` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_from(&mut self, size: u64, align: u64, min: u64) -> Result<u64, Error> {
        self.alloc_try_nid(Bounds { size, align, min, max: 0, nid: Nid::NONE })
    }

    /// Allocates below 4 GiB.
    ///
    /// Linux: `memblock_alloc_low` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_low(&mut self, size: u64, align: u64) -> Result<u64, Error> {
        self.alloc_try_nid(Bounds { size, align, min: 0, max: LOW_LIMIT, nid: Nid::NONE })
    }

    /// Allocates on `nid`, else on any node.
    ///
    /// Linux: `memblock_alloc_node` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_node(&mut self, size: u64, align: u64, nid: Nid) -> Result<u64, Error> {
        self.alloc_try_nid(Bounds { size, align, min: 0, max: 0, nid })
    }

    /// Allocates in `[min, max)`: on the wanted node, then as `fallback` says; each in mirrored memory first.
    ///
    /// Linux: `memblock_alloc_range_nid` (6.1).
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Full`], [`Error::Alignment`].
    #[track_caller]
    pub fn alloc_range_nid(&mut self, bounds: Bounds, fallback: Fallback) -> Result<u64, Error> {
        let bounds = self.checked(bounds, Location::caller())?;
        let any = Bounds { nid: Nid::NONE, ..bounds };
        let mut flags = self.preferred_flags();
        let mut error = Error::NoRoom { bounds };

        loop {
            match self.take(bounds, flags) {
                Ok(found) => return Ok(found),
                Err(why) => error = why.unwrap_or(error),
            }
            if fallback == Fallback::AnyNode && self.policy.is_wanted(bounds.nid) {
                match self.take(any, flags) {
                    Ok(found) => return Ok(found),
                    Err(why) => error = why.unwrap_or(error),
                }
            }
            if flags == RegionFlags::NONE {
                return Err(error);
            }
            flags = RegionFlags::NONE;
            self.log.warn(Line::NotMirrored { size: bounds.size });
        }
    }

    /// Linux: `memblock_alloc_internal` (6.1).
    #[track_caller]
    fn alloc_internal(&mut self, bounds: Bounds, fallback: Fallback) -> Result<u64, Error> {
        let capped = Bounds { max: bounds.max.min(self.current_limit), ..bounds };
        self.alloc_range_nid(capped, fallback).or_else(|error| match error {
            Error::NoRoom { .. } | Error::Full { .. } if bounds.min != 0 => {
                self.alloc_range_nid(Bounds { min: 0, ..capped }, fallback)
            }
            error => Err(error),
        })
    }

    /// Finds and reserves; an error within the error is the reserved array's.
    fn take(&mut self, bounds: Bounds, flags: RegionFlags) -> Result<u64, Option<Error>> {
        let found = self.find(bounds, flags).ok_or(None)?;
        self.reserve(found, bounds.size).map_err(Some)?;
        Ok(found)
    }

    fn checked(&self, bounds: Bounds, caller: &'static Location<'static>) -> Result<Bounds, Error> {
        let mut bounds = bounds;
        if bounds.nid == Nid::UNSET && self.policy.rules < Rules::V6_12 {
            self.log.warn(Line::DeprecatedNid);
            bounds.nid = Nid::NONE;
        }
        if bounds.align == 0 {
            bounds.align = CACHE_LINE_BYTES;
            self.log.warn(Line::NoAlignment { align: bounds.align, caller });
        }
        if bounds.align.is_power_of_two() { Ok(bounds) } else { Err(Error::Alignment { align: bounds.align }) }
    }

    fn trace_alloc(&self, name: &'static str, bounds: Bounds, caller: &'static Location<'static>) {
        let Bounds { size, align, min: from, max, nid } = bounds;
        self.trace(Line::AllocNid { name, size, align, nid: nid.0, from, max, caller });
    }
}
