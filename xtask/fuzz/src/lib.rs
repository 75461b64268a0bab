// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turns a fuzzer's bytes into what a property test takes.
//!
//! Proptest can read bytes in place of random numbers, but each choice that it may shrink takes half of those that are
//! left, and when none is left it may wait for ever for a number that suits. So four bytes are the seed of one value here:
//! a fuzzer that changes, moves or repeats bytes changes, moves or repeats whole values.
#![forbid(unsafe_code)]

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// How many bytes make a value.
pub const SEED: usize = 4;

/// Returns the value that a strategy makes of a seed.
///
/// # Panics
///
/// If the strategy rejects what it made, which none of the targets' does.
pub fn value<S: Strategy>(strategy: &S, seed: [u8; SEED]) -> S::Value {
    let mut key = [0; 32];
    key[..SEED].copy_from_slice(&seed);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    strategy.new_tree(&mut runner).expect("nothing is rejected").current()
}

/// Returns at most `max` values, one for each seed in `bytes`.
pub fn values<S: Strategy>(strategy: &S, bytes: &[u8], max: usize) -> Vec<S::Value> {
    bytes.as_chunks().0.iter().take(max).map(|seed| value(strategy, *seed)).collect()
}
