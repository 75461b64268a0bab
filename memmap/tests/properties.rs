// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any memory against a model that looks at every frame by itself.

mod naive;

use naive::{check, regions};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_is_what_the_naive_model_says(memory in regions(3, 9), reserved in regions(1, 9)) {
        check(&memory, &reserved);
    }
}
