// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes are no hand-off, or one that can be encoded again to the same value.
#![no_main]

use handoff::{Blocks, Crash, EXCHANGE_BYTES, Firmware, Frames, Handoff, MemoryMap, Zones, decode, encode};

/// Tries the bytes as they are, and with the envelope they would need.
fn check<H: Handoff + std::fmt::Debug>(bytes: &[u8]) {
    let _ = decode::<H>(bytes);
    let mut enveloped = vec![0; EXCHANGE_BYTES];
    let Ok(mut value) = postcard::from_bytes::<H>(bytes) else { return };
    let Ok(used) = encode(&value, &mut enveloped) else { return };
    for _ in 0..2 {
        value = decode(&enveloped[..used]).expect("what was encoded can be decoded");
        let again = &mut vec![0; EXCHANGE_BYTES];
        assert_eq!(encode(&value, again), Ok(used));
        assert_eq!(again[..used], enveloped[..used]);
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((edge, bytes)) = bytes.split_first() else { return };
    match edge % 6 {
        0 => check::<Firmware>(bytes),
        1 => check::<MemoryMap>(bytes),
        2 => check::<Blocks>(bytes),
        3 => check::<Crash>(bytes),
        4 => check::<Frames>(bytes),
        _ => check::<Zones>(bytes),
    }
});
