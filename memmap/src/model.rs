// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sizes that differ between kernels.

use handoff::{FRAME_BYTES, Page, Rules, SECTION_BYTES, SECTION_FRAMES};

/// Bytes of descriptors for one section: 2 MiB.
pub const SECTION_DESCRIPTOR_BYTES: u64 = SECTION_FRAMES * size_of::<Page>() as u64;

/// How many levels the page tables have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Paging {
    /// 46 bits of physical address in the section table.
    #[default]
    FourLevel,
    /// 52 bits.
    FiveLevel,
}

/// The sizes of the tables around the descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SparseModel {
    /// Bytes of a section's entry, a power of two up to 4096. Linux: `struct mem_section`, 16, or 32 with `PAGE_EXTENSION`.
    pub entry_bytes: u64,
    /// Bytes of a section's usage map. Linux: `struct mem_section_usage`, 40, or 56 with an RCU head (since 6.8, backported).
    pub usage_bytes: u64,
    /// Levels of the page tables.
    pub paging: Paging,
}

impl Default for SparseModel {
    fn default() -> Self {
        Self::of(Rules::default())
    }
}

impl SparseModel {
    /// Returns the sizes of a Debian cloud kernel of that version.
    #[must_use]
    pub const fn of(rules: Rules) -> Self {
        let usage_bytes = match rules {
            Rules::V5_4 => 40,
            Rules::V6_1 | Rules::V6_12 => 56,
        };
        Self { entry_bytes: 16, usage_bytes, paging: Paging::FourLevel }
    }

    /// Returns the address after the last one that can have a descriptor. Linux: `1 << MAX_PHYSMEM_BITS` (6.1).
    #[must_use]
    pub const fn address_limit(&self) -> u64 {
        match self.paging {
            Paging::FourLevel => 1 << 46,
            Paging::FiveLevel => 1 << 52,
        }
    }

    /// Returns how many sections one root page describes. Linux: `SECTIONS_PER_ROOT` (6.1).
    #[must_use]
    pub const fn sections_per_root(&self) -> u64 {
        FRAME_BYTES / self.entry_bytes
    }

    /// Returns the bytes of the array that leads to the root pages: 8 for each page there can be.
    #[must_use]
    pub const fn root_array_bytes(&self) -> u64 {
        self.address_limit() / SECTION_BYTES / self.sections_per_root() * 8
    }

    /// Returns how many page tables must be allocated to map the descriptors of `section`, when those of `before`, a lower
    /// section, were the last ones mapped.
    ///
    /// One table of each level for: 64 GiB, 32 TiB and, with five levels, 16 PiB of memory, all counted from address 0,
    /// because the virtual address of a descriptor follows from its frame number.
    #[must_use]
    pub(crate) fn new_tables(&self, before: Option<u64>, section: u64) -> u64 {
        let levels: &[u32] = match self.paging {
            Paging::FourLevel => &[9, 18],
            Paging::FiveLevel => &[9, 18, 27],
        };
        levels.iter().filter(|&&bits| before.is_none_or(|b| b >> bits != section >> bits)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_arrays_of_linux() {
        let small = SparseModel::default();
        assert_eq!(SECTION_DESCRIPTOR_BYTES, 2 << 20);
        assert_eq!(small.root_array_bytes(), 16 << 10);
        assert_eq!(SparseModel { entry_bytes: 32, ..small }.root_array_bytes(), 32 << 10);
        assert_eq!(SparseModel { paging: Paging::FiveLevel, ..small }.root_array_bytes(), 1 << 20);
    }

    #[test]
    fn a_table_per_64_gib_of_memory() {
        let model = SparseModel::default();
        for (before, section, tables) in
            [(None, 0, 2), (None, 700, 2), (Some(0), 511, 0), (Some(511), 512, 1), (Some(512), 1 << 18, 2)]
        {
            assert_eq!(model.new_tables(before, section), tables, "{before:?} {section}");
        }
        let five = SparseModel { paging: Paging::FiveLevel, ..model };
        assert_eq!(five.new_tables(None, 0), 3);
        assert_eq!(five.new_tables(Some((1 << 27) - 1), 1 << 27), 3);
    }
}
