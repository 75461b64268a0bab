// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ACPI tables, by name.

use crate::tables::Tables;

/// Bytes that every table starts with.
pub(crate) const HEADER_BYTES: usize = 36;

/// The root table, which lists the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acpi {
    pub(crate) tables: Tables,
    /// Its address.
    pub(crate) root: u64,
    /// Bytes of an address in it, 4 or 8.
    pub(crate) entry_bytes: usize,
}

impl Acpi {
    /// Returns the first table with that signature whose length and sum are right, header included.
    pub(crate) fn find(self, signature: [u8; 4]) -> Option<&'static [u8]> {
        let root = self.table(self.root)?;
        let addresses = root[HEADER_BYTES..].chunks_exact(self.entry_bytes).map(number);
        let mut named = addresses.filter(|at| self.tables.bytes(*at, 4) == Some(&signature));
        named.find_map(|address| self.table(address))
    }

    fn table(self, address: u64) -> Option<&'static [u8]> {
        let length = number(&self.tables.bytes(address, HEADER_BYTES as u64)?[4..8]);
        let table = self.tables.bytes(address, length).filter(|table| table.len() >= HEADER_BYTES)?;
        let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        (sum == 0).then_some(table)
    }
}

/// Returns the entries of a table from `start` on, each with its type and length in the first two bytes.
pub(crate) fn entries(table: &'static [u8], start: usize) -> impl Iterator<Item = &'static [u8]> {
    let mut rest = table.get(start..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let length = usize::from(*rest.get(1)?).max(2);
        let (entry, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(entry)
    })
}

/// Returns a little-endian number of up to 8 bytes.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
