// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any memory beside a model that looks at every frame.
#![no_main]

#[path = "../../../memmap/tests/naive/mod.rs"]
mod naive;

use bootmem_fuzz::value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((memory, reserved)) = value(&(naive::regions(3, 9), naive::regions(1, 9)), bytes) {
        naive::check(&memory, &reserved);
    }
});
