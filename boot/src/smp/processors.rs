// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processors of the machine, from the ACPI Multiple APIC Description Table, and the node of each, from the SRAT.

use crate::acpi::{Acpi, HEADER_BYTES, entries, number};
use crate::srat::{self, Srat};
use heapless::Vec;

/// Processors that take part at most. Each costs the allocator's front a cache, and a stack.
pub(crate) const PROCESSORS: usize = 64;

/// A processor that is switched on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Processor {
    /// The number by which it is addressed.
    pub(crate) apic_id: u32,
    pub(crate) node: u16,
}

/// The processors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Processors {
    pub(crate) enabled: Vec<Processor, PROCESSORS>,
    /// Number of those that are switched on but more than fit.
    pub(crate) left_out: u32,
    /// Number of those that are switched off.
    pub(crate) disabled: u32,
}

impl Processors {
    /// Returns the processors in the firmware's order; none if the firmware does not say.
    ///
    /// Linux: `acpi_parse_lapic`, `acpi_parse_x2apic` (6.1).
    pub(crate) fn read(acpi: Acpi) -> Self {
        let mut found = Self::default();
        let madt = acpi.find(*b"APIC").unwrap_or(&[]);
        let nodes = Srat::read(acpi).unwrap_or_default();
        let srat = acpi.find(*b"SRAT").unwrap_or(&[]);
        let node_of = |apic_id| {
            let mut known = entries(srat, srat::ENTRIES).filter_map(srat::processor);
            let (_, domain) = known.find(|(id, _)| *id == apic_id)?;
            nodes.domains.iter().position(|known| *known == domain)
        };
        for (apic_id, enabled) in entries(madt, HEADER_BYTES + 8).filter_map(processor) {
            if !enabled {
                found.disabled += 1;
            } else if !found.enabled.iter().any(|known| known.apic_id == apic_id) {
                let node = node_of(apic_id).unwrap_or(0) as u16;
                found.left_out += u32::from(found.enabled.push(Processor { apic_id, node }).is_err());
            }
        }
        found
    }
}

/// Returns number and state of a processor (local APIC or local x2APIC); the number of all of them is nobody's.
fn processor(entry: &[u8]) -> Option<(u32, bool)> {
    let (id, flags, all) = match entry {
        [0, 8, ..] => (number(&entry[3..4]), entry[4], 0xff),
        [9, 16, ..] => (number(&entry[4..8]), entry[8], 0xffff_ffff),
        _ => return None,
    };
    (id != all).then_some((id as u32, flags & 1 != 0))
}
