// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory is installed, from the SMBIOS memory devices.
//!
//! `dmidecode` finds and checks the entry point. The walk to the one structure type we need is our own: the crate's decodes
//! every type there is, which costs 25 KiB of code.

use crate::tables::Tables;
use dmidecode::EntryPoint;

/// Where a BIOS keeps the entry point: somewhere in here, on a 16-byte boundary.
const BIOS: (u64, u64) = (0xf_0000, 0x1_0000);
/// Bytes of an entry point, of either kind.
const ENTRY_BYTES: usize = 32;
/// The SMBIOS 3 and SMBIOS identifiers of the EFI configuration table, as they lie in memory.
const EFI_SMBIOS: [[u8; 16]; 2] = [
    [0x44, 0x15, 0xfd, 0xf2, 0x94, 0x97, 0x2c, 0x4a, 0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94],
    [0x31, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11, 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d],
];

/// Returns the bytes of all memory devices, or `None` if the firmware does not say.
pub(crate) fn installed_bytes(tables: Tables, efi_system_table: Option<u64>) -> Option<u64> {
    let entry = efi_system_table.and_then(|table| efi_entry(tables, table)).or_else(|| bios_entry(tables))?;
    let structures = tables.bytes(entry.smbios_address(), entry.smbios_len().into())?;
    let devices = Structures(structures).filter(|structure| structure[0] == MEMORY_DEVICE);
    Some(devices.filter_map(device_bytes).fold(0, u64::saturating_add)).filter(|sum| *sum > 0)
}

/// The type of a structure that describes a memory device.
const MEMORY_DEVICE: u8 = 17;

/// The structures of a table, each without its strings; malformed ones end it.
struct Structures<'a>(&'a [u8]);

impl<'a> Iterator for Structures<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.0.get(1)?).max(4);
        let (structure, strings) = self.0.split_at_checked(length)?;
        let end = strings.windows(2).position(|pair| pair == [0, 0])?;
        self.0 = &strings[end + 2..];
        Some(structure)
    }
}

/// Returns the size of a memory device: bit 15 selects KiB instead of MiB, 0x7fff the longer field in MiB, 0xffff and 0
/// mean that there is none or that nobody knows.
fn device_bytes(device: &[u8]) -> Option<u64> {
    let size = u16::from_le_bytes(device.get(12..14)?.try_into().ok()?);
    match size {
        0 | 0xffff => None,
        0x7fff => Some(u64::from(u32::from_le_bytes(device.get(28..32)?.try_into().ok()?) & 0x7fff_ffff) << 20),
        size if size & 0x8000 != 0 => Some(u64::from(size & 0x7fff) << 10),
        size => Some(u64::from(size) << 20),
    }
}

/// Looks for the entry point in the BIOS. One candidate is shown at a time, so that a stray signature is passed over.
fn bios_entry(tables: Tables) -> Option<EntryPoint> {
    let bios = tables.bytes(BIOS.0, BIOS.1)?;
    let mut candidates = (0..bios.len() - ENTRY_BYTES).step_by(16);
    candidates.find_map(|at| EntryPoint::search(&bios[at..at + ENTRY_BYTES]).ok())
}

/// Looks for the entry point in the configuration table of the EFI system table.
fn efi_entry(tables: Tables, system_table: u64) -> Option<EntryPoint> {
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let table = tables.bytes(system_table, 120)?;
    let (count, first) = (word(table, 104)?, word(table, 112)?);
    let entries = tables.bytes(first, count.min(1024) * 24)?;
    EFI_SMBIOS.iter().find_map(|wanted| {
        let entry = entries.chunks_exact(24).find(|entry| entry[..16] == *wanted)?;
        EntryPoint::search(tables.bytes(word(entry, 16)?, ENTRY_BYTES as u64)?).ok()
    })
}
