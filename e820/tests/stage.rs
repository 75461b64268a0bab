// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage as boot runs it: encoded bytes in, encoded bytes out, lines in the log.
#![cfg(feature = "serde")]

mod capture;
mod machine;

use capture::{assert_same_lines, compared, fixtures};
use e820::Error;
use expect_test::expect;
use handoff::{Account, MemoryKind, MemoryMap, Owner, RawEntry, RunError};
use machine::{assert_balanced, run};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// A small PC, with page 0 and the memory between 640 KiB and 1 MiB called usable.
const PC: &[(u64, u64, u32)] = &[(0, 3 * GIB, 1), (3 * GIB, GIB, 2), (4 * GIB, GIB, 1)];

fn raw(rows: &[(u64, u64, u32)]) -> Vec<RawEntry> {
    rows.iter().map(|&(addr, size, kind)| RawEntry { addr, size, kind: MemoryKind(kind) }).collect()
}

fn boot(rows: &[(u64, u64, u32)], command_line: &str) -> (MemoryMap, Vec<String>) {
    let (map, lines) = run(&raw(rows), command_line);
    let map = map.unwrap();
    assert_balanced(&map);
    (map, lines.all())
}

fn rows(map: &MemoryMap) -> Vec<(u64, u64, u32)> {
    map.map.iter().map(|e| (e.range.start(), e.range.size(), e.kind.0)).collect()
}

const TRIMMED: &[(u64, u64, u32)] =
    &[(0, 4096, 2), (4096, 0xa_0000 - 4096, 1), (MIB, 3 * GIB - MIB, 1), (3 * GIB, GIB, 2), (4 * GIB, GIB, 1)];

#[test]
fn recorded_boots() {
    let mut boots = 0;
    for c in fixtures() {
        let plain = c.extended.is_empty() && c.setup_data.is_empty() && c.write_back.is_empty();
        if !plain || c.max_arch_pfn() != e820::MAX_ARCH_PFN {
            continue;
        }
        let version = if c.rules == handoff::Rules::V6_12 { "6.12" } else { "6.1" };
        let (map, lines) = run(&c.raw, &format!("{} linux={version}", c.command_line));
        let map = map.unwrap();
        assert_balanced(&map);

        let others = ["PM: ", "memblock_", "e820: reserve"];
        let linux: Vec<_> = c.log.iter().filter(|l| !others.iter().any(|o| l.starts_with(o))).cloned().collect();
        assert_same_lines(&c.name, &compared(&lines), &linux);
        let last_pfn: Vec<_> = linux.iter().filter_map(|l| l.strip_prefix("last_pfn = ")?.split(' ').next()).collect();
        assert_eq!(last_pfn[0], format!("{:#x}", map.max_pfn), "{}", c.name);
        assert_eq!(last_pfn[last_pfn.len() - 1], format!("{:#x}", map.low_max_pfn), "{}", c.name);
        boots += 1;
    }
    assert!(boots >= 30);
}

