// SPDX-License-Identifier: MIT OR Apache-2.0
//! TBD
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
