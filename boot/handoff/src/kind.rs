// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware says a range is.

use core::fmt;

/// A firmware memory type: the number as the firmware gave it.
///
/// A number and not an enum, so that a type nobody knows survives to the end. `Ord` is numeric: where entries overlap,
/// Linux lets the highest number win.
///
/// Linux: `enum e820_type` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct MemoryKind(pub u32);

impl MemoryKind {
    /// Memory that is free to use.
    pub const RAM: Self = Self(1);
    /// Not to be touched; RAM or not.
    pub const RESERVED: Self = Self(2);
    /// ACPI tables, free to use once they have been read.
    pub const ACPI: Self = Self(3);
    /// Memory that ACPI needs for ever.
    pub const NVS: Self = Self(4);
    /// Memory in which the firmware found errors.
    pub const UNUSABLE: Self = Self(5);
    /// Persistent memory.
    pub const PMEM: Self = Self(7);
    /// Persistent memory, the number in use before it was standardised.
    pub const PRAM: Self = Self(12);
    /// RAM that Linux itself set aside for the loader's `setup_data`.
    pub const RESERVED_KERN: Self = Self(128);
    /// Memory set aside for a special purpose by the firmware (EFI specific-purpose memory).
    pub const SOFT_RESERVED: Self = Self(0xefff_ffff);

    /// Returns whether Linux gives this memory to memblock.
    #[must_use]
    pub const fn is_ram(self) -> bool {
        matches!(self, Self::RAM | Self::RESERVED_KERN)
    }

    /// Returns the words of the kernel log, or `None` for a type that prints as a number.
    const fn words(self) -> Option<&'static str> {
        Some(match self {
            Self::RAM | Self::RESERVED_KERN => "usable",
            Self::RESERVED => "reserved",
            Self::ACPI => "ACPI data",
            Self::NVS => "ACPI NVS",
            Self::UNUSABLE => "unusable",
            Self::PMEM => "persistent (type 7)",
            Self::PRAM => "persistent (type 12)",
            Self::SOFT_RESERVED => "soft reserved",
            _ => return None,
        })
    }
}

/// The words of the kernel log: `usable`, `reserved`, …, `type 99`.
impl fmt::Display for MemoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => f.write_str(words),
            None => write!(f, "type {}", self.0),
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for MemoryKind {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self.words() {
            Some(words) => defmt::write!(f, "{=str}", words),
            None => defmt::write!(f, "type {=u32}", self.0),
        }
    }
}

/// An entry of the firmware's map, unchecked: it may be empty, wrap, overlap others.
///
/// Linux: `struct boot_e820_entry` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RawEntry {
    /// First address.
    pub addr: u64,
    /// Size in bytes.
    pub size: u64,
    /// What the firmware says it is.
    pub kind: MemoryKind,
}
