// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page-frame allocator.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

mod allocate;
mod allocator;
mod error;
mod exact;
mod fixed;
mod free;
mod giant;
mod hand_over;
mod list;
mod message;
mod request;
mod sections;
#[cfg(feature = "serde")]
mod stage;
mod statistics;
mod validate;
mod x86;
mod zonelist;

pub use allocator::Buddy;
pub use error::{Counter, Error, Fault};
pub use giant::MAX_GIANT_ORDER;
pub use hand_over::HandedOver;
pub use message::Event;
pub use request::{Node, Request};
#[cfg(feature = "serde")]
pub use stage::HandOver;
pub use statistics::{BuddyInfo, Statistics, ZoneInfo};
