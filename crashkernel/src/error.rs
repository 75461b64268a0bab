// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong.

use crate::LookUp;
use core::fmt;
use handoff::PhysRange;

/// A value of `crashkernel=` that Linux does not take, with the place of the mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// Which of the three look-ups met it.
    pub look_up: LookUp,
    /// Byte offset in the command line of the occurrence's `crashkernel=`.
    pub occurrence: usize,
    /// Byte offset in the command line of the offending character; the end of the value if something is missing there.
    pub at: usize,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The value does not start with a number.
    ValueExpected,
    /// A character that cannot follow a size.
    UnrecognizedChar(char),
    /// The start or the end of a range is not a number.
    BoundExpected,
    /// No `-` after the start of a range.
    DashExpected,
    /// A range is empty or upside down.
    EndNotAboveStart {
        /// Its start in bytes.
        start: u64,
        /// Its end in bytes.
        end: u64,
    },
    /// No `:` after a range.
    ColonExpected,
    /// No number after the `:` of a range.
    SizeExpected,
    /// The size of a range is all of memory or more.
    SizeTooLarge {
        /// The size in bytes.
        size: u64,
        /// System RAM in bytes, rounded up as Linux does.
        system_ram: u64,
    },
    /// No number after the `@` that follows ranges.
    OffsetExpected,
    /// The size is all of memory or more. Linux refuses that silently, since 6.11.
    ExceedsRam {
        /// The size in bytes.
        size: u64,
        /// System RAM in bytes.
        system_ram: u64,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crashkernel=, byte {}: {}", self.at - self.occurrence, self.kind)
    }
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValueExpected => write!(f, "a size is expected"),
            Self::UnrecognizedChar(c) => write!(f, "unexpected {c:?} after the size"),
            Self::BoundExpected => write!(f, "the bound of a range is expected"),
            Self::DashExpected => write!(f, "'-' is expected after the start of a range"),
            Self::EndNotAboveStart { start, end } => {
                write!(f, "the range ends at {end:#x}, which is not above its start {start:#x}")
            }
            Self::ColonExpected => write!(f, "':' is expected after a range"),
            Self::SizeExpected => write!(f, "a size is expected after ':'"),
            Self::SizeTooLarge { size, system_ram } | Self::ExceedsRam { size, system_ram } => {
                write!(f, "the size {size:#x} is not smaller than the system's {system_ram:#x} bytes of RAM")
            }
            Self::OffsetExpected => write!(f, "an offset is expected after '@'"),
        }
    }
}

impl core::error::Error for ParseError {}

/// One of the two areas a crash kernel can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Where it lives.
    Main,
    /// What it has below 4 GiB.
    Low,
}

/// Why there is no memory for a crash kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The value is wrong.
    Value(ParseError),
    /// No window has room. Sizes in bytes.
    NoArea {
        /// What was asked for.
        size: u64,
    },
    /// The wanted place is taken, is not memory or is misaligned.
    InUse {
        /// The wanted first address.
        base: u64,
        /// The wanted size in bytes.
        size: u64,
    },
    /// The main area was found above 4 GiB, but below there is no room for the part that goes with it.
    NoLowArea {
        /// What was asked for below 4 GiB, in bytes.
        size: u64,
        /// The main area, if it could not be given back either.
        stuck: Option<PhysRange>,
    },
    /// There is room, but early memory has no entry left to note the reservation.
    ArrayFull {
        /// Which of the two areas.
        part: Part,
        /// What was asked for, in bytes.
        size: u64,
        /// The main area, if it could not be given back.
        stuck: Option<PhysRange>,
    },
}

impl Error {
    /// Returns memory that stays reserved although it is of no use: early memory had no entry left to give it back.
    #[must_use]
    pub const fn stuck(&self) -> Option<PhysRange> {
        match *self {
            Self::NoLowArea { stuck, .. } | Self::ArrayFull { stuck, .. } => stuck,
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(e) => write!(f, "{e}"),
            Self::NoArea { size } => write!(f, "no area of {size:#x} bytes is free"),
            Self::InUse { base, size } => write!(f, "{size:#x} bytes at {base:#x} cannot be reserved"),
            Self::NoLowArea { size, .. } => write!(f, "no area of {size:#x} bytes is free below 4 GiB"),
            Self::ArrayFull { size, .. } => write!(f, "no entry is left to reserve {size:#x} bytes"),
        }
    }
}

impl core::error::Error for Error {}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        Self::Value(error)
    }
}
