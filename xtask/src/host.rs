// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine for stages that run in this process.

use handoff::{FRAME_BYTES, FrameState, GrantError, Lines, Machine, Page, PhysRange, ZoneKind};

/// Keeps every line of the log, and what stages write from one to the next as memory does.
#[derive(Debug, Default)]
pub struct HostMachine {
    log: Lines,
    granted: Vec<(Vec<PhysRange>, Vec<Page>)>,
}

impl HostMachine {
    /// Returns the lines of the log so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log.all()
    }
}

impl Machine for HostMachine {
    type Log = Lines;

    fn log(&self) -> Lines {
        self.log.clone()
    }

    /// Memory of its own stands for the ranges; who asks for the same ranges again sees what was written before.
    fn memory(&mut self, ranges: &[PhysRange]) -> Result<&mut [u8], GrantError> {
        if let Some(range) = ranges.iter().find(|range| !range.size().is_multiple_of(FRAME_BYTES)) {
            return Err(GrantError { range: *range });
        }
        let known = self.granted.iter().position(|(granted, _)| granted == ranges);
        let known = known.unwrap_or_else(|| {
            let bytes: u64 = ranges.iter().map(|range| range.size()).sum();
            // Descriptors start at a multiple of their size, as memory does.
            let frames = vec![Page::new(ZoneKind(0), 0, FrameState::Hole); bytes as usize / size_of::<Page>()];
            self.granted.push((ranges.to_vec(), frames));
            self.granted.len() - 1
        });
        Ok(bytemuck::cast_slice_mut(&mut self.granted[known].1))
    }
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
        assert_eq!(machine.memory(&ranges[..1]).unwrap().len(), 4096);
        assert_eq!(machine.descriptors(&ranges).unwrap()[65].refcount, 7);
        assert!(machine.descriptors(&[PhysRange::new(0, 100).unwrap()]).is_err());
    }
}
