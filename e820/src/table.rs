// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table itself: a list of entries in any order.

use crate::Error;
use handoff::{MemoryKind, PhysRange, RawEntry};
use heapless::Vec;

/// A memory map of at most `N` entries, 320 unless said otherwise, as firmware, loader or command line give them.
///
/// Entries may be in any order, overlap, be empty or wrap until [`sanitize`](Self::sanitize) succeeds. Addresses and sizes
/// are bytes.
///
/// Linux: `struct e820_table` (6.1), whose `E820_MAX_ENTRIES` is 128 + 3 for each possible node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table<const N: usize = 320> {
    pub(crate) entries: Vec<RawEntry, N>,
}

impl<const N: usize> Table<N> {
    /// Returns an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Returns a table of these entries, as they are.
    ///
    /// # Errors
    /// [`Error::TooManyEntries`].
    pub fn from_entries(entries: impl IntoIterator<Item = RawEntry>) -> Result<Self, Error> {
        let mut table = Self::new();
        entries.into_iter().try_for_each(|entry| table.add(entry))?;
        Ok(table)
    }

    /// Returns the entries in the order of the table.
    #[must_use]
    pub fn entries(&self) -> &[RawEntry] {
        &self.entries
    }

    /// Appends an entry without looking at it.
    ///
    /// Linux: `e820__range_add` (6.1), which drops an entry it has no room for.
    ///
    /// # Errors
    /// [`Error::TooManyEntries`].
    pub fn add(&mut self, entry: RawEntry) -> Result<(), Error> {
        self.entries.push(entry).map_err(|_| Self::FULL)
    }

    /// Empties the table. Linux: `memmap=exactmap` (6.1).
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Returns whether entries of `kind`, or of any kind, cover all of `range`.
    ///
    /// The table must be sanitized: Linux walks it once, in order.
    ///
    /// Linux: `e820__mapped_all` (6.1).
    #[must_use]
    pub fn mapped_all(&self, range: PhysRange, kind: Option<MemoryKind>) -> bool {
        let mut rest = Some(range);
        for piece in self.of_kind(kind) {
            rest = match rest {
                Some(r) if piece.contains(r.start()) => PhysRange::new(piece.end(), r.end()),
                _ => rest,
            };
        }
        rest.is_none()
    }

    /// Returns whether an entry of `kind`, or of any kind, has a byte of `range`.
    ///
    /// Linux: `e820__mapped_any` (6.1).
    #[must_use]
    pub fn mapped_any(&self, range: PhysRange, kind: Option<MemoryKind>) -> bool {
        self.of_kind(kind).any(|piece| piece.overlaps(range))
    }

    /// Returns the ranges that Linux would give to memblock: RAM, and RAM set aside for `setup_data`.
    pub fn ram(&self) -> impl Iterator<Item = PhysRange> {
        self.entries.iter().filter(|e| e.kind.is_ram()).filter_map(range_of)
    }

    /// Returns the bytes of RAM, if the table is sanitized.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram().map(PhysRange::size).sum()
    }

    /// Returns the ranges of the entries of `kind`, or of any kind, in the order of the table.
    pub fn of_kind(&self, kind: Option<MemoryKind>) -> impl Iterator<Item = PhysRange> {
        self.entries.iter().filter(move |e| kind.is_none_or(|k| e.kind == k)).filter_map(range_of)
    }

    pub(crate) const FULL: Error = Error::TooManyEntries { capacity: N };
}

/// Returns the bytes of an entry, unless it is empty or wraps.
pub(crate) fn range_of(entry: &RawEntry) -> Option<PhysRange> {
    PhysRange::from_size(entry.addr, entry.size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{entries, table};

    #[test]
    fn a_full_table_keeps_what_it_has() {
        let mut t: Table<2> = table(&[(1, 1, 1), (2, 1, 1)]);
        assert_eq!(t.add(RawEntry { addr: 3, size: 1, kind: MemoryKind::RAM }), Err(Table::<2>::FULL));
        assert_eq!(entries(&t), [(1, 1, 1), (2, 1, 1)]);
    }

    #[test]
    fn mapped() {
        let t: Table = table(&[(10, 10, 1), (20, 10, 2), (30, 10, 1), (50, 0, 1)]);
        for (start, end, kind, all, any) in [
            (10, 20, Some(MemoryKind::RAM), true, true),
            (10, 21, Some(MemoryKind::RAM), false, true),
            (12, 40, None, true, true),
            (12, 41, None, false, true),
            (9, 12, None, false, true),
            (20, 30, Some(MemoryKind::RAM), false, false),
            (40, 60, None, false, false),
        ] {
            let range = PhysRange::new(start, end).unwrap();
            assert_eq!((t.mapped_all(range, kind), t.mapped_any(range, kind)), (all, any), "{range:?} {kind:?}");
        }
    }
}
