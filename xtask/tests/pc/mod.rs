// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PC for tests.

use handoff::{Firmware, Image, MemoryKind, Owner, PhysRange, RawEntry};

/// Returns what the firmware of `qemu-system-x86_64 -machine pc` with `gib` GiB, 4 or more, says, and where a loader puts things.
pub(crate) fn firmware(gib: u64) -> Firmware {
    let mut firmware = Firmware::default();
    for (addr, end, kind) in [
        (0, 0x9_fc00, MemoryKind::RAM),
        (0x9_fc00, 0xa_0000, MemoryKind::RESERVED),
        (0xf_0000, 0x10_0000, MemoryKind::RESERVED),
        (0x10_0000, 0xbffe_0000, MemoryKind::RAM),
        (0xbffe_0000, 0xc000_0000, MemoryKind::RESERVED),
        (0xfeff_c000, 0xff00_0000, MemoryKind::RESERVED),
        (0xfffc_0000, 0x1_0000_0000, MemoryKind::RESERVED),
        (0x1_0000_0000, (gib + 1) << 30, MemoryKind::RAM),
        (0xfd_0000_0000, 0x100_0000_0000, MemoryKind::RESERVED),
    ] {
        firmware.map.push(RawEntry { addr, size: end - addr, kind }).unwrap();
        firmware.ledger.firmware_ram += if kind == MemoryKind::RAM { end - addr } else { 0 };
    }
    for (start, end, owner) in [(0x10_0000, 0x12_8000, Owner::BOOT_IMAGE), (0x12_8000, 0x18_0000, Owner::STAGE_IMAGES)]
    {
        firmware.images.push(Image { range: PhysRange::new(start, end).unwrap(), owner }).unwrap();
    }
    firmware.ledger.installed = Some(gib << 30);
    firmware
}
