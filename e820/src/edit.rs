// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changing the type of a range, and cutting a range out.

use crate::{Error, Table};
use handoff::{MemoryKind, RawEntry};

/// How an entry lies to the range of an edit.
enum Overlap {
    None,
    /// The entry lies inside the range.
    Whole,
    /// The range lies strictly inside the entry, which goes on to this address.
    Inside(u64),
    /// They share these bytes, at one side of the entry.
    Part(u64, u64),
}

impl Overlap {
    /// Wraps where Linux does: an entry past the last address has a low end.
    fn of(entry: &RawEntry, start: u64, end: u64) -> Self {
        let entry_end = entry.addr.wrapping_add(entry.size);
        let (from, to) = (start.max(entry.addr), end.min(entry_end));
        if entry.addr >= start && entry_end <= end {
            Self::Whole
        } else if entry.addr < start && entry_end > end {
            Self::Inside(entry_end)
        } else if from < to {
            Self::Part(from, to)
        } else {
            Self::None
        }
    }
}

/// Takes the shared bytes at one side off an entry.
fn shrink(entry: &mut RawEntry, from: u64, to: u64) {
    entry.size = entry.size.wrapping_sub(to - from);
    if entry.addr >= from {
        entry.addr = to;
    }
}

impl<const N: usize> Table<N> {
    /// Gives the parts of `[start, start + size_bytes)` that are `old` the type `new`; returns how many bytes that were.
    ///
    /// Works on any table, sanitized or not, and leaves it unsorted: new pieces are appended, nothing is merged. An entry
    /// is changed in place where it can be. The size is cut at the last address.
    ///
    /// Linux: `e820__range_update` (6.1).
    ///
    /// # Errors
    /// [`Error::SameKind`] (a BUG in Linux) and [`Error::TooManyEntries`]; then nothing was changed.
    pub fn range_update(
        &mut self,
        start: u64,
        size_bytes: u64,
        old: MemoryKind,
        new: MemoryKind,
    ) -> Result<u64, Error> {
        if old == new {
            return Err(Error::SameKind { kind: old });
        }
        let end = start.saturating_add(size_bytes);
        let pieces = |e: &RawEntry| match Overlap::of(e, start, end) {
            Overlap::Inside(_) => 2,
            Overlap::Part(..) => 1,
            Overlap::None | Overlap::Whole => 0,
        };
        self.make_room(self.entries.iter().filter(|e| e.kind == old).map(pieces).sum())?;

        let mut changed = 0u64;
        for i in 0..self.entries.len() {
            let entry = &mut self.entries[i];
            if entry.kind != old {
                continue;
            }
            match Overlap::of(entry, start, end) {
                Overlap::None => {}
                Overlap::Whole => {
                    entry.kind = new;
                    changed = changed.wrapping_add(entry.size);
                }
                Overlap::Inside(entry_end) => {
                    entry.size = start - entry.addr;
                    self.add(RawEntry { addr: start, size: end - start, kind: new })?;
                    self.add(RawEntry { addr: end, size: entry_end - end, kind: old })?;
                    changed = changed.wrapping_add(end - start);
                }
                Overlap::Part(from, to) => {
                    shrink(entry, from, to);
                    self.add(RawEntry { addr: from, size: to - from, kind: new })?;
                    changed = changed.wrapping_add(to - from);
                }
            }
        }
        Ok(changed)
    }

    /// Cuts `[start, start + size_bytes)` out of the entries of `kind`, or of all; returns how many bytes are gone.
    ///
    /// Works as [`range_update`](Self::range_update) does. An entry that goes as a whole leaves an empty slot of type 0,
    /// which counts as an entry until the table is sanitized.
    ///
    /// Linux: `e820__range_remove` (6.1).
    ///
    /// # Errors
    /// [`Error::TooManyEntries`]; then nothing was changed.
    pub fn range_remove(&mut self, start: u64, size_bytes: u64, kind: Option<MemoryKind>) -> Result<u64, Error> {
        let end = start.saturating_add(size_bytes);
        let wanted = |e: &RawEntry| kind.is_none_or(|k| e.kind == k);
        let split = |e: &&RawEntry| wanted(e) && matches!(Overlap::of(e, start, end), Overlap::Inside(_));
        self.make_room(self.entries.iter().filter(split).count())?;

        let mut removed = 0u64;
        for i in 0..self.entries.len() {
            let entry = &mut self.entries[i];
            if !wanted(entry) {
                continue;
            }
            match Overlap::of(entry, start, end) {
                Overlap::None => {}
                Overlap::Whole => {
                    removed = removed.wrapping_add(entry.size);
                    *entry = RawEntry { addr: 0, size: 0, kind: MemoryKind(0) };
                }
                Overlap::Inside(entry_end) => {
                    entry.size = start - entry.addr;
                    let kind = entry.kind;
                    self.add(RawEntry { addr: end, size: entry_end - end, kind })?;
                    removed = removed.wrapping_add(end - start);
                }
                Overlap::Part(from, to) => {
                    shrink(entry, from, to);
                    removed = removed.wrapping_add(to - from);
                }
            }
        }
        Ok(removed)
    }

