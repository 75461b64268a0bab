// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot pool: everything boot needs beyond its own image - page tables, stacks, exchange buffers, stage memory - from
//! one place that is in the ledger and is given back at the end.

use crate::map::lowest_place;
use crate::phys;
use handoff::{FRAME_BYTES, PhysRange, RawEntry};
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

/// Bytes for one running stage and the exchange buffers.
const STAGE_BYTES: u64 = 5 << 18;

/// The pool. What was taken last can be put back.
#[derive(Debug)]
pub(crate) struct Pool {
    range: PhysRange,
    next: u64,
    peak: u64,
}

/// The error for a pool that is used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolEmpty;

impl Pool {
    /// Returns how large the pool must be: what a stage needs and the page tables for the direct map of `ram_end` bytes.
    pub(crate) fn bytes_needed(ram_end: u64, giant_pages: bool) -> u64 {
        let bytes_per_table = if giant_pages { 512 << 30 } else { 1 << 30 };
        STAGE_BYTES + (ram_end.div_ceil(bytes_per_table) + 8) * FRAME_BYTES
    }

    /// Returns a pool of that many bytes at the lowest place that is RAM above 1 MiB, below 4 GiB and not `taken`.
    pub(crate) fn place(bytes: u64, map: &[RawEntry], taken: &[PhysRange]) -> Option<Self> {
        lowest_place(bytes, PhysRange::new(1 << 20, 1 << 32)?, map, taken).map(|range| Self {
            range,
            next: range.start(),
            peak: 0,
        })
    }

    /// Returns where the pool lies.
    pub(crate) fn range(&self) -> PhysRange {
        self.range
    }

    /// Returns the most bytes that were in use at once.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak
    }

    /// Takes whole frames, filled with zeros.
    ///
    /// # Errors
    /// [`PoolEmpty`] if there are not that many left.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<PhysRange, PoolEmpty> {
        self.take_filled(bytes, |_| ())
    }

    /// Takes whole frames, filled with zeros and then by `fill`.
    ///
    /// # Errors
    /// [`PoolEmpty`] if there are not that many left.
    pub(crate) fn take_filled(&mut self, bytes: u64, fill: impl FnOnce(&mut [u8])) -> Result<PhysRange, PoolEmpty> {
        let size = bytes.max(1).next_multiple_of(FRAME_BYTES);
        let taken = PhysRange::from_size(self.next, size).filter(|r| self.range.covers(*r)).ok_or(PoolEmpty)?;
        self.next = taken.end();
        self.peak = self.peak.max(self.next - self.range.start());
        // SAFETY: the pool lies in RAM below 4 GiB, which is always mapped, and the range has just been taken from it, so
        // nobody else uses it.
        let bytes = unsafe { phys::bytes_mut(taken) };
        bytes.fill(0);
        fill(bytes);
        Ok(taken)
    }

    /// Returns how much is taken, for [`put_back`](Self::put_back).
    pub(crate) fn mark(&self) -> u64 {
        self.next
    }

    /// Puts back everything taken since `mark`, which nobody may use any more.
    pub(crate) fn put_back(&mut self, mark: u64) {
        self.next = mark.clamp(self.range.start(), self.next);
    }
}

// SAFETY: every frame is taken from RAM that is in the pool and that `take` hands out once, until it is put back.
unsafe impl FrameAllocator<Size4KiB> for Pool {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.take(FRAME_BYTES).ok().map(|range| phys::frame(range.start()))
    }
}
