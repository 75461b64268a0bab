// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stands for the machine's memory.

/// Firmware tables in a piece of memory that starts at [`BASE`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables(pub(crate) &'static [u8]);

/// The address of the first byte.
pub(crate) const BASE: u64 = 0xe_0000;

impl Tables {
    pub(crate) fn bytes(self, address: u64, size: u64) -> Option<&'static [u8]> {
        let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
        self.0.get(start..start.checked_add(usize::try_from(size).ok()?)?).filter(|bytes| !bytes.is_empty())
    }
}
