// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a guest can end, each told apart: with boot programs of a few bytes that do nothing else.

use crate::machine::{Boot, Run};

/// `mov al, value; out 0xf4, al; jmp $`
fn exit(value: u8) -> Vec<u8> {
    vec![0xb0, value, 0xe6, 0xf4, 0xeb, 0xfe]
}

/// Code that sends `text` as a text frame on the debug channel.
fn say(text: &str) -> Vec<u8> {
    let frame = [&[1, 0, u8::try_from(text.len()).unwrap(), 0], text.as_bytes()].concat();
    frame.iter().flat_map(|byte| [0xb0, *byte, 0xe6, 0xe9]).collect()
}

/// Returns a 64-bit ELF that GRUB takes: one segment at `address` with a multiboot2 header and 32-bit code after it.
fn kernel(address: u64, code: &[u8]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    let entry = address + HEADERS + 24;
    let size = HEADERS + 24 + code.len() as u64;
    let mut elf = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0");
    for field in [entry, 64, 0] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for field in [0, address, address, size, size, 0x1000] {
        elf.extend(field.to_le_bytes());
    }
    let (magic, length) = (0xe852_50d6_u32, 24_u32);
    for field in [magic, 0, length, magic.wrapping_add(length).wrapping_neg(), 0, 8] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend(code);
    elf
}

fn run(address: u64, code: &[u8]) -> Run {
    let boot = Boot::new();
    boot.file("kernel.elf", &kernel(address, code));
    let manifest = boot.file("image.toml", b"boot = { elf = \"kernel.elf\" }\nstage = []\n");
    boot.with(&["--memory", "32M", "--timeout", "10", "--manifest", manifest.to_str().unwrap()]).run()
}

#[test]
fn each_way_to_end_has_its_status_and_words() {
    let success = "[    0.000001] bootmem: success\n";
    // `lidt [0]; ud2` with no table: a triple fault.
    let triple_fault = vec![0x0f, 0x01, 0x1d, 0, 0, 0, 0, 0x0f, 0x0b];
    for (code, status, words) in [
        ([say(success), exit(0x10)].concat(), 0, "success"),
        (exit(0x10), 35, "without its closing word"),
        ([say(success), exit(0x11)].concat(), 35, "a check failed"),
        (exit(0x12), 37, "a stage failed"),
        (triple_fault, 36, "reset or powered off"),
        (vec![0xeb, 0xfe], 124, "still running after 10 s"),
        (exit(0x20), 1, "QEMU died"),
    ] {
        let run = run(0x20_0000, &code).expect(status);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
}

#[test]
fn a_kernel_that_does_not_fit_is_reported_with_grubs_words() {
    let run = run(0x1000_0000, &exit(0x10)).expect(38);
    assert!(run.stdout.contains("COM1: error:"), "{}", run.stdout);
    assert!(run.stdout.contains("COM1: bootmem: GRUB could not load"), "{}", run.stdout);
}

#[test]
fn qemus_own_complaint_is_not_a_verdict_of_the_guest() {
    let run = Boot::new().with(&["--", "-no-such-option"]).run().expect(1);
    assert!(run.stderr.contains("-no-such-option: invalid option"), "{}", run.stderr);
}
