// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine as an isolated program sees it.

use crate::{DefmtLog, syscall};
use handoff::{GrantError, Machine, PhysRange};

/// Ring 3 of the image.
#[derive(Debug)]
pub struct Ring3;

impl Machine for Ring3 {
    type Log = DefmtLog;

    fn log(&self) -> DefmtLog {
        DefmtLog
    }

    fn memory(&mut self, ranges: &[PhysRange]) -> Result<&mut [u8], GrantError> {
        Ok(memory(ranges))
    }
}

/// Returns the bytes that lie in `ranges`, one after another as one array, for the life of the program.
///
/// A program that asks for memory it must not have is stopped.
#[must_use]
pub fn memory(ranges: &[PhysRange]) -> &'static mut [u8] {
    let mut start = core::ptr::dangling_mut::<u8>();
    let mut bytes = 0;
    for range in ranges {
        let at = syscall::grant(range.start(), range.size());
        if bytes == 0 {
            start = at as *mut u8;
        }
        bytes += range.size();
    }
    // SAFETY: (1) Boot has just mapped these pages writable, one range behind the other, or has stopped the program. (2) They are
    // memory that no other mapping of this program shows: boot refuses a grant that overlaps an earlier one. (3) Any bytes are a
    // valid `u8`. (4) The mapping stays until the program ends.
    unsafe { core::slice::from_raw_parts_mut(start, bytes as usize) }
}
