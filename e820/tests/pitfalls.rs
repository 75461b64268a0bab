// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong in kernels, or nearly does when one reads the code: a test for each.

use e820::{
    Error, FRAMES_BELOW_4_GIB, MAX_ARCH_PFN, SetupData, Table, add_kernel_range, apply_parameters, end_of_low_ram_pfn,
    end_of_ram_pfn, finish_early_params, memory_setup, memory_setup_extended, reserve_setup_data, setup_pci_gap,
    trim_bios_range,
};
use handoff::{Lines, MemoryKind, PhysRange, Quiet, RawEntry, Rules};

type Row = (u64, u64, u32);

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn raw(rows: &[Row]) -> Vec<RawEntry> {
    rows.iter().map(|&(addr, size, kind)| RawEntry { addr, size, kind: MemoryKind(kind) }).collect()
}

fn table(rows: &[Row]) -> Table {
    Table::from_entries(raw(rows)).unwrap()
}

fn rows<const N: usize>(table: &Table<N>) -> Vec<Row> {
    table.entries().iter().map(|e| (e.addr, e.size, e.kind.0)).collect()
}

#[test]
fn one_entry_is_not_sanitized() {
    let mut t = table(&[(0, GIB, 1)]);
    assert_eq!(t.sanitize(), Err(Error::TooFewEntries { entries: 1 }));
    assert_eq!(memory_setup::<320, _>(t.entries(), &Quiet), Err(Error::TooFewEntries { entries: 1 }));

    t.clear();
    assert!(apply_parameters(&mut t, "memmap=exactmap memmap=1G@0", &Quiet));
    let lines = Lines::default();
    assert_eq!(finish_early_params(&mut t, &lines), Err(Error::TooFewEntries { entries: 1 }));
    assert_eq!(lines.all(), ["Invalid user supplied memory map"]);
}

#[test]
fn erased_entries_count_towards_two() {
    let mut t = table(&[(0, GIB, 1), (GIB, GIB, 2)]);
    apply_parameters(&mut t, "memmap=1G%1G", &Quiet);
    assert_eq!(rows(&t), [(0, GIB, 1), (0, 0, 0)]);
    assert_eq!(finish_early_params(&mut t, &Quiet), Ok(()));
    assert_eq!(rows(&t), [(0, GIB, 1)]);
}

#[test]
fn one_wrapping_entry_keeps_the_whole_table_from_being_sanitized() {
    let given = [(2 * GIB, GIB, 1), (0, GIB, 1), (GIB, u64::MAX, 2), (GIB, GIB, 1)];
    let mut t = table(&given);
    assert_eq!(t.sanitize(), Err(Error::Wraps { start: GIB, size: u64::MAX }));
    assert_eq!(rows(&t), given);
    assert_eq!(memory_setup::<9, _>(&raw(&given), &Quiet), Err(Error::Wraps { start: GIB, size: u64::MAX }));
}

/// It passes the first check and fails the second, so that the firmware's order is printed and used.
#[test]
fn an_entry_that_ends_with_the_last_address_is_taken_over_unsorted() {
    let given = [(2 * GIB, GIB, 1), (u64::MAX - 0xfff, 0x1000, 2), (0, 0, 1), (0, GIB, 1)];
    let lines = Lines::default();
    let t: Table = memory_setup(&raw(&given), &lines).unwrap();
    assert_eq!(rows(&t), given);
    assert_eq!(
        lines.all(),
        [
            "BIOS-provided physical RAM map:",
            "BIOS-e820: [mem 0x0000000080000000-0x00000000bfffffff] usable",
            "BIOS-e820: [mem 0xfffffffffffff000-0xffffffffffffffff] reserved",
            "BIOS-e820: [mem 0x0000000000000000-0xffffffffffffffff] usable",
            "BIOS-e820: [mem 0x0000000000000000-0x000000003fffffff] usable",
        ]
    );
}

#[test]
fn persistent_memory_is_cut_where_other_entries_start_and_end() {
    let mut t = table(&[(0, 0x2_0000, 12), (0x5000, 0x5000, 1)]);
    t.sanitize().unwrap();
    assert_eq!(rows(&t), [(0, 0x5000, 12), (0x5000, 0x5000, 12), (0xa000, 0x1_6000, 12)]);
}

#[test]
fn types_fight_by_number() {
    for (winner, loser) in [(99, 12), (128, 3), (2, 1), (0xefff_ffff, 128), (1, 0)] {
        let mut t = table(&[(0, 10, winner), (0, 10, loser)]);
        t.sanitize().unwrap();
        assert_eq!(rows(&t).iter().map(|r| r.2).max(), Some(winner));
        assert!(rows(&t).iter().all(|r| r.2 == winner));
    }
}

