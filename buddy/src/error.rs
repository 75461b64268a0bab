// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong, with the numbers that show it.

use core::fmt;
use handoff::{Full, MAX_ORDER, PhysRange, ZoneKind};

/// Why the allocator refused. Nothing was changed, except after [`Corrupt`](Self::Corrupt).
///
/// `pfn` is always a page frame number: an address / 4096.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// No zone that the request may use has a block that is large enough.
    OutOfMemory {
        /// The order asked for.
        order: u8,
        /// The largest order there is a free block of in these zones.
        largest: Option<u8>,
        /// Free frames in these zones.
        free: u64,
    },
    /// There is a block, but what is free is kept for more urgent requests, or for those that can use no other zone.
    BelowWatermark {
        /// The order asked for.
        order: u8,
        /// The largest order there is a free block of in these zones.
        largest: Option<u8>,
        /// Free frames in these zones.
        free: u64,
    },
    /// A lock that this call may not wait for is taken: by what the caller interrupted, or by another CPU.
    Busy,
    /// A request for zeros, and nobody to write them.
    CannotZero,
    /// A matrix of distances is not square.
    Distances {
        /// The nodes.
        nodes: usize,
        /// Distances given.
        given: usize,
    },
    /// A node is not 10 from itself, or another one is nearer.
    Distance {
        /// From which node.
        from: u16,
        /// To which.
        to: u16,
        /// How far.
        distance: u8,
    },
    /// No block has that order.
    Order {
        /// The order asked for.
        order: u8,
        /// The largest this call knows.
        max: u8,
    },
    /// No block holds that many frames.
    FrameCount {
        /// The frames asked for.
        frames: u64,
    },
    /// A block of this order does not start at this frame.
    Misaligned {
        /// The frame.
        pfn: u64,
        /// The order.
        order: u8,
    },
    /// The range does not consist of whole frames.
    NotFrames {
        /// The range.
        range: PhysRange,
    },
    /// There is no memory at the frame that this allocator knows of.
    Foreign {
        /// The frame.
        pfn: u64,
    },
    /// The frame is reserved: it was never given to the allocator, or holds its maps.
    Reserved {
        /// The frame.
        pfn: u64,
    },
    /// The frame is free already.
    AlreadyFree {
        /// The frame.
        pfn: u64,
        /// The first frame of the free block it lies in.
        block: u64,
        /// The order of that block.
        order: u8,
    },
    /// The block was allocated with another order.
    WrongOrder {
        /// The frame.
        pfn: u64,
        /// The order given.
        order: u8,
        /// The order it was allocated with.
        allocated: u8,
    },
    /// The frame is part of an allocated block: not its first, or the block reaches beyond the range.
    InUse {
        /// The frame.
        pfn: u64,
        /// The first frame of the block.
        block: u64,
        /// The order of the block.
        order: u8,
    },
    /// There is memory at the frame already, so none can be added.
    NotHole {
        /// The frame.
        pfn: u64,
    },
    /// No object of the given size is in use at an address of the heap.
    Object {
        /// The address.
        address: u64,
    },
    /// The frame is not reserved, so it cannot be given up.
    NotReserved {
        /// The frame.
        pfn: u64,
    },
    /// A run is empty, out of order, beyond 52 address bits, or its zone or its pieces are not there.
    Run {
        /// Which run.
        index: usize,
    },
    /// The tables are too small.
    Tables {
        /// Pieces needed.
        pieces: usize,
        /// Maps needed.
        maps: usize,
    },
    /// A section would have to be split, and there is no frame map for it.
    NoMap,
    /// Early memory has no room for the tables.
    #[cfg(feature = "serde")]
    NoRoom {
        /// The bytes needed.
        bytes: u64,
    },
    /// Memory belongs to no zone of its node.
    NoZone {
        /// The frame.
        pfn: u64,
    },
    /// There are more zones or runs of sections than the table has room for.
    Capacity {
        /// The room.
        capacity: usize,
    },
    /// There is no such zone, or it is there twice, or the frame lies outside it.
    Zone {
        /// The node.
        node: u16,
        /// The zone type.
        kind: ZoneKind,
    },
    /// The tables contradict themselves: somebody wrote to them, or the hand-off is wrong.
    Corrupt {
        /// Near which frame; 0 if that is not known.
        pfn: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A number that the allocator keeps is not what its tables add up to.
    Count {
        /// The node.
        node: u16,
        /// The zone type.
        kind: ZoneKind,
        /// Which number.
        what: Counter,
        /// What is kept.
        kept: u64,
        /// What was counted.
        counted: u64,
    },
    /// The account has no room left.
    Ledger(Full),
    /// The memory of the tables is out of reach.
    #[cfg(feature = "serde")]
    Grant(handoff::GrantError),
}

/// What is wrong with the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// There is no such piece or map.
    Missing,
    /// Neighbours on a ring do not lead to each other.
    Links,
    /// What says where free blocks are is not what the map has.
    Summary,
    /// A map with free blocks is on no ring.
    Unlisted,
    /// A block does not end where the next one starts.
    Overlap,
    /// A block, or a section, has frames that are not the zone's.
    Zone,
    /// A map belongs to another section, or its own frames are in use.
    Owner,
    /// A free block and its buddy, both free, were not merged.
    Unmerged,
}

