// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many blocks at once.

use crate::{Buddy, Error, Request};
use x86_64::structures::paging::PhysFrame;

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates as many blocks as `blocks` has room for, or as many as there are, and returns how many: the first so many
    /// entries are theirs, the rest is as it was.
    ///
    /// Linux: `alloc_pages_bulk_array` (6.1).
    ///
    /// # Errors
    /// As [`allocate_with`](Self::allocate_with), if not even one could be had.
    pub fn allocate_bulk(&mut self, request: Request, blocks: &mut [PhysFrame]) -> Result<usize, Error> {
        for (done, block) in blocks.iter_mut().enumerate() {
            match self.allocate_with(request) {
                Ok(frame) => *block = frame,
                Err(Error::OutOfMemory { .. } | Error::BelowWatermark { .. }) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
        }
        Ok(blocks.len())
    }

    /// Gives back blocks of 2^`order` frames each.
    ///
    /// # Errors
    /// That of [`free`](Self::free) for the first block that is wrong. The blocks before it have been freed, those after it
    /// have not.
    pub fn free_bulk(&mut self, order: u8, blocks: &[PhysFrame]) -> Result<(), Error> {
        blocks.iter().try_for_each(|block| self.free(*block, order))
    }
}
