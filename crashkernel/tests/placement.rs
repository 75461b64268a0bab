// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the areas go, and what is said about it.

mod fake;

use crashkernel::{Error, Part, Reservation, reserve};
use fake::{Fake, GIB, MIB, linux, text};
use handoff::{Ledger, Level, Lines, PhysRange, Region, RegionFlags, Rules};

const ALL: [Rules; 3] = [Rules::V5_4, Rules::V6_1, Rules::V6_12];
const OLD: [Rules; 2] = [Rules::V5_4, Rules::V6_1];

fn run(line: &str, rules: Rules, memory: &mut Fake) -> (Result<Option<Reservation>, Error>, Lines) {
    let log = Lines::default();
    (reserve(line, rules, memory, &Ledger::new(), &log), log)
}

/// First MiB of the main and the low area.
fn at(line: &str, rules: Rules, memory: &Fake) -> (u64, Option<u64>) {
    let (result, log) = run(line, rules, &mut memory.clone());
    let found = result.unwrap_or_else(|e| panic!("{line} {rules:?}: {e}\n{}", text(&log))).expect("a request");
    (found.main.start() >> 20, found.low.map(|low| low.start() >> 20))
}

/// What is wrong, the last of Linux's lines and its level; nothing may stay reserved.
fn failure(line: &str, rules: Rules, memory: &Fake) -> (Error, String, Level) {
    let mut used = memory.clone();
    let (result, log) = run(line, rules, &mut used);
    assert_eq!(used.reserved, memory.reserved, "{line} {rules:?}: something stayed reserved");
    let said = linux(&log).last().expect("a line").clone();
    let level = log.level_of(&said).unwrap();
    (result.expect_err(line), said, level)
}

fn blocked(mut memory: Fake, start: u64, end: u64) -> Fake {
    memory.reserved.push(Region::new(start, end - start));
    memory.reserved.sort_by_key(|r| r.base);
    memory
}

#[test]
fn sixteen_gib_with_high_and_low() {
    let line = "crashkernel=128M,high crashkernel=128M,low";
    for (rules, low, main) in [
        (
            Rules::V5_4,
            "Reserving 128MB of low memory at 2928MB for crashkernel (System low RAM: 3071MB)",
            "Reserving 128MB of memory at 17264MB for crashkernel (System RAM: 16383MB)",
        ),
        (
            Rules::V6_1,
            "Reserving 128MB of low memory at 2928MB for crashkernel (low RAM limit: 4096MB)",
            "Reserving 128MB of memory at 17264MB for crashkernel (System RAM: 16383MB)",
        ),
        (
            Rules::V6_12,
            "crashkernel low memory reserved: 0xb7000000 - 0xbf000000 (128 MB)",
            "crashkernel reserved: 0x0000000437000000 - 0x000000043f000000 (128 MB)",
        ),
    ] {
        for low_end in [0xbffd_a000, 0xbffe_0000] {
            let mut memory = Fake::pc_16g();
            memory.memory[1].size = low_end - 0x10_0000;
            memory.memory_size = memory.memory.iter().map(|m| m.size).sum();
            let (result, log) = run(line, rules, &mut memory);
            let found = result.unwrap().unwrap();
            assert_eq!(text(&log), format!("{low}\n{main}\n"), "nothing but Linux's lines");
            assert_eq!(log.level_of(main), Some(Level::Info));
            assert!(memory.is_reserved(found.main) && memory.is_reserved(found.low.unwrap()));
        }
    }
}

#[test]
fn below_4_gib_first() {
    let memory = Fake::pc_16g();
    for rules in ALL {
        assert_eq!(at("crashkernel=256M", rules, &memory), (2800, None), "{rules:?}");
        assert_eq!(at("crashkernel=3500M", rules, &memory), (13904, Some(2800)), "{rules:?}: else above, with low");
    }
}

