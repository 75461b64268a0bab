// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory is installed, as SMBIOS tells.

use smbioslib::{MemorySize, MemorySizeExtended, SMBiosData, SMBiosMemoryDevice};

/// A memory module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Module {
    pub(super) slot: String,
    pub(super) bytes: u64,
}

/// Returns the modules that are there.
pub(super) fn modules(structures: &[u8]) -> Vec<Module> {
    let data = SMBiosData::from_vec_and_version(structures.to_vec(), None);
    let module = |device: SMBiosMemoryDevice<'_>| {
        let bytes = match device.size()? {
            MemorySize::Kilobytes(kib) => u64::from(kib) << 10,
            MemorySize::Megabytes(mib) => u64::from(mib) << 20,
            MemorySize::SeeExtendedSize => match device.extended_size()? {
                MemorySizeExtended::Megabytes(mib) => u64::from(mib) << 20,
                MemorySizeExtended::SeeSize => return None,
            },
            MemorySize::NotInstalled | MemorySize::Unknown => return None,
        };
        let slot = device.device_locator().to_utf8_lossy().unwrap_or_default();
        (bytes > 0).then_some(Module { slot, bytes })
    };
    data.defined_struct_iter::<SMBiosMemoryDevice<'_>>().filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let device = |size: u16| {
            let mut structure = vec![17, 40, 0, 17];
            structure.resize(12, 0);
            structure.extend(size.to_le_bytes());
            structure.extend([9, 0, 1]);
            structure.resize(40, 0);
            structure.extend(b"DIMM 0\0\0");
            structure
        };
        let table = [device(2048), device(0), device(0xffff), device(0x8000 | 512), vec![127, 4, 0, 0, 0, 0]].concat();
        let found = modules(&table);
        assert_eq!(
            found.iter().map(|m| (m.slot.as_str(), m.bytes)).collect::<Vec<_>>(),
            [("DIMM 0", 2 << 30), ("DIMM 0", 512 << 10)]
        );
        assert_eq!(modules(&table[..50]).len(), 1);
        assert!(modules(b"\x11\x01\x00").is_empty());
    }
}
