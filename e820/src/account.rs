// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a change of the table did to RAM.

use crate::Table;
use core::iter::once;
use handoff::PhysRange;

/// Returns the bytes that are RAM in `before` and not in `after`, range by range. Both tables must be sanitized.
pub fn ram_lost<const N: usize>(before: &Table<N>, after: &Table<N>) -> impl Iterator<Item = PhysRange> {
    before.ram().flat_map(|range| {
        let mut at = range.start();
        let kept = after.ram().map(move |r| (r.start().min(range.end()), r.end()));
        kept.chain(once((range.end(), range.end()))).filter_map(move |(start, end)| {
            let lost = PhysRange::new(at, start);
            at = at.max(end);
            lost
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Row, Span, table};
    use std::vec::Vec;

    /// Before, after, lost.
    type Case<'a> = (&'a [Row], &'a [Row], &'a [Span]);

    #[test]
    fn cases() {
        let cases: &[Case] = &[
            (&[(0, 10, 1)], &[], &[(0, 10)]),
            (&[(0, 10, 1)], &[(0, 10, 1)], &[]),
            (&[(0, 10, 1)], &[(0, 4, 1), (4, 2, 2), (6, 4, 128)], &[(4, 6)]),
            (&[(5, 10, 1), (20, 10, 1)], &[(0, 7, 1), (9, 12, 1), (40, 10, 1)], &[(7, 9), (21, 30)]),
            (&[(5, 10, 2)], &[], &[]),
        ];
        for (before, after, lost) in cases {
            let (before, after): (Table, Table) = (table(before), table(after));
            let seen: Vec<_> = ram_lost(&before, &after).map(|r| (r.start(), r.end())).collect();
            assert_eq!(seen, *lost);
        }
    }
}
