// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever firmware and user say, the stage leaves a valid map and an account that balances.
#![cfg(feature = "serde")]

mod capture;
mod machine;

use e820::Error;
use handoff::{MemoryKind, RAW_ENTRIES, RawEntry, RunError};
use machine::any::{entry, parameter};
use machine::{assert_balanced, run};
use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_map_is_valid_and_the_account_balances(
        raw in prop_oneof![4 => vec(entry(), 0..12), 1 => vec(entry(), RAW_ENTRIES)],
        usable in any::<bool>(),
        parameters in vec(parameter(), 0..5),
    ) {
        let mut raw = raw;
        if usable && raw.len() < RAW_ENTRIES {
            raw.insert(0, RawEntry { addr: 0x20_0000, size: 0x400_0000, kind: MemoryKind::RAM });
        }
        match run(&raw, &parameters.join(" ")) {
            (Ok(map), _) => assert_balanced(&map),
            (Err(error), _) => prop_assert_eq!(error, RunError::Stage(Error::NoRam { entries: raw.len() })),
        }
    }

    /// With memory in the firmware's map that nothing else can claim, no command line keeps the machine from booting.
    #[test]
    fn no_command_line_stops_a_boot(parameters in vec(parameter(), 0..6)) {
        let raw = [(0, 0x9_fc00, 1), (0xf_0000, 0x1_0000, 2), (0x10_0000, 0x3ff0_0000, 1)];
        let raw = raw.map(|(addr, size, kind)| RawEntry { addr, size, kind: MemoryKind(kind) });
        let (map, lines) = run(&raw, &parameters.join(" "));
        let map = map.unwrap();
        assert_balanced(&map);
        let lowest = map.map.iter().filter(|e| e.kind.is_ram() && e.range.end() > 0x10_0000).count();
        prop_assert!(lowest > 0, "{:#?}", lines.all());
    }
}

/// The most entries there can be, each another type, none touching: all of them arrive.
#[test]
fn a_full_firmware_map_arrives_whole() {
    let raw: Vec<_> = (0..RAW_ENTRIES as u64)
        .map(|i| RawEntry { addr: (i + 1) << 21, size: 1 << 20, kind: MemoryKind(1 + i as u32 % 9) })
        .collect();
    let map = run(&raw, "").0.unwrap();
    assert_eq!(map.map.len(), RAW_ENTRIES);
    assert_balanced(&map);
}

/// RAM in 128 pieces below 1 MiB and above 64 TiB: the account names every one.
#[test]
fn the_account_has_room_for_any_firmware() {
    let pieces = |start: u64| move |i: u64| RawEntry { addr: start + 0x2000 * i, size: 0x1000, kind: MemoryKind::RAM };
    let mut raw: Vec<_> = (0..40).map(pieces(0xa_0000)).collect();
    raw.extend((0..87).map(pieces(1 << 46)));
    raw.push(RawEntry { addr: 1 << 20, size: 1 << 30, kind: MemoryKind::RAM });
    let map = run(&raw, "").0.unwrap();
    assert_balanced(&map);
    assert_eq!(map.ledger.claims().len(), 127);
}
