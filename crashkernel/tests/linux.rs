// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real boots of Linux 6.1 and 6.12: every search asked for, every answer and every line must be equal.
//!
//! `fixtures/boots.txt` holds, for each boot, the command line, memory and reservations at the moment of the decision
//! (`base+size/node#flags` in hex), what Linux searched for (`ask size align min max result`), what it said, and what
//! it had in the end.

mod fake;

use fake::{Fake, linux};
use handoff::{Bounds, Ledger, Lines, Nid, Region, RegionFlags, Rules};

const BOOTS: &str = include_str!("fixtures/boots.txt");

#[derive(Default)]
struct Boot<'a> {
    name: &'a str,
    rules: Rules,
    command_line: &'a str,
    memory_size: u64,
    mirror: bool,
    movable_node: bool,
    memory: Vec<Region>,
    reserved: Vec<Region>,
    asked: Vec<(Bounds, Option<u64>)>,
    said: Vec<&'a str>,
    main: Option<(u64, u64)>,
    low: Option<(u64, u64)>,
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn span(text: &str) -> (u64, u64) {
    let (base, size) = text.split_once('+').unwrap();
    (hex(base), hex(size))
}

fn region(text: &str) -> Region {
    let (text, flags) = text.split_once('#').unwrap_or((text, "0"));
    let (text, nid) = text.split_once('/').unwrap_or((text, "1024"));
    let (base, size) = span(text);
    Region { base, size, nid: Nid(nid.parse().unwrap()), flags: RegionFlags(flags.parse().unwrap()) }
}

fn ask(text: &str) -> (Bounds, Option<u64>) {
    let words: Vec<_> = text.split(' ').collect();
    let [size, align, min, max] = [0, 1, 2, 3].map(|i| hex(words[i]));
    (Bounds { size, align, min, max, nid: Nid::NONE }, (words[4] != "-").then(|| hex(words[4])))
}

fn boot(text: &str) -> Boot<'_> {
    let mut boot = Boot::default();
    for line in text.lines() {
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "boot" => {
                let (name, version) = rest.split_once(' ').unwrap();
                boot.name = name;
                boot.rules = if version == "6.12" { Rules::V6_12 } else { Rules::V6_1 };
            }
            "line" => boot.command_line = rest,
            "size" => {
                boot.memory_size = hex(rest.split(' ').next().unwrap());
                boot.mirror = rest.contains("mirror");
                boot.movable_node = rest.contains("movable_node");
            }
            "memory" => boot.memory = rest.split(' ').map(region).collect(),
            "reserved" => boot.reserved = rest.split(' ').map(region).collect(),
            "ask" => boot.asked.push(ask(rest)),
            "say" => boot.said.push(rest),
            "main" => boot.main = Some(span(rest)),
            "low" => boot.low = Some(span(rest)),
            other => panic!("{other}?"),
        }
    }
    boot
}

#[test]
fn every_boot() {
    let mut seen = 0;
    for boot in BOOTS.trim_end().split("\n\n").map(boot) {
        let mut memory = Fake::from_regions(boot.memory, boot.reserved);
        memory.memory_size = boot.memory_size;
        memory.mirror = boot.mirror;
        if boot.movable_node {
            memory.skip = memory.skip.with(RegionFlags::HOTPLUG);
        }

        let log = Lines::default();
        let reserved = crashkernel::reserve(boot.command_line, boot.rules, &mut memory, &Ledger::new(), &log);
        let reservation = reserved.ok().flatten();
        let main = reservation.map(|r| (r.main.start(), r.main.size()));
        let low = reservation.and_then(|r| r.low).map(|r| (r.start(), r.size()));

        assert_eq!(memory.asked, boot.asked, "{}: searches", boot.name);
        assert_eq!(linux(&log), boot.said, "{}: lines", boot.name);
        assert_eq!((main, low), (boot.main, boot.low), "{}: areas", boot.name);
        seen += 1;
    }
    assert_eq!(seen, 112);
}
