// SPDX-License-Identifier: MIT OR Apache-2.0
//! What later stages see of memblock.

use crate::Memblock;
use handoff::{Bounds, EarlyMemory, Log, Region};

impl<const N: usize, L: Log> EarlyMemory for Memblock<N, L> {
    #[track_caller]
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64> {
        self.phys_alloc_range(bounds).ok()
    }

    #[track_caller]
    fn alloc_try_nid(&mut self, bounds: Bounds) -> Option<u64> {
        self.alloc_try_nid(bounds).ok()
    }

    #[track_caller]
    fn alloc_exact_nid(&mut self, bounds: Bounds) -> Option<u64> {
        self.alloc_exact_nid_raw(bounds).ok()
    }

    #[track_caller]
    fn free(&mut self, base: u64, size: u64) -> bool {
        self.free(base, size).is_ok()
    }

    fn memory(&self) -> &[Region] {
        self.memory()
    }

    fn reserved(&self) -> &[Region] {
        self.reserved()
    }

    fn memory_size(&self) -> u64 {
        self.phys_mem_size()
    }
}

/// Restores a [`Memblock`] from a hand-off and saves it there.
#[cfg(feature = "serde")]
#[derive(Clone, Copy, Debug)]
pub struct Store;

#[cfg(feature = "serde")]
impl handoff::EarlyStore for Store {
    type Memory<L: Log> = Memblock<{ handoff::REGIONS }, L>;

    fn restore<L: Log>(blocks: &handoff::Blocks, command_line: &str, log: L) -> Self::Memory<L> {
        let array = |regions, total_size| crate::ArrayParts { regions, max: handoff::REGIONS, total_size, place: None };
        let policy = crate::Policy {
            has_mirror: blocks.memory.iter().any(|m| m.flags.contains(handoff::RegionFlags::MIRROR)),
            ..crate::Policy::from_command_line(command_line)
        };
        let parts = crate::Parts {
            memory: array(&blocks.memory, blocks.memory_size),
            reserved: array(&blocks.reserved, blocks.reserved_size),
            current_limit: blocks.current_limit,
            direction: blocks.direction,
            policy,
        };
        Memblock::from_parts(&parts, log.clone()).unwrap_or_else(|error| {
            // A decoded hand-off is sorted; one made by hand may not be. No memory at all is safer than wrong memory.
            log.error(crate::Notice::NotRestored { reason: words(error) });
            Memblock::with_log(policy, log)
        })
    }

    fn save<L: Log>(memory: &Self::Memory<L>, blocks: &mut handoff::Blocks) {
        blocks.memory.clear();
        blocks.reserved.clear();
        blocks.memory.extend(memory.memory().iter().copied());
        blocks.reserved.extend(memory.reserved().iter().copied());
        blocks.memory_size = memory.phys_mem_size();
        blocks.reserved_size = memory.reserved_size();
        blocks.current_limit = memory.current_limit();
        blocks.direction = memory.direction();
    }
}

#[cfg(feature = "serde")]
const fn words(error: crate::Error) -> &'static str {
    match error {
        crate::Error::Unsorted { .. } => "regions are not sorted",
        _ => "too many regions",
    }
}
