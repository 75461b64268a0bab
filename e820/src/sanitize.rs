// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sorting a table and resolving its overlaps.

use crate::{Error, Table};
use handoff::{MemoryKind, RawEntry};
use heapless::{
    Vec,
    binary_heap::{BinaryHeap, Max},
};

impl<const N: usize> Table<N> {
    /// Sorts the table and resolves its overlaps: every byte gets the numerically highest type that covers it.
    ///
    /// Neighbours of one type fuse, except for [`PRAM`](MemoryKind::PRAM) and
    /// [`SOFT_RESERVED`](MemoryKind::SOFT_RESERVED): those are cut wherever any entry starts or ends. Empty entries and
    /// those of type 0 vanish.
    ///
    /// Takes O(n log n) steps and about 40·`N` bytes of stack.
    ///
    /// Linux: `e820__update_table` (6.1), which returns -1 for the first two errors.
    ///
    /// # Errors
    /// The table is exactly as it was if there is an error:
    /// - [`Error::TooFewEntries`]: fewer than 2 entries, empty ones counted, so that a single empty entry stays;
    /// - [`Error::Wraps`]: an entry does not end below the last address;
    /// - [`Error::TooManyEntries`]: overlaps would leave more than `N` pieces.
    ///
    /// # Invariants
    /// After `Ok` the entries are sorted, disjoint and not empty.
    pub fn sanitize(&mut self) -> Result<(), Error> {
        const { assert!(N <= 1 << 16, "entries are numbered with 16 bits") };
        let old = &self.entries;
        if old.len() < 2 {
            return Err(Error::TooFewEntries { entries: old.len() });
        }
        if let Some(e) = old.iter().find(|e| e.addr.checked_add(e.size).is_none()) {
            return Err(Error::Wraps { start: e.addr, size: e.size });
        }

        let start = |i: u16| old[usize::from(i)].addr;
        let end = |i: u16| old[usize::from(i)].addr + old[usize::from(i)].size;
        let mut by_start: Vec<u16, N> = (0..=u16::MAX).zip(old).filter(|(_, e)| e.size > 0).map(|(i, _)| i).collect();
        let mut by_end = by_start.clone();
        by_start.sort_unstable_by_key(|&i| start(i));
        by_end.sort_unstable_by_key(|&i| end(i));

        let (mut starts, mut ends) = (by_start.iter().copied().peekable(), by_end.iter().copied().peekable());
        let mut open: BinaryHeap<(MemoryKind, u16), Max, N> = BinaryHeap::new();
        let mut running: Option<RawEntry> = None;
        let mut new = Vec::new();

        // Every address at which something starts or ends. What starts there counts before what ends there goes, so that
        // touching entries of one type fuse; ended entries leave the heap when they come to its top.
        while let Some(last) = ends.peek().map(|&i| end(i)) {
            let at = starts.peek().map_or(last, |&i| start(i).min(last));
            while let Some(i) = starts.next_if(|&i| start(i) == at) {
                open.push((old[usize::from(i)].kind, i)).map_err(|_| Self::FULL)?;
            }
            while ends.next_if(|&i| end(i) == at).is_some() {}
            while open.peek().is_some_and(|&(_, i)| end(i) <= at) {
                open.pop();
            }

            let kind = open.peek().map_or(NOTHING, |&(kind, _)| kind);
            if running.map_or(NOTHING, |r| r.kind) != kind || never_fuses(kind) {
                if let Some(r) = running {
                    new.push(RawEntry { size: at - r.addr, ..r }).map_err(|_| Self::FULL)?;
                }
                running = (kind != NOTHING).then_some(RawEntry { addr: at, size: 0, kind });
            }
        }

        self.entries = new;
        Ok(())
    }
}

/// The type of a hole. Entries of this type lose to everything.
const NOTHING: MemoryKind = MemoryKind(0);

