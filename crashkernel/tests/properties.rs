// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arbitrary command lines on arbitrary machines, against a literal model.

mod fake;

use crashkernel::{LookUp, look_up, parse, reserve};
use fake::model::decide;
use fake::{Fake, MIB, linux, text};
use handoff::{Ledger, Lines, PhysRange, Region, RegionFlags, Rules};
use proptest::prelude::*;

fn rules() -> impl Strategy<Value = Rules> {
    prop_oneof![Just(Rules::V5_4), Just(Rules::V6_1), Just(Rules::V6_12)]
}

/// Pieces of values, in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("crashkernel=".to_string()),
        2 => Just(" crashkernel=".to_string()),
        2 => Just(" ".to_string()),
        6 => (0u64..6000).prop_map(|mib| format!("{mib}M")),
        2 => prop::sample::select(vec!["1G", "0", "0x10", "017", "64K", "16E", "8g", "9999999999999999999999"]).prop_map(String::from),
        4 => prop::sample::select(vec![",high", ",low", ",high ", ",low "]).prop_map(String::from),
        6 => prop::sample::select(vec![",", ":", "-", "-:", "@", "x", "é", "\"", "\t", "K", ",cma", "auto"]).prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Values that are mostly right.
fn value() -> impl Strategy<Value = String> {
    let size = || {
        prop_oneof![(0u64..9000).prop_map(|mib| format!("{mib}M")), (0u64..9_000_000).prop_map(|kib| format!("{kib}K"))]
    };
    let range = (0u64..8000, 1u64..8000, prop::option::weighted(0.8, 1u64..1000)).prop_map(|(start, size, more)| {
        format!("{start}M-{}:{size}M", more.map_or(String::new(), |m| format!("{}M", start + m)))
    });
    let base = || prop_oneof![3 => Just(String::new()), 1 => (0u64..9000).prop_map(|mib| format!("@{mib}M"))];
    let value = prop_oneof![
        3 => (size(), base()).prop_map(|(size, base)| size + &base),
        2 => (prop::collection::vec(range, 1..4), base()).prop_map(|(ranges, base)| ranges.join(",") + &base),
        3 => size().prop_map(|size| size + ",high"),
        2 => size().prop_map(|size| size + ",low"),
    ];
    prop::collection::vec(value.prop_map(|v| format!("crashkernel={v}")), 1..4).prop_map(|words| words.join(" "))
}

/// A machine: memory and reservations in turn, upwards from page 0, in steps of 4 KiB.
fn machine() -> impl Strategy<Value = Fake> {
    let step = prop_oneof![2 => 1u64..(64 << 8), 2 => (1u64..2000).prop_map(|mib| mib << 8), 1 => 1u64..16];
    prop::collection::vec((step, 0u8..4), 1..24).prop_map(|steps| {
        let (mut memory, mut reserved) = (Vec::new(), Vec::new());
        let mut base = 0;
        for (frames, kind) in steps {
            let size = frames * 4096;
            // 0 is a hole, 1 reserved memory, the rest is free.
            if kind == 1 {
                reserved.push(Region::new(base, size));
            }
            if kind > 0 {
                let flags = if size % 7 == 0 { RegionFlags::NOMAP } else { RegionFlags::NONE };
                memory.push(Region { flags, ..Region::new(base, size) });
            }
            base += size;
        }
        if memory.is_empty() {
            memory.push(Region::new(0, 64 * MIB));
        }
        Fake::from_regions(memory, reserved)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(line in prop_oneof![any::<String>(), soup(), any::<String>().prop_map(|s| format!("crashkernel={s}"))], ram: u64, rules in rules()) {
        for which in LookUp::ALL {
            if let Err(error) = look_up(&line, which, ram, rules) {
                prop_assert!(line[error.occurrence..].starts_with("crashkernel="));
                prop_assert!(line.is_char_boundary(error.at) && error.at >= error.occurrence + 12);
            }
        }
        let _ = parse(&line, ram, rules);
        let _ = reserve(&line, rules, &mut Fake::pc_2g(), &Ledger::new(), &Lines::default());
    }

    #[test]
    fn decides_as_the_model(line in prop_oneof![soup(), value()], machine in machine(), rules in rules()) {
        let (mut ours, mut theirs) = (machine.clone(), machine);
        let log = Lines::default();
        let found = reserve(&line, rules, &mut ours, &Ledger::new(), &log).ok().flatten();
        let expected = decide(&line, rules, &mut theirs);

        let pair = |area: PhysRange| (area.start(), area.size());
        prop_assert_eq!(linux(&log), expected.lines);
        prop_assert_eq!(found.map(|f| pair(f.main)), expected.main);
        prop_assert_eq!(found.and_then(|f| f.low).map(pair), expected.low);
        prop_assert_eq!(ours.asked, theirs.asked);
        prop_assert_eq!(ours.reserved, theirs.reserved);
    }

    #[test]
    fn what_would_fit_does_fit(size_mib in 1u64..12_000, high: bool, machine in machine(), rules in rules()) {
        let log = Lines::default();
        let line = format!("crashkernel={size_mib}M{}", if high { ",high" } else { "" });
        let failed = reserve(&line, rules, &mut machine.clone(), &Ledger::new(), &log).is_err();

        let text = text(&log);
        let advice = text.lines().filter_map(|line| line.strip_prefix("crashkernel: ")?.strip_suffix(" would fit"));
        for advice in advice.filter(|advice| advice.starts_with("crashkernel=") && !advice.contains("SIZE")) {
            // Advice about `,low` alone goes with the line as it was.
            let line = if advice.ends_with(",low") && !advice.contains(' ') { format!("{line} {advice}") } else { advice.to_string() };
            let again = reserve(&line, rules, &mut machine.clone(), &Ledger::new(), &Lines::default());
            prop_assert!(failed && matches!(again, Ok(Some(_))), "{}: {:?}\n{}", line, again, text);
        }
        if text.contains("not even 1M would fit") {
            let again = reserve("crashkernel=1M,high crashkernel=0,low", rules, &mut machine.clone(), &Ledger::new(), &Lines::default());
            prop_assert!(again.is_err(), "{}", text);
        }
    }

    #[test]
    fn a_plain_size_that_would_fit_is_the_largest(machine in machine(), rules in rules()) {
        let log = Lines::default();
        let _ = reserve("crashkernel=50000M crashkernel=0,low", rules, &mut machine.clone(), &Ledger::new(), &log);
        let text = text(&log);
        let best = text.lines().find_map(|l| l.strip_prefix("crashkernel: crashkernel=")?.strip_suffix("M would fit")?.parse::<u64>().ok());
        if let (Some(best), true) = (best, rules < Rules::V6_12) {
            let more = format!("crashkernel={}M crashkernel=0,low", best + 1);
            prop_assert!(reserve(&more, rules, &mut machine.clone(), &Ledger::new(), &Lines::default()).is_err(), "{}", text);
        }
    }
}
