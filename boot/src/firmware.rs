// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first hand-off: the firmware's map, what lies in memory, nodes and what is installed.

use crate::acpi::Acpi;
use crate::console::say;
use crate::multiboot::Loader;
use crate::srat::Srat;
use crate::tables::Tables;
use crate::{slit, smbios};
use handoff::{Firmware, Image, Ledger, NodeDistances};

/// Returns the first hand-off; `placed` is what boot itself has put into memory.
///
/// # Errors
/// More lies in memory than the hand-off can say.
pub(crate) fn collect(loader: &Loader, placed: impl Iterator<Item = Image>) -> Result<Firmware, &'static str> {
    let mut ledger = Ledger::new();
    ledger.installed = smbios::installed_bytes(Tables, loader.efi_system_table());

    let mut firmware = Firmware { map: loader.map.clone(), ledger, ..Firmware::default() };
    for image in loader.images().chain(placed) {
        firmware.images.push(image).map_err(|_| "too many things lie in memory")?;
    }
    if let Some(acpi) = loader.acpi() {
        nodes(acpi, &mut firmware);
    }
    Ok(firmware)
}

/// Reads which memory belongs to which node, and how far nodes are from each other.
fn nodes(acpi: Acpi, firmware: &mut Firmware) {
    let srat = Srat::read(acpi).unwrap_or_else(|why| {
        say!("boot: SRAT: {why}: all memory counts as one node");
        Srat::default()
    });
    firmware.affinity = srat.ranges;
    firmware.distances = slit::distances(acpi, &srat.domains).unwrap_or_else(|why| {
        say!("boot: SLIT: {why}: all nodes count as equally far");
        NodeDistances::even(srat.domains.len())
    });
}