#[test]
fn high_on_a_small_machine_lands_below_4_gib() {
    for rules in ALL {
        assert_eq!(at("crashkernel=256M,high", rules, &Fake::pc_2g()), (1776, None), "{rules:?}");
    }
}

#[test]
fn the_search_starts_at_16_mib_before_6_8() {
    // All is taken but 1 MiB to 17 MiB; an area that is aligned to 16 MiB and larger than 1 MiB cannot start at 16 MiB,
    // and starting at 0 it would hold page 0.
    let memory = Fake::new(&[(0, 64 * MIB)], &[(0, MIB), (17 * MIB, 64 * MIB)]);
    for rules in ALL {
        assert_eq!(at("crashkernel=1M", rules, &memory), (16, None));
        assert!(matches!(failure("crashkernel=2M", rules, &memory).0, Error::NoArea { .. }));
    }
    let asked = |rules| {
        let mut memory = Fake::pc_2g();
        run("crashkernel=8M", rules, &mut memory).0.unwrap();
        (memory.asked[0].0.min, memory.asked[0].0.max)
    };
    assert_eq!([Rules::V5_4, Rules::V6_1, Rules::V6_12].map(asked).map(|w| w.0), [16 * MIB, 16 * MIB, 0]);
}

#[test]
fn a_wanted_place() {
    let memory = Fake::pc_16g();
    for rules in ALL {
        assert_eq!(at("crashkernel=256M@64M", rules, &memory), (64, None));
        assert_eq!(at("crashkernel=1M@16M", rules, &memory), (16, None));
        assert_eq!(at("crashkernel=64M@0", rules, &memory), (2992, None), "0 means automatic");
    }
    for rules in OLD {
        assert_eq!(at("crashkernel=100M@100M", rules, &memory), (100, None), "1 MiB is enough");
        assert_eq!(at("crashkernel=64M@5G", rules, &memory), (5120, Some(2800)), "with a low part");
        assert_eq!(at("crashkernel=4M@2M", rules, &memory), (2, None));
    }
    assert_eq!(at("crashkernel=64M@5G", Rules::V6_12, &memory), (5120, None), "6.12 takes no low part then");
}

#[test]
fn pitfall_fixed_base_that_cannot_be_had() {
    let memory = blocked(Fake::pc_16g(), 300 * MIB, 300 * MIB + 4096);
    let text = "crashkernel reservation failed - memory is in use.";
    for (line, base) in [
        ("crashkernel=64M@256M", 256 * MIB),                          // one reserved page
        ("crashkernel=64M@300M", 300 * MIB),                          // at its start
        ("crashkernel=64M@3040M", 3040 * MIB),                        // across the end of memory
        ("crashkernel=64M@3584M", 3584 * MIB),                        // in the hole
        ("crashkernel=64M@20G", 20 * GIB),                            // above all memory
        ("crashkernel=64M@0x4100001", 0x410_0001),                    // misaligned
        ("crashkernel=64K@64K", 64 << 10),                            // below 1 MiB
        ("crashkernel=64M@1", 1),                                     // not 0, so a wish
        ("crashkernel=1M@0xfffffffffff00000", 0xffff_ffff_fff0_0000), // up to the last byte
        ("crashkernel=2M@0xfffffffffff00000", 0xffff_ffff_fff0_0000), // beyond it
    ] {
        for rules in ALL {
            let (error, said, level) = failure(line, rules, &memory);
            assert!(matches!(error, Error::InUse { base: b, .. } if b == base), "{line}: {error:?}");
            assert_eq!(said, text);
            assert_eq!(level, if rules == Rules::V6_12 { Level::Warn } else { Level::Info });
        }
    }
    assert_eq!(failure("crashkernel=100M@100M", Rules::V6_12, &memory).1, text, "16 MiB since 6.8");
}

