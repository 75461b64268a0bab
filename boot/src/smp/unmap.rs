// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking pages out of an address space again.

use crate::paging::AddressSpace;
use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::CleanUp;
use x86_64::structures::paging::page::PageRangeInclusive;
use x86_64::structures::paging::{FrameDeallocator, Mapper, Page, PhysFrame, Size4KiB};

impl AddressSpace {
    /// Takes frames of 4 KiB out again and returns the first, if all were mapped.
    pub(crate) fn unmap(&mut self, at: u64, bytes: u64) -> Option<PhysFrame> {
        let mut first = None;
        for page in pages(at, bytes) {
            let (frame, flush) = self.tables().unmap(page).ok()?;
            flush.flush();
            first.get_or_insert(frame);
        }
        first
    }

    /// Gives back the page tables that have become empty in a range.
    pub(crate) fn clean_up(&mut self, at: u64, bytes: u64, frames: &mut impl FrameDeallocator<Size4KiB>) {
        // SAFETY: tables lead to nothing once they are empty, and each belongs to this address space alone.
        unsafe { self.tables().clean_up_addr_range(pages(at, bytes), frames) }
    }
}

/// Returns the pages of a range that is not empty.
fn pages(at: u64, bytes: u64) -> PageRangeInclusive {
    let page = |address| Page::containing_address(VirtAddr::new_truncate(address));
    Page::range_inclusive(page(at), page(at + bytes - 1))
}
