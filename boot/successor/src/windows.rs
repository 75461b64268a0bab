// SPDX-License-Identifier: MIT OR Apache-2.0
//! Free memory becomes visible when it is needed, a section at a time: all of it at one distance.

use buddy::Buddy;
use handoff::abi::WINDOW_BASE;
use handoff::{DESCRIPTOR_BLOCKS, PhysRange, SECTION_BYTES};
use heapless::Vec;
use spin::Mutex;

/// Ranges of free memory that are remembered. What lies in others is never looked at.
const RANGES: usize = 256;
/// Windows that boot grants, besides the allocator's tables.
const WINDOWS: usize = DESCRIPTOR_BLOCKS - 1;

struct Windows {
    /// What was free when the allocator was whole.
    free: Vec<PhysRange, RANGES>,
    open: Vec<PhysRange, WINDOWS>,
}

static WINDOWS_OPEN: Mutex<Windows> = Mutex::new(Windows { free: Vec::new(), open: Vec::new() });

/// Remembers what is free, and so may be looked at.
pub(crate) fn set_up(buddy: &Buddy<'_>) {
    let mut windows = WINDOWS_OPEN.lock();
    for range in (0..buddy.zones().len()).flat_map(|zone| buddy.free_ranges(zone)) {
        if windows.free.push(range).is_err() {
            return;
        }
    }
}

/// Returns the address at which free memory that lies in one section is visible, if there can be a window to it.
pub(crate) fn show(range: PhysRange) -> Option<u64> {
    let mut windows = WINDOWS_OPEN.lock();
    let at = WINDOW_BASE + range.start();
    if windows.open.iter().any(|window| window.covers(range)) {
        return Some(at);
    }
    let section = PhysRange::from_size(range.start() / SECTION_BYTES * SECTION_BYTES, SECTION_BYTES)?;
    let window = windows.free.iter().find(|free| free.covers(range))?.intersection(section)?;
    if !window.covers(range) || windows.open.push(window).is_err() {
        return None;
    }
    rt::window(window.start(), window.size());
    Some(at)
}
