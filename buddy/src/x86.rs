// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frame allocator traits of the `x86_64` crate, for its page-table mappers.
#![allow(
    unsafe_code,
    reason = "the traits are unsafe to implement; the implementations themselves contain no unsafe operation"
)]

use crate::{Buddy, Request};
use handoff::PhysRange;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PageSize, PhysFrame, Size1GiB, Size2MiB, Size4KiB};

/// The order of a 2 MiB frame.
const ORDER_2MIB: u8 = 9;
/// The order of a 1 GiB frame.
const ORDER_1GIB: u8 = 18;

impl<const Z: usize> Buddy<'_, Z> {
    /// Returns how many frames [`FrameDeallocator::deallocate_frame`] refused to take back.
    ///
    /// The trait has no error to return, so a wrong call changes nothing but this number; more than 0 means that the kernel
    /// has a bug. [`free`](Self::free) says what is wrong. Linux: `bad_page` (6.1).
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn allocate_sized<S: PageSize>(&mut self, order: u8) -> Option<PhysFrame<S>> {
        let frame = self.allocate_giant(Request::order(order)).ok()?;
        PhysFrame::from_start_address(frame.start_address()).ok()
    }

    fn deallocate_sized<S: PageSize>(&mut self, frame: PhysFrame<S>, order: u8) {
        let start = frame.start_address();
        let freed = if order <= handoff::MAX_ORDER {
            self.free(PhysFrame::containing_address(start), order).is_ok()
        } else {
            PhysRange::from_size(start.as_u64(), S::SIZE).is_some_and(|range| self.free_exact(range).is_ok())
        };
        self.refused += u64::from(!freed);
    }
}

/// Implements both traits for a frame size.
macro_rules! frame_size {
    ($size:ty, $order:expr) => {
        // SAFETY: a returned frame is unused. `allocate_sized` takes it out of the free blocks and marks it as allocated in its map,
        // so no later call returns a part of it before it was freed. That the memory was unused when it came to
        // the allocator is what `hand_over`'s caller says, like any memory map.
        unsafe impl<const Z: usize> FrameAllocator<$size> for Buddy<'_, Z> {
            fn allocate_frame(&mut self) -> Option<PhysFrame<$size>> {
                self.allocate_sized($order)
            }
        }

        impl<const Z: usize> FrameDeallocator<$size> for Buddy<'_, Z> {
            // The caller must not use the frame any more. That this is a frame of ours, allocated with this size, is
            // checked all the same.
            unsafe fn deallocate_frame(&mut self, frame: PhysFrame<$size>) {
                self.deallocate_sized(frame, $order);
            }
        }
    };
}

frame_size!(Size4KiB, 0);
frame_size!(Size2MiB, ORDER_2MIB);
frame_size!(Size1GiB, ORDER_1GIB);
