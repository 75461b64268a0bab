// SPDX-License-Identifier: MIT OR Apache-2.0
//! The allocator beside its model; it is validated after every step.
#![no_main]

#[path = "../../../buddy/tests/layout/mod.rs"]
mod layout;
#[path = "../../../buddy/tests/model/mod.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| model::run(&model::decode(bytes)));
