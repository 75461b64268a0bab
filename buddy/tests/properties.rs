// SPDX-License-Identifier: MIT OR Apache-2.0
//! The allocator never disagrees with a naive model, whatever is done to it.

mod layout;
mod model;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(bytes in proptest::collection::vec(any::<u8>(), 0..320)) {
        model::run(&model::decode(&bytes));
    }
}

/// Allocates everything in one order, one after another, gives it all back: every order has to come together again.
#[test]
fn every_order_splits_and_merges() {
    use model::Op;
    for order in 0..=10 {
        // As many as there are, and some that must fail. Single frames are too many: a stretch of them is enough.
        let count = (((7 * 1024) >> order) + 2).min(300);
        let allocate = (0..count).map(|_| Op::Allocate { order, zone: 2, node: 0 });
        let free = (0..count).map(|i| Op::Free { which: i * 7 });
        model::run(&allocate.chain(free).collect::<Vec<_>>());
    }
}