/// A number the allocator keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Counter {
    /// Free frames.
    Free,
    /// Dormant sections.
    Dormant,
    /// Frame maps in use, or used before.
    Maps,
    /// Frames that hold maps.
    MapFrames,
    /// Frames that are free, allocated, or hold maps.
    Managed,
    /// Frames of memory.
    Present,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OutOfMemory { order, largest: Some(largest), free } => write!(
                f,
                "no free block of order {order} in the allowed zones: {free} frames are free, in blocks of order {largest} and less"
            ),
            Self::OutOfMemory { order, largest: None, .. } => {
                write!(f, "no free block of order {order} in the allowed zones: nothing is free")
            }
            Self::BelowWatermark { order, free, .. } => write!(
                f,
                "a block of order {order} is free, but the {free} free frames are kept for more urgent requests"
            ),
            Self::Busy => f.write_str("a lock that this call may not wait for is taken"),
            Self::CannotZero => f.write_str("zeroed memory was asked for, and no function was set that writes zeros"),
            Self::Distances { nodes, given } => write!(f, "{given} distances are not a matrix of {nodes} nodes"),
            Self::Distance { from, to, distance } => {
                write!(
                    f,
                    "the distance {distance} from node {from} to node {to} cannot be: the own node is 10, no other is nearer"
                )
            }
            Self::Order { order, max } => write!(f, "order {order} is not supported here: the largest is {max}"),
            Self::FrameCount { frames } => {
                write!(f, "{frames} frames cannot be one allocation: 1 to {} can", 1u32 << MAX_ORDER)
            }
            Self::Misaligned { pfn, order } => write!(f, "no block of order {order} starts at frame {pfn:#x}"),
            Self::NotFrames { range } => write!(f, "{range} does not consist of whole frames"),
            Self::Foreign { pfn } => write!(f, "there is no memory at frame {pfn:#x}"),
            Self::Reserved { pfn } => write!(f, "frame {pfn:#x} is reserved"),
            Self::AlreadyFree { pfn, block, order } => {
                write!(f, "frame {pfn:#x} is free already, in the block of order {order} at {block:#x}")
            }
            Self::WrongOrder { pfn, order, allocated } => {
                write!(f, "the block at frame {pfn:#x} was allocated with order {allocated}, not {order}")
            }
            Self::InUse { pfn, block, order } => {
                write!(f, "frame {pfn:#x} is in use, in the block of order {order} at {block:#x}")
            }
            Self::NotHole { pfn } => write!(f, "there is memory at frame {pfn:#x} already"),
            Self::Object { address } => write!(f, "no object of this size is in use at {address:#x}"),
            Self::NotReserved { pfn } => write!(f, "frame {pfn:#x} is not reserved"),
            Self::Run { index } => write!(f, "run {index} is empty, out of order or out of range"),
            Self::Tables { pieces, maps } => {
                write!(f, "the tables are too small: {pieces} pieces and {maps} frame maps are needed")
            }
            Self::NoMap => f.write_str("a section would have to be split, and there is no frame map for it"),
            #[cfg(feature = "serde")]
            Self::NoRoom { bytes } => write!(f, "no place for the frame maps: {bytes} bytes in one piece are needed"),
            Self::NoZone { pfn } => write!(f, "the memory at frame {pfn:#x} belongs to no zone of its node"),
            Self::Capacity { capacity } => write!(f, "the table is full: {capacity} entries"),
            Self::Zone { node, kind } => write!(f, "node {node} has no such zone {kind}, or has it twice"),
            Self::Corrupt { pfn, fault } => write!(f, "the frame maps are corrupt near frame {pfn:#x}: {fault}"),
            Self::Count { node, kind, what, kept, counted } => {
                write!(f, "node {node}, zone {kind}: {what} is kept as {kept}, counted {counted}")
            }
            Self::Ledger(full) => write!(f, "{full}"),
            #[cfg(feature = "serde")]
            Self::Grant(error) => write!(f, "frame maps: {error}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no such piece or map",
            Self::Links => "neighbours on a ring do not lead to each other",
            Self::Summary => "no free block is where one should be",
            Self::Unlisted => "a map with free blocks is on no ring",
            Self::Overlap => "a block does not end where the next one starts",
            Self::Zone => "a block has frames that are not its zone's",
            Self::Owner => "a map belongs to another section, or its own frames are in use",
            Self::Unmerged => "a block and its buddy are both free and not merged",
        })
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("the number of free frames"),
            Self::Dormant => f.write_str("the number of dormant sections"),
            Self::Maps => f.write_str("the number of frame maps in use"),
            Self::MapFrames => f.write_str("the number of frames that hold maps"),
            Self::Managed => f.write_str("the number of managed frames"),
            Self::Present => f.write_str("the number of present frames"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        Self::Ledger(full)
    }
}

#[cfg(feature = "serde")]
impl From<handoff::GrantError> for Error {
    fn from(error: handoff::GrantError) -> Self {
        Self::Grant(error)
    }
}
