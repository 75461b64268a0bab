// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies between the entries of a sanitized table: room for PCI devices, and what a hibernation need not save.

use crate::Table;
use handoff::{FRAME_BYTES, MemoryKind, PhysRange};

/// The smallest gap that PCI devices are given, in bytes.
pub const SMALLEST_PCI_GAP: u64 = 4 << 20;

impl<const N: usize> Table<N> {
    /// Returns the largest gap below 4 GiB, the lower one of equals, or `None` if none has 4 MiB.
    ///
    /// Linux: `e820_search_gap` (6.1).
    #[must_use]
    pub fn pci_gap(&self) -> Option<PhysRange> {
        let (mut top, mut best) = (1u64 << 32, None);
        for entry in self.entries.iter().rev() {
            let gap = PhysRange::new(entry.addr.wrapping_add(entry.size), top);
            let least = best.map_or(SMALLEST_PCI_GAP, PhysRange::size);
            best = gap.filter(|g| g.size() >= least).or(best);
            top = top.min(entry.addr);
        }
        best
    }

    /// Returns what to keep free behind each RAM entry that does not end on a boundary: up to the next multiple of 64 KiB
    /// in the first MiB, of 1 MiB below 16 MiB, of 64 MiB above. A rest of one byte is not worth it.
    ///
    /// Linux: `e820__reserve_resources_late` (6.1).
    pub fn ram_buffers(&self) -> impl Iterator<Item = PhysRange> {
        self.entries.iter().filter(|e| e.kind == MemoryKind::RAM).filter_map(|e| {
            let end = e.addr.wrapping_add(e.size);
            let boundary = match end >> 20 {
                0 => 64 << 10,
                1..16 => 1 << 20,
                _ => 64 << 20,
            };
            let buffer = PhysRange::new(end, end.checked_next_multiple_of(boundary).unwrap_or(u64::MAX));
            buffer.filter(|b| b.size() > 1)
        })
    }

    /// Returns the frames below `limit_pfn` that are not RAM as a whole, as one range for each gap.
    ///
    /// Linux: `e820__register_nosave_regions` (6.1.192, 6.12.117: the form that gets partial frames right).
    pub fn nosave(&self, limit_pfn: u64) -> impl Iterator<Item = PhysRange> {
        let mut last = 0;
        let ram = self.entries.iter().filter(|e| e.kind.is_ram()).map(|e| (e.addr, e.addr.wrapping_add(e.size)));
        let limit = limit_pfn.saturating_mul(FRAME_BYTES);

        ram.chain(core::iter::once((limit, limit))).filter_map(move |(start, end)| {
            let (from, to) = (last / FRAME_BYTES, start.div_ceil(FRAME_BYTES));
            let gap = PhysRange::new(from * FRAME_BYTES, to.saturating_mul(FRAME_BYTES)).filter(|_| last < start);
            last = end;
            gap
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Row, Span, table};
    use std::vec::Vec;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// Name, table, limit, gaps.
    type Nosave<'a> = (&'a str, &'a [Row], u64, &'a [Span]);

    fn pairs(ranges: impl Iterator<Item = PhysRange>) -> Vec<Span> {
        ranges.map(|r| (r.start(), r.end())).collect()
    }

    #[test]
    fn pci_gaps() {
        let cases: &[(&str, &[Row], Option<Span>)] = &[
            ("no entry, no gap", &[], None),
            ("behind RAM", &[(0, GIB, 1)], Some((GIB, 4 * GIB))),
            ("the largest", &[(GIB, GIB, 1), (4 * GIB - MIB, MIB, 2)], Some((2 * GIB, 4 * GIB - MIB))),
            ("of equals the lower", &[(0, GIB, 1), (2 * GIB, GIB, 2)], Some((GIB, 2 * GIB))),
            ("below the first entry is none", &[(3 * GIB, MIB, 1)], Some((3 * GIB + MIB, 4 * GIB))),
            ("exactly 4 MiB", &[(0, 4 * GIB - 4 * MIB, 1)], Some((4 * GIB - 4 * MIB, 4 * GIB))),
            ("one byte less", &[(0, 4 * GIB - 4 * MIB + 1, 1)], None),
            ("what lies above does not matter", &[(0, GIB, 1), (8 * GIB, GIB, 1)], Some((GIB, 4 * GIB))),
            ("RAM across 4 GiB", &[(0, 8 * GIB, 1)], None),
        ];
        for (name, rows, expected) in cases {
            assert_eq!(table::<9>(rows).pci_gap().map(|g| (g.start(), g.end())), *expected, "{name}");
        }
    }

    #[test]
    fn ram_buffers() {
        let rows = [
            (0, 0x9fc00, 1),
            (0x9fc00, 0x400, 2),
            (MIB, MIB + 1, 1),
            (16 * MIB, 16 * MIB, 1),
            (64 * MIB, 64 * MIB, 1),
            (GIB, 1, 128),
            (4 * GIB, GIB - 1, 1),
        ];
        let t: Table = table(&rows);
        assert_eq!(
            pairs(t.ram_buffers()),
            [(0x9fc00, 0xa0000), (2 * MIB + 1, 3 * MIB), (32 * MIB, 64 * MIB)],
            "aligned ends, other types and a rest of one byte have none"
        );
    }

    #[test]
    fn nosave() {
        let cases: &[Nosave] = &[
            ("no RAM", &[(0, 0x1000, 2)], 4, &[(0, 0x4000)]),
            ("page 0", &[(0x1000, 0x3000, 1)], 4, &[(0, 0x1000)]),
            ("partial frames are not RAM", &[(0x0, 0x1800, 1), (0x2800, 0x1800, 1)], 4, &[(0x1000, 0x3000)]),
            ("the rest below the limit", &[(0, 0x1000, 1)], 4, &[(0x1000, 0x4000)]),
            ("touching in the middle of a frame", &[(0, 0x1800, 1), (0x1800, 0x2800, 128)], 4, &[]),
        ];
        for (name, rows, limit, expected) in cases {
            assert_eq!(pairs(table::<9>(rows).nosave(*limit)), *expected, "{name}");
        }
    }
}
