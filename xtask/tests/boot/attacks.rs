// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program may try with the CPU, with system calls and with memory: each attempt is stopped and named, and boot is
//! as it was. The kinds of misbehaviour.rs are the coarse ones; these are the fine ones.

use crate::machine::Boot;

/// The place, the attempt and its parameters, and what boot says about it.
type Attempt<'a> = (&'a str, &'a str, &'a str);

fn is_stopped((program, parameters, words): Attempt<'_>) {
    let run = Boot::new().with(&["--memory", "512M", "--misbehave", program, "--append", parameters]).run().expect(37);
    let stage = program.split('=').next().unwrap();
    run.expect_words(&[&format!("boot: stage {stage} failed: "), words]);
    run.expect_words(&["boot: own code and constants unchanged"]);
    assert!(!run.lines().any(|line| line == "bootmem: success"), "{}", run.stdout);
}

/// One of each sort.
#[test]
fn attempts_are_stopped() {
    [
        ("memblock=instruction", "at=16", "no-fpu"),
        ("memblock=interrupt", "at=240", "general-protection"),
        ("memblock=flags", "at=0x244cd5", "tried to write 0x100000, which is not its own"),
        ("memblock=jump", "at=0x6ffffff0", "tried to execute 0x6ffffff0, which it may not"),
        ("memblock=log", "at=0x50000000 bytes=0x10001", "logged 0x10001 bytes at 0x50000000"),
        ("memmap=grant", "at=0xfee00000", "does not prove that it is free"),
        ("memmap=grant", "at=0x1000000 times=2", "it has it already"),
        ("successor=window", "at=0x100000", "belongs to boot"),
    ]
    .into_iter()
    .for_each(is_stopped);
}

/// A time budget cannot be spent inside boot.
#[test]
fn a_flood_of_log_ends_with_the_budget() {
    let run = Boot::new().with(&["--memory", "512M", "--misbehave", "memblock=log"]);
    let run = run.with(&["--append", "bytes=4096 times=1000000000"]).run().expect(37);
    run.expect_words(&["boot: stage memblock failed: it used up its 1000 ms"]);
}

#[test]
fn a_stage_cannot_speak_for_boot() {
    let run = Boot::new().with(&["--memory", "512M", "--misbehave", "memblock=forge"]).run().expect(37);
    run.expect_words(&["boot: stage memblock failed: .[2Jsorry"]);
    run.expect_words(&["boot: stage memblock failed: bootmem: success"]);
    run.expect_words(&["boot: stage memblock failed: .."]);
    assert!(!run.lines().any(|line| line == "bootmem: success"), "{}", run.stdout);
}

#[test]
#[ignore = "--full"]
fn no_instruction_of_ring_0_works() {
    for (number, words) in [
        (0, "general-protection"),   // hlt
        (1, "invalid-instruction"),  // syscall
        (2, "invalid-instruction"),  // sysenter: a general protection fault on some CPUs
        (3, "general-protection"),   // in
        (4, "general-protection"),   // out
        (5, "general-protection"),   // rdmsr
        (6, "general-protection"),   // wrmsr
        (7, "general-protection"),   // mov from cr3
        (8, "general-protection"),   // mov from dr7
        (9, "general-protection"),   // lgdt
        (10, "general-protection"),  // lidt
        (11, "general-protection"),  // ltr
        (12, "general-protection"),  // invlpg
        (13, "general-protection"),  // sidt
        (14, "general-protection"),  // sgdt
        (15, "general-protection"),  // rdpmc
        (17, "invalid-instruction"), // xorps
        (18, "invalid-instruction"), // movd
        (19, "invalid-instruction"), // wrfsbase
        (20, "invalid-instruction"), // xgetbv
        (22, "general-protection"),  // int3
        (23, "invalid-instruction"), // into
        (24, "invalid-instruction"), // vmcall
        (25, "general-protection"),  // swapgs
        (26, "invalid-instruction"), // sysret
        (27, "general-protection"),  // the stack segment of ring 0
        (28, "general-protection"),  // sti
        (29, "invalid-instruction"), // clac
        (30, "general-protection"),  // wbinvd
        (33, "invalid-instruction"), // vaddps
        (34, "divide-error"),        // div by 0
    ] {
        is_stopped(("e820=instruction", &format!("at={number}"), words));
    }
}

