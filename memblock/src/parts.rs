// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state in plain lists, to build a memblock from and to read one back.

use crate::{Array, Error, Memblock, Policy};
use handoff::{Direction, Log, PhysRange, Region};

/// The state of one array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArrayParts<'a> {
    /// The regions: sorted, disjoint, none empty.
    pub regions: &'a [Region],
    /// How many regions the array holds before it has to grow.
    pub max: usize,
    /// Linux's count of bytes. It may differ from the sum of the regions.
    pub total_size: u64,
    /// The memory that the array took when it grew.
    pub place: Option<PhysRange>,
}

/// The state of a memblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts<'a> {
    /// The memory array.
    pub memory: ArrayParts<'a>,
    /// The reserved array.
    pub reserved: ArrayParts<'a>,
    /// The address after the highest one an allocation may use by default.
    pub current_limit: u64,
    /// Which end allocations are taken from.
    pub direction: Direction,
    /// The switches.
    pub policy: Policy,
}

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Returns a memblock in that state.
    ///
    /// # Errors
    /// [`Error::Unsorted`], [`Error::TooMany`].
    pub fn from_parts(parts: &Parts<'_>, log: L) -> Result<Self, Error> {
        let mut memblock = Self::with_log(parts.policy, log);
        memblock.current_limit = parts.current_limit;
        memblock.direction = parts.direction;
        for (array, parts) in [(Array::Memory, &parts.memory), (Array::Reserved, &parts.reserved)] {
            let regions = memblock.regions_mut(array);
            regions.fill(array, parts.regions, parts.max)?;
            regions.total_size = parts.total_size;
            regions.place = parts.place;
        }
        Ok(memblock)
    }

    /// Returns the state.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        let array = |array| {
            let regions = self.regions(array);
            let (max, total_size, place) = (regions.max, regions.total_size, regions.place);
            ArrayParts { regions: self.list(array), max, total_size, place }
        };
        Parts {
            memory: array(Array::Memory),
            reserved: array(Array::Reserved),
            current_limit: self.current_limit,
            direction: self.direction,
            policy: self.policy,
        }
    }
}
