// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot's readers of firmware tables and of the firmware's map, run on the host: on tables as they should be, and on
//! anything.

#[path = "../../../boot/src/acpi.rs"]
mod acpi;
#[path = "../../../boot/src/map.rs"]
mod map;
#[path = "../../../boot/src/smp/processors.rs"]
mod processors;
#[path = "../../../boot/src/slit.rs"]
mod slit;
#[path = "../../../boot/src/smbios.rs"]
mod smbios;
#[path = "../../../boot/src/srat.rs"]
mod srat;

mod affinity;
mod cpus;
mod distances;
mod installed;
mod places;

/// Stands for the machine's memory.
mod tables {
    /// Firmware tables in a piece of memory that starts at [`BASE`].
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Tables(pub(crate) &'static [u8]);

    /// The address of the first byte.
    pub(crate) const BASE: u64 = 0xe_0000;

    impl Tables {
        pub(crate) fn bytes(self, address: u64, size: u64) -> Option<&'static [u8]> {
            let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
            self.0.get(start..start.checked_add(usize::try_from(size).ok()?)?).filter(|bytes| !bytes.is_empty())
        }
    }
}
