// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zones and orders.

use core::fmt;

/// The largest order of a free block: 2^10 frames, 4 MiB.
///
/// Linux: `MAX_ORDER - 1` (6.1), `MAX_PAGE_ORDER` (6.8 and later).
pub const MAX_ORDER: u8 = 10;

/// The number of orders, 0 to [`MAX_ORDER`].
pub const ORDERS: usize = MAX_ORDER as usize + 1;

/// A zone type: memory below a limit that some devices need.
///
/// Linux: `enum zone_type` (6.1) on x86-64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct ZoneKind(pub u8);

impl ZoneKind {
    /// Memory below 16 MiB.
    pub const DMA: Self = Self(0);
    /// Memory below 4 GiB.
    pub const DMA32: Self = Self(1);
    /// All the rest.
    pub const NORMAL: Self = Self(2);
    /// Memory that holds only what can be moved elsewhere.
    pub const MOVABLE: Self = Self(3);

    /// Returns the name in `/proc/zoneinfo`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DMA => "DMA",
            Self::DMA32 => "DMA32",
            Self::NORMAL => "Normal",
            Self::MOVABLE => "Movable",
            _ => "unknown",
        }
    }
}

impl fmt::Display for ZoneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for ZoneKind {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str}", self.name());
    }
}
