// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage on encoded hand-offs and the real memblock.
#![cfg(feature = "serde")]

mod fake;

use crashkernel::Reserve;
use fake::{Fake, GIB, MIB, linux, text};
use handoff::{
    Blocks, CLAIMS, Crash, HostMachine, Ledger, Lines, Machine, Owner, PhysRange, REGIONS, Region, Rules, decode,
    encode_to_vec,
};
use memblock::Store;

fn blocks(fake: &Fake) -> Blocks {
    let mut ledger = Ledger::new();
    ledger.firmware_ram = fake.memory_size;
    for (memory, reserved) in fake.memory.iter().flat_map(|m| fake.reserved.iter().map(move |r| (m, r))) {
        if let Some(range) = PhysRange::new(memory.base.max(reserved.base), memory.end().min(reserved.end())) {
            ledger.claim(Owner::BOOT_IMAGE, range).unwrap();
        }
    }
    Blocks {
        memory: fake.memory.iter().copied().collect(),
        reserved: fake.reserved.iter().copied().collect(),
        memory_size: fake.memory_size,
        reserved_size: fake.reserved.iter().map(|r| r.size).sum(),
        current_limit: fake.memory.last().unwrap().end(),
        ledger,
        ..Blocks::default()
    }
}

fn run(command_line: &str, blocks: &Blocks) -> (Crash, Lines) {
    let mut machine = HostMachine::refusing();
    let output = machine.run::<Reserve<Store>>(command_line, &encode_to_vec(blocks).unwrap()).unwrap();
    (decode(&output).unwrap(), machine.log())
}

#[test]
fn areas_are_reserved_and_claimed() {
    for version in ["linux=5.4", "linux=6.1", "linux=6.12", ""] {
        let (crash, _) = run(&format!("crashkernel=128M,high crashkernel=64M,low {version}"), &blocks(&Fake::pc_16g()));
        assert_eq!(crash.main, PhysRange::from_size(17264 * MIB, 128 * MIB));
        assert_eq!(crash.low, PhysRange::from_size(2992 * MIB, 64 * MIB));
        assert_eq!(crash.blocks.ledger.bytes(Owner::CRASH), 128 * MIB);
        assert_eq!(crash.blocks.ledger.bytes(Owner::CRASH_LOW), 64 * MIB);
        assert_eq!(crash.blocks.ledger.owner_of(17264 * MIB), Some(Owner::CRASH));
        assert_eq!(crash.blocks.reserved.len(), 4);
    }
}

#[test]
fn the_command_line_chooses_the_rules() {
    let said = |version: &str| linux(&run(&format!("crashkernel=128M@5G linux={version}"), &blocks(&Fake::pc_16g())).1);
    assert_eq!(said("5.4")[0], "Reserving 256MB of low memory at 2800MB for crashkernel (System low RAM: 3071MB)");
    assert_eq!(said("6.1")[0], "Reserving 256MB of low memory at 2800MB for crashkernel (low RAM limit: 4096MB)");
    assert_eq!(said("6.12"), ["crashkernel reserved: 0x0000000140000000 - 0x0000000148000000 (128 MB)"]);
}

#[test]
fn a_failure_leaves_everything_as_it_was() {
    for line in ["", "crashkernel=foo", "crashkernel=20G", "crashkernel=64M@3G", "crashkernel=64M,low", "crashkernel=0"]
    {
        for version in ["linux=5.4", "linux=6.1", "linux=6.12"] {
            let expected = blocks(&Fake::pc_16g());
            let (crash, _) = run(&format!("{line} {version}"), &expected);
            assert_eq!((crash.main, crash.low), (None, None), "{line} {version}");
            assert_eq!(crash.blocks, expected, "{line} {version}");
        }
    }
}

