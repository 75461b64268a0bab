// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random operations beside a naive model.
#![no_main]

#[path = "../../../memblock/tests/model/mod.rs"]
mod model;

use bootmem_fuzz::{value, values};
use model::Model;
use model::compare::{compare, compare_pages, compare_queries};
use model::ops::{apply, empty, op, origin, policy};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((setting, ops)) = bytes.split_first_chunk() else { return };
    let (origin, policy) = value(&(origin(), policy()), *setting);
    let mut memblock = empty::<2048>(2048, policy);
    let mut model = Model::new(origin, policy);
    for op in &values(&op(), ops, 64) {
        apply(&mut memblock, &mut model, op).expect("there is room for everything");
        compare(&memblock, &model);
    }
    compare_queries(&memblock, &model);
    compare_pages(&memblock, &model);
});
