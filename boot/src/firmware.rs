// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first hand-off: the firmware's map, what lies in memory, nodes and what is installed.

use crate::console::say;
use crate::multiboot::Loader;
use crate::tables::Tables;
use crate::{smbios, srat};
use handoff::{Firmware, Image, Ledger, Owner, PhysRange};

/// Returns the first hand-off.
///
/// # Errors
/// More lies in memory than the hand-off can say.
pub(crate) fn collect(loader: &Loader, pool: PhysRange) -> Result<Firmware, &'static str> {
    let mut ledger = Ledger::new();
    ledger.installed = smbios::installed_bytes(Tables, loader.efi_system_table());

    let mut firmware = Firmware { map: loader.map.clone(), ledger, ..Firmware::default() };
    let pool = Image { range: pool, owner: Owner::BOOT_POOL };
    for image in loader.images().chain([pool]) {
        firmware.images.push(image).map_err(|_| "too many things lie in memory")?;
    }
    if let Some((root, entry_bytes)) = loader.acpi_root() {
        match srat::affinities(Tables, root, entry_bytes) {
            Ok(affinity) => firmware.affinity = affinity,
            Err(why) => say!("boot: SRAT: {why}: all memory counts as one node"),
        }
    }
    Ok(firmware)
}
