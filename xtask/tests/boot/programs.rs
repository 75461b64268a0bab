// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stage programs that nobody should have built: boot says what is wrong with the file.

use crate::machine::{Boot, image_toml};

const R: u32 = 4;
const RX: u32 = 5;
const RW: u32 = 6;
const RWX: u32 = 7;
const BASE: u64 = 0x4000_0000;
const CODE: u64 = 64 + 3 * 56;

/// A segment: flags, address, offset and bytes in the file, bytes in memory.
type Segment = (u32, u64, u64, u64, u64);

/// Returns an ELF for x86-64 with up to three segments, followed by `ud2`.
fn program(entry: u64, segments: &[Segment]) -> Vec<u8> {
    let mut elf = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0");
    for field in [entry, 64, 0] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, segments.len() as u8, 0, 64, 0, 0, 0, 0, 0]);
    for (flags, address, offset, file, memory) in segments {
        elf.extend(1_u32.to_le_bytes());
        elf.extend(flags.to_le_bytes());
        for field in [*offset, *address, *address, *file, *memory, 1] {
            elf.extend(field.to_le_bytes());
        }
    }
    elf.resize(CODE as usize, 0);
    elf.extend([0x0f, 0x0b]);
    elf
}

fn says(elf: &[u8], words: &str) {
    let boot = Boot::new();
    boot.file("mine.elf", elf);
    let theirs = image_toml().replace("package = \"bootmem-stages\"\nbin = \"e820\"", "elf = \"mine.elf\"");
    let manifest = boot.file("image.toml", theirs.as_bytes());
    let run = boot.with(&["--memory", "512M", "--manifest", manifest.to_str().unwrap()]).run().expect(37);
    run.expect_words(&["boot: stage e820 failed: ", words]);
    run.expect_words(&["boot: own code and constants unchanged"]);
}

#[test]
fn files_that_are_no_programs_are_refused() {
    let code = (RX, BASE, CODE, 2, 2);
    says(&program(BASE, &[(RWX, BASE, CODE, 2, 2)]), "both writable and executable");
    says(&program(0x8000_0000_0000, &[code]), "the entry point is not in its code");
    says(&program(BASE, &[code, (RW, BASE + 8, 0, 0, 8)]), "0x40000000 is mapped already");
}

#[test]
#[ignore = "--full"]
fn more_files_that_are_no_programs_are_refused() {
    let code = (RX, BASE, CODE, 2, 2);
    says(&program(BASE, &[]), "the entry point is not in its code");
    says(&program(BASE, &[(RX, BASE, CODE, 2, 0)]), "the entry point is not in its code");
    says(&program(BASE, &[(RW, BASE, CODE, 2, 2)]), "the entry point is not in its code");
    says(&program(BASE + 2, &[code]), "the entry point is not in its code");
    says(&program(0x10_0000, &[(RX, 0x10_0000, CODE, 2, 2)]), "outside the place of a program");
    says(&program(BASE, &[code, (RW, 0x5000_0000 - 8, 0, 0, 16)]), "outside the place of a program");
    says(&program(BASE, &[code, (RW, u64::MAX - 8, 0, 0, 16)]), "outside the place of a program");
    says(&program(BASE, &[code, (RW, BASE + 0x1000, 0, 0, 128 << 20)]), "the boot pool is too small");
    says(&program(BASE, &[code, (R, BASE + 0x1000, 0, CODE, 0x10)]), "larger in the file than in memory");
    says(&program(BASE, &[code]), "invalid-instruction");
}
