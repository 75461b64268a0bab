// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edge 3, crashkernel → memmap: memory with the crash kernel's areas taken out.

use crate::firmware::{ENVELOPE_BYTES, RANGE_BYTES};
use crate::{Blocks, Handoff, PhysRange};
use serde::{Deserialize, Serialize};

/// The state of memblock, and where a crash kernel would live.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Crash {
    /// Memory and what is reserved.
    pub blocks: Blocks,
    /// The crash kernel's memory, if one was asked for and found. Linux: `crashk_res` (6.1).
    pub main: Option<PhysRange>,
    /// The part below 4 GiB that goes with a high one. Linux: `crashk_low_res` (6.1).
    pub low: Option<PhysRange>,
}

impl Handoff for Crash {
    const EDGE: u8 = 3;
    const VERSION: u16 = 2;
    const MAX_BYTES: usize = ENVELOPE_BYTES + Blocks::PAYLOAD_BYTES + 2 * (1 + RANGE_BYTES);

    fn validate(&self) -> Result<(), &'static str> {
        self.blocks.validate()?;
        let reserved =
            |area: PhysRange| self.blocks.reserved.iter().any(|r| r.base <= area.start() && area.end() <= r.end());
        if [self.main, self.low].into_iter().flatten().all(reserved) {
            Ok(())
        } else {
            Err("the crash kernel's areas are reserved")
        }
    }
}
