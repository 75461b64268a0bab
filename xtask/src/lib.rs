// SPDX-License-Identifier: MIT OR Apache-2.0
//! The developer's and user's command of bootmem: builds the image, boots it in QEMU, tests it and checks the sources.
//!
//! `cargo xtask qemu` is the way in: it builds the boot program and the stages, packs them into an
//! ISO that BIOS and UEFI boot, runs QEMU under a watchdog and turns the guest's debug channel back into text. Its exit
//! status is the guest's verdict, see [`Outcome`].
//!
//! As a library it offers what tests need: [`run_chain`] runs the stages in this process.
#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod capacity;
mod cargo;
mod chain;
mod channel;
mod ci;
mod cli;
mod console;
mod decode;
mod dmesg;
mod elf;
mod explain;
mod faults;
mod guest;
mod image;
mod install;
mod iso;
mod manifest;
mod memory_size;
mod misbehave;
mod nightly;
mod numa;
mod outcome;
mod ovmf;
mod programs;
mod progress;
mod qemu;
mod recording;
mod replay;
mod test;
mod watchdog;

pub use chain::{ChainError, run_chain};
pub use cli::{Bootmem, Cli, run, run_bootmem};
pub use explain::own_boot::{Pictures, draw_chain};
pub use outcome::Outcome;
pub use replay::{Capture, Fact, Mismatch, Report, Verdict, replay};
