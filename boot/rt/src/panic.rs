// SPDX-License-Identifier: MIT OR Apache-2.0
//! A panic ends the program with its message, file and line.

use crate::start::exit_with_text;
use core::panic::PanicInfo;
use handoff::abi::EXIT_PANICKED;

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    exit_with_text(EXIT_PANICKED, format_args!("{info}"))
}