/// Linux: `e820_nomerge` (6.1).
fn never_fuses(kind: MemoryKind) -> bool {
    matches!(kind, MemoryKind::PRAM | MemoryKind::SOFT_RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Row, entries, table};

    #[test]
    fn cases() {
        const SOFT: u32 = 0xefff_ffff;
        let cases: &[(&str, &[Row], &[Row])] = &[
            ("touching entries fuse", &[(0, 10, 1), (10, 10, 1)], &[(0, 20, 1)]),
            ("in any order", &[(10, 10, 1), (0, 10, 1)], &[(0, 20, 1)]),
            ("the highest type wins", &[(0, 30, 1), (10, 10, 2)], &[(0, 10, 1), (10, 10, 2), (20, 10, 1)]),
            ("whatever the order", &[(10, 10, 2), (0, 30, 1)], &[(0, 10, 1), (10, 10, 2), (20, 10, 1)]),
            ("a lower type inside is gone", &[(0, 30, 2), (10, 10, 1)], &[(0, 30, 2)]),
            ("same start", &[(0, 30, 1), (0, 10, 2)], &[(0, 10, 2), (10, 20, 1)]),
            ("same end", &[(0, 30, 1), (20, 10, 2)], &[(0, 20, 1), (20, 10, 2)]),
            ("twice the same", &[(0, 30, 1), (0, 30, 1)], &[(0, 30, 1)]),
            ("empty entries vanish", &[(5, 0, 2), (0, 10, 1)], &[(0, 10, 1)]),
            ("all empty", &[(5, 0, 2), (0, 0, 0)], &[]),
            ("type 0 is a hole", &[(0, 10, 0), (20, 10, 1)], &[(20, 10, 1)]),
            ("type 0 loses", &[(0, 30, 0), (10, 10, 1)], &[(10, 10, 1)]),
            ("type 99 beats 12", &[(0, 30, 12), (10, 10, 99)], &[(0, 10, 12), (10, 10, 99), (20, 10, 12)]),
            ("128 beats ACPI", &[(0, 10, 3), (0, 10, 128)], &[(0, 10, 128)]),
            ("RAM and 128 stay apart", &[(0, 10, 1), (10, 10, 128)], &[(0, 10, 1), (10, 10, 128)]),
            ("type 7 does fuse", &[(0, 10, 7), (10, 10, 7)], &[(0, 20, 7)]),
            ("PRAM does not fuse", &[(0, 10, 12), (10, 10, 12)], &[(0, 10, 12), (10, 10, 12)]),
            ("PRAM is cut at what it hides", &[(0, 20, 12), (5, 5, 1)], &[(0, 5, 12), (5, 5, 12), (10, 10, 12)]),
            ("so is soft reserved", &[(0, 20, SOFT), (0, 5, 12)], &[(0, 5, SOFT), (5, 15, SOFT)]),
            ("even by type 0", &[(0, 20, 12), (5, 1, 0)], &[(0, 5, 12), (5, 1, 12), (6, 14, 12)]),
            ("but not by empty entries", &[(0, 20, 12), (5, 0, 1)], &[(0, 20, 12)]),
            ("hidden entries of one type", &[(0, 9, 5), (2, 2, 1), (4, 2, 1), (6, 9, 1)], &[(0, 9, 5), (9, 6, 1)]),
            ("up to the last address", &[(0, u64::MAX, 1), (9, u64::MAX - 9, 2)], &[(0, 9, 1), (9, u64::MAX - 9, 2)]),
        ];
        for (name, input, expected) in cases {
            let mut t: Table = table(input);
            assert_eq!(t.sanitize(), Ok(()), "{name}");
            assert_eq!(entries(&t), *expected, "{name}");
        }
    }

    #[test]
    fn left_alone() {
        let cases: &[(&[Row], Error)] = &[
            (&[], Error::TooFewEntries { entries: 0 }),
            (&[(5, 0, 1)], Error::TooFewEntries { entries: 1 }),
            (&[(9, 1, 1), (0, u64::MAX, 1), (2, u64::MAX, 1)], Error::Wraps { start: 2, size: u64::MAX }),
            (&[(9, 1, 1), (1, u64::MAX, 1)], Error::Wraps { start: 1, size: u64::MAX }),
        ];
        for (input, error) in cases {
            let mut t: Table = table(input);
            assert_eq!(t.sanitize(), Err(*error));
            assert_eq!(entries(&t), *input);
        }
    }

    #[test]
    fn pieces_beyond_the_capacity_leave_the_table_alone() {
        let input = [(0, 100, 1), (10, 10, 2), (30, 10, 2)];
        let mut t: Table<3> = table(&input);
        assert_eq!(t.sanitize(), Err(Table::<3>::FULL));
        assert_eq!(entries(&t), input);
    }

    #[test]
    fn no_slot_for_a_piece_of_length_0() {
        let mut t: Table<3> = table(&[(0, 10, 1), (10, 10, 2), (10, 20, 5)]);
        assert_eq!(t.sanitize(), Ok(()));
        assert_eq!(entries(&t), [(0, 10, 1), (10, 20, 5)]);
    }
}
