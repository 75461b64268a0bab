// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arbitrary command lines on arbitrary machines, against a literal model.

mod fake;

use crashkernel::{LookUp, look_up, parse, reserve};
use fake::any::{machine, rules, soup, value};
use fake::model::decide;
use fake::{Fake, linux, text};
use handoff::{Ledger, Lines, PhysRange, Rules};
use proptest::prelude::*;

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
