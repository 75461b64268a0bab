// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a firmware or a user may say.

use handoff::{MemoryKind, RawEntry};
use proptest::{collection::vec, prelude::*, sample::select};

/// Addresses and sizes at which something happens.
const EDGES: &[u64] = &[
    0,
    1,
    0xfff,
    0x1000,
    0x9_fc00,
    0xa_0000,
    0x10_0000,
    0x10_0800,
    1 << 30,
    1 << 32,
    1 << 34,
    1 << 46,
    1 << 52,
    1 << 63,
    u64::MAX - 0xfff,
    u64::MAX,
];

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => select(EDGES),
        4 => (select(EDGES), 0u64..0x3000).prop_map(|(edge, more)| edge.saturating_add(more)),
        2 => 0u64..1 << 36,
        1 => any::<u64>(),
    ]
}

/// Returns any entry of a firmware.
pub(crate) fn entry() -> impl Strategy<Value = RawEntry> {
    let kind =
        prop_oneof![6 => Just(1), 6 => select(&[0u32, 2, 3, 4, 5, 7, 12, 128, 0xefff_ffff][..]), 1 => any::<u32>()];
    (number(), number(), kind).prop_map(|(addr, size, kind)| RawEntry { addr, size, kind: MemoryKind(kind) })
}

fn piece() -> impl Strategy<Value = String> {
    let sign = select(&["@", "#", "$", "!", "%", "", "&"][..]);
    let rest = select(&["", "", "", "-1", "+1", "-1+2", "-2+1", "-1+128", "-0+12", "+4026531839", "x", "-1+1"][..]);
    prop_oneof![
        8 => (number(), sign, number(), rest).prop_map(|(size, sign, start, rest)| format!("{size:#x}{sign}{start}{rest}")),
        1 => Just("exactmap".to_string()),
        1 => select(&["", "0", "K", "64M", "1G@1M", "2G@0,4K@0x1fffff000"][..]).prop_map(String::from),
    ]
}

/// Returns any parameter about memory.
pub(crate) fn parameter() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => vec(piece(), 1..4).prop_map(|pieces| format!("memmap={}", pieces.join(","))),
        3 => number().prop_map(|n| format!("mem={n}")),
        1 => select(&["mem", "memmap", "mem=nopentium", "mem=4G", "linux=6.12", "linux=5.4", "linux=x", "--"][..])
            .prop_map(String::from),
    ]
}