/// UEFI leaves more of the CPU switched on than a BIOS: boot switches it off.
#[test]
#[ignore = "--full"]
fn nothing_that_the_firmware_left_on_works() {
    for (number, words) in [
        (1, "invalid-instruction"),  // syscall
        (2, "invalid-instruction"),  // sysenter
        (16, "no-fpu"),              // fld1
        (17, "invalid-instruction"), // xorps
        (19, "invalid-instruction"), // wrfsbase
        (20, "invalid-instruction"), // xgetbv
        (33, "invalid-instruction"), // vaddps
    ] {
        let parameters = format!("at={number}");
        let run = Boot::new().with(&["--uefi", "--memory", "512M", "--misbehave", "e820=instruction"]);
        run.with(&["--append", &parameters]).run().expect(37).expect_words(&["boot: stage e820 failed: ", words]);
    }
}

#[test]
#[ignore = "--full"]
fn no_vector_but_that_of_system_calls_can_be_raised() {
    for vector in [1, 2, 3, 4, 8, 14, 18, 31, 32, 33, 127, 129, 239, 240, 255] {
        is_stopped(("memblock=interrupt", &format!("at={vector}"), "general-protection"));
    }
}

#[test]
#[ignore = "--full"]
fn no_address_but_its_own_can_be_touched() {
    for (program, parameters, words) in [
        ("memblock=read", "at=0", "not its own"),
        ("memblock=read", "at=0xfee00000", "not its own"),
        ("memblock=read", "at=0x800000000000", "general-protection"),
        ("memblock=read", "at=0xffff800000000000", "not its own"),
        ("memblock=read", "at=0xffffc00000000000", "not its own"),
        ("memblock=write", "at=0x40000000", "which it may not"),
        ("memblock=write", "at=0x50000000", "which it may not"),
        ("memblock=jump", "at=0x50000000", "which it may not"),
        ("memblock=jump", "at=0x800000000000", "general-protection"),
        ("memblock=stack", "at=0", "no system call 99"),
        ("memblock=stack", "at=0x800000000000", "no system call 99"),
        ("memblock=flags", "at=0x100", "debug"),
        ("memblock=flags", "at=0x4000", "tried to write 0x100000"),
        ("memblock=flags", "at=0x40000", "tried to write 0x100000"),
    ] {
        is_stopped((program, parameters, words));
    }
}

#[test]
#[ignore = "--full"]
fn no_argument_of_a_system_call_is_believed() {
    for (program, parameters, words) in [
        ("memblock=log", "at=0xfffffffffffffff8", "which are not its own"),
        ("memblock=log", "at=0x800000000000 bytes=1", "which are not its own"),
        ("memblock=log", "at=0xffff800000100000", "which are not its own"),
        ("memblock=log", "at=0x5000fff8 bytes=0x8000", "at 0x50013000, which are not its own"),
        ("memblock=log", "bytes=0", "was not stopped"),
        ("memblock=bad-exit", "at=3", "ended with status 3"),
        ("memblock=bad-exit", "at=0 bytes=0xffffffffffffffff", "claims to have left"),
        ("memblock=bad-exit", "at=0", "too few for a hand-off"),
        ("memblock=bad-exit", "at=1", "does not say why"),
        ("memblock=bad-exit", "at=1 bytes=64K", "63488 more bytes are not shown"),
        ("memmap=grant", "at=0", "does not prove that it is free"),
        ("memmap=grant", "at=0x1000000 bytes=0", "not whole pages"),
        ("memmap=grant", "at=0x1000000 bytes=100", "not whole pages"),
        ("memmap=grant", "at=0x1000800", "not whole pages"),
        ("memmap=grant", "at=0x1000000 bytes=1T", "does not prove that it is free"),
        ("memmap=grant", "at=0xfffffffffffff000 bytes=8K", "not whole pages"),
        ("memmap=grant", "crashkernel=128M at=0x17000000", "does not prove that it is free"),
        ("memmap=grant", "crashkernel=128M at=0x16fff000 bytes=8K", "does not prove that it is free"),
        ("buddy=grant", "crashkernel=128M at=0x17000000", "does not prove that it is free"),
        ("buddy=grant", "at=0x100000", "belongs to boot"),
        ("e820=grant", "at=0x1000000", "no right to ask"),
        ("e820=window", "at=0x1000000", "no right to ask"),
        ("successor=window", "at=0xfee00000", "does not prove that it is free"),
        ("successor=window", "at=0xfffffffffffff000 bytes=8K", "not whole pages"),
        ("successor=window", "at=0x1000000 times=2", "it has it already"),
        ("successor=window", "crashkernel=128M at=0x17000000", "does not prove that it is free"),
    ] {
        is_stopped((program, parameters, words));
    }
}
