// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's memory map, sanitized and edited exactly as Linux does it.
//!
//! A firmware says which memory there is in a list that may be unsorted, overlapping, full of empty entries or longer than
//! it should be. [`Table`] makes of it a sorted, disjoint map in which every byte has one type; applies `mem=` and
//! `memmap=` to it; and answers what a boot asks next: where RAM ends, where PCI devices find room.
//!
//! In Linux this is `arch/x86/kernel/e820.c`, called from `setup_arch` in `arch/x86/kernel/setup.c`, and
//! `mtrr_trim_uncached_memory` in `arch/x86/kernel/cpu/mtrr/cleanup.c` (6.1 and 6.12).
//!
//! # Example
//! ```
//! use e820::{Table, apply_parameters, finish_early_params, memory_setup};
//! use handoff::{MemoryKind, Quiet, RawEntry};
//!
//! # fn main() -> Result<(), e820::Error> {
//! let entry = |addr, size, kind| RawEntry { addr, size, kind };
//! let raw = [entry(0x10_0000, 0x7ff0_0000, MemoryKind::RAM), entry(0, 0x9_fc00, MemoryKind::RAM)];
//!
//! let mut table: Table = memory_setup(&raw, &Quiet)?;
//! if apply_parameters(&mut table, "quiet mem=1G memmap=64K$16M", &Quiet) {
//!     finish_early_params(&mut table, &Quiet)?;
//! }
//! assert_eq!(table.ram_bytes(), (1 << 30) - 0x6_0400 - 0x1_0000);
//! # Ok(())
//! # }
//! ```
//! Replace [`Quiet`](handoff::Quiet) by your own [`Log`](handoff::Log) to get the lines of the kernel's log.
//!
//! # Three levels
//! - [`Table`]: pure functions on entries; nothing is printed.
//! - `*_print` and the steps of `setup_arch` ([`memory_setup`] … [`print_ram_buffers`]): the same with Linux's lines, in
//!   Linux's order. A simulator can call them one by one.
//! - `Sanitize` (feature `serde`): the whole as a stage of the bootmem chain. It goes on where Linux panics, and enters
//!   into the ledger what BIOS and command line took.
//!
//! # Invariants
//! - After [`Table::sanitize`] returns `Ok` the entries are sorted, disjoint and not empty; each byte that an entry covers
//!   has the numerically highest type that covers it. Doing it again changes nothing.
//! - [`Table::range_update`] and [`Table::range_remove`] change as many bytes as they return.
//! - A function that returns an [`Error`] changed nothing; one with several steps leaves what the finished ones did.
//! - Types are numbers: one that nobody knows arrives at the other end.
//!
//! # Features
//! - `serde`: the stage.
//! - `defmt`: every [`Line`] and [`Error`] as a defmt frame.
//!
//! # Differences from Linux
//! - A full table is an error that keeps everything. Linux drops what does not fit, which may be the rest of an entry it
//!   has just cut, and cuts the result of sanitizing at the capacity.
//! - Changing a type into itself (`memmap=1M%0-1+1`) is an error; Linux stops with a BUG.
//! - What `mem=` and `memmap=` ignore, cut off or do without effect is said; Linux is silent about most of it.
//! - Of a `SETUP_E820_EXT` node only a wrapping entry is left out; Linux leaves out the following ones too.
//! - Sanitizing takes O(n log n) steps; Linux searches all open entries at each edge.
//! - The stage drops a firmware entry that runs past the last address, or takes a byte off one that ends there, and uses a
//!   map of a single entry; Linux asks older BIOS calls, or goes on with an unsorted table.
//! - The stage undoes a user's map that cannot be sanitized or has no RAM above 1 MiB, and boots with the firmware's; Linux
//!   panics. It also does so with one that takes memory away in more pieces than half a ledger has room for.
//! - The stage makes RAM above 64 TiB reserved; Linux leaves it in the map and never uses it.
//!
//! # Limits
//! - The rules of 5.4 are those of 6.1 here. The table has no entries from EFI or from firmware quirks but those that the
//!   caller adds, and `mem=` has no say over memory that is plugged in later.
//! - A table of the default size has 7.5 KiB, and sanitizing takes 12 KiB of stack. The stage as a whole, hand-offs decoded and
//!   encoded, takes about 110 KiB.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod account;
mod apply;
mod edit;
mod end_of_ram;
mod error;
mod gaps;
mod message;
mod mtrr;
mod parse;
mod print;
mod sanitize;
mod setup;
#[cfg(feature = "serde")]
mod stage;
mod table;
#[cfg(test)]
mod testing;

pub use account::ram_lost;
pub use apply::apply_parameters;
pub use end_of_ram::{FRAMES_BELOW_4_GIB, MAX_ARCH_PFN, MAX_ARCH_PFN_5_LEVEL};
pub use error::Error;
pub use gaps::SMALLEST_PCI_GAP;
pub use message::{Line, Map};
pub use mtrr::trim_uncached;
pub use parse::{Edit, Name, Parsed, Refusal, parse_mem, parse_memmap};
pub use print::{add_print, range_remove_print, range_update_print, sanitize_print};
pub use setup::{
    SetupData, add_kernel_range, end_of_low_ram_pfn, end_of_ram_pfn, finish_early_params, memory_setup,
    memory_setup_extended, print_nosave, print_ram_buffers, reserve_setup_data, setup_pci_gap, trim_bios_range,
};
#[cfg(feature = "serde")]
pub use stage::Sanitize;
pub use table::Table;