#[test]
fn no_area() {
    let memory = Fake::pc_2g();
    for (line, size) in [("crashkernel=1990M", 1990 * MIB), ("crashkernel=2000M,high", 2000 * MIB)] {
        for rules in ALL {
            let (error, said, level) = failure(line, rules, &memory);
            assert_eq!(error, Error::NoArea { size });
            if rules == Rules::V6_12 {
                assert_eq!((said, level), (format!("cannot allocate crashkernel (size:{size:#x})"), Level::Warn));
            } else {
                let text = "crashkernel reservation failed - No suitable area found.";
                assert_eq!((said.as_str(), level), (text, Level::Info));
            }
        }
    }
}

#[test]
fn pitfall_size_of_all_memory_or_more() {
    for rules in OLD {
        let (error, ..) = failure("crashkernel=8G", rules, &Fake::pc_2g());
        assert_eq!(error, Error::NoArea { size: 8 * GIB }, "accepted, then not found");
    }
    let (result, log) = run("crashkernel=8G", Rules::V6_12, &mut Fake::pc_2g());
    assert!(matches!(result, Err(Error::Value(_))));
    assert_eq!(linux(&log), [""; 0], "refused without a word of Linux's");
    assert!(text(&log).contains("8192 MB is not smaller than the system's 2047 MB of RAM"), "{}", text(&log));
}

#[test]
fn pitfall_low_fails_after_high_succeeded() {
    let memory = blocked(Fake::pc_16g(), 16 * MIB, 0xbffe_0000);
    for rules in ALL {
        let (error, said, level) = failure("crashkernel=512M,high", rules, &memory);
        assert_eq!(error, Error::NoLowArea { size: 256 * MIB, stuck: None });
        let old = "Cannot reserve 256MB crashkernel low memory, please try smaller size.";
        let new = "cannot allocate crashkernel low memory (size:0x10000000).";
        assert_eq!((said.as_str(), level), (if rules == Rules::V6_12 { new } else { old }, Level::Error));
        assert_eq!(at("crashkernel=512M,high crashkernel=0,low", rules, &memory), (16880, None), "0,low asks for none");
    }
}

#[test]
fn pitfall_low_where_it_does_not_count() {
    let memory = Fake::pc_16g();
    for rules in ALL {
        let (result, log) = run("crashkernel=64M,low", rules, &mut memory.clone());
        assert_eq!(result, Ok(None), "alone");
        assert!(text(&log).contains("`,low` alone reserves nothing"));

        let (result, log) = run("crashkernel=64M crashkernel=32M,low", rules, &mut memory.clone());
        assert_eq!(result.unwrap().unwrap().low, None, "the area lies below 4 GiB");
        assert!(text(&log).contains("`,low` is not used"), "{}", text(&log));
    }
    let above = "crashkernel=3500M crashkernel=64M,low";
    assert_eq!(at(above, Rules::V6_1, &memory).1, Some(2992));
    assert_eq!(at(above, Rules::V6_12, &memory).1, Some(2800), "6.12 takes the default beside the plain form");
}

#[test]
fn pitfall_malformed_low() {
    let memory = Fake::pc_16g();
    let line = "crashkernel=64M,high crashkernel=32Mx,low";
    for rules in OLD {
        let (result, log) = run(line, rules, &mut memory.clone());
        assert_eq!(result.unwrap().unwrap().low.map(PhysRange::size), Some(256 * MIB), "the default");
        assert_eq!(linux(&log)[0], "crashkernel: unrecognized char: x");
        assert_eq!(linux(&log).len(), 3);
    }
    let (result, log) = run(line, Rules::V6_12, &mut memory.clone());
    assert!(matches!(result, Err(Error::Value(_))), "an error");
    assert_eq!(linux(&log), ["crashkernel: unrecognized char: x"]);

    let (_, log) = run("crashkernel=3500M crashkernel=x,low", Rules::V6_12, &mut memory.clone());
    assert_eq!(linux(&log).len(), 2, "not looked at beside the plain form");
}

