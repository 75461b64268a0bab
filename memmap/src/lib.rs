// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zones, nodes, sections and one descriptor for each page frame.
//!
//! Takes the memory regions that memblock ends with, finds out which frames exist, which zone and node each belongs to and
//! which 128 MiB sections need descriptors; allocates the descriptors and the tables around them out of early memory; and
//! writes every descriptor exactly once.
//!
//! In Linux (6.1) this is `sparse_init` (`mm/sparse.c`), `vmemmap_populate` (`arch/x86/mm/init_64.c`) and
//! `free_area_init` with `memmap_init` (`mm/page_alloc.c`; `mm/mm_init.c` since 6.4). It runs after the crash kernel's
//! memory was reserved and before memory is handed to the page allocator.
//!
//! # Example
//!
//! ```
//! use handoff::{FrameState, Page, Region, ZoneKind};
//! use memmap::Layout;
//!
//! // A small PC: the first page and 640 KiB-1 MiB are not memory, the first MiB is reserved.
//! let memory = [Region::new(0x1000, 0x9e000), Region::new(0x10_0000, 63 << 20)];
//! let layout = Layout::new(&memory, 0)?;
//! assert_eq!(layout.zones()[1].kind, ZoneKind::DMA32);
//! assert_eq!(layout.zones()[1].present, 48 << 8);
//!
//! let mut pages = vec![Page::new(ZoneKind::DMA, 0, FrameState::Hole); layout.frames() as usize];
//! layout.initialize(&mut pages, &[Region::new(0, 0x10_0000)])?;
//! assert_eq!(pages[0xff].state(), FrameState::Hole);
//! assert_eq!(pages[0x9e].state(), FrameState::Reserved);
//! assert_eq!(pages[0x100].state(), FrameState::Body);
//! # Ok::<(), memmap::Error>(())
//! ```
//!
//! [`allocate`] finds the place for the descriptors in any [`EarlyMemory`](handoff::EarlyMemory).
//!
//! # Invariants
//!
//! * Every frame of memory is present in exactly one zone of one node; the zones of a node do not overlap.
//! * There is a descriptor for each frame of a section in which there is at least one frame of memory, and no other.
//! * Frames with a descriptor = present frames + frames in unavailable ranges.
//! * Each descriptor is written once, after its place is known and reserved.
//!
//! # Features
//!
//! * `serde`: [`Initialize`], the stage that turns a `Crash` hand-off into `Frames`.
//! * `defmt`: log lines as defmt frames.
//!
//! # Differences from Linux
//!
//! * No device zone: the line `  Device   empty` is not printed.
//! * Mirrored memory behind the start of a node's zone Movable is the kernel's even if the node has no other memory of that
//!   zone; Linux leaves it out of all zones.
//! * Descriptors are written all at once in one thread, or, with `struct_pages=lazy`, not at all: Linux defers what lies
//!   behind the first section of a node.
//! * Where no place is found for a node's descriptors in one piece, Linux takes 2 MiB blocks from the top and maps them in that
//!   order, so that their addresses fall. Here the same blocks are used by rising address: neighbours fuse.
//! * Where not even a 2 MiB block is found, Linux takes single pages; here pieces are halved until they fit, so that they
//!   are few. The bytes used are the same.
//! * A node without memory gets its line, but no node data is allocated for it: nothing here would use it.
//! * Memory above the limit of the page tables is an error; Linux warns and goes on without descriptors for it.
//!
//! # Limits
//!
//! 128 memory regions, 64 zones, 64 blocks of descriptors and 52 address bits: each
//! is an error that names the limit. Pages of 4 KiB and sections of 128 MiB, as on x86-64.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod allocate;
mod cost;
mod error;
mod initialize;
mod layout;
mod message;
mod mode;
mod model;
mod movable;
mod report;
mod span;
#[cfg(feature = "serde")]
mod stage;

pub use allocate::allocate;
pub use cost::Cost;
pub use error::Error;
pub use initialize::FrameRun;
pub use layout::{Layout, MemoryRange};
pub use message::{Address, Line, NodeColumn};
pub use mode::StructPages;
pub use model::{Paging, SECTION_DESCRIPTOR_BYTES, SparseModel};
pub use movable::{Amount, Movable, MovableStart};
pub use span::{Span, SpanKind, Unavailable};
#[cfg(feature = "serde")]
pub use stage::Initialize;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
