// SPDX-License-Identifier: MIT OR Apache-2.0
//! Command lines and machines of any kind.

use super::{Fake, MIB};
use handoff::{Region, RegionFlags, Rules};
use proptest::prelude::*;

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    prop_oneof![Just(Rules::V5_4), Just(Rules::V6_1), Just(Rules::V6_12)]
}

/// Pieces of values, in any order.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("crashkernel=".to_string()),
        2 => Just(" crashkernel=".to_string()),
        2 => Just(" ".to_string()),
        6 => (0u64..6000).prop_map(|mib| format!("{mib}M")),
        2 => prop::sample::select(vec!["1G", "0", "0x10", "017", "64K", "16E", "8g", "9999999999999999999999"]).prop_map(String::from),
        4 => prop::sample::select(vec![",high", ",low", ",high ", ",low "]).prop_map(String::from),
        6 => prop::sample::select(vec![",", ":", "-", "-:", "@", "x", "é", "\"", "\t", "K", ",cma", "auto"]).prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Values that are mostly right.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let size = || {
        prop_oneof![(0u64..9000).prop_map(|mib| format!("{mib}M")), (0u64..9_000_000).prop_map(|kib| format!("{kib}K"))]
    };
    let range = (0u64..8000, 1u64..8000, prop::option::weighted(0.8, 1u64..1000)).prop_map(|(start, size, more)| {
        format!("{start}M-{}:{size}M", more.map_or(String::new(), |m| format!("{}M", start + m)))
    });
    let base = || prop_oneof![3 => Just(String::new()), 1 => (0u64..9000).prop_map(|mib| format!("@{mib}M"))];
    let value = prop_oneof![
        3 => (size(), base()).prop_map(|(size, base)| size + &base),
        2 => (prop::collection::vec(range, 1..4), base()).prop_map(|(ranges, base)| ranges.join(",") + &base),
        3 => size().prop_map(|size| size + ",high"),
        2 => size().prop_map(|size| size + ",low"),
    ];
    prop::collection::vec(value.prop_map(|v| format!("crashkernel={v}")), 1..4).prop_map(|words| words.join(" "))
}

/// A machine: memory and reservations in turn, upwards from page 0, in steps of 4 KiB.
pub(crate) fn machine() -> impl Strategy<Value = Fake> {
    let step = prop_oneof![2 => 1u64..(64 << 8), 2 => (1u64..2000).prop_map(|mib| mib << 8), 1 => 1u64..16];
    prop::collection::vec((step, 0u8..4), 1..24).prop_map(|steps| {
        let (mut memory, mut reserved) = (Vec::new(), Vec::new());
        let mut base = 0;
        for (frames, kind) in steps {
            let size = frames * 4096;
            // 0 is a hole, 1 reserved memory, the rest is free.
            if kind == 1 {
                reserved.push(Region::new(base, size));
            }
            if kind > 0 {
                let flags = if size % 7 == 0 { RegionFlags::NOMAP } else { RegionFlags::NONE };
                memory.push(Region { flags, ..Region::new(base, size) });
            }
            base += size;
        }
        if memory.is_empty() {
            memory.push(Region::new(0, 64 * MIB));
        }
        Fake::from_regions(memory, reserved)
    })
}
