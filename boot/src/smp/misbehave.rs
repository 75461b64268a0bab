// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a CPU must not do, for the tests that want to see it noticed. Feature `misbehave`, which no usual image has.
//!
//! `misbehave=KIND` on the command line says what, `at=NUMBER` the number of the CPU, 1 if it does not say.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use handoff::{memparse, parameters};

/// The kinds, by name.
const KINDS: [&str; 7] =
    ["cpu-silent", "cpu-fault", "cpu-overflow", "cpu-panic", "cpu-hang", "cpu-keep", "cpu-scribble"];
const SILENT: u8 = 0;
const FAULT: u8 = 1;
const OVERFLOW: u8 = 2;
const PANIC: u8 = 3;
const HANG: u8 = 4;
const KEEP: u8 = 5;
const SCRIBBLE: u8 = 6;
const NOTHING: u8 = 7;

static KIND: AtomicU8 = AtomicU8::new(NOTHING);
static CPU: AtomicUsize = AtomicUsize::new(1);

/// Reads the command line.
pub(crate) fn read(command_line: &str) {
    for (name, value) in parameters(command_line) {
        let value = value.unwrap_or("");
        match name {
            "misbehave" => {
                let kind = KINDS.iter().position(|kind| *kind == value);
                KIND.store(kind.map_or(NOTHING, |kind| kind as u8), Relaxed);
            }
            "at" => CPU.store(memparse(value.as_bytes()).0 as usize, Relaxed),
            _ => {}
        }
    }
}

fn is(cpu: usize, kind: u8) -> bool {
    CPU.load(Relaxed) == cpu && KIND.load(Relaxed) == kind
}

/// Does nothing for ever, before the CPU has answered.
pub(crate) fn when_called(cpu: usize) {
    while is(cpu, SILENT) {
        core::hint::spin_loop();
    }
}

/// Misbehaves in the middle of the work.
pub(crate) fn at_work(cpu: usize) {
    if is(cpu, FAULT) {
        // SAFETY: none; nothing is mapped there, which is the point.
        unsafe { core::ptr::with_exposed_provenance_mut::<u8>(0x7000_0000_0000).write_volatile(1) };
    } else if is(cpu, OVERFLOW) {
        core::hint::black_box(deeper(1));
    } else if is(cpu, PANIC) {
        panic!("misbehave=cpu-panic");
    }
    while is(cpu, HANG) {
        core::hint::spin_loop();
    }
}

/// Returns whether the CPU keeps a block that it gives away.
pub(crate) fn keeps(cpu: usize) -> bool {
    is(cpu, KEEP)
}

/// Returns whether the CPU writes to a block that it has given to another.
pub(crate) fn scribbles(cpu: usize) -> bool {
    is(cpu, SCRIBBLE)
}

#[expect(unconditional_recursion, reason = "the point")]
fn deeper(number: u64) -> u64 {
    core::hint::black_box(deeper(core::hint::black_box(number) + 1)) + number
}
