// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random operations beside a naive model.
#![no_main]

#[path = "../../../memblock/tests/model/mod.rs"]
mod model;

use bootmem_fuzz::value;
use model::Model;
use model::compare::{compare, compare_pages, compare_queries};
use model::ops::{apply, empty, op, origin, policy};
use proptest::collection::vec;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((origin, policy, ops)) = value(&(origin(), policy(), vec(op(), 1..40)), bytes) else { return };
    let mut memblock = empty::<2048>(2048, policy);
    let mut model = Model::new(origin, policy);
    for op in &ops {
        apply(&mut memblock, &mut model, op).expect("there is room for everything");
        compare(&memblock, &model);
    }
    compare_queries(&memblock, &model);
    compare_pages(&memblock, &model);
});
