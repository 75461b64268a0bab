// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text after `crashkernel=`, and command lines that are mostly right beside the model.
#![no_main]

#[path = "../../../crashkernel/tests/fake/mod.rs"]
mod fake;

use bootmem_fuzz::{value, values};
use crashkernel::{LookUp, look_up, parse, reserve};
use handoff::{Ledger, Lines, Rules};
use proptest::prelude::*;

fn any_text(bytes: &[u8]) {
    let line = format!("crashkernel={}", String::from_utf8_lossy(bytes));
    for rules in [Rules::V5_4, Rules::V6_1, Rules::V6_12] {
        for which in LookUp::ALL {
            if let Err(error) = look_up(&line, which, 1 << 31, rules) {
                assert!(line[error.occurrence..].starts_with("crashkernel="));
                assert!(line.is_char_boundary(error.at) && error.at >= error.occurrence + 12);
            }
        }
        let _ = parse(&line, 1 << 31, rules);
        let _ = reserve(&line, rules, &mut fake::Fake::pc_2g(), &Ledger::new(), &Lines::default());
    }
}

fn like_the_model(bytes: &[u8]) {
    let Some((setting, words)) = bytes.split_first_chunk() else { return };
    let (machine, rules) = value(&(fake::any::machine(), fake::any::rules()), *setting);
    let line = values(&prop_oneof![fake::any::soup(), fake::any::value()], words, 8).join(" ");
    let (mut ours, mut theirs) = (machine.clone(), machine);
    let log = Lines::default();
    let _ = reserve(&line, rules, &mut ours, &Ledger::new(), &log);
    let expected = fake::model::decide(&line, rules, &mut theirs);
    assert_eq!(fake::linux(&log), expected.lines, "{line}");
    assert_eq!((ours.asked, ours.reserved), (theirs.asked, theirs.reserved), "{line}");
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((0..128, text)) => any_text(text),
    Some((_, choices)) => like_the_model(choices),
    None => {}
});
