// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine as an isolated program sees it.

use crate::{DefmtLog, syscall};
use handoff::{GrantError, Machine, Page, PhysRange};

/// Ring 3 of the image.
#[derive(Debug)]
pub struct Ring3;

impl Machine for Ring3 {
    type Log = DefmtLog;

    fn log(&self) -> DefmtLog {
        DefmtLog
    }

    fn descriptors(&mut self, ranges: &[PhysRange]) -> Result<&mut [Page], GrantError> {
        let mut mapped: Option<(u64, u64)> = None;
        for range in ranges {
            let refused = GrantError { range: *range };
            let address = syscall::grant(range.start(), range.size()).ok_or(refused)?;
            let (start, end) = mapped.unwrap_or((address, address));
            if end != address {
                return Err(refused);
            }
            mapped = Some((start, end + range.size()));
        }

        let (start, end) = mapped.unwrap_or((core::ptr::NonNull::<Page>::dangling().as_ptr() as u64, 0));
        let count = end.saturating_sub(start) as usize / size_of::<Page>();
        // SAFETY: (1) `start..end` are pages that boot has just mapped writable, each range after the other, as checked;
        // grants begin at a page boundary, so `Page` is aligned. (2) They are memory that no other mapping of this program
        // shows: boot refuses a grant that overlaps an earlier one. (3) Any bytes are a valid `Page`. (4) The lifetime is
        // that of the borrow of `self`; the mapping stays until the program ends.
        Ok(unsafe { core::slice::from_raw_parts_mut(start as *mut Page, count) })
    }
}
