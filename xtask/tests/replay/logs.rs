// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs as people have them: kept by other tools, of a machine in daily use, broken or none at all.

use crate::{captures, fixture, fixtures, lines_of, one, with_log};
use proptest::prelude::*;
use xtask::{Capture, Fact, Report, Verdict, replay};

fn log_alone(name: &str) -> Capture {
    Capture::from_log(name, fixture(name).dmesg)
}

fn text_of(line: &str) -> &str {
    line.split_once("] ").map_or(line, |(_, text)| text)
}

/// Who keeps a log, and what he makes of a line.
type Way = (&'static str, fn(&str) -> String);

#[test]
fn kept_in_any_way() {
    let original = log_alone("numa2-4g-c612");
    let expected = one(&original);
    let ways: [Way; 9] = [
        ("dmesg -t", |text| text.into()),
        ("a serial console", |text| format!("\r[    0.000000] {text}\r")),
        ("caller ids", |text| format!("[    0.000000][    T0] {text}")),
        ("dmesg -T", |text| format!("[Fri Nov 22 13:21:07 2024] {text}")),
        ("dmesg -x", |text| format!("kern  :info  : [    0.000000] {text}")),
        ("dmesg -r", |text| format!("<6>[    0.000000] {text}")),
        ("/dev/kmsg", |text| format!("6,17,0,-;{text}")),
        ("journalctl -k", |text| format!("Nov 22 13:21:07 host kernel: {text}")),
        ("journalctl -k -o short-iso", |text| format!("2024-11-22T13:21:07+0000 host kernel: [    0.000000] {text}")),
    ];
    for (way, kept) in ways {
        let lines: Vec<_> = lines_of(&original).iter().map(|line| kept(text_of(line))).collect();
        let report = one(&with_log(&original, &lines));
        assert_eq!(report.verdict(), Verdict::Equal, "{way}: {report}");
        for fact in [Fact::MapLines, Fact::Allocations, Fact::DumpLines, Fact::Pairs, Fact::ZoneLines] {
            assert_eq!(report.count(fact), expected.count(fact), "{way}: {fact:?}");
        }
    }
}

/// Drops what only `memblock=debug` makes a kernel say.
fn of_daily_use(capture: &Capture) -> Capture {
    let starts = ["memblock", "MEMBLOCK", " memory", " reserved", "Could not allocate"];
    let kept = lines_of(capture).into_iter().filter(|l| !starts.iter().any(|s| text_of(l).starts_with(s)));
    let lines: Vec<_> = kept.map(|line| line.replace(" memblock=debug", "")).collect();
    with_log(&Capture::from_log(capture.name.clone(), ""), &lines)
}

#[test]
fn without_memblock_debug_the_rest_is_compared() {
    for capture in captures(&fixtures()) {
        let report = one(&of_daily_use(&capture));
        assert_eq!(report.verdict(), Verdict::Equal, "{report}");
        assert!(report.count(Fact::MapLines) >= 9 && report.count(Fact::ZoneLines) >= 9, "{report}");
        assert!(report.count(Fact::CrashDecisions) >= 1 && report.count(Fact::Totals) == 1, "{report}");
        assert!(report.to_string().contains("add it (and log_buf_len=4M) to its command line"), "{report}");
    }
}

#[test]
fn without_memblock_debug_a_change_is_noticed() {
    let daily = of_daily_use(&fixture("crash-high-low"));
    for (from, to) in [
        ("last_pfn = 0x240000", "last_pfn = 0x240001"),
        ("Reserving 512MB of memory at", "Reserving 513MB of memory at"),
        ("MB for crashkernel (System RAM: 8191MB)", "MB for crashkernel (System RAM: 8192MB)"),
        ("On node 0, zone DMA: 97", "On node 0, zone DMA: 96"),
        ("K/8388088K available", "K/8388084K available"),
    ] {
        let lines: Vec<_> = lines_of(&daily).iter().map(|line| line.replace(from, to)).collect();
        assert_ne!(lines, lines_of(&daily), "{from}");
        assert_eq!(one(&with_log(&daily, &lines)).verdict(), Verdict::Different, "{from}");
    }
}

fn why(report: &Report) -> &str {
    assert_eq!(report.verdict(), Verdict::Unusable, "{report}");
    report.unusable().unwrap()
}

#[test]
fn what_is_no_log_of_a_pc_is_named() {
    for (file, words) in [
        (&b""[..], "empty"),
        (b" \n\n", "empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "not text"),
        (b"Dear all,\nplease find attached\n", "no line of a kernel's log about memory"),
        (b"[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd083]\n[    0.000000] Linux version 6.1.0\n[    0.000000] Machine model: Raspberry Pi 4\n", "only x86"),
        (b"[    0.000000] Linux version 6.1.0\n[    0.000000] Command line: quiet\n[    0.000000] Zone ranges:\n", "no memory map"),
        (b"[  812.000000] e820: reserve RAM buffer [mem 0x0009fc00-0x0009ffff]\n", "beginning is missing"),
    ] {
        let report = one(&Capture::from_log("x", file));
        assert!(why(&report).contains(words), "{report}");
    }
}

#[test]
fn a_log_that_shows_too_little_is_not_equal() {
    let capture = log_alone("pc-2g-plain");
    let without = |dropped: fn(&str) -> bool| {
        let lines: Vec<_> = lines_of(&capture).into_iter().filter(|line| !dropped(text_of(line))).collect();
        one(&with_log(&capture, &lines))
    };
    let filtered: [fn(&str) -> bool; 3] = [
        |text| text.starts_with("memblock_"),
        |text| text.starts_with("MEMBLOCK") || text.starts_with(" memory") || text.starts_with(" reserved"),
        |text| text.starts_with("memblock_") || text.starts_with("SLUB") || text.starts_with("Memory:"),
    ];
    for dropped in filtered {
        let report = without(dropped);
        assert_eq!(report.verdict(), Verdict::Unusable, "{report}");
    }
    let some = without(|text| text.starts_with("memblock_alloc") || text.contains("memblock_alloc_range_nid"));
    assert_eq!(some.verdict(), Verdict::Different, "{some}");
}

/// Cut off anywhere: in the middle of a line too.
#[test]
fn a_log_that_is_cut_off_is_not_equal() {
    let capture = log_alone("pc-128m");
    let text = String::from_utf8(capture.dmesg.clone()).unwrap();
    let end = text.find("SLUB: HWalign").unwrap();
    for cut in (0..end).step_by(409) {
        let reports = replay(&Capture::from_log("cut", text[..cut].to_owned()));
        assert!(reports.iter().all(|r| r.verdict() == Verdict::Unusable), "cut after {cut} bytes: {}", reports[0]);
    }
    // Newer kernels sum memory up late, and tell of their buffers even later.
    let capture = log_alone("numa2-4g-c612");
    let lines = lines_of(&capture);
    let at = |start| lines.iter().position(|line| text_of(line).starts_with(start)).unwrap();
    for cut in [at("SLUB: HWalign") + 1, at("Memory: "), at("e820: reserve RAM buffer") + 1] {
        let report = one(&with_log(&capture, &lines[..cut]));
        assert!(why(&report).contains("cut off"), "cut after {cut} lines: {report}");
    }
    // The first lines are lost when the kernel's buffer is too small.
    let later = text.find("MEMBLOCK").unwrap();
    assert_eq!(one(&Capture::from_log("late", text[later..].to_owned())).verdict(), Verdict::Unusable);
}

/// A kernel that stops says so; up to there its log counts.
#[test]
fn a_panic_ends_a_log_as_well() {
    let log = "Linux version 6.1.0\nCommand line: memblock=debug memmap=exactmap memmap=1G@0\n\
               BIOS-provided physical RAM map:\n\
               BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n\
               BIOS-e820: [mem 0x0000000000100000-0x000000007ffdffff] usable\n\
               Kernel panic - not syncing: Invalid user supplied memory map\n";
    let report = one(&Capture::from_log("panic", log));
    assert_eq!(report.verdict(), Verdict::Equal, "{report}");
    assert_eq!(report.count(Fact::MapLines), 4);
    let report = one(&Capture::from_log("no panic", log.replace("exactmap memmap=1G@0", "exactmap")));
    assert_eq!(report.verdict(), Verdict::Equal, "an empty map cannot be used either: {report}");
    let report = one(&Capture::from_log("no reason to", log.replace("memmap=1G@0", "memmap=1G@0 memmap=1K$0")));
    assert_eq!(report.verdict(), Verdict::Different, "{report}");
}

/// A notebook: UEFI, memory of devices taken out of the map, and pages set aside when the map is in use already.
#[test]
fn a_machine_in_daily_use() {
    let log = "\
Linux version 6.11.0-19-generic (x)
Command line: quiet splash
BIOS-provided physical RAM map:
BIOS-e820: [mem 0x0000000000000000-0x000000000009efff] usable
BIOS-e820: [mem 0x000000000009f000-0x00000000000fffff] reserved
BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable
BIOS-e820: [mem 0x0000000040000000-0x0000000040ffffff] reserved
BIOS-e820: [mem 0x0000000041000000-0x0000000041ffffff] ACPI NVS
BIOS-e820: [mem 0x0000000042000000-0x0000000042000fff] usable
BIOS-e820: [mem 0x00000000c0000000-0x00000000cfffffff] reserved
BIOS-e820: [mem 0x0000000100000000-0x00000001bfffffff] usable
e820: update [mem 0x30000018-0x30010057] usable ==> usable
extended physical RAM map:
reserve setup_data: [mem 0x0000000000000000-0x000000000009efff] usable
reserve setup_data: [mem 0x000000000009f000-0x00000000000fffff] reserved
reserve setup_data: [mem 0x0000000000100000-0x0000000030000017] usable
reserve setup_data: [mem 0x0000000030000018-0x0000000030010057] usable
reserve setup_data: [mem 0x0000000030010058-0x000000003fffffff] usable
reserve setup_data: [mem 0x0000000040000000-0x0000000040ffffff] reserved
reserve setup_data: [mem 0x0000000041000000-0x0000000041ffffff] ACPI NVS
reserve setup_data: [mem 0x0000000042000000-0x0000000042000fff] usable
reserve setup_data: [mem 0x00000000c0000000-0x00000000cfffffff] reserved
reserve setup_data: [mem 0x0000000100000000-0x00000001bfffffff] usable
efi: Remove mem88: MMIO range=[0xc0000000-0xcfffffff] (256MB) from e820 map
e820: remove [mem 0xc0000000-0xcfffffff] reserved
e820: update [mem 0x00000000-0x00000fff] usable ==> reserved
e820: remove [mem 0x000a0000-0x000fffff] usable
last_pfn = 0x1c0000 max_arch_pfn = 0x400000000
last_pfn = 0x42001 max_arch_pfn = 0x400000000
e820: update [mem 0x2ca20000-0x2ca20fff] usable ==> reserved
No NUMA configuration found
Faking a node at [mem 0x0000000000000000-0x00000001bfffffff]
NODE_DATA(0) allocated [mem 0x1bffd5000-0x1bfffffff]
Zone ranges:
  DMA      [mem 0x0000000000001000-0x0000000000ffffff]
  DMA32    [mem 0x0000000001000000-0x00000000ffffffff]
  Normal   [mem 0x0000000100000000-0x00000001bfffffff]
  Device   empty
Movable zone start for each node
Early memory node ranges
  node   0: [mem 0x0000000000001000-0x000000000009efff]
  node   0: [mem 0x0000000000100000-0x000000003fffffff]
  node   0: [mem 0x0000000042000000-0x0000000042000fff]
  node   0: [mem 0x0000000100000000-0x00000001bfffffff]
Initmem setup node 0 [mem 0x0000000000001000-0x00000001bfffffff]
On node 0, zone DMA: 1 pages in unavailable ranges
On node 0, zone DMA: 97 pages in unavailable ranges
On node 0, zone DMA32: 8192 pages in unavailable ranges
On node 0, zone Normal: 24575 pages in unavailable ranges
PM: hibernation: Registered nosave memory: [mem 0x00000000-0x00000fff]
PM: hibernation: Registered nosave memory: [mem 0x0009f000-0x000fffff]
PM: hibernation: Registered nosave memory: [mem 0x2ca20000-0x2ca20fff]
PM: hibernation: Registered nosave memory: [mem 0x30000000-0x30000fff]
PM: hibernation: Registered nosave memory: [mem 0x30010000-0x30010fff]
PM: hibernation: Registered nosave memory: [mem 0x40000000-0x40ffffff]
PM: hibernation: Registered nosave memory: [mem 0x41000000-0x41ffffff]
PM: hibernation: Registered nosave memory: [mem 0x42001000-0xffffffff]
[mem 0x42001000-0xffffffff] available for PCI devices
Memory: 3000000K/4193916K available (1K kernel code, 300000K reserved, 0K cma-reserved)
";
    let report = one(&Capture::from_log("notebook", log));
    assert_eq!(report.verdict(), Verdict::Equal, "{report}");
    assert!(report.count(Fact::MapLines) > 30, "{report}");
    for (from, to) in [
        ("remove [mem 0xc0000000-0xcfffffff] reserved", "remove [mem 0xc0000000-0xc0ffffff] reserved"),
        ("update [mem 0x2ca20000-0x2ca20fff]", "update [mem 0x2ca20000-0x2ca21fff]"),
        ("[mem 0x30000018-0x30010057] usable ==> usable", "[mem 0x30000018-0x30010157] usable ==> usable"),
        ("memory: [mem 0x40000000-0x40ffffff]", "memory: [mem 0x40001000-0x40ffffff]"),
    ] {
        let report = one(&Capture::from_log("altered", log.replace(from, to)));
        assert_eq!(report.verdict(), Verdict::Different, "{to}: {report}");
    }
}

/// What a line may be turned into.
#[derive(Clone, Debug)]
enum Damage {
    Drop(usize),
    Twice(usize),
    Swap(usize, usize),
    Byte(usize, usize, u8),
    Number(usize, u64),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0usize..600;
    prop_oneof![
        at.clone().prop_map(Damage::Drop),
        at.clone().prop_map(Damage::Twice),
        (at.clone(), at.clone()).prop_map(|(a, b)| Damage::Swap(a, b)),
        (at.clone(), 0usize..160, any::<u8>()).prop_map(|(line, at, byte)| Damage::Byte(line, at, byte)),
        (at, prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)]).prop_map(|(line, n)| Damage::Number(line, n)),
    ]
}

