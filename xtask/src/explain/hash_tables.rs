// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hash tables whose size follows from the memory there is.

use handoff::{parameters, strtoull};

/// Frames in 1 MiB.
const MIB_FRAMES: u64 = 256;
/// Frames from which on tables grow at half the pace, again at each fourfold.
const LARGE_FRAMES: u64 = (64 << 30) / 4096;

/// Returns the bytes of the tables of directory entries and of files, for so many frames of memory.
///
/// Linux: `alloc_large_system_hash` (6.1), called with 8 and 16 KiB of memory for each entry.
pub(super) fn sizes(frames: u64, command_line: &str) -> impl Iterator<Item = u64> {
    [("dhash_entries", 1), ("ihash_entries", 2)].into_iter().map(move |(name, shift)| {
        let asked = parameters(command_line).filter(|(n, _)| *n == name).last().and_then(|p| p.1);
        let asked = asked.map_or(0, |value| strtoull(value.as_bytes()).0);
        let by_memory = frames.next_multiple_of(MIB_FRAMES) >> (shift + slower(frames));
        let entries = if asked > 0 { asked } else { by_memory };
        // At most a sixteenth of memory.
        let largest = frames.saturating_mul(4096) / 16 / 8;
        entries.min(largest).max(2).checked_next_power_of_two().map_or(0, |entries| entries.saturating_mul(8))
    })
}

fn slower(frames: u64) -> u32 {
    let mut limit = LARGE_FRAMES;
    let mut steps = 0;
    while limit < frames {
        limit = limit.saturating_mul(4);
        steps += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_recorded() {
        for (gib, dentries, inodes) in [(2, 2 << 20, 1 << 20), (8, 8 << 20, 4 << 20), (64, 64 << 20, 32 << 20)] {
            let frames = (gib << 30) / 4096 - 34;
            assert_eq!(sizes(frames, "").collect::<Vec<_>>(), [dentries, inodes], "{gib}");
        }
        assert_eq!(sizes(1 << 19, "dhash_entries=1000").next(), Some(8192));
    }
}
