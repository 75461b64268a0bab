// SPDX-License-Identifier: MIT OR Apache-2.0
//! The entries of memblock's two arrays.

use core::fmt;

/// A node id as Linux stores it in a region.
///
/// Two values mean "no node", and they differ when regions are compared for merging: [`UNSET`](Self::UNSET), which every
/// new region carries, and [`NONE`](Self::NONE), which 6.12 writes when it resets node ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Nid(pub i32);

impl Nid {
    /// No node. Linux: `NUMA_NO_NODE` (6.1).
    pub const NONE: Self = Self(-1);
    /// No node yet. Linux: `MAX_NUMNODES` (6.1, Debian's `NODES_SHIFT=10`).
    pub const UNSET: Self = Self(1024);

    /// Returns the node number, if there is one.
    #[must_use]
    pub const fn number(self) -> Option<u16> {
        if 0 <= self.0 && self.0 < Self::UNSET.0 { Some(self.0 as u16) } else { None }
    }
}

impl From<u16> for Nid {
    fn from(number: u16) -> Self {
        Self(i32::from(number))
    }
}

/// The flags of a region, as a set of bits.
///
/// Linux: `enum memblock_flags` (6.1; `RSRV_NOINIT` since 6.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct RegionFlags(pub u32);

impl RegionFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Memory that can be unplugged.
    pub const HOTPLUG: Self = Self(1);
    /// Mirrored memory.
    pub const MIRROR: Self = Self(2);
    /// Memory that must not be mapped.
    pub const NOMAP: Self = Self(4);
    /// Memory that a driver added.
    pub const DRIVER_MANAGED: Self = Self(8);
    /// Reserved memory whose descriptors are not to be initialised.
    pub const RSRV_NOINIT: Self = Self(16);

    /// Returns whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the flags of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One entry of a region array: base and size in bytes, node, flags.
///
/// Linux: `struct memblock_region` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Region {
    /// First address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// Node, or one of the two values for none.
    pub nid: Nid,
    /// Flags.
    pub flags: RegionFlags,
}

impl Region {
    /// Returns a region without node and flags.
    #[must_use]
    pub const fn new(base: u64, size: u64) -> Self {
        Self { base, size, nid: Nid::UNSET, flags: RegionFlags::NONE }
    }

    /// Returns the address after the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.base.wrapping_add(self.size)
    }
}

/// Which end of memory an allocation is taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Direction {
    /// The highest place that fits.
    #[default]
    TopDown,
    /// The lowest place that fits. Linux: `memblock_set_bottom_up(true)` (6.1).
    BottomUp,
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:#018x}-{:#018x}]", self.base, self.end().wrapping_sub(1))
    }
}