#[test]
fn an_extension_is_appended_to_a_sanitized_table() {
    let given: Vec<_> = (0..128).map(|i| (i * 2 * MIB, MIB, 1)).collect();
    let mut t: Table = memory_setup(&raw(&given), &Quiet).unwrap();
    let more: Vec<_> =
        (128..192).rev().map(|i| (i * 2 * MIB, MIB, 1)).chain([(MIB, MIB, 1), (9, u64::MAX, 2)]).collect();
    let lines = Lines::default();
    memory_setup_extended(&mut t, raw(&more), &lines).unwrap();
    assert_eq!((t.entries().len(), rows(&t)[0]), (191, (0, 3 * MIB, 1)));
    assert!(lines.all()[0].ends_with("runs past the last address: it is ignored"));
    assert_eq!(
        lines.all()[1..3],
        ["extended physical RAM map:", "extended: [mem 0x0000000000000000-0x00000000002fffff] usable"]
    );
}

#[test]
fn entries_beyond_the_capacity_are_named() {
    let mut t: Table<3> = memory_setup(&raw(&[(0, 1, 1), (2, 1, 1)]), &Quiet).unwrap();
    let lines = Lines::default();
    memory_setup_extended(&mut t, raw(&[(4, 1, 1), (0x600, 0x10, 1)]), &lines).unwrap();
    assert_eq!(rows(&t), [(0, 1, 1), (2, 1, 1), (4, 1, 1)]);
    assert_eq!(lines.all()[0], "too many entries; ignoring [mem 0x00000600-0x0000060f]");
    assert_eq!(memory_setup::<1, _>(t.entries(), &Quiet), Err(Error::TooManyEntries { capacity: 1 }));
}

#[test]
fn memmap_0_takes_all_ram_and_mem_0_none() {
    let given = [(0, GIB, 1), (GIB, GIB, 2)];
    let mut t = table(&given);
    assert!(apply_parameters(&mut t, "mem=0", &Quiet));
    assert_eq!(rows(&t), given);
    assert!(apply_parameters(&mut t, "memmap=0", &Quiet));
    assert_eq!(rows(&t), [(0, 0, 0), (GIB, GIB, 2)]);
}

#[test]
fn a_size_is_cut_at_the_last_address() {
    let mut t = table(&[(0, GIB, 1), (GIB, GIB, 2)]);
    let lines = Lines::default();
    apply_parameters(&mut t, "memmap=0xffffffffffffffff%4K memmap=0%0", &lines);
    assert_eq!(rows(&t), [(0, 4096, 1), (0, 0, 0)]);
    let empty = "e820: remove [mem 0x00000000-0xffffffffffffffff] ";
    assert_eq!(lines.all()[..2], ["e820: remove [mem 0x00001000-0xfffffffffffffffe] ", empty]);
}

/// A boot loader that expands `$` turns `memmap=64M$512M` into `memmap=64M12M`.
#[test]
fn a_lost_dollar_is_pointed_out() {
    let mut t = table(&[(0, GIB, 1), (GIB, GIB, 2)]);
    let lines = Lines::default();
    apply_parameters(&mut t, "memmap=64M12M", &lines);
    assert_eq!(rows(&t)[0], (0, 64 * MIB, 1));
    assert_eq!(
        lines.all()[..2],
        [
            "memmap=64M12M: \"12M\" at the end was ignored; units are K, M, G, T, P and E, without a B",
            "memmap=64M12M takes away all memory above it; for memmap=SIZE$START write \\$ in the boot loader's file",
        ]
    );
}

#[test]
fn a_piece_that_is_refused_makes_no_user_map() {
    let mut t = table(&[(0, GIB, 1)]);
    for (command_line, user_map) in
        [("memmap=x,", false), ("mem=x", true), ("mem=nopentium", false), ("memmap=1%0x", true)]
    {
        assert_eq!(apply_parameters(&mut t, command_line, &Quiet), user_map, "{command_line}");
    }
    assert_eq!(rows(&t), [(0, GIB, 1)]);
}

#[test]
fn partial_frames_do_not_count_at_the_end() {
    let t = table(&[(0, 0x9_fc00, 1), (MIB, MIB + 0x800, 1), (4 * MIB - 0x800, 0x1000, 1)]);
    assert_eq!(t.end_of_ram(MAX_ARCH_PFN, Rules::V6_1), 4 * MIB / 4096);
    // The entry starts in the last frame below the limit.
    assert_eq!(t.end_of_ram(4 * MIB / 4096, Rules::V6_1), 4 * MIB / 4096);
    assert_eq!(t.end_of_ram(4 * MIB / 4096 - 1, Rules::V6_1), 2 * MIB / 4096);
}

#[test]
fn ram_around_4_gib_and_64_tib() {
    for (end, max_pfn, low) in [
        (4 * GIB, 0x10_0000, 0x10_0000),
        (4 * GIB + 0xfff, 0x10_0000, 0x10_0000),
        (4 * GIB + 0x1000, 0x10_0001, FRAMES_BELOW_4_GIB),
        (4 * GIB + 0x1800, 0x10_0001, FRAMES_BELOW_4_GIB),
        (1 << 46, MAX_ARCH_PFN, FRAMES_BELOW_4_GIB),
        (1 << 47, MAX_ARCH_PFN, FRAMES_BELOW_4_GIB),
    ] {
        let t = table(&[(MIB, end - MIB, 1)]);
        let lines = Lines::default();
        assert_eq!(end_of_ram_pfn(&t, MAX_ARCH_PFN, Rules::V6_1, &lines), max_pfn);
        assert_eq!(end_of_low_ram_pfn(&t, max_pfn, MAX_ARCH_PFN, Rules::V6_1, &lines), low);
        let twice = max_pfn > FRAMES_BELOW_4_GIB;
        assert_eq!(lines.all().len(), 1 + usize::from(twice), "the second line only with RAM above 4 GiB");
        assert_eq!(lines.all()[0], format!("last_pfn = {max_pfn:#x} max_arch_pfn = 0x400000000"));
    }
}

