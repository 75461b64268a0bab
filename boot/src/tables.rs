// SPDX-License-Identifier: MIT OR Apache-2.0
//! Access to the tables that the firmware left in memory.

use crate::console::say;
use crate::phys;
use handoff::PhysRange;

/// Firmware tables, read where they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables;

impl Tables {
    /// Returns the bytes of a table, if they lie where firmware tables lie: below 4 GiB. None that is read has more than
    /// 1 MiB; what claims to have is garbage, and might reach over devices.
    pub(crate) fn bytes(self, address: u64, size: u64) -> Option<&'static [u8]> {
        let range = PhysRange::from_size(address, size)?;
        if address == 0 || size > 1 << 20 {
            return None;
        }
        if range.end() > 1 << 32 {
            say!("boot: the firmware table at {address:#x} is not read: it lies above 4 GiB");
            return None;
        }
        // SAFETY: the first 4 GiB are always mapped. Tables lie in memory that the map does not call usable or that this
        // boot has not given to anybody yet, so nobody writes there while they are read.
        Some(unsafe { phys::bytes(range) })
    }
}
