// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots of real kernels, driven step by step as Linux's `setup_arch` does it: every line of the log must be equal.

mod capture;

use capture::{Capture, assert_same_lines, compared, fixtures};
use e820::{
    Table, apply_parameters, end_of_low_ram_pfn, end_of_ram_pfn, finish_early_params, memory_setup,
    memory_setup_extended, print_nosave, print_ram_buffers, reserve_setup_data, setup_pci_gap, trim_bios_range,
    trim_uncached,
};
use handoff::{Lines, Log as _, MemoryKind, Quiet, RawEntry};
use std::{env, fs, path::Path};

fn boot(c: &Capture) -> Vec<String> {
    let lines = Lines::default();
    let log = &lines;
    let max_arch_pfn = c.max_arch_pfn();

    let mut table: Table = memory_setup(&c.raw, log).unwrap();
    if !c.extended.is_empty() {
        memory_setup_extended(&mut table, c.extended.iter().copied(), log).unwrap();
    }
    let mut kexec = table.clone();
    let user_map = apply_parameters(&mut table, &c.command_line, log);
    reserve_setup_data(&mut table, &mut kexec, &c.setup_data, c.rules, log).unwrap();
    if user_map {
        finish_early_params(&mut table, log).unwrap();
    }
    trim_bios_range(&mut table, log).unwrap();

    let mut max_pfn = end_of_ram_pfn(&table, max_arch_pfn, c.rules, log);
    if !c.write_back.is_empty() && trim_uncached(&mut table, &c.write_back, max_pfn, log).unwrap() > 0 {
        max_pfn = end_of_ram_pfn(&table, max_arch_pfn, c.rules, log);
    }
    end_of_low_ram_pfn(&table, max_pfn, max_arch_pfn, c.rules, log);

    for e in table.entries() {
        let function = match e.kind {
            MemoryKind::RAM | MemoryKind::RESERVED_KERN => "memblock_add",
            MemoryKind::SOFT_RESERVED => "memblock_reserve",
            _ => continue,
        };
        let last = e.addr + e.size - 1;
        lines.info(format!("{function}: [{:#018x}-{last:#018x}] e820__memblock_setup", e.addr).as_str());
    }
    print_nosave(&table, max_pfn, log);
    setup_pci_gap(&table, max_pfn, log);
    print_ram_buffers(&table, log);
    compared(log)
}

#[test]
fn every_line_is_equal() {
    for c in fixtures() {
        assert_same_lines(&c.name, &boot(&c), &c.log);
    }
}

/// The whole collection, where there is one: `BOOTMEM_ORACLE=folder cargo test -p bootmem-e820 --test linux`.
#[test]
fn every_line_of_the_collection_is_equal() {
    let Ok(folder) = env::var("BOOTMEM_ORACLE") else { return };
    // What `boot_params.bin` only points to is in the fixtures.
    let with_more = fixtures().into_iter().filter(|c| !c.setup_data.is_empty() || !c.write_back.is_empty());
    let with_more: Vec<_> = with_more.map(|c| c.name).collect();
    let mut boots = 0;

    for folder in fs::read_dir(Path::new(&folder).join("captures")).unwrap() {
        let c = Capture::from_folder(&folder.unwrap().path());
        if !with_more.contains(&c.name) {
            assert_same_lines(&c.name, &boot(&c), &c.log);
            boots += 1;
        }
    }
    assert!(boots > 100, "{boots} boots");
    println!("{boots} boots, and {} among the fixtures", with_more.len());
}

/// The map of a PC with 16 GiB, as it is often printed.
#[test]
fn usable_memory_of_16_gib() {
    let raw = [
        (0, 0x9_fc00, 1),
        (0x9_fc00, 0x400, 2),
        (0xf_0000, 0x1_0000, 2),
        (0x10_0000, 0xbfed_a000, 1),
        (0xbffd_a000, 0x2_6000, 2),
        (0xfeff_c000, 0x4000, 2),
        (0xfffc_0000, 0x4_0000, 2),
        (0x1_0000_0000, 0x3_4000_0000, 1),
    ];
    let raw = raw.map(|(addr, size, kind)| RawEntry { addr, size, kind: MemoryKind(kind) });
    let table: Table = memory_setup(&raw, &Quiet).unwrap();
    let usable: Vec<_> = table.ram().map(|r| (r.start(), r.end() - 1)).collect();
    assert_eq!(usable, [(0, 0x9_fbff), (0x10_0000, 0xbffd_9fff), (0x1_0000_0000, 0x4_3fff_ffff)]);
}
