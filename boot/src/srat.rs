// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which memory belongs to which node, from the ACPI System Resource Affinity Table.
//!
//! Our own reader: the one of the `acpi` crate (7.0.0-pre1) takes the entry length for 16 bits wide, so it loses every
//! domain but 0, and it needs unchecked pointers where slices do.

use crate::acpi::{Acpi, HEADER_BYTES, entries, number};
use handoff::{AFFINITIES, Affinity, MAX_NODES, PhysRange};
use heapless::Vec;

/// Where the entries start.
pub(crate) const ENTRIES: usize = HEADER_BYTES + 12;

/// What the SRAT says.
#[derive(Debug, Default)]
pub(crate) struct Srat {
    /// Which memory belongs to which node.
    pub(crate) ranges: Vec<Affinity, AFFINITIES>,
    /// The proximity domain of each node.
    pub(crate) domains: Vec<u32, MAX_NODES>,
}

impl Srat {
    /// Returns what the SRAT says, if there is one that can be read.
    ///
    /// Nodes are numbered in the order in which their domains appear, processors first, as Linux numbers them.
    ///
    /// # Errors
    /// The limit that the table exceeds.
    pub(crate) fn read(acpi: Acpi) -> Result<Self, &'static str> {
        let mut read = Self::default();
        let Some(srat) = acpi.find(*b"SRAT") else { return Ok(read) };

        for (_, domain) in entries(srat, ENTRIES).filter_map(processor) {
            read.node(domain)?;
        }
        for (domain, range, hotplug) in entries(srat, ENTRIES).filter_map(memory) {
            let affinity = Affinity { range, node: read.node(domain)?, hotplug };
            read.ranges.push(affinity).map_err(|_| "more than 64 ranges with a NUMA node")?;
        }
        Ok(read)
    }

    /// Returns the node of a domain, which may be a new one.
    fn node(&mut self, domain: u32) -> Result<u16, &'static str> {
        let known = self.domains.iter().position(|d| *d == domain);
        let node = known.unwrap_or(self.domains.len());
        if known.is_none() {
            self.domains.push(domain).map_err(|_| "more than 16 NUMA nodes")?;
        }
        Ok(node as u16)
    }
}

/// Returns number and domain of an enabled processor (local APIC or x2APIC affinity).
pub(crate) fn processor(entry: &[u8]) -> Option<(u32, u32)> {
    let enabled = |flags: &[u8]| number(flags) & 1 != 0;
    match entry {
        [0, 16, low, id, f0, f1, f2, f3, _, h0, h1, h2, ..] if enabled(&[*f0, *f1, *f2, *f3]) => {
            Some(((*id).into(), u32::from_le_bytes([*low, *h0, *h1, *h2])))
        }
        [2, 24, ..] if enabled(&entry[12..16]) => Some((number(&entry[8..12]) as u32, number(&entry[4..8]) as u32)),
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
