// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MADT.

use crate::affinity::{acpi, srat, table};
use crate::processors::{PROCESSORS, Processors};
use proptest::prelude::*;

fn madt(entries: &[Vec<u8>]) -> Vec<u8> {
    table(*b"APIC", &[vec![0; 8], entries.concat()].concat())
}

fn local_apic(id: u8, flags: u8) -> Vec<u8> {
    vec![0, 8, 77, id, flags, 0, 0, 0]
}

fn x2apic(id: u32, flags: u8) -> Vec<u8> {
    [&[9, 16, 0, 0][..], &id.to_le_bytes(), &[flags, 0, 0, 0], &[0; 4]].concat()
}

/// The affinity of a processor with a local APIC.
fn affinity(id: u8, domain: u8) -> Vec<u8> {
    [&[0, 16, domain, id, 1][..], &[0; 11]].concat()
}

fn read(tables: &[Vec<u8>]) -> (Vec<(u32, u16)>, u32, u32) {
    let found = Processors::read(acpi(tables));
    (found.enabled.iter().map(|p| (p.apic_id, p.node)).collect(), found.left_out, found.disabled)
}

#[test]
fn processors_are_found_with_their_nodes() {
    let entries = [
        local_apic(0, 1),
        vec![1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // an I/O APIC
        local_apic(4, 1),
        local_apic(6, 0),    // switched off
        local_apic(8, 2),    // could be switched on
        local_apic(0xff, 1), // all of them
        x2apic(4, 1),        // the same again
        x2apic(300, 1),
        x2apic(u32::MAX, 1),
    ];
    let nodes = srat(&[affinity(4, 9), affinity(0, 5)]);
    assert_eq!(read(&[madt(&entries), nodes]), (vec![(0, 1), (4, 0), (300, 0)], 0, 2));
    assert_eq!(read(&[madt(&entries)]), (vec![(0, 0), (4, 0), (300, 0)], 0, 2));
    assert_eq!(read(&[srat(&[affinity(0, 5)])]), (vec![], 0, 0));
}

#[test]
fn more_than_fit_are_counted() {
    let entries: Vec<_> = (0..PROCESSORS as u32 + 7).map(|id| x2apic(id, 1)).collect();
    let (enabled, left_out, disabled) = read(&[madt(&entries)]);
    assert_eq!((enabled.len(), left_out, disabled), (PROCESSORS, 7, 0));
}

proptest! {
    #[test]
    fn any_entries_can_be_read(entries in prop::collection::vec((0..12_u8, 0..24_u8, any::<[u8; 24]>()), 0..99)) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(kind, length, bytes)| [&[*kind, *length], &bytes[..usize::from(*length).saturating_sub(2)]].concat())
            .collect();
        let (enabled, ..) = read(&[madt(&entries)]);
        prop_assert!(enabled.len() <= PROCESSORS);
    }
}
