// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page-frame allocator: what hands out physical memory once early boot is over.
//!
//! Free memory consists of blocks of 2^order frames, order 0 to 10 (4 KiB to 4 MiB), per zone and node. A request takes a part of
//! a block that is large enough, a free merges the block with its buddy as long as that is free. Both take a few steps, however
//! much memory is free. What is free is a set of bits, two per frame and section of 128 MiB, from which the blocks follow: its
//! largest aligned parts. A section that is free or allocated as a whole needs no bits: so 16 TiB cost a table of 1 MiB at first.
//! The state holds numbers instead of pointers: another kernel can go on with it.
//!
//! In Linux this is `mm/page_alloc.c` (`__free_one_page`, `__rmqueue_smallest`, `expand`; 6.1 … 6.12) and, for the hand-over
//! from early memory, `memblock_free_all` in `mm/memblock.c`.
//!
//! ```
//! use buddy::{Buddy, FrameMap, Mode, Piece, Plan, Request};
//! use handoff::{Region, ZoneKind, ZoneSpan};
//!
//! // 4 MiB of memory at 0, all of it in zone DMA of node 0; the first frame is reserved.
//! let memory = [Region { nid: 0.into(), ..Region::new(0, 4 << 20) }];
//! let reserved = [Region::new(0, 4096)];
//! let zones = [ZoneSpan { node: 0, kind: ZoneKind::DMA, start_pfn: 0, spanned: 1024, present: 1024 }];
//!
//! let plan = Plan::<1>::new(&memory, &reserved, &zones, Mode::Lazy)?;
//! let mut pieces = vec![Piece::UNUSED; plan.pieces()];
//! let mut maps = vec![FrameMap::UNUSED; plan.maps()];
//! let mut buddy = Buddy::new(&plan, &mut pieces, &mut maps)?;
//! buddy.hand_over(&memory, &reserved)?;
//!
//! let table = buddy.allocate(0)?; // one frame
//! let huge = buddy.allocate(9)?; // 2 MiB, aligned to 2 MiB
//! let buffer = buddy.allocate_exact(5, Request::order(0))?; // five frames, not eight
//! buddy.free(huge, 9)?;
//! buddy.free_exact(buffer)?;
//! assert!(buddy.free(huge, 9).is_err()); // a second free is refused and changes nothing
//! buddy.free(table, 0)?;
//! assert_eq!(buddy.statistics().free_frames(), 1023);
//! # Ok::<(), buddy::Error>(())
//! ```
//!
//! # Invariants
//! See [`Buddy`]; [`Buddy::validate`] checks them all. Every call keeps managed frames = free + allocated + holding maps, and a call that
//! returns an error has changed nothing (but [`Error::Corrupt`], and hand-over, which stops where it is). Damaged
//! tables lead to errors, never to a panic.
//!
//! # Features
//! None by default: no `alloc`, no `serde`, no locks. `spin`: `Shared`, the front for several CPUs. `heap`: `Heap` and
//! `GlobalHeap`, objects smaller than a frame. `serde`: the stage `HandOver`, `Buddy::attach` and `Buddy::detach`. `defmt`: log lines as
//! defmt frames.
//!
//! The only `unsafe` is the word itself, in `x86.rs` and `heap/global.rs`: the traits `FrameAllocator` and `FrameDeallocator` of the
//! `x86_64` crate and `GlobalAlloc` demand it.
//!
//! # Differences from Linux
//! - One free list per zone and order: no migrate types, so blocks of different mobility share a list and merge. The set
//!   of free blocks after the hand-over is the same; the list holds Linux's lists of all types, each in its order.
//! - Free blocks are not on lists but in bitmaps. No descriptor is needed, and none is touched. A small request takes from the
//!   64 frames where the last one of its order was served, as long as these can; of a fitting block, if they have one.
//! - Nothing is deferred: all free memory is handed over at once, in time proportional to the number of ranges and sections.
//! - Every free is checked in every build: double frees, wrong orders, foreign frames are errors. Linux checks with
//!   `CONFIG_DEBUG_VM`, and not all of it.
//! - No reclaim or compaction: a request either succeeds at once or fails. So watermarks say who gets the last frames, but
//!   wake nobody; before [`Buddy::set_watermarks`] nothing is kept free.
//! - Other nodes follow by number until [`Buddy::set_distances`] says how far they are: no hand-off carries that.
//! - Watermarks treat zone Movable as 6.1 does, like any other. Later kernels give it at most 128 frames.
//! - [`Buddy::remove_range`] leaves the zone's span as it is.
//! - [`Buddy::allocate_exact`] leaves blocks where `alloc_pages_exact` leaves single frames.
//!
//! # Limits
//! 192 runs of memory, 52 address bits; a zone can get more maps twelve times. [`Buddy`] takes `&mut self`
//! throughout; `Shared` (feature `spin`) is for several CPUs.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

mod allocate;
mod allocator;
mod bulk;
mod distance;
mod error;
mod exact;
mod fixed;
mod free;
mod giant;
mod hand_over;
#[cfg(feature = "heap")]
mod heap;
mod hotplug;
mod map;
mod message;
mod node;
mod online;
mod piece;
mod plan;
mod request;
mod rings;
mod runs;
mod search;
#[cfg(feature = "spin")]
mod shared;
mod shares;
#[cfg(feature = "serde")]
mod stage;
mod statistics;
mod tree;
mod validate;
mod watermark;
mod x86;
mod zone;
mod zonelist;

pub use allocator::Buddy;
pub use distance::{Distances, FallbackOrder, LOCAL_DISTANCE, REMOTE_DISTANCE};
pub use error::{Counter, Error, Fault};
pub use giant::MAX_GIANT_ORDER;
pub use hand_over::HandedOver;
#[cfg(feature = "heap")]
pub use heap::{GlobalHeap, Heap, HeapStatistics, Span};
pub use map::FrameMap;
pub use message::Event;
pub use node::{Counters, FullZoneInfo};
pub use piece::Piece;
pub use plan::{Mode, Plan};
pub use request::{Node, Priority, Request};
#[cfg(feature = "spin")]
pub use shared::{Cpu, Shared};
#[cfg(feature = "serde")]
pub use stage::HandOver;
pub use statistics::{BuddyInfo, Statistics, ZoneInfo};
pub use watermark::{MinFree, WatermarkPolicy, Watermarks};
