// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `crashkernel=` parameter: what it asks for, and where the memory for a crash kernel goes.
//!
//! A kernel that crashes starts a second one in memory that was set aside at boot. This crate reads the command line as
//! Linux on x86-64 does and takes the same addresses with the same words, for Linux 5.4, 6.1 and 6.12
//! ([`Rules`](handoff::Rules)): `get_last_crashkernel`, `parse_crashkernel_mem`, `_simple` and `_suffix` of
//! `kernel/crash_core.c` (6.1; `kernel/crash_reserve.c` in 6.12), `reserve_crashkernel` and `reserve_crashkernel_low` of
//! `arch/x86/kernel/setup.c` (5.4, 6.1), `reserve_crashkernel_generic` (6.12).
//!
//! ```
//! use crashkernel::{parse, place};
//! use handoff::Rules;
//!
//! let mut memory: memblock::Memblock = memblock::Memblock::new(); // anything that is `handoff::EarlyMemory`
//! memory.add(0x10_0000, 3 << 30)?;
//!
//! let line = "ro crashkernel=1G-4G:128M,4G-:256M quiet";
//! let request = parse(line, memory.phys_mem_size(), Rules::V6_1)?.expect("the line asks for memory");
//! let area = place(request, Rules::V6_1, &mut memory)?.main;
//! assert_eq!((area.start(), area.size()), (0xb800_0000, 128 << 20));
//!
//! let mistake = parse("crashkernel=256Mx", memory.phys_mem_size(), Rules::V6_1).unwrap_err();
//! assert_eq!(mistake.to_string(), "crashkernel=, byte 16: unexpected 'x' after the size");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! [`parse`] and [`place`] are silent. [`reserve`] does both and writes the log: Linux's lines, and on top of them a mark
//! under a mistake, what would be right, and after a failed search what there is, who has it and what would have fitted.
//! With the feature `serde` the stage `Reserve` does that between two hand-offs.
//!
//! # Invariants
//! - No text and no map of memory makes it panic.
//! - A failure leaves nothing reserved; the one exception has a name, [`Error::stuck`].
//! - A [`Reservation`] lies in memory that was free, and is reserved exactly: its size is not rounded.
//! - A size that is said to fit does fit.
//!
//! # Features
//! - `serde`: the stage.
//! - `defmt`: log lines as defmt frames.
//!
//! # Differences from Linux
//! - Lines of our own follow Linux's: each starts with `crashkernel: ` or, for a quoted value and its mark, with blanks.
//!   A command line that Linux takes without a word gets none, unless some part of it has no effect.
//! - `unrecognized char` shows a whole character; Linux shows its first byte.
//! - What a failed `memblock_phys_free` leaves behind is reported; Linux does not look.
//! - 5.4 searches and reserves in two steps and says which one failed. Here both are one call, and a failure counts as the
//!   second where the regions show room.
//! - Where `,cma` (6.17) is unknown, as in all three versions here, it is a mistake, and the hint names the suffixes
//!   there are.
//!
//! # Limits
//! - Xen's refusal (`Ignoring crashkernel for a Xen PV domain`) is not modelled, and neither is the growth of the software
//!   I/O TLB under memory encryption.
//! - The explanation of a failed search costs time that grows with the cube of the number of regions.
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
