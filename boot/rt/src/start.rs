// SPDX-License-Identifier: MIT OR Apache-2.0
//! From boot's mappings to a stage and back.

use crate::{Ring3, exit};
use core::fmt::{self, Write};
use handoff::abi::{EXIT_FAILED, EXIT_HANDOFF, INPUT_BASE, OUTPUT_BASE, StartInfo};
use handoff::{EXCHANGE_BYTES, Stage, run_encoded};

/// Runs a stage on the input and ends the program.
pub fn run<S: Stage>() -> ! {
    match run_encoded::<S, _>(command_line(), input(), output(), &mut Ring3) {
        Ok(bytes) => exit(EXIT_HANDOFF, bytes),
        Err(error) => exit_with_text(EXIT_FAILED, format_args!("{error}")),
    }
}

/// Ends the program with a text instead of a hand-off.
pub(crate) fn exit_with_text(status: u64, text: fmt::Arguments<'_>) -> ! {
    let mut writer = Output { buffer: output(), used: 0 };
    let _ = writer.write_fmt(text); // a text that does not fit is cut
    exit(status, writer.used)
}

/// Returns what boot says about the start.
pub(crate) fn start_info() -> &'static StartInfo {
    // SAFETY: boot maps at least a page here, read-only and for the life of the program, and wrote a `StartInfo` at its
    // start before it entered; the address is page-aligned and any bytes are a valid `StartInfo`.
    unsafe { &*(INPUT_BASE as *const StartInfo) }
}

/// Returns the command line.
#[must_use]
pub fn command_line() -> &'static str {
    core::str::from_utf8(after_info(0, start_info().command_line_bytes)).unwrap_or("")
}

fn input() -> &'static [u8] {
    after_info(start_info().command_line_bytes, start_info().handoff_bytes)
}

fn after_info(skip: u64, bytes: u64) -> &'static [u8] {
    let start = INPUT_BASE + size_of::<StartInfo>() as u64 + skip;
    // SAFETY: boot maps the start information, the command line and the hand-off one after another, read-only and for
    // the life of the program, and the two lengths it wrote are those of the bytes it copied there.
    unsafe { core::slice::from_raw_parts(start as *const u8, bytes as usize) }
}

/// Returns the output area. Called once per way in which a program can end.
#[must_use]
pub fn output() -> &'static mut [u8] {
    // SAFETY: boot maps these pages writable for the program alone. The slice is taken by `run` before the stage and, on
    // the ways that end the program with a text, once more, after which the first slice is never used again.
    unsafe { core::slice::from_raw_parts_mut(OUTPUT_BASE as *mut u8, EXCHANGE_BYTES) }
}

struct Output {
    buffer: &'static mut [u8],
    used: usize,
}

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = (self.used + text.len()).min(self.buffer.len());
        self.buffer[self.used..end].copy_from_slice(&text.as_bytes()[..end - self.used]);
        self.used = end;
        Ok(())
    }
}
