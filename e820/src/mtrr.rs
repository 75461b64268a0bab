// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAM that the CPU's memory type range registers do not cache.

use crate::{Error, Line, Map, Table, range_update_print, sanitize_print};
use handoff::{FRAME_BYTES, Log, MemoryKind, PhysRange};

/// Makes RAM below `max_pfn` and outside `write_back` reserved, and prints the table; returns the bytes that were lost.
///
/// `write_back` are the ranges that the variable MTRRs cache, sorted and fused, in whole frames. The CPU must be one that
/// caches nothing by default (Intel, default type UC) and the ranges of type UC already cut out. The caller asks for the
/// [end of RAM](crate::end_of_ram_pfn) anew if bytes were lost.
///
/// Linux: `mtrr_trim_uncached_memory` (6.1).
///
/// # Errors
/// [`Error::TooManyEntries`].
pub fn trim_uncached<const N: usize, L: Log>(
    table: &mut Table<N>,
    write_back: &[PhysRange],
    max_pfn: u64,
    log: &L,
) -> Result<u64, Error> {
    if write_back.is_empty() {
        log.info(Line::MtrrBlank);
        return Ok(0);
    }

    let end = max_pfn.saturating_mul(FRAME_BYTES);
    let (mut at, mut lost) = (0, 0);
    for (start, next) in write_back.iter().map(|r| (r.start(), r.end())).chain([(end, end)]) {
        if let Some(hole) = PhysRange::new(at, start) {
            lost += range_update_print(table, hole.start(), hole.size(), MemoryKind::RAM, MemoryKind::RESERVED, log)?;
        }
        at = next;
    }

    if lost > 0 {
        log.warn(Line::MtrrTrimmed { mib: lost >> 20 });
        log.info(Line::MtrrUpdate);
        sanitize_print(table, Map::Modified, log)?;
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Lines, Row, Span, entries, table};
    use std::vec::Vec;

    const MIB: u64 = 1 << 20;

    fn trim(write_back: &[Span], max_pfn: u64) -> (Result<u64, Error>, Vec<Row>, usize) {
        let ranges: Vec<_> = write_back.iter().map(|(a, b)| PhysRange::new(*a, *b).unwrap()).collect();
        let lines = Lines::default();
        let mut t: Table<9> = table(&[(0, 4 * MIB, 1), (4 * MIB, MIB, 3), (5 * MIB, 3 * MIB, 1)]);
        let lost = trim_uncached(&mut t, &ranges, max_pfn, &&lines);
        (lost, entries(&t), lines.take().len())
    }

    #[test]
    fn head_hole_and_top() {
        let (lost, rows, _) = trim(&[(MIB, 2 * MIB), (3 * MIB, 7 * MIB)], 8 * MIB / FRAME_BYTES);
        assert_eq!(lost, Ok(3 * MIB));
        let kinds: Vec<_> = rows.iter().map(|(addr, _, kind)| (addr / MIB, *kind)).collect();
        assert_eq!(kinds, [(0, 2), (1, 1), (2, 2), (3, 1), (4, 3), (5, 1), (7, 2)]);
    }

    #[test]
    fn nothing_to_do() {
        assert_eq!(trim(&[], 2048), (Ok(0), std::vec![(0, 4 * MIB, 1), (4 * MIB, MIB, 3), (5 * MIB, 3 * MIB, 1)], 1));
        assert_eq!(trim(&[(0, 8 * MIB)], 2048).2, 0);
        assert_eq!(trim(&[(0, 64 * MIB)], 2048).0, Ok(0));
    }
}
