// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine for stages that run in this process.

use crate::{
    EXCHANGE_BYTES, EncodeError, FRAME_BYTES, GrantError, Handoff, Lines, Machine, Page, PhysRange, RunError, Stage,
    encode, run_encoded,
};
use std::string::String;
use std::vec;
use std::vec::Vec;

/// A machine for stages that run in this process: it keeps the lines of the log, and what one stage writes for the next.
#[derive(Debug, Default)]
pub struct HostMachine {
    log: Lines,
    /// Descriptors are as large as they must be aligned.
    granted: Vec<(Vec<PhysRange>, Vec<Page>)>,
    refuses: bool,
}

impl HostMachine {
    /// Returns a machine that grants no memory.
    #[must_use]
    pub fn refusing() -> Self {
        Self { refuses: true, ..Self::default() }
    }

    /// Runs a stage on an encoded hand-off; returns the one it leaves, encoded.
    ///
    /// # Errors
    /// [`RunError`], which says whether the input, the stage or the output was at fault.
    pub fn run<S: Stage>(&mut self, command_line: &str, input: &[u8]) -> Result<Vec<u8>, RunError<S::Error>> {
        let mut output = vec![0; EXCHANGE_BYTES];
        let used = run_encoded::<S, _>(command_line, input, &mut output, self)?;
        output.truncate(used);
        Ok(output)
    }

    /// Returns the lines of the log so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log.all()
    }

    /// Returns what was asked for and granted, each once.
    pub fn granted(&self) -> impl Iterator<Item = &[PhysRange]> {
        self.granted.iter().map(|(ranges, _)| ranges.as_slice())
    }
}

impl Machine for HostMachine {
    type Log = Lines;

    fn log(&self) -> Lines {
        self.log.clone()
    }

    /// Memory of its own stands for the ranges, filled with 0xa5 at first; who asks for the same ranges again sees what was
    /// written before.
    fn memory(&mut self, ranges: &[PhysRange]) -> Result<&mut [u8], GrantError> {
        let refused = |range: &&PhysRange| self.refuses || !range.size().is_multiple_of(FRAME_BYTES);
        if let Some(range) = ranges.iter().find(refused) {
            return Err(GrantError { range: *range });
        }
        let known = self.granted().position(|granted| granted == ranges);
        let known = known.unwrap_or_else(|| {
            let bytes: u64 = ranges.iter().map(|range| range.size()).sum();
            let old: Page = bytemuck::cast([0xa5_u8; size_of::<Page>()]);
            self.granted.push((ranges.to_vec(), vec![old; bytes as usize / size_of::<Page>()]));
            self.granted.len() - 1
        });
        Ok(bytemuck::cast_slice_mut(&mut self.granted[known].1))
    }
}

/// Returns a hand-off, encoded.
///
/// # Errors
/// [`EncodeError`] if the value is invalid.
pub fn encode_to_vec<H: Handoff>(value: &H) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; EXCHANGE_BYTES];
    let used = encode(value, &mut bytes)?;
    bytes.truncate(used);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_outlive_the_stage_that_wrote_them() {
        let mut machine = HostMachine::default();
        let ranges = [PhysRange::new(0, 4096).unwrap(), PhysRange::new(8192, 16384).unwrap()];
        machine.descriptors(&ranges).unwrap()[65].refcount = 7;
        assert_eq!(machine.descriptors(&ranges).unwrap().len(), 192);
        assert_eq!(machine.memory(&ranges[..1]).unwrap(), [0xa5; 4096]);
        assert_eq!(machine.descriptors(&ranges).unwrap()[65].refcount, 7);
        assert!(machine.granted().eq([&ranges[..], &ranges[..1]]));
        assert!(machine.descriptors(&[PhysRange::new(0, 100).unwrap()]).is_err());
        assert_eq!(HostMachine::refusing().memory(&ranges), Err(GrantError { range: ranges[0] }));
    }
}
