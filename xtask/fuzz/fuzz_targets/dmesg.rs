// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log of any text is replayed or refused.
#![no_main]

use xtask::{Capture, replay};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for report in replay(&Capture::from_log("fuzz", bytes)) {
        let _ = report.to_string();
    }
});
