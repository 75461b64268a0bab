// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that look random.

/// A xorshift generator: the same numbers in every boot.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
