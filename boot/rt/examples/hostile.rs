// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that does what no stage may: a test puts it in the place of any stage.
//!
//! `misbehave=KIND` on the command line says what to do.
#![no_std]
#![no_main]

use core::arch::asm;
use core::hint::black_box;
use handoff::EXCHANGE_BYTES;
use handoff::abi::{EXIT_HANDOFF, OUTPUT_BASE};

/// Where the boot program lies.
const KERNEL: u64 = 0x10_0000;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let kind = handoff::parameters(rt::command_line()).filter(|(name, _)| *name == "misbehave").last();
    match kind.and_then(|(_, value)| value).unwrap_or("") {
        "write-kernel" => write_kernel(),
        "read-kernel" => read_kernel(),
        "execute-data" => execute_data(),
        "privileged" => privileged(),
        "spin" => spin(),
        "deep-recursion" => {
            black_box(deep_recursion(1));
        }
        "garbage-output" => garbage_output(),
        "oversize-output" => rt::exit(EXIT_HANDOFF, EXCHANGE_BYTES + 1),
        "bad-grant" => {
            let _ = rt::grant(KERNEL, 4096);
        }
        "bad-log" => bad_log(),
        "bad-syscall" => bad_syscall(),
        other => panic!("misbehave={other} is not a kind of misbehaviour"),
    }
    panic!("misbehaved and was not stopped");
}

#[inline(never)]
fn write_kernel() {
    // SAFETY: none: this is the crime. The address is not mapped for this program, so the CPU stops it.
    unsafe { (KERNEL as *mut u64).write_volatile(0xdead_beef) }
}

#[inline(never)]
fn read_kernel() {
    // SAFETY: none: this is the crime. The address is not mapped for this program, so the CPU stops it.
    black_box(unsafe { (KERNEL as *const u64).read_volatile() });
}

#[inline(never)]
fn execute_data() {
    // SAFETY: none: this is the crime. `ret` is written to a writable page, which is never executable.
    unsafe {
        (OUTPUT_BASE as *mut u8).write_volatile(0xc3);
        let code: extern "C" fn() = core::mem::transmute(OUTPUT_BASE);
        code();
    }
}

#[inline(never)]
fn privileged() {
    // SAFETY: none: this is the crime. Ring 3 may not switch interrupts off.
    unsafe { asm!("cli") }
}

#[inline(never)]
fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[inline(never)]
fn deep_recursion(depth: u64) -> u64 {
    if black_box(depth) == 0 { 0 } else { black_box(deep_recursion(black_box(depth + 1))) + 1 }
}

#[inline(never)]
fn garbage_output() {
    let output = rt::output();
    for (i, byte) in output.iter_mut().enumerate() {
        *byte = (i as u8).wrapping_mul(167).wrapping_add(13);
    }
    rt::exit(EXIT_HANDOFF, 1000)
}

#[inline(never)]
fn bad_log() {
    // SAFETY: none: this is the crime. The slice is never read here; the system call must refuse to.
    rt::log(unsafe { core::slice::from_raw_parts(KERNEL as *const u8, 64) });
}

#[inline(never)]
fn bad_syscall() {
    // SAFETY: none: this is the crime. There is no such system call.
    unsafe { asm!("int 0x80", in("rax") 99_u64) }
}
