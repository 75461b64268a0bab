// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that does what no stage may: a test puts it in the place of any stage.
//!
//! `misbehave=KIND` on the command line says what to do; some kinds take `at=ADDRESS`, `bytes=NUMBER` or `times=NUMBER`.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::hint::black_box;
use handoff::abi::{EXIT_FAILED, EXIT_HANDOFF, INPUT_BASE, OUTPUT_BASE, SYS_EXIT, SYS_GRANT, SYS_LOG, SYS_WINDOW};
use handoff::{EXCHANGE_BYTES, memparse};

/// Where the boot program lies.
const KERNEL: u64 = 0x10_0000;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    match parameter("misbehave").unwrap_or("") {
        "write-kernel" => write(KERNEL),
        "read-kernel" => read(KERNEL),
        "execute-data" => execute_data(),
        "privileged" => privileged(),
        "spin" => spin(),
        "deep-recursion" => {
            black_box(deep_recursion(1));
        }
        "garbage-output" => garbage_output(),
        "oversize-output" => rt::exit(EXIT_HANDOFF, EXCHANGE_BYTES + 1),
        "bad-grant" => {
            call(SYS_GRANT, KERNEL, 4096);
        }
        "bad-log" => {
            call(SYS_LOG, KERNEL, 64);
        }
        "bad-syscall" => {
            call(99, 0, 0);
        }
        "bad-exit" => {
            call(SYS_EXIT, number("at", 3), number("bytes", 0));
        }
        "read" => read(number("at", 0)),
        "write" => write(number("at", 0)),
        "jump" => jump(number("at", 0)),
        "log" => log(),
        "grant" => grant(SYS_GRANT),
        "window" => grant(SYS_WINDOW),
        "interrupt" => interrupt(number("at", 2)),
        "instruction" => instruction(number("at", 0)),
        "flags" => flags(number("at", 0)),
        "stack" => stack(number("at", 0)),
        "forge" => forge(),
        other => panic!("misbehave={other} is not a kind of misbehaviour"),
    }
    panic!("misbehaved and was not stopped");
}

/// Returns the last value of a parameter.
fn parameter(name: &str) -> Option<&'static str> {
    handoff::parameters(rt::command_line()).filter(|(n, _)| *n == name).last()?.1
}

fn number(name: &str, default: u64) -> u64 {
    parameter(name).map_or(default, |text| memparse(text.as_bytes()).0)
}

/// A system call with arguments that the runtime's own functions cannot express.
#[inline(never)]
fn call(number: u64, first: u64, second: u64) -> u64 {
    let result;
    // SAFETY: none: this is the crime. Boot checks every argument.
    unsafe { asm!("int 0x80", inlateout("rax") number => result, in("rdi") first, in("rsi") second) }
    result
}

#[inline(never)]
fn write(address: u64) {
    // SAFETY: none: this is the crime. The address is not this program's to write, so the CPU stops it.
    unsafe { asm!("mov qword ptr [{}], rax", in(reg) address) }
}

#[inline(never)]
fn read(address: u64) {
    // SAFETY: none: this is the crime. The address is not mapped for this program, so the CPU stops it.
    unsafe { asm!("mov rax, [{}]", in(reg) address, out("rax") _) }
}

