// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole chain in this process: the stages as the image runs them, on the same bytes.

use handoff::{HostMachine, Stage, StageId};
use std::fmt;

/// A stage that failed, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainError {
    /// The stage.
    pub stage: StageId,
    /// What it said.
    pub why: String,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {} failed: {}", self.stage, self.why)
    }
}

impl std::error::Error for ChainError {}

/// Runs all stages on an encoded firmware hand-off; returns the hand-off each of them left, still encoded.
///
/// # Errors
/// [`ChainError`] names the first stage that left none.
pub fn run_chain(
    command_line: &str,
    firmware: &[u8],
    machine: &mut HostMachine,
) -> Result<Vec<(StageId, Vec<u8>)>, ChainError> {
    let e820 = stage::<e820::Sanitize>(command_line, firmware, machine)?;
    let memblock = stage::<memblock::Assemble>(command_line, &e820, machine)?;
    let crashkernel = stage::<crashkernel::Reserve<memblock::Store>>(command_line, &memblock, machine)?;
    let memmap = stage::<memmap::Initialize<memblock::Store>>(command_line, &crashkernel, machine)?;
    let buddy = stage::<buddy::HandOver<memblock::Store>>(command_line, &memmap, machine)?;
    Ok(vec![
        (StageId::E820, e820),
        (StageId::MEMBLOCK, memblock),
        (StageId::CRASHKERNEL, crashkernel),
        (StageId::MEMMAP, memmap),
        (StageId::BUDDY, buddy),
    ])
}

fn stage<S: Stage>(command_line: &str, input: &[u8], machine: &mut HostMachine) -> Result<Vec<u8>, ChainError> {
    machine.run::<S>(command_line, input).map_err(|error| ChainError { stage: S::ID, why: error.to_string() })
}
