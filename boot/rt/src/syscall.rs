// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls.

use core::arch::asm;
use handoff::abi::{SYS_EXIT, SYS_GRANT, SYS_LOG, SYS_WINDOW};

fn call(number: u64, first: u64, second: u64) -> u64 {
    let result;
    // SAFETY: boot's gate saves every register and restores all but rax, so the clobbers are complete. It reads memory
    // only for `log`, where the caller passes a live slice, and it writes no memory that Rust knows of: `grant` and `window`
    // map new pages at addresses where there was nothing.
    unsafe {
        asm!("int 0x80", inlateout("rax") number => result, in("rdi") first, in("rsi") second, options(nostack));
    }
    result
}

/// Ends the program with a status of [`handoff::abi`]; `bytes` of the output count.
pub fn exit(status: u64, bytes: usize) -> ! {
    loop {
        call(SYS_EXIT, status, bytes as u64);
    }
}

/// Sends bytes of defmt frames, at most [`handoff::EXCHANGE_BYTES`].
pub fn log(bytes: &[u8]) {
    call(SYS_LOG, bytes.as_ptr() as u64, bytes.len() as u64);
}

/// Returns where `bytes` of physical memory at `base` are mapped now: behind what was granted before.
///
/// A program that asks for memory it must not have is stopped.
#[must_use]
pub fn grant(base: u64, bytes: u64) -> u64 {
    call(SYS_GRANT, base, bytes)
}

/// Maps `bytes` of physical memory at `base` at [`handoff::abi::WINDOW_BASE`] + `base`.
///
/// A program that asks for memory it must not have is stopped.
pub fn window(base: u64, bytes: u64) {
    call(SYS_WINDOW, base, bytes);
}
