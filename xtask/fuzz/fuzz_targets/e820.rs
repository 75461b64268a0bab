// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever firmware and user say, the stage leaves a valid map and an account that balances.
#![no_main]

#[path = "../../../e820/tests/machine/mod.rs"]
mod machine;

use bootmem_fuzz::{SEED, values};
use machine::any::{entry, parameter};
use machine::{assert_balanced, run};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The user's words are free text or made of parameters.
    let (text, choices) = bytes.split_at(bytes.iter().position(|b| *b == 0).unwrap_or(0));
    let (parameters, entries) = choices.split_at(choices.len().min(SEED * (text.len() % 6)));
    let (parameters, raw) = (values(&parameter(), parameters, 5), values(&entry(), entries, 128));
    let text = String::from_utf8_lossy(text);
    if let (Ok(map), _) = run(&raw, &format!("{} {text}", parameters.join(" "))) {
        assert_balanced(&map);
    }
});
