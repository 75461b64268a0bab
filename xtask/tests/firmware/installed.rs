// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SMBIOS memory devices.

use crate::smbios::installed_bytes;
use crate::tables::{BASE, Tables};
use proptest::prelude::*;

/// Where the BIOS area begins in the memory below.
const BIOS: usize = 0xf_0000 - BASE as usize;
/// Where the structures lie.
const STRUCTURES: u64 = BASE + 0x1000;

fn device(size: u16, extended: u32) -> Vec<u8> {
    let mut structure = vec![17, 40, 0, 0];
    structure.resize(12, 0);
    structure.extend(size.to_le_bytes());
    structure.resize(28, 0);
    structure.extend(extended.to_le_bytes());
    structure.resize(40, 0);
    structure.extend(b"DIMM 0\0\0");
    structure
}

/// Returns memory with an SMBIOS 3 entry point in the BIOS area that leads to these structures.
fn memory(structures: &[u8]) -> Vec<u8> {
    let mut entry = [&b"_SM3_"[..], &[0, 24, 3, 3, 0, 1, 0], &(structures.len() as u32).to_le_bytes()].concat();
    entry.extend(STRUCTURES.to_le_bytes());
    entry[5] = entry.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));

    let mut memory = vec![0; BIOS + 0x1_0000];
    memory[0x1000..0x1000 + structures.len()].copy_from_slice(structures);
    memory[BIOS + 0x40..BIOS + 0x44].copy_from_slice(b"_SM_"); // a stray signature
    memory[BIOS + 0x80..BIOS + 0x80 + entry.len()].copy_from_slice(&entry);
    memory
}

fn installed(structures: &[u8]) -> Option<u64> {
    installed_bytes(Tables(memory(structures).leak()), None)
}

#[test]
fn sizes_add_up() {
    let other = [&[1, 8, 0, 0, 9, 9, 9, 9][..], b"text\0more\0\0"].concat();
    for (size, extended, bytes) in [
        (0, 0, None),
        (0xffff, 0, None),
        (16384, 0, Some(16 << 30)),
        (0x8000 | 512, 0, Some(512 << 10)),
        (0x7fff, 65536, Some(64 << 30)),
    ] {
        assert_eq!(installed(&[other.clone(), device(size, extended)].concat()), bytes, "{size:#x}");
    }
    assert_eq!(installed(&[device(1024, 0), other, device(2048, 0)].concat()), Some(3 << 30));
}

/// The structures end where one is malformed.
#[test]
fn malformed_structures_end_the_table() {
    let good = device(1024, 0);
    assert_eq!(installed(&good[..good.len() - 2]), None);
    assert_eq!(installed(&[&good[..], &[17, 200, 0, 0, 1]].concat()), Some(1 << 30));
    assert_eq!(installed(&[17, 4, 0, 0, 0, 0]), None);
    assert_eq!(installed(&[17]), None);
}

#[test]
fn efi_tables_lead_to_the_entry_point() {
    let mut bytes = memory(&device(1024, 0));
    let entry: Vec<u8> = bytes[BIOS + 0x80..BIOS + 0x98].to_vec();
    bytes[BIOS..].fill(0);
    bytes[0x800..0x818].copy_from_slice(&entry);
    bytes[0x100 + 104..0x100 + 112].copy_from_slice(&2_u64.to_le_bytes());
    bytes[0x100 + 112..0x100 + 120].copy_from_slice(&(BASE + 0x200).to_le_bytes());
    let smbios3 = [0x44, 0x15, 0xfd, 0xf2, 0x94, 0x97, 0x2c, 0x4a, 0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94];
    bytes[0x218..0x228].copy_from_slice(&smbios3);
    bytes[0x228..0x230].copy_from_slice(&(BASE + 0x800).to_le_bytes());
    assert_eq!(installed_bytes(Tables(bytes.clone().leak()), Some(BASE + 0x100)), Some(1 << 30));
    assert_eq!(installed_bytes(Tables(bytes.leak()), Some(BASE + 0x101)), None);
}

#[test]
fn an_efi_that_does_not_say_leaves_the_bios_area() {
    let bytes = memory(&device(1024, 0));
    assert_eq!(installed_bytes(Tables(bytes.leak()), Some(BASE)), Some(1 << 30));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_structures_can_be_read(structures in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = installed(&structures);
        let devices: Vec<u8> = structures.chunks(8).flat_map(|c| [&[17, 8 + c[0] % 40], c, &[0, 0]].concat()).collect();
        let _ = installed(&devices);
    }

    #[test]
    fn any_efi_table_can_be_read(bytes in prop::collection::vec(any::<u8>(), 120..400), count in 0..5_u64, at in BASE..BASE + 400) {
        let mut bytes = bytes;
        bytes[104..112].copy_from_slice(&count.to_le_bytes());
        bytes[112..120].copy_from_slice(&at.to_le_bytes());
        let _ = installed_bytes(Tables(bytes.leak()), Some(BASE));
    }
}