#[test]
fn pitfall_search_ends_when_both_windows_failed() {
    for rules in ALL {
        for line in ["crashkernel=1900M", "crashkernel=1990M,high"] {
            let mut memory = blocked(Fake::pc_2g(), GIB, GIB + 4096);
            assert!(run(line, rules, &mut memory).0.is_err());
            let windows = if rules < Rules::V6_12 && line.ends_with("high") { 1 } else { 2 };
            assert_eq!(memory.asked.len(), windows, "{line} {rules:?}");
        }
    }
}

#[test]
fn pitfall_size_larger_than_one_region_offers() {
    // 40 MiB each in two touching regions of different kind: 80 MiB in sum, none in one piece.
    let mut memory = Fake::new(&[(16 * MIB, 56 * MIB), (56 * MIB, 96 * MIB)], &[]);
    memory.memory[1].flags = RegionFlags::HOTPLUG;
    for rules in ALL {
        assert!(matches!(failure("crashkernel=64M", rules, &memory).0, Error::NoArea { .. }));
        assert!(matches!(failure("crashkernel=64M@16M", rules, &memory).0, Error::InUse { .. }));
        assert_eq!(at("crashkernel=40M", rules, &memory), (16, None));
    }
}

#[test]
fn pitfall_size_is_not_rounded() {
    for (line, size) in
        [("crashkernel=100K", 100 << 10), ("crashkernel=77777K", 77777 << 10), ("crashkernel=5000", 5000)]
    {
        for rules in ALL {
            let (result, log) = run(line, rules, &mut Fake::pc_2g());
            assert_eq!(result.unwrap().unwrap().main.size(), size);
            assert_eq!(text(&log).contains("not a multiple of 4K"), size % 4096 != 0, "{}", text(&log));
        }
    }
}

#[test]
fn an_area_across_4_gib_counts_as_low() {
    let memory = Fake::new(&[(16 * MIB, 6 * GIB)], &[(16 * MIB, 3 * GIB), (5 * GIB, 6 * GIB)]);
    assert_eq!(at("crashkernel=1500M,high", Rules::V6_1, &memory), (3616, None));
}

#[test]
fn a_full_array() {
    let mut memory = Fake::pc_16g();
    memory.capacity = memory.reserved.len();
    for (rules, said) in [
        (Rules::V5_4, "reserve_crashkernel: Error reserving crashkernel memblock."),
        (Rules::V6_1, "crashkernel reservation failed - No suitable area found."),
        (Rules::V6_12, "cannot allocate crashkernel (size:0x8000000)"),
    ] {
        let (error, line, _) = failure("crashkernel=128M", rules, &memory);
        assert_eq!(error, Error::ArrayFull { part: Part::Main, size: 128 * MIB, stuck: None });
        assert_eq!(line, said);
    }

    // Room for the main area only, and then not for giving it back.
    memory.capacity += 1;
    for (rules, said) in [
        (Rules::V5_4, "reserve_crashkernel_low: Error reserving crashkernel low memblock."),
        (Rules::V6_1, "Cannot reserve 256MB crashkernel low memory, please try smaller size."),
        (Rules::V6_12, "cannot allocate crashkernel low memory (size:0x10000000)."),
    ] {
        let mut used = memory.clone();
        let (result, log) = run("crashkernel=128M,high", rules, &mut used);
        let error = result.unwrap_err();
        assert!(used.is_reserved(error.stuck().expect("the main area")));
        assert_eq!(linux(&log), [said]);
        assert!(text(&log).contains("stays reserved without use"), "{}", text(&log));
    }
}

#[test]
fn nothing_asked_nothing_said() {
    for rules in ALL {
        let mut memory = Fake::pc_2g();
        let (result, log) = run("quiet ro", rules, &mut memory);
        assert_eq!((result, text(&log).as_str(), memory.asked.len()), (Ok(None), "", 0));
    }
}
