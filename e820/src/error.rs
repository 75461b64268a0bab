// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with a map.

use handoff::MemoryKind;

handoff::messages! {
    /// Why a map was left as it was. Whatever the error, nothing was changed and nothing is lost.
    #[non_exhaustive]
    pub enum Error {
        /// There is nothing to sort in a map of one entry, and Linux does not look at it.
        TooFewEntries { entries: usize } => ("a map needs 2 entries, this one has {}", entries);
        /// An entry runs past the last address, or ends exactly there.
        Wraps { start: u64, size: u64 } => ("{:#x} bytes at {:#x} run past the last address", size, start);
        /// There is no room for the entries this would make.
        TooManyEntries { capacity: usize } => ("the map has room for {} entries and needs more", capacity);
        /// A type cannot be changed into itself. Linux stops with a BUG.
        SameKind { kind: MemoryKind } => ("{} cannot be changed into itself", kind);
        /// The command line takes everything that an operating system could live in.
        NoRamLeft => ("they leave no usable memory above 1 MiB");
        /// The command line cuts memory into more pieces than the account can name.
        TooManyPieces { pieces: usize, capacity: usize } => ("they take memory away in {} pieces, more than {}", pieces, capacity);
        /// The firmware's map has no memory to use.
        NoRam { entries: usize } => ("the firmware's map ({} entries) has no usable memory below 64 TiB", entries);
        /// The account has no room for another owner's bytes.
        LedgerFull { claims: usize } => ("the ledger is full: {} claims", claims);
    }
}

impl core::error::Error for Error {}

impl From<handoff::Full> for Error {
    fn from(_: handoff::Full) -> Self {
        Self::LedgerFull { claims: handoff::CLAIMS }
    }
}
