// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `crashkernel=` parameter.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod error;
mod explain;
mod holes;
mod look_up;
mod low_size;
mod message;
mod place;
mod report;
mod request;
mod reserve;
#[cfg(feature = "serde")]
mod stage;
mod value;

pub use error::{Error, ParseError, ParseErrorKind, Part};
pub use look_up::{LookUp, Occurrence, occurrences};
pub use low_size::default_low_size;
pub use message::{Bytes, Event, Owned};
pub use place::{Reservation, place};
pub use request::{ALIGN, HIGH_MAX, LOW_MAX, Options, Place, Request, parse};
pub use reserve::reserve;
#[cfg(feature = "serde")]
pub use stage::Reserve;
pub use value::{Form, Value, look_up};
