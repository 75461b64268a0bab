// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any memory and reservations: each frame of a present section is described once, and the zones add up.
#![no_main]

use handoff::{FrameState, Nid, Region, SECTION_FRAMES};
use memmap::Layout;

/// Reads regions from bytes, nine each: how far behind the last one, how long - in sixteenths of frames - and the node.
fn regions(bytes: &[u8]) -> Vec<Region> {
    let mut end = 0;
    let region = |nine: &[u8]| {
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) << 8;
        let (base, size) = (end + number(&nine[..4]), number(&nine[4..8]) + 1);
        end = base + size;
        Region { nid: Nid(i32::from(nine[8] % 4)), ..Region::new(base, size) }
    };
    bytes.chunks_exact(9).map(region).collect()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (memory, reserved) = bytes.split_at(bytes.len() / 18 * 9);
    let Ok(layout) = Layout::new(&regions(memory), 0) else { return };
    let (mut index, mut end, mut memory) = (0, 0, 0);
    layout.frame_runs(&regions(reserved), |run| {
        assert!(run.index == index && end <= run.start_pfn && run.start_pfn < run.end_pfn);
        assert!(end == run.start_pfn || end % SECTION_FRAMES == 0 && run.start_pfn % SECTION_FRAMES == 0);
        index += (run.end_pfn - run.start_pfn) as usize;
        end = run.end_pfn;
        memory += if run.state == FrameState::Hole { 0 } else { run.end_pfn - run.start_pfn };
    });
    assert_eq!(index as u64, layout.frames());
    assert_eq!(memory, layout.present());
    assert_eq!(memory, layout.zones().iter().map(|zone| zone.present).sum::<u64>());
    assert!(layout.zones().iter().all(|zone| zone.present <= zone.spanned));
    let holes: u64 = layout.unavailable().map(|hole| hole.frames).sum();
    assert_eq!(holes + memory, layout.frames());
});
