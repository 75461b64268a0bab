// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which memory belongs to which node, from the ACPI System Resource Affinity Table.
//!
//! Our own reader: the one of the `acpi` crate (7.0.0-pre1) takes the entry length for 16 bits wide, so it loses every
//! domain but 0, and it needs unchecked pointers where slices do.

use crate::tables::Tables;
use handoff::{AFFINITIES, Affinity, PhysRange};
use heapless::Vec;

const HEADER_BYTES: usize = 36;
/// Proximity domains, each of which becomes a node.
const NODES: usize = handoff::MAX_NODES;

/// Returns the ranges of the SRAT, if there is one that can be read; the root table has entries of 4 or 8 bytes.
///
/// Nodes are numbered in the order in which their domains appear, processors first, as Linux numbers them.
///
/// # Errors
/// The limit that the table exceeds.
pub(crate) fn affinities(
    tables: Tables,
    root: u64,
    entry_bytes: usize,
) -> Result<Vec<Affinity, AFFINITIES>, &'static str> {
    let mut ranges = Vec::new();
    let addresses = table(tables, root).into_iter().flat_map(|root| root[HEADER_BYTES..].chunks_exact(entry_bytes));
    let srats = addresses.map(number).filter(|at| tables.bytes(*at, 4) == Some(b"SRAT"));
    let Some(srat) = srats.filter_map(|address| table(tables, address)).next() else { return Ok(ranges) };

    let mut domains: Vec<u32, NODES> = Vec::new();
    let mut node = |domain: u32| match domains.iter().position(|d| *d == domain) {
        Some(at) => Ok(at as u16),
        None => domains.push(domain).map(|()| domains.len() as u16 - 1).map_err(|_| "more than 16 NUMA nodes"),
    };
    for domain in entries(srat).filter_map(processor_domain) {
        node(domain)?;
    }
    for (domain, range, hotplug) in entries(srat).filter_map(memory) {
        let affinity = Affinity { range, node: node(domain)?, hotplug };
        ranges.push(affinity).map_err(|_| "more than 64 ranges with a NUMA node")?;
    }
    Ok(ranges)
}

/// Returns a whole table whose length and sum are right.
fn table(tables: Tables, address: u64) -> Option<&'static [u8]> {
    let length = number(&tables.bytes(address, HEADER_BYTES as u64)?[4..8]);
    let table = tables.bytes(address, length).filter(|table| table.len() >= HEADER_BYTES)?;
    let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    (sum == 0).then_some(table)
}

/// Returns the entries of the SRAT, each with its type and length in the first two bytes.
fn entries(srat: &'static [u8]) -> impl Iterator<Item = &'static [u8]> {
    let mut rest = srat.get(HEADER_BYTES + 12..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let length = usize::from(*rest.get(1)?).max(2);
        let (entry, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(entry)
    })
}

/// Returns the domain of an enabled processor (local APIC or x2APIC affinity).
fn processor_domain(entry: &[u8]) -> Option<u32> {
    let enabled = |flags: &[u8]| number(flags) & 1 != 0;
    match entry {
        [0, 16, low, _, f0, f1, f2, f3, _, h0, h1, h2, ..] if enabled(&[*f0, *f1, *f2, *f3]) => {
            Some(u32::from_le_bytes([*low, *h0, *h1, *h2]))
        }
        [2, 24, ..] if enabled(&entry[12..16]) => Some(number(&entry[4..8]) as u32),
        _ => None,
    }
}

/// Returns domain, range and hot-plug flag of an enabled memory affinity.
fn memory(entry: &[u8]) -> Option<(u32, PhysRange, bool)> {
    let [1, 40, ..] = entry else { return None };
    let flags = number(&entry[28..32]);
    let range = PhysRange::from_size(number(&entry[8..16]), number(&entry[16..24]))?;
    (flags & 1 != 0).then(|| (number(&entry[2..6]) as u32, range, flags & 2 != 0))
}

/// Returns a little-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
