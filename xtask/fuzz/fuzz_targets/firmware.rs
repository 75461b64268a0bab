// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot's readers of firmware tables, on any memory that they may lie in.
#![no_main]
#![allow(dead_code, reason = "boot uses more of its readers than this")]

#[path = "../../../boot/src/acpi.rs"]
mod acpi;
#[path = "../../../boot/src/slit.rs"]
mod slit;
#[path = "../../../boot/src/smbios.rs"]
mod smbios;
#[path = "../../../boot/src/srat.rs"]
mod srat;
#[path = "../../tests/firmware/tables.rs"]
mod tables;

use acpi::Acpi;
use tables::{BASE, Tables};

/// Returns a table with its length and sum.
fn table(signature: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = [&signature[..], &(36 + body.len() as u32).to_le_bytes(), &[0; 28], body].concat();
    table[9] = table.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    table
}

fn read(tables: Tables, root: u64, entry_bytes: usize) {
    let acpi = Acpi { tables, root, entry_bytes };
    let _ = srat::Srat::read(acpi);
    let _ = slit::distances(acpi, &[0, 1, 2, 7]);
    let _ = smbios::installed_bytes(tables, None);
    let _ = smbios::installed_bytes(tables, Some(root));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [how, split, rest @ ..] = bytes else { return };
    if how % 2 == 0 {
        return read(Tables(rest.to_vec().leak()), BASE + u64::from(*split), if how % 4 == 0 { 4 } else { 8 });
    }
    // Tables whose sums are right, so that what is in them is looked at.
    let (srat, slit) = rest.split_at(rest.len().min(4 * usize::from(*split)));
    let (srat, slit) = (table(*b"SRAT", srat), table(*b"SLIT", slit));
    let first = BASE + 36 + 16;
    let root = table(*b"XSDT", &[first.to_le_bytes(), (first + srat.len() as u64).to_le_bytes()].concat());
    read(Tables([root, srat, slit].concat().leak()), BASE, 8);
});