fn apply(lines: &mut Vec<Vec<u8>>, damage: &Damage) {
    let count = lines.len();
    match *damage {
        Damage::Drop(at) => _ = lines.remove(at % count),
        Damage::Twice(at) => lines.insert(at % count, lines[at % count].clone()),
        Damage::Swap(a, b) => lines.swap(a % count, b % count),
        Damage::Byte(line, at, byte) => {
            if let Some(b) = lines[line % count].get_mut(at) {
                *b = byte;
            }
        }
        Damage::Number(line, number) => {
            let text = String::from_utf8_lossy(&lines[line % count]).into_owned();
            if let Some((before, rest)) = text.split_once("0x") {
                let rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
                lines[line % count] = format!("{before}{number:#018x}{rest}").into_bytes();
            }
        }
    }
}

/// More of them: `PROPTEST_CASES=10000`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_log_makes_it_stumble(name in 0usize..64, damages in prop::collection::vec(damage(), 1..12)) {
        let folders = Capture::find(&fixtures()).unwrap();
        let capture = Capture::read(&folders[name % folders.len()]).unwrap();
        let mut lines: Vec<Vec<u8>> = capture.dmesg.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        for damage in &damages {
            apply(&mut lines, damage);
        }
        let damaged = Capture { dmesg: lines.join(&b'\n'), ..capture };
        for report in replay(&damaged).iter().chain(&replay(&Capture::from_log("alone", damaged.dmesg.clone()))) {
            prop_assert!(!report.to_string().is_empty());
        }
    }
}
