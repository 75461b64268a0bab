// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the memory map costs.

use crate::{Layout, SECTION_DESCRIPTOR_BYTES, SparseModel};
use handoff::{FRAME_BYTES, SECTION_FRAMES};

/// Bytes that [`allocate`](crate::allocate) takes, by what they are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Descriptors: 2 MiB for each present section, however little memory it has.
    pub descriptors: u64,
    /// Tables that lead from a section to its descriptors, and usage maps.
    pub sections: u64,
    /// Page tables that map the descriptors, when every node has room for its descriptors in one piece.
    pub tables: u64,
}

impl Cost {
    /// Returns what the memory map of `layout` costs.
    #[must_use]
    pub fn of(layout: &Layout, model: &SparseModel) -> Self {
        let sections = layout.frames() / SECTION_FRAMES;
        let (mut roots, mut tables, mut before) = (0, 0, None);
        for run in layout.sections() {
            let first = u64::from(run.first_section);
            for section in first..first + u64::from(run.sections) {
                let root = |section: u64| section / model.sections_per_root();
                roots += u64::from(before.is_none_or(|b| root(b) != root(section)));
                tables += model.new_tables(before, section);
                before = Some(section);
            }
        }
        Self {
            descriptors: sections * SECTION_DESCRIPTOR_BYTES,
            sections: model.root_array_bytes() + roots * FRAME_BYTES + sections * model.usage_bytes,
            tables: tables * FRAME_BYTES,
        }
    }

    /// Returns all bytes together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.descriptors + self.sections + self.tables
    }

    /// Returns the bytes for each GiB of memory, rounded down.
    ///
    /// At least 16 MiB, which is 64 bytes for each frame; more when sections are partly empty.
    #[must_use]
    pub fn per_gib(&self, layout: &Layout) -> u64 {
        let memory = u128::from(layout.present() * FRAME_BYTES);
        ((u128::from(self.total()) << 30) / memory) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::Region;

    fn cost(memory: &[Region]) -> (Cost, u64) {
        let layout = Layout::new(memory, 0).unwrap();
        let cost = Cost::of(&layout, &SparseModel::default());
        (cost, cost.per_gib(&layout))
    }

    #[test]
    fn sixteen_gib() {
        let (cost, per_gib) = cost(&[Region::new(0, 16 << 30)]);
        assert_eq!(cost, Cost { descriptors: 256 << 20, sections: 16384 + 4096 + 128 * 56, tables: 2 * 4096 });
        assert_eq!(per_gib, (16 << 20) + (16384 + 4096 + 128 * 56 + 2 * 4096) / 16);
    }

    #[test]
    fn one_page_costs_a_section() {
        let (cost, per_gib) = cost(&[Region::new(0, 4096), Region::new(96 << 30, 4096)]);
        assert_eq!(cost, Cost { descriptors: 4 << 20, sections: 16384 + 2 * 4096 + 2 * 56, tables: 3 * 4096 });
        assert!(per_gib > 1 << 30, "the map is larger than the memory");
    }
}
