// SPDX-License-Identifier: MIT OR Apache-2.0
//! Physical memory as boot sees it: all of it, at a fixed distance.

use handoff::PhysRange;
use x86_64::structures::paging::{PageSize, PhysFrame};
use x86_64::{PhysAddr, VirtAddr};

/// Where physical address 0 is mapped for boot.
pub(crate) const DIRECT_MAP: VirtAddr = VirtAddr::new_truncate(0xffff_8000_0000_0000);

/// Returns where a physical address is mapped for boot.
fn virt(address: u64) -> VirtAddr {
    DIRECT_MAP + address
}

/// Returns the bytes of a physical range that nobody writes to any more: firmware tables and what the loader placed.
///
/// # Safety
/// The range must be mapped by the direct map, and nothing may write to it as long as the slice lives.
pub(crate) unsafe fn bytes(range: PhysRange) -> &'static [u8] {
    // SAFETY: the caller vouches for the mapping and for the absence of writers; any byte is a valid `u8`.
    unsafe { core::slice::from_raw_parts(virt(range.start()).as_ptr(), range.size() as usize) }
}

/// Returns the bytes of a physical range that the caller owns.
///
/// # Safety
/// The range must be mapped by the direct map, and nothing else may use it as long as the slice lives.
pub(crate) unsafe fn bytes_mut(range: PhysRange) -> &'static mut [u8] {
    // SAFETY: the caller vouches for the mapping and for being the only user; any byte is a valid `u8`.
    unsafe { core::slice::from_raw_parts_mut(virt(range.start()).as_mut_ptr(), range.size() as usize) }
}

/// Returns whether there is memory: whether it keeps what is written to it. A word in each 2 MiB is tried, and put back.
///
/// # Safety
/// The range must be mapped by the direct map, and nothing may use it meanwhile.
pub(crate) unsafe fn is_there(range: PhysRange) -> bool {
    (range.start()..range.end() & !7).step_by(2 << 20).all(|address| {
        let word = virt(address & !7).as_mut_ptr::<u64>();
        // SAFETY: the caller vouches for the memory, in which the word is aligned. Without the flush the cache would answer.
        unsafe {
            let before = word.read_volatile();
            word.write_volatile(!before);
            core::arch::asm!("clflush [{}]", "mfence", in(reg) word, options(nostack, preserves_flags));
            let kept = word.read_volatile() == !before;
            word.write_volatile(before);
            kept
        }
    })
}

/// Fills a frame of any size with zeros.
///
/// # Safety
/// As for [`bytes_mut`], for the frame.
pub(crate) unsafe fn zero<S: PageSize>(frame: PhysFrame<S>) {
    // SAFETY: the caller vouches for the frame.
    unsafe { core::ptr::write_bytes(virt(frame.start_address().as_u64()).as_mut_ptr::<u8>(), 0, S::SIZE as usize) }
}

/// Returns the frame at an address that is known to be one of a frame below 2^52.
pub(crate) fn frame(address: u64) -> PhysFrame {
    PhysFrame::containing_address(PhysAddr::new_truncate(address))
}