#[test]
fn the_bios_keeps_page_0_and_the_hole_below_1_mib() {
    for (given, trimmed) in [
        (
            &[(0, GIB, 1), (GIB, GIB, 2)][..],
            &[(0, 4096, 2), (4096, 0x9_f000, 1), (MIB, GIB - MIB, 1), (GIB, GIB, 2)][..],
        ),
        (&[(0, 4096, 2), (4096, 4096, 1)], &[(0, 4096, 2), (4096, 4096, 1)]),
        (&[(0, 4096, 4), (0xf_0000, 0x1_0000, 3)], &[(0, 4096, 4), (0xf_0000, 0x1_0000, 3)]),
        (&[(0x800, 0x1000, 1), (0x9_fc00, 0x800, 1)], &[(0x800, 0x800, 2), (0x1000, 0x800, 1), (0x9_fc00, 0x400, 1)]),
    ] {
        let mut t = table(given);
        trim_bios_range(&mut t, &Quiet).unwrap();
        assert_eq!(rows(&t), trimmed);
    }
}

/// The next kernel has no `setup_data` of this one.
#[test]
fn the_table_for_kexec_keeps_no_setup_data_since_6_12() {
    let node = |addr, kind, target| SetupData { addr, size: 0x20, kind, target };
    let nodes = [node(0x1000, 3, None), node(0x2000, 9, None), node(0x3000, 1 << 31, Some((0x8000, 0x1000)))];
    let main = [0x1000, 0x2000, 0x3000, 0x8000];
    for (rules, in_kexec, updates) in [(Rules::V6_1, &[0x1000, 0x3000, 0x8000][..], 7), (Rules::V6_12, &[], 4)] {
        let (mut t, mut kexec) = (table(&[(0, GIB, 1), (GIB, GIB, 2)]), table(&[(0, GIB, 1), (GIB, GIB, 2)]));
        let lines = Lines::default();
        reserve_setup_data(&mut t, &mut kexec, &nodes, rules, &lines).unwrap();
        let kept = |t: &Table| rows(t).iter().filter(|r| r.2 == 128).map(|r| r.0).collect::<Vec<_>>();
        assert_eq!((kept(&t), kept(&kexec)), (main.to_vec(), in_kexec.to_vec()));
        assert_eq!(lines.all().iter().filter(|l| l.starts_with("e820: update")).count(), updates);
        assert_eq!(t.ram_bytes(), GIB, "set aside, not lost");
    }
}

#[test]
fn setup_data_outside_ram_changes_nothing() {
    let given = [(0, GIB, 1), (GIB, GIB, 2)];
    let (mut t, mut kexec) = (table(&given), table(&given));
    let nodes = [SetupData { addr: GIB, size: 100, kind: 3, target: Some((4 * GIB, 100)) }];
    reserve_setup_data(&mut t, &mut kexec, &nodes, Rules::V6_1, &Quiet).unwrap();
    assert_eq!((rows(&t), rows(&kexec)), (given.to_vec(), given.to_vec()));

    let lines = Lines::default();
    reserve_setup_data(&mut t, &mut kexec, &[], Rules::V6_1, &lines).unwrap();
    assert!(lines.all().is_empty());
}

#[test]
fn the_kernel_is_ram_whatever_the_map_says() {
    let kernel = PhysRange::new(16 * MIB, 32 * MIB).unwrap();
    let mut t = table(&[(0, 24 * MIB, 1), (24 * MIB, GIB, 2)]);
    let lines = Lines::default();
    add_kernel_range(&mut t, kernel, &lines).unwrap();
    assert_eq!(
        lines.all(),
        [".text .data .bss are not marked as E820_TYPE_RAM!", "e820: remove [mem 0x01000000-0x01ffffff] ",]
    );
    assert!(t.sanitize().is_ok() && t.mapped_all(kernel, Some(MemoryKind::RAM)));

    let lines = Lines::default();
    add_kernel_range(&mut t, kernel, &lines).unwrap();
    assert!(lines.all().is_empty());
}

#[test]
fn a_map_without_a_gap_still_gives_pci_an_address() {
    let t = table(&[(0, 8 * GIB, 1)]);
    let lines = Lines::default();
    let gap = setup_pci_gap(&t, 8 * GIB / 4096, &lines).unwrap();
    assert_eq!((gap.start(), gap.size()), (8 * GIB + MIB, 4 * MIB));
    assert_eq!(
        lines.all(),
        [
            "Cannot find an available gap in the 32-bit address range",
            "PCI devices with unassigned 32-bit BARs may not work!",
            "[mem 0x200100000-0x2004fffff] available for PCI devices",
        ]
    );
}
