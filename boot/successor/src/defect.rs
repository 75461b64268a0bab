// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a second kernel can find wrong.

use core::fmt;
use x86_64::structures::paging::PhysFrame;

/// What is wrong with the allocator or the memory.
#[derive(Debug)]
pub(crate) enum Defect {
    /// The command line names no block.
    NoBlock,
    /// The allocator contradicts itself, or refuses what it must not.
    Buddy(buddy::Error),
    /// A block could be freed with another order, or twice.
    Freed(PhysFrame),
    /// Memory at this address does not keep what is written to it.
    Content(u64),
    /// There can be no window to the memory at this address.
    Hidden(u64),
    /// Two blocks overlap here.
    Overlap(u64),
    /// There is no heap.
    NoHeap,
    /// The heap's objects are not what was put into them.
    Objects,
    /// So many objects and bytes were not given back, and so many frees were refused.
    Books { objects: u64, large_bytes: u64, refused: u64 },
    /// An object could be freed twice.
    ObjectFreed(u64),
    /// After everything was freed, the free blocks are not what they were.
    NotRestored,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBlock => f.write_str("no block=ADDRESS,ORDER on the command line"),
            Self::Buddy(error) => write!(f, "{error}"),
            Self::Freed(frame) => {
                write!(f, "the block at {:#x} could be freed wrongly", frame.start_address())
            }
            Self::Content(address) => write!(f, "memory at {address:#x} lost what was written to it"),
            Self::Hidden(address) => write!(f, "memory at {address:#x} was not free, and is given out"),
            Self::Overlap(address) => write!(f, "the block at {address:#x} was given out twice"),
            Self::NoHeap => f.write_str("heap: there is none"),
            Self::Objects => f.write_str("heap: an object lost what was written to it"),
            Self::Books { objects, large_bytes, refused } => {
                write!(f, "heap: {objects} objects and {large_bytes} bytes not given back, {refused} frees refused")
            }
            Self::ObjectFreed(address) => write!(f, "heap: the object at {address:#x} could be freed twice"),
            Self::NotRestored => f.write_str("not every free block came back"),
        }
    }
}

impl core::error::Error for Defect {}

impl From<buddy::Error> for Defect {
    fn from(error: buddy::Error) -> Self {
        Self::Buddy(error)
    }
}
