// SPDX-License-Identifier: MIT OR Apache-2.0
//! Half-open ranges of physical addresses.

use core::fmt;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

/// Bytes in a page frame.
pub const FRAME_BYTES: u64 = 4096;

/// A non-empty half-open range `[start, end)` of physical addresses, in bytes.
///
/// Addresses are kept as numbers over all 64 bits, because firmware and Linux's own arithmetic use all of them;
/// [`frames`](Self::frames) leads to the typed world of the `x86_64` crate.
///
/// # Invariants
/// `start < end`: no empty, inverted or overflowing range can exist. The last byte of the 64-bit space is not
/// representable, exactly as in Linux's `memblock_cap_size` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "(u64, u64)", into = "(u64, u64)")
)]
pub struct PhysRange {
    start: u64,
    end: u64,
}

impl PhysRange {
    /// Returns `[start, end)`, or `None` if that is empty or inverted.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start < end { Some(Self { start, end }) } else { None }
    }

    /// Returns `[base, base + size_bytes)`, or `None` if that is empty or its end overflows.
    #[must_use]
    pub const fn from_size(base: u64, size_bytes: u64) -> Option<Self> {
        match base.checked_add(size_bytes) {
            Some(end) => Self::new(base, end),
            None => None,
        }
    }

    /// Returns `[base, base + size_bytes)` cut at the last address, or `None` if nothing is left.
    ///
    /// Linux: `memblock_cap_size` (6.1).
    #[must_use]
    pub const fn capped(base: u64, size_bytes: u64) -> Option<Self> {
        Self::new(base, base.saturating_add(size_bytes))
    }

    /// Returns the first address.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// Returns the address after the last byte.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Returns the size in bytes, never 0.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.end - self.start
    }

    /// Returns whether `address` lies inside.
    #[must_use]
    pub const fn contains(self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Returns whether `other` lies completely inside.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns whether the two ranges share a byte.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Returns the bytes both ranges share.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// Returns the whole frames inside: the start rounded up, the end rounded down.
    #[must_use]
    pub const fn inward(self) -> Option<Self> {
        match self.start.checked_next_multiple_of(FRAME_BYTES) {
            Some(start) => Self::new(start, self.end & !(FRAME_BYTES - 1)),
            None => None,
        }
    }

    /// Returns the frames touched: the start rounded down, the end rounded up (cut at the last whole frame).
    #[must_use]
    pub const fn outward(self) -> Self {
        let end = match self.end.checked_next_multiple_of(FRAME_BYTES) {
            Some(end) => end,
            None => u64::MAX,
        };
        Self { start: self.start & !(FRAME_BYTES - 1), end }
    }

    /// Returns the whole frames inside, one by one.
    ///
    /// Frames beyond the 52 bits that a page-table entry can hold are left out.
    pub fn frames(self) -> impl Iterator<Item = PhysFrame> {
        let whole = self.inward().map_or(0..0, |r| r.start / FRAME_BYTES..r.end / FRAME_BYTES);
        whole.map_while(|number| PhysAddr::try_new(number * FRAME_BYTES).ok().map(PhysFrame::containing_address))
    }
}

/// The form Linux prints: `[mem 0x…-0x…]` with 16 digits and an inclusive end.
impl fmt::Display for PhysRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[mem {:#018x}-{:#018x}]", self.start, self.end - 1)
    }
}

impl fmt::Debug for PhysRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for PhysRange {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "[mem {=u64:#018x}-{=u64:#018x}]", self.start, self.end - 1);
    }
}

impl From<PhysRange> for (u64, u64) {
    fn from(range: PhysRange) -> Self {
        (range.start, range.size())
    }
}

impl TryFrom<(u64, u64)> for PhysRange {
    type Error = NotARange;

    fn try_from((base, size_bytes): (u64, u64)) -> Result<Self, NotARange> {
        Self::from_size(base, size_bytes).ok_or(NotARange { base, size_bytes })
    }
}

/// The error for a base and a size that do not make a [`PhysRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARange {
    base: u64,
    size_bytes: u64,
}

impl fmt::Display for NotARange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} bytes at {:#x} are not a range", self.size_bytes, self.base)
    }
}

impl core::error::Error for NotARange {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn no_empty_or_overflowing_range() {
        assert_eq!(PhysRange::new(5, 5), None);
        assert_eq!(PhysRange::new(6, 5), None);
        assert_eq!(PhysRange::from_size(u64::MAX, 1), None);
        assert_eq!(PhysRange::capped(u64::MAX, 1), None);
        assert_eq!(PhysRange::capped(u64::MAX - 1, 5).unwrap().size(), 1);
    }

    #[test]
    fn rounds_usable_inward_and_reserved_outward() {
        let r = PhysRange::new(1, 0x9fc00).unwrap();
        assert_eq!(r.inward(), PhysRange::new(0x1000, 0x9f000));
        assert_eq!(Some(r.outward()), PhysRange::new(0, 0xa0000));
        assert_eq!(PhysRange::new(1, 0x1fff).unwrap().inward(), None);
        assert_eq!(PhysRange::new(u64::MAX - 5, u64::MAX).unwrap().inward(), None);
    }

    #[test]
    fn prints_as_linux_does() {
        let r = PhysRange::new(0x10_0000, 0xc000_0000).unwrap();
        assert_eq!(r.to_string(), "[mem 0x0000000000100000-0x00000000bfffffff]");
    }

    #[test]
    fn frames_stop_where_page_tables_do() {
        let addresses: Vec<u64> =
            PhysRange::new(0xfff, 0x3001).unwrap().frames().map(|f| f.start_address().as_u64()).collect();
        assert_eq!(addresses, [0x1000, 0x2000]);
        assert_eq!(PhysRange::new((1 << 52) - 4096, u64::MAX).unwrap().frames().count(), 1);
    }
}