#[test]
fn the_log_of_a_boot() {
    let (_, lines) = boot(PC, "quiet mem=512MB memmap=64K$16M,1M@0 memmap=auto");
    expect![[r#"
        BIOS-provided physical RAM map:
        BIOS-e820: [mem 0x0000000000000000-0x00000000bfffffff] usable
        BIOS-e820: [mem 0x00000000c0000000-0x00000000ffffffff] reserved
        BIOS-e820: [mem 0x0000000100000000-0x000000013fffffff] usable
        mem=512MB: "B" at the end was ignored; units are K, M, G, T, P and E, without a B
        e820: remove [mem 0x20000000-0xfffffffffffffffe] usable
        memmap=auto was ignored: it does not start with a size; write memmap=SIZE$START, say
        user-defined physical RAM map:
        user: [mem 0x0000000000000000-0x0000000000ffffff] usable
        user: [mem 0x0000000001000000-0x000000000100ffff] reserved
        user: [mem 0x0000000001010000-0x000000001fffffff] usable
        user: [mem 0x00000000c0000000-0x00000000ffffffff] reserved
        e820: update [mem 0x00000000-0x00000fff] usable ==> reserved
        e820: remove [mem 0x000a0000-0x000fffff] usable
        last_pfn = 0x20000 max_arch_pfn = 0x400000000
        [mem 0x20000000-0xbfffffff] available for PCI devices"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn bios_and_limit_are_claimed() {
    let (map, lines) = boot(PC, "mem=2G memmap=1G@8G");
    let l = &map.ledger;
    assert_eq!((l.firmware_ram, l.added), (4 * GIB, GIB));
    assert_eq!((l.bytes(Owner::BIOS), l.bytes(Owner::LIMIT)), (4096 + 0x6_0000, 2 * GIB));
    assert_eq!((map.max_pfn, map.low_max_pfn), (9 * GIB / 4096, 2 * GIB / 4096));
    assert_eq!(l.owner_of(0xa_0000), Some(Owner::BIOS));
    assert_eq!(l.owner_of(4 * GIB), Some(Owner::LIMIT));
    assert!(lines.iter().any(|l| l == "user-defined physical RAM map:"));
}

#[test]
fn parameters_that_leave_nothing_are_undone() {
    for command_line in ["mem=1M", "memmap=0", "memmap=exactmap", "memmap=exactmap memmap=640K@0 memmap=64K@768K"] {
        let (map, lines) = boot(PC, command_line);
        assert_eq!(rows(&map), TRIMMED, "{command_line}");
        assert_eq!((map.ledger.bytes(Owner::LIMIT), map.ledger.added), (0, 0));
        assert!(lines.iter().any(|l| l.starts_with("mem= and memmap= are undone")), "{command_line}: {lines:#?}");
    }
}

/// Linux panics.
#[test]
fn a_user_map_of_one_entry_is_undone() {
    let (map, lines) = boot(PC, "memmap=exactmap memmap=1G@0");
    assert_eq!(rows(&map), TRIMMED);
    let at = lines.iter().position(|l| l == "Invalid user supplied memory map").unwrap();
    assert_eq!(
        lines[at + 1],
        "mem= and memmap= are undone, the firmware's map is used: a map needs 2 entries, this one has 1"
    );
    // A second entry makes it good.
    let (map, _) = boot(PC, "memmap=exactmap memmap=512M@0,512M@512M");
    assert_eq!(map.ledger.bytes(Owner::LIMIT), 3 * GIB);
}

/// Linux panics.
#[test]
fn a_user_map_that_wraps_is_undone() {
    let (map, lines) = boot(PC, "memmap=1M$0xfffffffffff00000");
    assert_eq!(rows(&map), TRIMMED);
    assert!(lines.iter().any(|l| l.ends_with("0x100000 bytes at 0xfffffffffff00000 run past the last address")));
}

/// Linux asks older BIOS calls.
#[test]
fn a_firmware_entry_that_wraps_is_dropped_alone() {
    let mut given = PC.to_vec();
    given.push((5 * GIB, u64::MAX, 5));
    let (map, lines) = boot(&given, "");
    assert_eq!(rows(&map), TRIMMED);
    assert_eq!(
        lines[0],
        "firmware entry of 0xffffffffffffffff bytes at 0x140000000 (unusable) runs past the last address: it is ignored"
    );
}

/// Linux prints and uses the unsorted table.
#[test]
fn a_firmware_entry_that_ends_with_the_last_address_loses_a_byte() {
    let mut given = vec![(u64::MAX - 4095, 4096, 2)];
    given.extend(PC);
    let (map, lines) = boot(&given, "");
    assert_eq!(rows(&map).last(), Some(&(u64::MAX - 4095, 4095, 2)));
    assert_eq!(rows(&map)[..5], *TRIMMED);
    assert!(lines[0].ends_with("ends at the last address: its last byte is left out"));
}

#[test]
fn empty_firmware_entries_vanish() {
    let (map, _) = boot(&[(GIB, 0, 5), (0, 0, 0), (0, 3 * GIB, 1), (3 * GIB, GIB, 2), (4 * GIB, GIB, 1)], "");
    assert_eq!(rows(&map), TRIMMED);
}

#[test]
fn one_firmware_entry_is_enough() {
    let (map, lines) = boot(&[(0, GIB, 1)], "");
    assert_eq!(map.max_pfn, GIB / 4096);
    assert_eq!(lines[0], "the firmware's map has a single entry, which is used as it is");
    let (map, _) = boot(&[(MIB, GIB, 1)], "");
    assert_eq!(rows(&map), [(MIB, GIB, 1)]);
}

#[test]
fn no_memory_is_an_error() {
    let cases: &[&[(u64, u64, u32)]] = &[
        &[],
        &[(0, 0, 1)],
        &[(0, GIB, 2), (GIB, GIB, 3)],
        &[(0, 4096, 1), (0xa_0000, 0x6_0000, 1)],
        &[(0xa_0000, 4096, 1)],
        &[(MIB, 4095, 1)],
        &[(64 * TIB, TIB, 1)],
        &[(5, u64::MAX, 1)],
    ];
    for given in cases {
        for command_line in ["", "mem=1M", "linux=6.12"] {
            let (result, _) = run(&raw(given), command_line);
            assert_eq!(result, Err(RunError::Stage(Error::NoRam { entries: given.len() })), "{given:?}");
        }
    }
}

#[test]
fn memory_above_64_tib_is_accounted_for() {
    let (map, lines) = boot(&[(0, GIB, 1), (63 * TIB, 4 * TIB, 1), (1 << 52, GIB, 128)], "");
    assert_eq!((map.max_pfn, map.low_max_pfn), (1 << 34, GIB / 4096));
    assert_eq!(map.ledger.bytes(Owner::UNREACHABLE), 3 * TIB + GIB);
    let end = [(63 * TIB, TIB, 1), (64 * TIB, 3 * TIB, 2), (1 << 52, GIB, 2)];
    assert_eq!(rows(&map)[rows(&map).len() - 3..], end);
    assert!(
        lines.iter().any(|l| l.starts_with("0x30040000000 bytes of RAM above 64 TiB cannot be used")),
        "{lines:#?}"
    );
}

#[test]
fn unknown_rules_are_said() {
    let (_, lines) = boot(PC, "linux=7.0");
    assert_eq!(lines[0], "linux=7.0 is not known, linux=6.1 is used; write linux=5.4, linux=6.1 or linux=6.12");
    let given = [(0, GIB, 1), (GIB, GIB, 3)];
    assert_eq!(boot(&given, "").0.max_pfn, GIB / 4096);
    assert_eq!(boot(&given, "linux=6.12").0.max_pfn, 2 * GIB / 4096);
}

#[test]
fn too_many_pieces_are_undone() {
    let list = |n: u64| (0..n).map(|i| format!("4K${}M", 16 + i)).collect::<Vec<_>>().join(",");
    let (map, _) = boot(PC, &format!("memmap={}", list(100)));
    assert_eq!(map.ledger.bytes(Owner::LIMIT), 100 * 4096);
    let (map, lines) = boot(PC, &format!("memmap={}", list(150)));
    assert_eq!(rows(&map), TRIMMED);
    assert!(lines.iter().any(|l| l.ends_with("they take memory away in 150 pieces, more than 128")), "{lines:#?}");
    let (map, lines) = boot(PC, &format!("memmap={}", list(400)));
    assert_eq!(rows(&map), TRIMMED);
    assert!(lines.iter().any(|l| l.starts_with("too many entries; ignoring [mem ")));
}

#[test]
fn parameters_apply_in_order_after_the_firmware_map() {
    let (map, _) = boot(PC, "mem=2G memmap=1G@2G");
    assert_eq!(map.max_pfn, 3 * GIB / 4096);
    let (map, _) = boot(PC, "memmap=1G@2G mem=2G");
    assert_eq!(map.max_pfn, 2 * GIB / 4096);
}

#[test]
fn page_0_may_be_reserved_already() {
    let (map, _) = boot(&[(0, 4096, 2), (4096, 0x9_f000, 1), (MIB, GIB, 1)], "");
    assert_eq!(map.ledger.total(Account::Lost), 0x0);
    assert_eq!(map.ledger.owner_of(0), None);
}
