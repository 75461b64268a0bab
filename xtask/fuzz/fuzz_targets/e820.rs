// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever firmware and user say, the stage leaves a valid map and an account that balances.
#![no_main]

#[path = "../../../e820/tests/machine/mod.rs"]
mod machine;

use bootmem_fuzz::value;
use machine::any::{entry, parameter};
use machine::{assert_balanced, run};
use proptest::collection::vec;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The user's words are free text or made of parameters.
    let (text, choices) = bytes.split_at(bytes.iter().position(|b| *b == 0).unwrap_or(0));
    let Some((raw, parameters)) = value(&(vec(entry(), 0..128), vec(parameter(), 0..6)), choices) else { return };
    let text = String::from_utf8_lossy(text);
    if let (Ok(map), _) = run(&raw, &format!("{} {text}", parameters.join(" "))) {
        assert_balanced(&map);
    }
});