#[test]
fn a_full_ledger_takes_the_reservation_back() {
    let mut blocks = blocks(&Fake::pc_16g());
    for i in blocks.ledger.claims().len()..CLAIMS {
        // Alternating owners outside memory: they do not fuse, and they do not count.
        let at = 100 * GIB + 4096 * i as u64;
        blocks.ledger.claim([Owner::BIOS, Owner::LIMIT][i % 2], PhysRange::new(at, at + 4096).unwrap()).unwrap();
        blocks.ledger.firmware_ram += 4096;
    }
    let (crash, log) = run("crashkernel=128M", &blocks);
    assert_eq!((crash.main, &crash.blocks), (None, &blocks));
    assert!(text(&log).ends_with("nothing is reserved: the ledger has no room beyond 256 claims\n"), "{}", text(&log));
}

#[test]
fn memblock_and_the_plain_search_agree() {
    for (version, rules) in [("5.4", Rules::V5_4), ("6.1", Rules::V6_1), ("6.12", Rules::V6_12)] {
        for machine in [Fake::pc_2g(), Fake::pc_16g()] {
            for value in [
                "128M",
                "1700M",
                "3500M",
                "20G",
                "77777K",
                "256M@64M",
                "64M@5G",
                "64M@16M",
                "100M@100M",
                "256M,high",
                "512M,high crashkernel=0,low",
                "512M,high crashkernel=3G,low",
                "512M,high crashkernel=128M,low",
                "1G-4G:64M,4G-:96M@32M",
            ] {
                let line = format!("crashkernel={value} linux={version}");
                let (crash, log) = run(&line, &blocks(&machine));

                let (mut plain, expected) = (machine.clone(), Lines::default());
                let ledger = blocks(&machine).ledger;
                let found = crashkernel::reserve(&line, rules, &mut plain, &ledger, &expected).ok().flatten();
                assert_eq!(crash.main, found.map(|f| f.main), "{line}");
                assert_eq!(crash.low, found.and_then(|f| f.low), "{line}");
                assert_eq!(text(&log), text(&expected), "{line}");
            }
        }
    }
}

#[test]
fn trace_lines_come_where_linux_has_them() {
    let (_, log) = run("memblock=debug crashkernel=128M,high crashkernel=x,low", &blocks(&Fake::pc_16g()));
    let text = text(&log);
    let lines: Vec<_> = text.lines().collect();
    let starts = [
        "memblock_phys_alloc_range: 134217728 bytes align=0x1000000 from=0x0000000001000000 max_addr=0x0000400000000000",
        "memblock_reserve: [0x0000000437000000-0x000000043effffff]",
        "crashkernel: memory value expected", // `,low` is read now
        "  crashkernel=x,low",
        "              ^",
        "crashkernel: a size is expected here",
        "crashkernel: the default is taken instead",
        "memblock_phys_alloc_range: 268435456 bytes align=0x1000000 from=0x0000000000000000 max_addr=0x0000000100000000",
        "memblock_reserve: [0x00000000af000000-0x00000000beffffff]",
        "Reserving 256MB of low memory at 2800MB",
        "Reserving 128MB of memory at 17264MB",
    ];
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn reserved_arrays_that_fill_up() {
    for taken in REGIONS - 4..=REGIONS {
        let mut machine = Fake::pc_16g();
        let apart = (machine.reserved.len()..taken).map(|i| Region::new((1 + 2 * i as u64) * MIB, MIB));
        machine.reserved.extend(apart);
        machine.reserved.sort_by_key(|r| r.base);

        let before = blocks(&machine);
        let (crash, log) = run("crashkernel=128M,high", &before);
        let text = text(&log);
        match REGIONS - taken {
            0 => assert!(
                crash.main.is_none() && crash.blocks == before && text.contains("no entry left to note it"),
                "{text}"
            ),
            1 => {
                assert!(crash.main.is_none() && text.contains("stays reserved without use"), "{text}");
                assert_eq!(crash.blocks.ledger.bytes(Owner::CRASH), 128 * MIB);
            }
            _ => assert!(crash.main.is_some() && crash.low.is_some(), "{taken}: {text}"),
        }
    }
}
