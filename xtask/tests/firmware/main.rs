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
mod tables;
