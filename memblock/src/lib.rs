// SPDX-License-Identifier: MIT OR Apache-2.0
//! Early physical memory: what there is, what is taken, and allocation before any page allocator exists.
//!
//! [`Memblock`] is Linux's `mm/memblock.c` (6.1) as a value: two sorted arrays of regions - *memory* and *reserved* - and
//! an allocator that looks for the highest (or lowest) place in memory that nobody reserved. It decides exactly as Linux
//! does: same regions, same addresses, same log lines. With the feature `serde` the stage [`Assemble`] does what x86-64's
//! `e820__memblock_setup`, `setup_arch` and `numa_init` (6.1) do up to the crash kernel.
//!
//! ```
//! use memblock::Memblock;
//!
//! let mut memblock: Memblock = Memblock::new();
//! memblock.add(0x10_0000, 63 << 20)?; // what the firmware calls usable
//! memblock.reserve(0x20_0000, 0x8_0000)?; // where the kernel lies
//!
//! let table = memblock.phys_alloc(4096, 4096)?; // the highest free page
//! assert_eq!(table, (64 << 20) - 4096);
//! assert!(memblock.is_reserved(table));
//! # Ok::<(), memblock::Error>(())
//! ```
//!
//! # Invariants
//! - In each array the regions are sorted by address, not empty and disjoint.
//! - A function that fails changes nothing. (If resizing is allowed, an array may have grown on the way.)
//! - An address that an allocation returned is reserved, inside memory, aligned, and never 0.
//! - Memory and reserved are independent: a reservation may lie outside memory.
//!
//! # Features
//! - `serde`: the stage and the store that later stages restore early memory from.
//! - `defmt`: log lines as defmt frames.
//!
//! # Differences from Linux
//! - Nothing is zeroed and nothing is copied: the crate computes addresses and touches no memory. A `_raw` function
//!   differs from its sibling only in the line it logs.
//! - The arrays live in the value and hold at most `N` regions. [`Policy::can_resize`] reserves the memory that Linux
//!   would move a full array to, so that addresses come out the same.
//! - A reservation that starts below address 2 never moves the reserved array into itself; Linux looks for the new place
//!   in the range `[0, 0)`, which means "anywhere" there.
//! - When the memory array moves and the reserved array has to grow for that, the two never get the same place.
//! - Where Linux wraps at 2^64, this crate does not: [`Memblock::trim_memory`] drops a region in the last partial page,
//!   [`Memblock::free_all`] leaves that page alone, [`Memblock::cap_memory_range`] caps the end.
//! - An alignment that is no power of two is an error; Linux computes a meaningless address.
//! - An empty array is empty: iterators never yield the dummy region `[0, 0)` of 6.1, nor the empty range between two
//!   reservations that touch. [`Memblock::count`] and the dump say what Linux says. The dump of an array that was never
//!   used says node 0 for that dummy in Linux, and no node here.
//! - Where Linux prints a line at most so often per second, every line is written; where it prints a stack
//!   (`WARN_ON`), one line is written or, for regions whose flags or node differ from those they overlap, none.
//! - Rules 5.4 are those of 6.1 with two exceptions: the text for freed ranges, and mirrored memory, which 5.4 prefers
//!   even without `kernelcore=mirror`. Bottom-up allocation above the kernel's end is not modelled.
//!
//! # Limits
//! Reserving, freeing, allocating and asking cost `O(log n)` comparisons, and moves of at most `N` / 64 regions (256 if `N`
//! is small). A search also looks at 64 bounds; it walks gaps that are large enough but not aligned. Only nodes and flags,
//! limits, dumps, iterators and [`Memblock::reserved`] take time in the number of regions. Figures are in the README.
//!
//! A [`Memblock`] can be sent to another thread, but not shared: a search leaves hints in it for the next.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod alloc;
mod attributes;
mod blocks;
mod dump;
mod early;
mod edit;
mod error;
mod explain;
mod find;
mod grow;
mod limit;
mod message;
mod pages;
mod parts;
mod policy;
mod query;
mod ranges;
mod regions;
mod state;

pub use alloc::Fallback;
pub use blocks::Block;
#[cfg(feature = "serde")]
pub use early::Store;
pub use error::Error;
pub use explain::Failure;
pub use message::Line;
pub use parts::{ArrayParts, Parts};
pub use policy::Policy;
pub use query::NodeSpan;
pub use ranges::{FreeRange, PfnRange};
pub use state::{Array, Memblock};

#[cfg(feature = "serde")]
mod nodes;
#[cfg(feature = "serde")]
mod notice;
#[cfg(feature = "serde")]
mod stage;

#[cfg(feature = "serde")]
pub use notice::Notice;
#[cfg(feature = "serde")]
pub use stage::Assemble;
