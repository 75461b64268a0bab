// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a stage after memblock needs of memblock, so that it need not depend on that crate.

use crate::{Nid, Region};

/// Where an early allocation may lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Size in bytes.
    pub size: u64,
    /// Alignment in bytes, a power of two.
    pub align: u64,
    /// Lowest address. How strictly it is kept is said at each function.
    pub min: u64,
    /// Address after the highest byte; 0 means up to the current limit.
    pub max: u64,
    /// Wanted node, or [`Nid::NONE`].
    pub nid: Nid,
}

/// Early memory that a later stage allocates from: implemented by `memblock::Memblock`.
///
/// Every function either succeeds or leaves everything as it was. A found address is already reserved.
pub trait EarlyMemory {
    /// Allocates inside `[min, max)` on any node.
    ///
    /// Linux: `memblock_phys_alloc_range` (6.1).
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64>;

    /// Allocates on the wanted node, else on any, else below `min`.
    ///
    /// Linux: `memblock_alloc_try_nid` (6.1).
    fn alloc_try_nid(&mut self, bounds: Bounds) -> Option<u64>;

    /// Allocates on the wanted node only, if need be below `min`.
    ///
    /// Linux: `memblock_alloc_exact_nid_raw` (6.1).
    fn alloc_exact_nid(&mut self, bounds: Bounds) -> Option<u64>;

    /// Takes a range out of the reserved array. Returns whether the array had room for that.
    ///
    /// Linux: `memblock_phys_free` (6.1).
    fn free(&mut self, base: u64, size: u64) -> bool;

    /// Returns the memory array.
    fn memory(&self) -> &[Region];

    /// Returns the reserved array.
    fn reserved(&self) -> &[Region];

    /// Returns Linux's count of memory bytes, which includes what trimming cut off.
    ///
    /// Linux: `memblock_phys_mem_size` (6.1).
    fn memory_size(&self) -> u64;
}

/// How a stage gets early memory from a hand-off and back, without depending on the crate that implements it.
///
/// The stage programs name the implementation: `crashkernel::Reserve<memblock::Store>`.
#[cfg(feature = "serde")]
pub trait EarlyStore {
    /// The early memory, which writes its trace lines to a log.
    type Memory<L: crate::Log>: EarlyMemory;

    /// Returns early memory in the state of `blocks`; the command line says whether it traces and which rules it follows.
    fn restore<L: crate::Log>(blocks: &crate::Blocks, command_line: &str, log: L) -> Self::Memory<L>;

    /// Writes the state back: both arrays, both sizes, limit and direction.
    fn save<L: crate::Log>(memory: &Self::Memory<L>, blocks: &mut crate::Blocks);
}
