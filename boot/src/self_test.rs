// SPDX-License-Identifier: MIT OR Apache-2.0
//! Proves the adopted allocator: random blocks of all orders are allocated, filled, checked and freed, and in the end
//! everything is as it was.

use crate::phys;
use buddy::Buddy;
use core::fmt;
use handoff::{FRAME_BYTES, MAX_ORDER, ORDERS, PhysRange};
use heapless::Vec;
use x86_64::structures::paging::PhysFrame;

/// Allocations and frees.
const STEPS: u32 = 4000;
/// Blocks alive at once.
const ALIVE: usize = 96;

/// What the test did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proof {
    pub(crate) allocations: u32,
    pub(crate) refused: u32,
    pub(crate) frames_checked: u64,
}

/// What the test found.
#[derive(Debug)]
pub(crate) enum Defect {
    /// The allocator contradicts itself.
    Buddy(buddy::Error),
    /// A frame does not hold what was written to it.
    Content(u64),
    /// After everything was freed, the free lists are not what they were.
    NotRestored,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buddy(error) => write!(f, "{error}"),
            Self::Content(address) => write!(f, "the frame at {address:#x} lost what was written to it"),
            Self::NotRestored => f.write_str("not every free block came back"),
        }
    }
}

struct Block {
    frame: PhysFrame,
    order: u8,
    seed: u64,
}

/// Runs the test.
///
/// # Errors
/// The first [`Defect`].
pub(crate) fn run(buddy: &mut Buddy<'static>) -> Result<Proof, Defect> {
    let before = free_blocks(buddy);
    let mut alive: Vec<Block, ALIVE> = Vec::new();
    let mut proof = Proof::default();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);

    for _ in 0..STEPS {
        let number = random.next();
        if alive.is_full() || (!alive.is_empty() && number & 1 == 0) {
            let block = alive.swap_remove((number >> 8) as usize % alive.len());
            free(buddy, &block, &mut proof)?;
        } else {
            let order = ((number >> 8) % u64::from(MAX_ORDER + 1)) as u8;
            match buddy.allocate(order) {
                Ok(frame) => {
                    let block = Block { frame, order, seed: number };
                    words(&block).for_each(|(word, value)| *word = value);
                    proof.allocations += 1;
                    let _ = alive.push(block); // there is room: see above
                }
                Err(_) => proof.refused += 1, // a small machine has no block of that order left
            }
        }
    }
    for block in &alive {
        free(buddy, block, &mut proof)?;
    }

    buddy.validate().map_err(Defect::Buddy)?;
    if free_blocks(buddy) == before { Ok(proof) } else { Err(Defect::NotRestored) }
}

/// Checks what a block holds and frees it.
fn free(buddy: &mut Buddy<'static>, block: &Block, proof: &mut Proof) -> Result<(), Defect> {
    if let Some((word, _)) = words(block).find(|(word, value)| **word != *value) {
        return Err(Defect::Content(core::ptr::from_ref(word) as u64 - phys::DIRECT_MAP.as_u64()));
    }
    proof.frames_checked += 1 << block.order;
    buddy.free(block.frame, block.order).map_err(Defect::Buddy)
}

/// Returns the first and the last word of every frame of a block, each with the value it should have.
fn words(block: &Block) -> impl Iterator<Item = (&'static mut u64, u64)> {
    let start = block.frame.start_address().as_u64();
    let seed = block.seed;
    let offsets = (0..1_u64 << block.order).flat_map(|i| [i * FRAME_BYTES, i * FRAME_BYTES + FRAME_BYTES - 8]);
    offsets.filter_map(move |offset| {
        let range = PhysRange::from_size(start + offset, 8)?;
        // SAFETY: the allocator gave the block to this test and to nobody else; it lies in RAM, which the direct map
        // covers; the word is aligned. One reference is made and dropped at a time.
        let word = unsafe { &mut *phys::bytes_mut(range).as_mut_ptr().cast::<u64>() };
        Some((word, (start + offset).wrapping_mul(seed | 1)))
    })
}

/// Returns the number of free blocks by zone and order.
fn free_blocks(buddy: &Buddy<'_>) -> Vec<[u64; ORDERS], { handoff::MAX_ZONES }> {
    buddy.zones().iter().map(handoff::ZoneState::free_blocks).collect()
}

/// A xorshift generator: the same numbers in every boot.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
