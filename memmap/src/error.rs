// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong.

use core::fmt;
use handoff::{CLAIMS, Owner, PhysRange};

/// Why there is no memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is not one whole frame of memory.
    NoMemory,
    /// The memory regions are not sorted and disjoint.
    Unordered {
        /// Base of the region that starts before the one before it ends.
        base: u64,
    },
    /// A memory region is not made of whole frames, so the account would not add up.
    Unaligned {
        /// Its base.
        base: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// Memory lies above what can be addressed.
    Beyond {
        /// The address after the last byte of memory.
        end: u64,
        /// The address after the last byte that can be addressed.
        limit: u64,
    },
    /// There are more regions of memory than fit.
    Regions {
        /// How many fit.
        capacity: usize,
    },
    /// There are more zones than fit.
    Zones {
        /// How many fit.
        capacity: usize,
    },
    /// The descriptors lie in more pieces than fit.
    Blocks {
        /// How many fit.
        capacity: usize,
    },
    /// No place was found.
    OutOfMemory {
        /// What for.
        owner: Owner,
        /// Bytes needed: for descriptors, those of consecutive sections of one node.
        needed: u64,
        /// Bytes of the largest piece of free memory, before any of that was taken.
        largest_hole: u64,
        /// Bytes of free memory, before any of that was taken.
        free: u64,
    },
    /// The ledger has no room for one more claim.
    LedgerFull,
    /// The machine did not hand out the memory of the descriptors.
    NotGranted {
        /// What was asked for.
        range: PhysRange,
    },
    /// The slice of descriptors has the wrong length.
    Descriptors {
        /// Descriptors in the slice.
        found: u64,
        /// Descriptors needed.
        expected: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoMemory => write!(f, "there is no whole frame of memory"),
            Self::Unordered { base } => write!(f, "memory regions are not sorted and disjoint at {base:#x}"),
            Self::Unaligned { base, size } => {
                write!(f, "memory region of {size:#x} bytes at {base:#x} is not made of whole frames: trim it first")
            }
            Self::Beyond { end, limit } => {
                write!(
                    f,
                    "memory ends at {end:#x}, only {limit:#x} can be addressed: limit it with mem={}G",
                    limit >> 30
                )
            }
            Self::Regions { capacity } => write!(f, "there are more than {capacity} memory regions"),
            Self::Zones { capacity } => write!(f, "there are more than {capacity} zones: boot with numa=off"),
            Self::Blocks { capacity } => {
                write!(f, "page descriptors would lie in more than {capacity} pieces: free memory is too fragmented")
            }
            Self::OutOfMemory { owner, needed, largest_hole, free } => write!(
                f,
                "no room for {owner}: {needed} bytes needed, {free} free, {largest_hole} in the largest piece: \
                 reserve less (crashkernel=) or add memory"
            ),
            Self::LedgerFull => write!(f, "the ledger is full: {CLAIMS} claims"),
            Self::NotGranted { range } => write!(f, "page descriptors at {range} were not granted"),
            Self::Descriptors { found, expected } => write!(f, "{found} page descriptors given, {expected} needed"),
        }
    }
}

impl core::error::Error for Error {}

impl From<handoff::Full> for Error {
    fn from(_: handoff::Full) -> Self {
        Self::LedgerFull
    }
}

#[cfg(feature = "serde")]
impl From<handoff::GrantError> for Error {
    fn from(error: handoff::GrantError) -> Self {
        Self::NotGranted { range: error.range }
    }
}
