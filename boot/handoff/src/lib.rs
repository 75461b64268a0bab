// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the stages of bootmem share.
//!
//! Without features: [`PhysRange`], [`Region`], [`Page`] and the [`Log`] and [`EarlyMemory`] traits - the vocabulary in
//! which `e820`, `memblock`, `crashkernel`, `memmap` and `buddy` speak, so that any of them can be used alone.
//!
//! With `serde`: one struct per edge of the chain ([`Firmware`], [`MemoryMap`], [`Blocks`], [`Crash`], [`Frames`],
//! [`Zones`], [`Succession`]), the envelope they travel in and the [`Stage`] trait that runs a stage on encoded bytes.
//!
//! With `defmt`: every message can be sent as a defmt frame instead of text. With `std`: [`Lines`], a log for host
//! processes, and, with `serde` too, `HostMachine`, on which a stage runs in one.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

mod command_line;
mod early;
mod free_area;
#[cfg(all(feature = "std", feature = "serde"))]
mod host;
mod kind;
mod layout;
mod ledger;
#[cfg(feature = "std")]
mod lines;
mod log;
mod page;
mod range;
mod region;
mod zone;

pub use command_line::{Rules, memparse, parameters, strtoull};
#[cfg(feature = "serde")]
pub use early::EarlyStore;
pub use early::{Bounds, EarlyMemory};
pub use free_area::{FreeArea, MapShare, NONE, Run, Waiting, ZoneState};
#[cfg(all(feature = "std", feature = "serde"))]
pub use host::{HostMachine, encode_to_vec};
pub use kind::{MemoryKind, RawEntry};
pub use layout::{
    DESCRIPTOR_BLOCKS, MAP_SHARES, MAX_NODES, MAX_ZONES, RUNS, SECTION_BYTES, SECTION_FRAMES, SECTION_RUNS, SectionRun,
    TABLE_BLOCKS, ZoneSpan,
};
pub use ledger::{Account, CLAIMS, Claim, Full, Ledger, Owner};
#[cfg(feature = "std")]
pub use lines::Lines;
pub use log::{Level, Log, Message, Quiet};
pub use page::{FrameState, Page};
pub use range::{FRAME_BYTES, PhysRange};
pub use region::{Direction, Nid, Region, RegionFlags};
pub use zone::{MAX_ORDER, ORDERS, ZoneKind};

#[cfg(feature = "defmt")]
#[doc(hidden)]
pub use defmt;

#[cfg(feature = "serde")]
pub mod abi;
#[cfg(feature = "serde")]
mod blocks;
#[cfg(feature = "serde")]
mod crash;
#[cfg(feature = "serde")]
mod distances;
#[cfg(feature = "serde")]
mod envelope;
#[cfg(feature = "serde")]
mod firmware;
#[cfg(feature = "serde")]
mod frames;
#[cfg(feature = "serde")]
mod memory_map;
#[cfg(feature = "serde")]
mod stage;
#[cfg(feature = "serde")]
mod succession;
#[cfg(feature = "serde")]
mod zones;

#[cfg(feature = "serde")]
pub use blocks::{Blocks, REGIONS};
#[cfg(feature = "serde")]
pub use crash::Crash;
#[cfg(feature = "serde")]
pub use distances::NodeDistances;
#[cfg(feature = "serde")]
pub use envelope::{DecodeError, EXCHANGE_BYTES, EncodeError, HEADER_BYTES, Handoff, crc32, decode, encode};
#[cfg(feature = "serde")]
pub use firmware::{AFFINITIES, Affinity, Firmware, IMAGES, Image, RAW_ENTRIES};
#[cfg(feature = "serde")]
pub use frames::Frames;
#[cfg(feature = "serde")]
pub use memory_map::{MAP_ENTRIES, MapEntry, MemoryMap};
#[cfg(feature = "serde")]
pub use stage::{GrantError, Machine, RunError, Stage, StageId, run_encoded};
#[cfg(feature = "serde")]
pub use succession::{Proof, Succession};
#[cfg(feature = "serde")]
pub use zones::Zones;
