// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turns a fuzzer's bytes into what a property test takes.
#![forbid(unsafe_code)]

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Returns the value that a strategy makes of the bytes; `None` if it rejects them.
pub fn value<S: Strategy>(strategy: &S, bytes: &[u8]) -> Option<S::Value> {
    let rng = TestRng::from_seed(RngAlgorithm::PassThrough, bytes);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    strategy.new_tree(&mut runner).ok().map(|tree| tree.current())
}
