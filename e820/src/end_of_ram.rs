// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where RAM ends.

use crate::Table;
use handoff::{FRAME_BYTES, MemoryKind, Rules};

/// The frames that 4-level page tables can reach: 46 bits of address. Linux: `MAX_ARCH_PFN` (6.1).
pub const MAX_ARCH_PFN: u64 = 1 << 34;
/// The frames that 5-level page tables can reach: 52 bits of address. Linux: `MAX_ARCH_PFN` (6.1).
pub const MAX_ARCH_PFN_5_LEVEL: u64 = 1 << 40;
/// The number of the first frame above 4 GiB.
pub const FRAMES_BELOW_4_GIB: u64 = 1 << 20;

impl<const N: usize> Table<N> {
    /// Returns the frame number after the last whole frame of RAM below `limit_pfn`.
    ///
    /// With the rules of 6.12, ACPI data counts as RAM. Memory set aside for `setup_data` never does.
    ///
    /// Linux: `e820_end_pfn` (6.1), before its cut at `MAX_ARCH_PFN`: that is `limit_pfn` here, which gives the same.
    #[must_use]
    pub fn end_of_ram(&self, limit_pfn: u64, rules: Rules) -> u64 {
        let counts = |kind| kind == MemoryKind::RAM || rules >= Rules::V6_12 && kind == MemoryKind::ACPI;
        let frames = self.entries.iter().filter(|e| counts(e.kind)).map(|e| {
            // Both ends round down, so an entry that starts in the last frame below the limit counts.
            (e.addr / FRAME_BYTES, e.addr.wrapping_add(e.size) / FRAME_BYTES)
        });
        let ends = frames.filter(|(start, _)| *start < limit_pfn).map(|(_, end)| end.min(limit_pfn));
        ends.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Row, table};

    const PAGE: u64 = FRAME_BYTES;

    #[test]
    fn cases() {
        let cases: &[(&str, &[Row], u64, u64)] = &[
            ("no entry", &[], 100, 0),
            ("a whole frame", &[(0, PAGE, 1)], 100, 1),
            ("the last frame is partial", &[(0, 2 * PAGE - 1, 1)], 100, 1),
            ("less than a frame", &[(PAGE, PAGE - 1, 1)], 100, 1),
            ("below the limit", &[(0, 100 * PAGE, 1)], 100, 100),
            ("over the limit", &[(0, 101 * PAGE, 1)], 100, 100),
            ("starts in the last frame", &[(100 * PAGE - 1, 2 * PAGE, 1)], 100, 100),
            ("starts at the limit", &[(0, PAGE, 1), (100 * PAGE, PAGE, 1)], 100, 1),
            ("unsorted", &[(8 * PAGE, PAGE, 1), (0, PAGE, 1)], 100, 9),
            ("other types", &[(0, PAGE, 1), (PAGE, PAGE, 2), (2 * PAGE, PAGE, 128)], 100, 1),
            ("beyond 46 bits", &[(0, u64::MAX, 1)], MAX_ARCH_PFN, MAX_ARCH_PFN),
        ];
        for (name, rows, limit, expected) in cases {
            assert_eq!(table::<20>(rows).end_of_ram(*limit, Rules::V6_1), *expected, "{name}");
        }
    }

    #[test]
    fn acpi_data_counts_since_6_12() {
        let t: Table = table(&[(0, PAGE, 1), (PAGE, PAGE, 3)]);
        assert_eq!([Rules::V5_4, Rules::V6_1, Rules::V6_12].map(|r| t.end_of_ram(100, r)), [1, 1, 2]);
    }
}
