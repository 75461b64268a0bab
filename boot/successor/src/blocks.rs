// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blocks: random ones of all orders are allocated, filled, checked and freed.

use crate::defect::Defect;
use crate::random::Random;
use crate::windows;
use buddy::Buddy;
use handoff::{FRAME_BYTES, MAX_ORDER, PhysRange, Proof};
use heapless::Vec;
use x86_64::structures::paging::PhysFrame;

/// Allocations and frees.
const STEPS: u32 = 4000;
/// Blocks alive at once.
const ALIVE: usize = 96;

struct Block {
    frame: PhysFrame,
    range: PhysRange,
    order: u8,
    /// Where it is visible, if it is.
    at: Option<u64>,
    seed: u64,
}

/// Allocates and frees, and counts it.
///
/// # Errors
/// The first [`Defect`].
pub(crate) fn check(buddy: &mut Buddy<'static>, proof: &mut Proof) -> Result<(), Defect> {
    let mut alive: Vec<Block, ALIVE> = Vec::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);

    for _ in 0..STEPS {
        let number = random.next();
        if alive.is_full() || (!alive.is_empty() && number & 1 == 0) {
            let block = alive.swap_remove((number >> 8) as usize % alive.len());
            free(buddy, &block, proof)?;
            continue;
        }
        let order = ((number >> 8) % u64::from(MAX_ORDER + 1)) as u8;
        let Ok(frame) = buddy.allocate(order) else {
            proof.refused += 1; // a small machine has no block of that order left
            continue;
        };
        let start = frame.start_address().as_u64();
        let range = PhysRange::from_size(start, FRAME_BYTES << order).ok_or(Defect::Overlap(start))?;
        if alive.iter().any(|other| other.range.overlaps(range)) {
            return Err(Defect::Overlap(start));
        }
        let block = Block { frame, range, order, at: windows::show(range), seed: number };
        // SAFETY: the block is this program's alone, as was just checked; see `words` for the rest.
        words(&block).for_each(|(word, value)| unsafe { word.write_volatile(value) });
        proof.blocks += 1;
        let _ = alive.push(block); // there is room: see above
    }
    alive.iter().try_for_each(|block| free(buddy, block, proof))
}

/// Checks what a block holds and frees it.
fn free(buddy: &mut Buddy<'static>, block: &Block, proof: &mut Proof) -> Result<(), Defect> {
    // SAFETY: the block is allocated, for this alone; see `words` for the rest.
    if let Some((word, _)) = words(block).find(|(word, value)| unsafe { word.read_volatile() } != *value) {
        return Err(Defect::Content(block.range.start() + (word as u64 - block.at.unwrap_or(0))));
    }
    proof.frames += block.at.map_or(0, |_| 1 << block.order);
    Ok(buddy.free(block.frame, block.order)?)
}

/// Returns the first and the last word of every frame of a block that is visible, each with the value it should have. The
/// words are aligned, and a window shows them, writable.
fn words(block: &Block) -> impl Iterator<Item = (*mut u64, u64)> {
    let (start, seed, frames) = (block.range.start(), block.seed, 1_u64 << block.order);
    let offsets = (0..frames).flat_map(|i| [i * FRAME_BYTES, i * FRAME_BYTES + FRAME_BYTES - 8]);
    let words = move |at: u64| move |offset: u64| ((at + offset) as *mut u64, (start + offset).wrapping_mul(seed | 1));
    block.at.into_iter().flat_map(move |at| offsets.clone().map(words(at)))
}
