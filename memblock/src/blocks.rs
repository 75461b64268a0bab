// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes to the page allocator at the end.

use crate::{Error, Memblock};
use handoff::{FRAME_BYTES, Log, MAX_ORDER, Nid, RegionFlags, Rules};

/// A block of `2^order` page frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// The first frame number, a multiple of `2^order`.
    pub pfn: u64,
    /// The order.
    pub order: u8,
}

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Returns the blocks that Linux gives to the page allocator, ascending, below frame `max_low_pfn`.
    ///
    /// First the marks of [`mark_hotplug`](Self::mark_hotplug) are cleared, because that memory is free by now, and with
    /// the rules of 6.12 the reserved regions get their nodes. A page that a reservation touches is not among the blocks.
    ///
    /// Linux: `memblock_free_all` (6.1).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn free_all(&mut self, max_low_pfn: u64) -> Result<impl Iterator<Item = Block>, Error> {
        self.clear_hotplug(0, u64::MAX)?;
        if self.policy.rules >= Rules::V6_12 {
            self.reserved_take_nids()?;
        }
        Ok(self.free_ranges(Nid::NONE, RegionFlags::NONE).flat_map(move |free| {
            let start = free.range.start().div_ceil(FRAME_BYTES);
            blocks(start, (free.range.end() / FRAME_BYTES).min(max_low_pfn))
        }))
    }
}

/// Cuts `[start, end)` into the largest aligned blocks, ascending.
///
/// Linux: `__free_pages_memory` (6.1); for frame 0, which 6.1 leaves undefined, the rule is that of 6.12.
fn blocks(start: u64, end: u64) -> impl Iterator<Item = Block> {
    let mut next = start;
    core::iter::from_fn(move || {
        let left = end.checked_sub(next).filter(|&left| left > 0)?;
        let order = next.trailing_zeros().min(left.ilog2()).min(u32::from(MAX_ORDER)) as u8;
        let block = Block { pfn: next, order };
        next += 1 << order;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn blocks_of_low_memory() {
        let cut = |start, end| blocks(start, end).map(|b| (b.pfn, b.order)).collect::<Vec<_>>();
        let low = [1, 2, 4, 8, 16, 32, 64, 128, 144, 152, 156, 158];
        let orders = [0, 1, 2, 3, 4, 5, 6, 4, 3, 2, 1, 0];
        assert_eq!(cut(1, 0x9f), low.into_iter().zip(orders).collect::<Vec<_>>());
        assert_eq!(cut(0, 2048), [(0, 10), (1024, 10)]);
        assert_eq!(cut(5, 5), []);
        assert_eq!(cut(6, 5), []);
    }
}
