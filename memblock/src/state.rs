// SPDX-License-Identifier: MIT OR Apache-2.0
//! The value: two arrays and what an allocation looks at.

use crate::regions::Regions;
use crate::{Line, Policy};
use core::cell::OnceCell;
use core::fmt;
use handoff::{Direction, Log, Quiet, Region};
use heapless::Vec;

/// One of the two region arrays.
///
/// Linux: `struct memblock_type` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Array {
    /// What there is.
    Memory,
    /// What is taken.
    Reserved,
}

impl Array {
    /// Returns the name Linux prints.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Early physical memory: at most `N` regions in each array, lines to the log `L`.
///
/// If `N` is more than 128, an array holds 128 regions as Linux's does until it is resized ([`Policy::can_resize`]), or
/// all `N` from the start after [`full_size`](Self::full_size).
///
/// Sizes and addresses are in bytes over all 64 bits. Linux: `struct memblock` (6.1).
#[derive(Clone, Debug)]
pub struct Memblock<const N: usize = 128, L: Log = Quiet> {
    pub(crate) policy: Policy,
    pub(crate) log: L,
    pub(crate) current_limit: u64,
    pub(crate) direction: Direction,
    pub(crate) reserved: Regions<N>,
    pub(crate) memory: Regions<N>,
    /// The reserved regions side by side, if they are in several pages and were asked for since the last change.
    pub(crate) reserved_list: OnceCell<Vec<Region, N>>,
}

impl<const N: usize> Memblock<N> {
    /// Returns an empty memblock without a log: top-down, no limit, rules of 6.1.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_log(Policy::new(), Quiet)
    }
}

impl<const N: usize> Default for Memblock<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Returns an empty memblock that writes its lines to `log`.
    #[must_use]
    pub const fn with_log(policy: Policy, log: L) -> Self {
        Self {
            memory: Regions::new(Array::Memory),
            reserved: Regions::new(Array::Reserved),
            reserved_list: OnceCell::new(),
            current_limit: u64::MAX,
            direction: Direction::TopDown,
            policy,
            log,
        }
    }

    /// Returns a memblock whose arrays hold all `N` regions from now on: where none may be refused before the room is used
    /// up, and nothing has to be decided as Linux does at its 129th.
    #[must_use]
    pub const fn full_size(mut self) -> Self {
        self.memory.max = N;
        self.reserved.max = N;
        self
    }

    /// Returns the memory array.
    #[must_use]
    pub fn memory(&self) -> &[Region] {
        self.list(Array::Memory)
    }

    /// Returns the reserved array.
    #[must_use]
    pub fn reserved(&self) -> &[Region] {
        self.list(Array::Reserved)
    }

    /// Returns the address after the highest one an allocation may use by default.
    #[must_use]
    pub const fn current_limit(&self) -> u64 {
        self.current_limit
    }

    /// Sets the address after the highest one that later allocations may use by default.
    ///
    /// Linux: `memblock_set_current_limit` (6.1).
    pub const fn set_current_limit(&mut self, limit: u64) {
        self.current_limit = limit;
    }

    /// Returns which end allocations are taken from.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Sets which end later allocations are taken from.
    ///
    /// Linux: `memblock_set_bottom_up` (6.1).
    pub const fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// Returns the switches.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Sets the switches.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub(crate) const fn regions(&self, array: Array) -> &Regions<N> {
        match array {
            Array::Memory => &self.memory,
            Array::Reserved => &self.reserved,
        }
    }

    pub(crate) fn regions_mut(&mut self, array: Array) -> &mut Regions<N> {
        match array {
            Array::Memory => &mut self.memory,
            Array::Reserved => {
                self.reserved_list = OnceCell::new();
                &mut self.reserved
            }
        }
    }

    /// Returns the regions of an array as a slice.
    pub(crate) fn list(&self, array: Array) -> &[Region] {
        let pages = self.regions(array).pages();
        // Memory is one page, so only the reserved array ever needs to be copied together.
        pages.as_slice().unwrap_or_else(|| self.reserved_list.get_or_init(|| pages.iter().copied().collect()))
    }

    /// Returns the regions of an array that share a byte with `[start, end)`.
    pub(crate) fn within(&self, array: Array, start: u64, end: u64) -> &[Region] {
        let regions = self.list(array);
        let low = regions.partition_point(|r| r.end() <= start);
        let high = low + regions[low..].partition_point(|r| r.base < end);
        &regions[low..high]
    }

    /// Writes a line that only `memblock=debug` shows.
    pub(crate) fn trace(&self, line: Line) {
        if self.policy.trace {
            self.log.info(line);
        }
    }
}

/// Returns the address after the last byte: `size` is cut where the address space ends.
///
/// Linux: `memblock_cap_size` (6.1).
pub(crate) const fn capped_end(base: u64, size: u64) -> u64 {
    base.saturating_add(size)
}
