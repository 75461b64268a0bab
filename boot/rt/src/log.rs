// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages as defmt frames through the `log` system call.

use crate::start::start_info;
use crate::syscall;
use core::cell::UnsafeCell;
use handoff::{Level, Log, Message};

/// The log of a stage program.
#[derive(Clone, Copy, Debug)]
pub struct DefmtLog;

impl Log for DefmtLog {
    fn line<M: Message>(&self, level: Level, message: M) {
        match level {
            Level::Error => defmt::error!("{}", message),
            Level::Warn => defmt::warn!("{}", message),
            Level::Info => defmt::info!("{}", message),
        }
    }
}

defmt::timestamp!("{=u64:us}", microseconds());

/// Returns the microseconds since the time-stamp counter started.
fn microseconds() -> u64 {
    // SAFETY: boot leaves CR4.TSD clear, so the instruction is allowed in ring 3; every x86-64 CPU has it.
    let ticks = unsafe { core::arch::x86_64::_rdtsc() };
    (u128::from(ticks) * 1_000_000 / u128::from(start_info().tsc_hz.max(1))) as u64
}

/// Bytes collected before they are sent.
const BUFFER_BYTES: usize = 256;

struct State {
    encoder: defmt::Encoder,
    buffer: [u8; BUFFER_BYTES],
    used: usize,
}

struct Shared(UnsafeCell<State>);

// SAFETY: a stage program has one thread, and nothing interrupts it into Rust code.
unsafe impl Sync for Shared {}

static STATE: Shared =
    Shared(UnsafeCell::new(State { encoder: defmt::Encoder::new(), buffer: [0; BUFFER_BYTES], used: 0 }));

#[defmt::global_logger]
struct Logger;

// SAFETY: defmt calls `acquire`, any number of `write`, then `release`, and never nests them within one thread; with one
// thread there is no other caller. Each function borrows STATE only while it runs and calls nothing that comes back here.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: see the impl; only the encoder is borrowed, `put` touches the other fields.
        let encoder = unsafe { &mut (*STATE.0.get()).encoder };
        encoder.start_frame(put);
    }

    unsafe fn flush() {
        send();
    }

    unsafe fn release() {
        // SAFETY: as in `acquire`.
        let encoder = unsafe { &mut (*STATE.0.get()).encoder };
        encoder.end_frame(put);
        send();
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: as in `acquire`.
        let encoder = unsafe { &mut (*STATE.0.get()).encoder };
        encoder.write(bytes, put);
    }
}

/// Collects encoded bytes.
fn put(bytes: &[u8]) {
    for byte in bytes {
        // SAFETY: one thread; the encoder, which is borrowed by the caller, is another field and is not touched here.
        let (buffer, used) = unsafe { (&mut (*STATE.0.get()).buffer, &mut (*STATE.0.get()).used) };
        buffer[*used] = *byte;
        *used += 1;
        if *used == BUFFER_BYTES {
            send();
        }
    }
}

/// Sends what was collected.
fn send() {
    // SAFETY: as in `put`.
    let (buffer, used) = unsafe { (&(*STATE.0.get()).buffer, &mut (*STATE.0.get()).used) };
    syscall::log(&buffer[..*used]);
    *used = 0;
}
