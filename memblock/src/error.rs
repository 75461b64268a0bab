// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an operation could not be done.

use crate::Array;
use core::fmt;
use handoff::{Bounds, Nid};

/// Why nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// An array has no room for the entries that are needed, and did not grow.
    Full {
        /// The array.
        array: Array,
        /// How many regions it holds at most.
        capacity: usize,
    },
    /// No free range is large enough; [`Memblock::explain_failure`](crate::Memblock::explain_failure) says why.
    NoRoom {
        /// What was asked for.
        bounds: Bounds,
    },
    /// The alignment is not a power of two.
    Alignment {
        /// Bytes asked for.
        align: u64,
    },
    /// Given regions are not sorted, overlap, are empty or wrap.
    Unsorted {
        /// The array.
        array: Array,
        /// The first entry that is not as it should be.
        index: usize,
    },
    /// More regions were given than fit.
    TooMany {
        /// The array.
        array: Array,
        /// How many were given, or were to fit.
        count: usize,
        /// How many fit.
        capacity: usize,
    },
    /// The map holds no whole page of RAM.
    NoMemory,
    /// There is no room for the bookkeeping of a node.
    #[cfg(feature = "serde")]
    NodeData {
        /// The node.
        node: u16,
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes of memory.
        memory_bytes: u64,
        /// Bytes of it that nobody reserved.
        free_bytes: u64,
        /// The largest free range in bytes.
        largest_bytes: u64,
    },
    /// The account of memory has no room left.
    #[cfg(feature = "serde")]
    Ledger(handoff::Full),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full { array, capacity } => write!(
                f,
                "the {array} array is full ({capacity} regions); build with a larger capacity or allow it to grow"
            ),
            Self::NoRoom { bounds: Bounds { size, align, min, max, nid } } => {
                write!(f, "no free range for {size:#x} bytes aligned to {align:#x} in [{min:#x}, ")?;
                match max {
                    0 | 1 => f.write_str("limit)")?,
                    _ => write!(f, "{max:#x})")?,
                }
                if nid == Nid::NONE { Ok(()) } else { write!(f, " on node {}", nid.0) }
            }
            Self::Alignment { align } => write!(f, "alignment {align:#x} is not a power of two"),
            Self::Unsorted { array, index } => {
                write!(f, "{array} region {index} is empty, wraps or is not above the one before")
            }
            Self::TooMany { array, count, capacity } => {
                write!(f, "{count} {array} regions do not fit into an array of {capacity}")
            }
            Self::NoMemory => {
                f.write_str("the memory map holds no whole page of usable memory; check mem= and memmap=")
            }
            #[cfg(feature = "serde")]
            Self::NodeData { node, needed_bytes, memory_bytes, free_bytes, largest_bytes } => write!(
                f,
                "node {node} needs {} KiB in one piece; of {} KiB memory {} KiB are free, the largest piece has {} KiB: \
                 give the machine more memory, or less to load",
                needed_bytes >> 10,
                memory_bytes >> 10,
                free_bytes >> 10,
                largest_bytes >> 10
            ),
            #[cfg(feature = "serde")]
            Self::Ledger(ref full) => write!(f, "{full}"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(feature = "serde")]
impl From<handoff::Full> for Error {
    fn from(full: handoff::Full) -> Self {
        Self::Ledger(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_error_says_the_numbers() {
        let bounds = Bounds { size: 4096, align: 64, min: 0, max: 0, nid: Nid(2) };
        for (error, text) in [
            (
                Error::Full { array: Array::Reserved, capacity: 128 },
                "the reserved array is full (128 regions); build with a larger capacity or allow it to grow",
            ),
            (Error::NoRoom { bounds }, "no free range for 0x1000 bytes aligned to 0x40 in [0x0, limit) on node 2"),
            (
                Error::NoRoom { bounds: Bounds { max: 0x8000, nid: Nid::NONE, ..bounds } },
                "no free range for 0x1000 bytes aligned to 0x40 in [0x0, 0x8000)",
            ),
            (Error::Alignment { align: 3 }, "alignment 0x3 is not a power of two"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
