// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine for stages that run in this process.

use handoff::{FrameState, GrantError, Lines, Machine, Page, PhysRange, ZoneKind};

/// Keeps every line of the log, and the descriptors from one stage to the next as memory does.
#[derive(Debug, Default)]
pub struct HostMachine {
    log: Lines,
    granted: Vec<PhysRange>,
    pages: Vec<Page>,
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
    fn descriptors(&mut self, ranges: &[PhysRange]) -> Result<&mut [Page], GrantError> {
        if self.granted != ranges {
            let mut count = 0;
            for range in ranges {
                if !range.size().is_multiple_of(size_of::<Page>() as u64) {
                    return Err(GrantError { range: *range });
                }
                count += (range.size() / size_of::<Page>() as u64) as usize;
            }
            self.granted = ranges.to_vec();
            self.pages = vec![Page::new(ZoneKind(0), 0, FrameState::Hole); count];
        }
        Ok(&mut self.pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_outlive_the_stage_that_wrote_them() {
        let mut machine = HostMachine::default();
        let ranges = [PhysRange::new(0, 64).unwrap(), PhysRange::new(4096, 4224).unwrap()];
        machine.descriptors(&ranges).unwrap()[2].refcount = 7;
        assert_eq!(machine.descriptors(&ranges).unwrap().len(), 3);
        assert_eq!(machine.descriptors(&ranges).unwrap()[2].refcount, 7);
        assert_eq!(machine.descriptors(&ranges[..1]).unwrap()[0].refcount, 1);
        assert!(machine.descriptors(&[PhysRange::new(0, 100).unwrap()]).is_err());
    }
}
