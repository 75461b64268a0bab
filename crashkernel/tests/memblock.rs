// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage on the real memblock.
#![cfg(feature = "serde")]

mod fake;

use crashkernel::Reserve;
use fake::{Fake, Lines, MIB};
use handoff::{
    Blocks, Crash, EXCHANGE_BYTES, GrantError, Ledger, Machine, Owner, Page, PhysRange, REGIONS, Region, Rules, decode,
    encode, run_encoded,
};
use memblock::Store;

struct Host(Lines);

impl Machine for Host {
    type Log = Lines;

    fn log(&self) -> Lines {
        self.0.clone()
    }

    fn descriptors(&mut self, ranges: &[PhysRange]) -> Result<&mut [Page], GrantError> {
        unreachable!("crashkernel asks for no descriptors: {ranges:?}")
    }
}

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
    let (mut input, mut output) = (vec![0; EXCHANGE_BYTES], vec![0; EXCHANGE_BYTES]);
    let mut host = Host(Lines::default());
    let used = encode(blocks, &mut input).unwrap();
    let used = run_encoded::<Reserve<Store>, _>(command_line, &input[..used], &mut output, &mut host).unwrap();
    (decode(&output[..used]).unwrap(), host.0)
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
                assert_eq!(log.text(), expected.text(), "{line}");
            }
        }
    }
}

#[test]
fn trace_lines_are_memblocks() {
    let (_, log) = run("crashkernel=128M memblock=debug", &blocks(&Fake::pc_2g()));
    let text = log.text();
    let search = "memblock_phys_alloc_range: 134217728 bytes align=0x1000000 from=0x0000000001000000 max_addr=0x0000000100000000";
    assert!(text.starts_with(search), "{text}");
    assert!(text.contains("memblock_reserve: [0x0000000077000000-0x000000007effffff]"), "{text}");
    assert!(text.ends_with("Reserving 128MB of memory at 1904MB for crashkernel (System RAM: 2047MB)\n"), "{text}");
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
        let text = log.text();
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