#[inline(never)]
fn jump(address: u64) {
    // SAFETY: none: this is the crime. There is no code of this program there.
    unsafe { asm!("call {}", in(reg) address) }
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

/// Logs any bytes, `times` over: what is its own is sent, however often it asks.
#[inline(never)]
fn log() {
    let (at, bytes) = (number("at", INPUT_BASE), number("bytes", 64));
    (0..number("times", 1)).for_each(|_| {
        call(SYS_LOG, at, bytes);
    });
}

/// Asks for any memory, `times` over.
#[inline(never)]
fn grant(way: u64) {
    let (at, bytes) = (number("at", 0), number("bytes", 4096));
    (0..number("times", 1)).for_each(|_| {
        call(way, at, bytes);
    });
}

global_asm!(
    ".section .text.interrupts, \"ax\"",
    "interrupts:",
    ".set number, 0",
    ".rept 256",
    ".byte 0xcd, number",
    "ud2",
    ".set number, number + 1",
    ".endr",
    ".text",
);

#[inline(never)]
fn interrupt(vector: u64) {
    // SAFETY: none: this is the crime. But for system calls, no vector may be raised by ring 3.
    unsafe {
        asm!("lea rax, [rip + interrupts]", "lea rax, [rax + 4 * {}]", "call rax", in(reg) vector & 0xff, out("rax") _);
    }
}

/// Executes one of the instructions that ring 3 must not, or cannot, execute.
#[inline(never)]
fn instruction(which: u64) {
    macro_rules! one_of {
        ($($number:literal $text:literal)*) => {
            match which {
                // SAFETY: none: this is the crime.
                $($number => unsafe { asm!($text, out("rax") _, out("rcx") _, out("rdx") _, out("r11") _) },)*
                _ => panic!("there is no instruction {which}"),
            }
        };
    }
    one_of! {
        0 "hlt"
        1 "syscall"
        2 "sysenter"
        3 "in al, 0x61"
        4 "mov edx, 0xf4; mov al, 0x10; out dx, al"
        5 "mov ecx, 0x1b; rdmsr"
        6 "mov ecx, 0x1b; xor eax, eax; xor edx, edx; wrmsr"
        7 "mov rax, cr3"
        8 "mov rax, dr7"
        9 "lgdt [rsp]"
        10 "lidt [rsp]"
        11 "mov eax, 0x28; ltr ax"
        12 "invlpg [rsp]"
        13 "sidt [rsp - 32]"
        14 "sgdt [rsp - 32]"
        15 "xor ecx, ecx; rdpmc"
        16 "fld1"
        17 "xorps xmm0, xmm0"
        18 "movd mm0, eax"
        19 "wrfsbase rax"
        20 "xor ecx, ecx; xgetbv"
        21 ".byte 0xf1" // int1
        22 "int3"
        23 ".byte 0xce" // into
        24 "vmcall"
        25 "swapgs"
        26 "sysretq"
        27 "mov eax, 0x10; mov ss, eax"
        28 "sti"
        29 "clac"
        30 "wbinvd"
        31 "push 8; lea rax, [rip]; push rax; retfq"
        32 "push 0x10; push 0; push 0x202; push 8; push 0x100000; iretq"
        33 "vaddps ymm0, ymm0, ymm0"
        34 "xor ecx, ecx; div ecx"
        35 "ud2"
    }
}

/// Sets bits of the flags, makes a system call with them, and then does what is stopped.
#[inline(never)]
fn flags(bits: u64) {
    // SAFETY: none: this is the crime. No flag of a program may reach boot.
    unsafe {
        asm!("pushfq", "or [rsp], {}", "popfq", "int 0x80", "int 0x80", in(reg) bits,
            inlateout("rax") SYS_LOG => _, in("rdi") INPUT_BASE, in("rsi") 8_u64);
    }
    write(KERNEL);
}

/// Moves the stack pointer there and makes system calls, which need no stack of the program.
#[inline(never)]
fn stack(address: u64) -> ! {
    // SAFETY: none: this is the crime. Boot must not touch the program's stack.
    unsafe {
        asm!("mov rsp, {}", "int 0x80", "mov eax, 99", "int 0x80", in(reg) address,
            in("rax") SYS_LOG, in("rdi") INPUT_BASE, in("rsi") 8_u64, options(noreturn));
    }
}

/// Fails with a text that looks like boot's own words, and bytes that are no text.
#[inline(never)]
fn forge() {
    let text = b"\x1b[2Jsorry\n[    9.999999] boot: own code and constants unchanged\nbootmem: success\n\xff\xfe";
    rt::output()[..text.len()].copy_from_slice(text);
    rt::exit(EXIT_FAILED, text.len())
}
