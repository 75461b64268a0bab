// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stage: a command line and one hand-off in, one hand-off out.

use crate::{DecodeError, EncodeError, Handoff, Log, Page, PhysRange, decode, encode};
use core::fmt;
use serde::{Deserialize, Serialize};

/// A stage of the chain, by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageId(pub u8);

impl StageId {
    /// The boot program.
    pub const BOOT: Self = Self(0);
    /// Firmware map → sanitized map.
    pub const E820: Self = Self(1);
    /// Sanitized map → memory and reservations.
    pub const MEMBLOCK: Self = Self(2);
    /// Places the crash kernel's memory.
    pub const CRASHKERNEL: Self = Self(3);
    /// Zones and descriptors.
    pub const MEMMAP: Self = Self(4);
    /// The page allocator.
    pub const BUDDY: Self = Self(5);
    /// A second kernel, which boot lends the live allocator to.
    pub const SUCCESSOR: Self = Self(6);

    /// Returns the name, which is also that of the crate or of the program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BOOT => "boot",
            Self::E820 => "e820",
            Self::MEMBLOCK => "memblock",
            Self::CRASHKERNEL => "crashkernel",
            Self::MEMMAP => "memmap",
            Self::BUDDY => "buddy",
            Self::SUCCESSOR => "successor",
            _ => "unknown",
        }
    }

    /// Returns the stage of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        (0..=6).map(Self).find(|id| id.name() == name)
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why memory was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantError {
    /// What was asked for.
    pub range: PhysRange,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was not granted", self.range)
    }
}

impl core::error::Error for GrantError {}

/// What a stage runs on: an isolated program in the image, a plain process on a host.
pub trait Machine {
    /// The log's handle.
    type Log: Log;

    /// Returns the log.
    fn log(&self) -> Self::Log;

    /// Returns the bytes that lie in `ranges`, one after another as one array that starts at a page boundary.
    ///
    /// # Errors
    /// [`GrantError`] if the stage may not have that memory.
    fn memory(&mut self, ranges: &[PhysRange]) -> Result<&mut [u8], GrantError>;

    /// Returns the descriptors that lie in `ranges`, one after another as one array.
    ///
    /// # Errors
    /// [`GrantError`] if the stage may not have that memory, or if it is not whole descriptors.
    fn descriptors(&mut self, ranges: &[PhysRange]) -> Result<&mut [Page], GrantError> {
        let Some(range) = ranges.first().copied() else { return Ok(&mut []) };
        bytemuck::try_cast_slice_mut(self.memory(ranges)?).map_err(|_| GrantError { range })
    }
}

/// A stage of the chain.
pub trait Stage {
    /// Which one.
    const ID: StageId;
    /// What it takes.
    type In: Handoff;
    /// What it leaves.
    type Out: Handoff;
    /// What can go wrong.
    type Error: core::error::Error;

    /// Runs the stage.
    ///
    /// # Errors
    /// What the stage cannot go on after. Everything that a boot can survive is a line in the log instead.
    fn run<M: Machine>(command_line: &str, input: Self::In, machine: &mut M) -> Result<Self::Out, Self::Error>;
}

/// Why a stage left no hand-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError<E> {
    /// What it was given is not its hand-off.
    Input(DecodeError),
    /// The stage itself failed.
    Stage(E),
    /// What it made cannot be handed on.
    Output(EncodeError),
}

impl<E: fmt::Display> fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(e) => write!(f, "input: {e}"),
            Self::Stage(e) => write!(f, "{e}"),
            Self::Output(e) => write!(f, "output: {e}"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for RunError<E> {}

/// Decodes `input`, runs the stage and encodes what it leaves into `output`; returns the bytes used.
///
/// The one way a stage is run: in ring 3 of the image and in a host process, on the same bytes.
///
/// # Errors
/// [`RunError`], which says whether the input, the stage or the output was at fault.
pub fn run_encoded<S: Stage, M: Machine>(
    command_line: &str,
    input: &[u8],
    output: &mut [u8],
    machine: &mut M,
) -> Result<usize, RunError<S::Error>> {
    let input = decode::<S::In>(input).map_err(RunError::Input)?;
    let result = S::run(command_line, input, machine).map_err(RunError::Stage)?;
    encode(&result, output).map_err(RunError::Output)
}
