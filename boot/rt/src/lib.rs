// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a stage program links: entry, panic, log and the system calls.
//!
//! A stage program is one line, `rt::stage!(e820::Sanitize);`. It runs in ring 3 with nothing mapped but its own
//! segments and stack, its input (read-only), its output and what it was granted.
#![no_std]

mod log;
mod machine;
mod panic;
mod start;
mod syscall;

pub use log::DefmtLog;
pub use machine::{Ring3, memory};
pub use start::{command_line, output, run};
pub use syscall::{exit, grant, log, window};

/// Makes a program of a stage.
#[macro_export]
macro_rules! stage {
    ($stage:ty) => {
        /// Where boot enters, with an aligned stack and nothing else.
        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            $crate::run::<$stage>()
        }
    };
}
