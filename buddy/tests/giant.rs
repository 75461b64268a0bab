// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blocks beyond the largest order, and frames of three sizes.

#![allow(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one entry")]

mod layout;

use buddy::{Buddy, Error, Request};
use handoff::ZoneKind;
use layout::{Layout, frames, pfn};
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame, Size1GiB, Size2MiB, Size4KiB};

const NORMAL: ZoneKind = ZoneKind::NORMAL;

#[test]
fn frames_of_three_sizes() {
    let gib = 1 << 18;
    let mut layout = Layout::new(&[(0, NORMAL, gib - 512..3 * gib)], &[(0, gib - 512..3 * gib)], &[]);
    let mut buddy: Buddy<'_> = layout.started();
    let small: PhysFrame<Size4KiB> = buddy.allocate_frame().unwrap();
    let large: PhysFrame<Size2MiB> = buddy.allocate_frame().unwrap();
    // The 2 MiB frame took the lowest block of 4 MiB, so only the second GiB is whole.
    let giant: PhysFrame<Size1GiB> = buddy.allocate_frame().unwrap();
    assert_eq!(giant.start_address().as_u64(), 2 << 30);
    assert_eq!(FrameAllocator::<Size1GiB>::allocate_frame(&mut buddy), None);
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.statistics().allocated_frames(), 1 + 512 + gib);

    // SAFETY: nobody uses the frames.
    #[allow(unsafe_code)]
    unsafe {
        buddy.deallocate_frame(small);
        buddy.deallocate_frame(large);
        buddy.deallocate_frame(giant);
        assert_eq!((buddy.refused(), buddy.statistics().allocated_frames()), (0, 0));
        buddy.deallocate_frame(giant);
        buddy.deallocate_frame(large);
        assert_eq!(buddy.refused(), 2);
    }
    assert_eq!(buddy.validate(), Ok(()));
}

#[test]
fn giant_blocks_pass_by_holes() {
    let zones = [(0, NORMAL, 2048..16 * 1024)];
    let mut layout = Layout::new(&zones, &[(0, 2048..16 * 1024)], &[5000..5001]);
    let mut buddy: Buddy<'_> = layout.started();
    assert_eq!(buddy.allocate_giant(Request::order(12)).map(pfn), Ok(8192));
    assert_eq!(buddy.allocate_giant(Request::order(11)).map(pfn), Ok(2048));
    assert_eq!(buddy.allocate_giant(Request::order(11)).map(pfn), Ok(6144));
    assert!(matches!(
        buddy.allocate_giant(Request::order(13)),
        Err(Error::OutOfMemory { order: 13, largest: Some(10), .. })
    ));
    assert_eq!(buddy.allocate_giant(Request::order(19)), Err(Error::Order { order: 19, max: 18 }));
    buddy.free_exact(frames(8192..8192 + 4096)).unwrap();
    assert_eq!(buddy.allocate_giant(Request::order(12)).map(pfn), Ok(8192));
}

#[test]
fn giant_blocks_lie_in_one_node() {
    let zones = [(0, NORMAL, 0..8192), (1, NORMAL, 1024..2048)];
    let memory = [(0, 0..1024), (1, 1024..2048), (0, 2048..8192)];
    let mut layout = Layout::new(&zones, &memory, &[]);
    let mut buddy: Buddy<'_> = layout.started();
    assert_eq!(buddy.allocate_giant(Request::order(12)).map(pfn), Ok(4096));
    assert!(matches!(buddy.allocate_giant(Request::order(12)), Err(Error::OutOfMemory { .. })));
    assert_eq!(buddy.allocate_giant(Request::order(11)).map(pfn), Ok(2048));
    assert_eq!(buddy.validate(), Ok(()));
}
