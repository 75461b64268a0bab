// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SRAT.

use crate::acpi::Acpi;
use crate::srat::Srat;
use crate::tables::{BASE, Tables};
use proptest::prelude::*;

/// Returns a table with its length and sum.
pub(crate) fn table(signature: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = [&signature[..], &(36 + body.len() as u32).to_le_bytes(), &[0; 28], body].concat();
    table[9] = table.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    table
}

/// Returns memory with a root table of 8-byte entries, and these tables one after another behind it.
fn memory(tables: &[Vec<u8>]) -> Tables {
    let mut at = BASE + 36 + 8 * tables.len() as u64;
    let mut addresses = Vec::new();
    for table in tables {
        addresses.extend(at.to_le_bytes());
        at += table.len() as u64;
    }
    Tables([table(*b"XSDT", &addresses), tables.concat()].concat().leak())
}

pub(crate) fn srat(entries: &[Vec<u8>]) -> Vec<u8> {
    table(*b"SRAT", &[vec![0; 12], entries.concat()].concat())
}

fn local_apic(domain: u32, flags: u8) -> Vec<u8> {
    let [low, high @ ..] = domain.to_le_bytes();
    [&[0, 16, low, 0, flags, 0, 0, 0, 0][..], &high, &[0; 4]].concat()
}

fn x2apic(domain: u32, flags: u8) -> Vec<u8> {
    [&[2, 24, 0, 0][..], &domain.to_le_bytes(), &[0; 4], &[flags, 0, 0, 0], &[0; 8]].concat()
}

fn range(domain: u32, base: u64, size: u64, flags: u8) -> Vec<u8> {
    let start = [&[1, 40][..], &domain.to_le_bytes(), &[0; 2], &base.to_le_bytes(), &size.to_le_bytes()].concat();
    [&start[..], &[0; 4], &[flags, 0, 0, 0], &[0; 8]].concat()
}

/// Returns these tables behind a root table.
pub(crate) fn acpi(tables: &[Vec<u8>]) -> Acpi {
    Acpi { tables: memory(tables), root: BASE, entry_bytes: 8 }
}

fn read(tables: &[Vec<u8>]) -> Result<Vec<(u64, u64, u16, bool)>, &'static str> {
    let found = Srat::read(acpi(tables))?;
    Ok(found.ranges.iter().map(|a| (a.range.start(), a.range.end(), a.node, a.hotplug)).collect())
}

#[test]
fn nodes_are_numbered_as_their_domains_appear_processors_first() {
    let entries = [
        range(7, 0, 0xa_0000, 1),
        range(300, 0x10_0000, 0x1000, 1),
        range(7, 0x20_0000, 0x1000, 3),
        range(9, 0x30_0000, 0x1000, 0), // not enabled
        range(9, 0x40_0000, 0, 1),      // empty
        range(9, u64::MAX, 2, 1),       // wraps
        local_apic(9, 0),               // not enabled
        x2apic(300, 1),
        local_apic(7, 1),
    ];
    let other = table(*b"APIC", &[1; 50]);
    let expected = [(0, 0xa_0000, 1, false), (0x10_0000, 0x10_1000, 0, false), (0x20_0000, 0x20_1000, 1, true)];
    assert_eq!(read(&[other, srat(&entries)]).unwrap(), expected);
}

#[test]
fn what_is_no_srat_is_passed_over() {
    let good = srat(&[range(0, 0, 4096, 1)]);
    let mut wrong_sum = good.clone();
    wrong_sum[20] ^= 1;
    let mut too_long = good.clone();
    too_long[6] = 0xff;
    assert_eq!(read(&[wrong_sum.clone()]), Ok(vec![]));
    assert_eq!(read(&[wrong_sum, too_long, good]), Ok(vec![(0, 4096, 0, false)]));
    assert_eq!(read(&[srat(&[vec![1, 0], vec![1], vec![1, 255]])]), Ok(vec![]));
    assert_eq!(Srat::read(Acpi { tables: Tables(&[]), root: BASE, entry_bytes: 8 }).unwrap().ranges.len(), 0);
}

#[test]
fn limits_are_named() {
    let nodes: Vec<_> = (0..17).map(|i| range(i, u64::from(i) << 20, 4096, 1)).collect();
    assert_eq!(read(&[srat(&nodes[..16])]).unwrap().len(), 16);
    assert_eq!(read(&[srat(&nodes)]), Err("more than 16 NUMA nodes"));
    let ranges: Vec<_> = (0..65).map(|i| range(0, i << 20, 4096, 1)).collect();
    assert_eq!(read(&[srat(&ranges[..64])]).unwrap().len(), 64);
    assert_eq!(read(&[srat(&ranges)]), Err("more than 64 ranges with a NUMA node"));
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(
        body in prop::collection::vec(any::<u8>(), 0..300),
        memory in prop::collection::vec(any::<u8>(), 0..300),
        root in BASE..BASE + 400,
        width in prop::sample::select(vec![4, 8]),
    ) {
        let _ = read(&[table(*b"SRAT", &body)]);
        let _ = Srat::read(Acpi { tables: Tables(memory.leak()), root, entry_bytes: width });
    }

    #[test]
    fn any_entries_can_be_read(entries in prop::collection::vec((0..4_u8, 0..48_u8, any::<[u8; 46]>()), 0..40)) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(kind, length, bytes)| [&[*kind, *length], &bytes[..usize::from(*length).saturating_sub(2)]].concat())
            .collect();
        let _ = read(&[srat(&entries)]);
    }
}