    /// Linux has no such check: it shrinks the entry and then has no room for the rest of it, which is lost.
    fn make_room(&self, pieces: usize) -> Result<(), Error> {
        if self.entries.len() + pieces <= N { Ok(()) } else { Err(Self::FULL) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Row, entries, table};

    /// Name, table, start and size and what else, bytes changed, table afterwards.
    type Case<'a, T> = (&'a str, &'a [Row], T, u64, &'a [Row]);

    #[test]
    fn updates() {
        let cases: &[Case<(u64, u64)>] = &[
            ("equal", &[(10, 10, 1)], (10, 10), 10, &[(10, 10, 2)]),
            ("entry inside", &[(10, 10, 1)], (0, 99), 10, &[(10, 10, 2)]),
            ("range inside", &[(10, 10, 1)], (12, 3), 3, &[(10, 2, 1), (12, 3, 2), (15, 5, 1)]),
            ("common start", &[(10, 10, 1)], (10, 3), 3, &[(13, 7, 1), (10, 3, 2)]),
            ("common end", &[(10, 10, 1)], (17, 3), 3, &[(10, 7, 1), (17, 3, 2)]),
            ("over the start", &[(10, 10, 1)], (5, 8), 3, &[(13, 7, 1), (10, 3, 2)]),
            ("over the end", &[(10, 10, 1)], (17, 8), 3, &[(10, 7, 1), (17, 3, 2)]),
            ("other types stay", &[(10, 10, 5)], (0, 99), 0, &[(10, 10, 5)]),
            ("beside", &[(10, 10, 1)], (20, 10), 0, &[(10, 10, 1)]),
            (
                "several entries",
                &[(0, 10, 1), (10, 10, 1), (20, 10, 3), (30, 10, 1)],
                (5, 30),
                20,
                &[(0, 5, 1), (10, 10, 2), (20, 10, 3), (35, 5, 1), (5, 5, 2), (30, 5, 2)],
            ),
            ("nothing, inside", &[(10, 10, 1)], (12, 0), 0, &[(10, 2, 1), (12, 0, 2), (12, 8, 1)]),
            ("up to the last address", &[(10, 10, 1)], (15, u64::MAX), 5, &[(10, 5, 1), (15, 5, 2)]),
        ];
        for (name, input, (start, size), changed, expected) in cases {
            let mut t: Table = table(input);
            let result = t.range_update(*start, *size, MemoryKind::RAM, MemoryKind::RESERVED);
            assert_eq!((result, &entries(&t)[..]), (Ok(*changed), *expected), "{name}");
        }
    }

    #[test]
    fn removals() {
        let ram = Some(MemoryKind::RAM);
        let cases: &[Case<(u64, u64, Option<MemoryKind>)>] = &[
            ("equal", &[(10, 10, 1)], (10, 10, ram), 10, &[(0, 0, 0)]),
            ("range inside", &[(10, 10, 1)], (12, 3, ram), 3, &[(10, 2, 1), (15, 5, 1)]),
            ("common start", &[(10, 10, 1)], (10, 3, ram), 3, &[(13, 7, 1)]),
            ("common end", &[(10, 10, 1)], (17, 3, ram), 3, &[(10, 7, 1)]),
            ("other types stay", &[(10, 10, 2)], (0, 99, ram), 0, &[(10, 10, 2)]),
            ("any type", &[(10, 10, 2), (30, 9, 7)], (15, 20, None), 10, &[(10, 5, 2), (35, 4, 7)]),
            ("type 0", &[(10, 10, 0), (20, 5, 1)], (0, 99, Some(MemoryKind(0))), 10, &[(0, 0, 0), (20, 5, 1)]),
            ("nothing, inside", &[(10, 10, 1)], (12, 0, ram), 0, &[(10, 2, 1), (12, 8, 1)]),
        ];
        for (name, input, (start, size, kind), removed, expected) in cases {
            let mut t: Table = table(input);
            let result = t.range_remove(*start, *size, *kind);
            assert_eq!((result, &entries(&t)[..]), (Ok(*removed), *expected), "{name}");
        }
    }

    #[test]
    fn no_room_no_change() {
        let input = [(0, 100, 1), (200, 100, 1)];
        let mut t: Table<3> = table(&input);
        assert_eq!(t.range_update(50, 10, MemoryKind::RAM, MemoryKind::RESERVED), Err(Table::<3>::FULL));
        assert_eq!(entries(&t), input);
        assert_eq!(t.range_remove(50, 10, None), Ok(10));
        assert_eq!(t.range_remove(20, 10, None), Err(Table::<3>::FULL));
        assert_eq!(entries(&t), [(0, 50, 1), (200, 100, 1), (60, 40, 1)]);
    }

    #[test]
    fn a_type_is_not_changed_into_itself() {
        let mut t: Table = table(&[(0, 10, 1)]);
        let kind = MemoryKind::RAM;
        assert_eq!(t.range_update(0, 10, kind, kind), Err(Error::SameKind { kind }));
    }
}
