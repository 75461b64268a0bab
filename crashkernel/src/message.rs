// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every line this crate writes: first Linux's own, then what we say on top.

use core::fmt;
use handoff::{Owner, PhysRange, messages};

messages! {
    /// A line of the log.
    pub enum Event<'a> {
        /// A value starts with no number.
        ValueExpected => ("crashkernel: memory value expected");
        /// A character cannot follow a size.
        UnrecognizedChar { c: char } => ("crashkernel: unrecognized char: {}", c);
        /// A bound of a range is missing; in 6.12 also its size.
        BoundExpected => ("crashkernel: Memory value expected");
        /// A range has no `-`.
        DashExpected => ("crashkernel: '-' expected");
        /// A range is upside down.
        EndNotAboveStart => ("crashkernel: end <= start");
        /// A range has no `:`.
        ColonExpected => ("crashkernel: ':' expected");
        /// The size of a range is missing. 5.4 and 6.1.
        SizeExpected => ("Memory value expected");
        /// The size of a range is all of memory.
        SizeTooLarge => ("crashkernel: invalid size");
        /// The offset after ranges is missing. 5.4 and 6.1.
        OffsetExpected => ("Memory value expected after '@'");
        /// The same in 6.12, spelled as there.
        OffsetExpected6_12 => ("crahskernel: Memory value expected after '@'");
        /// No range fits, or the one that fits says 0.
        ZeroBytes => ("crashkernel size resulted in zero bytes");

        /// No window has room. 5.4 and 6.1.
        NoSuitableArea => ("crashkernel reservation failed - No suitable area found.");
        /// The same in 6.12.
        CannotAllocate { size: u64 } => ("cannot allocate crashkernel (size:{:#x})", size);
        /// The wanted place cannot be had.
        InUse => ("crashkernel reservation failed - memory is in use.");
        /// No room below 4 GiB. 5.4 and 6.1.
        CannotReserveLow { size_mib: u64 } => ("Cannot reserve {}MB crashkernel low memory, please try smaller size.", size_mib);
        /// The same in 6.12.
        CannotAllocateLow { size: u64 } => ("cannot allocate crashkernel low memory (size:{:#x}).", size);
        /// The reserved array is full. 5.4.
        ErrorReserving => ("reserve_crashkernel: Error reserving crashkernel memblock.");
        /// The same for the low part.
        ErrorReservingLow => ("reserve_crashkernel_low: Error reserving crashkernel low memblock.");

        /// The low part. 5.4.
        ReservedLow5_4 { size_mib: u64, base_mib: u64, ram_mib: u64 } => ("Reserving {}MB of low memory at {}MB for crashkernel (System low RAM: {}MB)", size_mib, base_mib, ram_mib);
        /// The low part. 6.1.
        ReservedLow { size_mib: u64, base_mib: u64, limit_mib: u64 } => ("Reserving {}MB of low memory at {}MB for crashkernel (low RAM limit: {}MB)", size_mib, base_mib, limit_mib);
        /// The low part, with exclusive end. 6.12.
        ReservedLow6_12 { start: u64, end: u64, size_mib: u64 } => ("crashkernel low memory reserved: {:#010x} - {:#010x} ({} MB)", start, end, size_mib);
        /// The main area. 5.4 and 6.1.
        Reserved { size_mib: u64, base_mib: u64, ram_mib: u64 } => ("Reserving {}MB of memory at {}MB for crashkernel (System RAM: {}MB)", size_mib, base_mib, ram_mib);
        /// The main area, with exclusive end. 6.12.
        Reserved6_12 { start: u64, end: u64, size_mib: u64 } => ("crashkernel reserved: {:#018x} - {:#018x} ({} MB)", start, end, size_mib);

        /// The parameter as it was written.
        Written { text: &'a str } => ("  {}", text);
        /// A mark under the character in question.
        Caret { blanks: &'a str } => ("  {}^", blanks);
        /// What would be right.
        Hint { text: &'a str } => ("crashkernel: {}", text);
        /// What would be right for a range that is upside down.
        RaiseEnd { start: Bytes } => ("crashkernel: a range must end above its start, {}; leave the end out for all larger sizes", start);
        /// What would be right for a size that is all of memory.
        LowerSize { size: Bytes, system_ram: Bytes } => ("crashkernel: {} is not smaller than the system's {} of RAM; nothing is reserved", size, system_ram);
        /// No range fits.
        NoRange { system_ram: Bytes } => ("crashkernel: no range contains {}, which is this system's RAM as ranges see it; nothing is reserved", system_ram);
        /// There are several; the last counts.
        Earlier { count: u64, last: &'a str } => ("crashkernel: {} earlier of the same form ignored, crashkernel={} counts", count, last);
        /// The size ends inside a page.
        PartialPage { size: u64 } => ("crashkernel: {:#x} bytes are not a multiple of 4K; the rest of the last page is lost", size);

        /// A window without enough room.
        NoRoom { window: PhysRange, memory: Bytes, free: Bytes } => ("crashkernel: {} has {} of memory, {} of it free", window, memory, free);
        /// What would fit into that window.
        LargestHole { hole: PhysRange, room: Bytes, align: Bytes } => ("crashkernel:   largest hole {} takes {} when aligned to {}", hole, room, align);
        /// Nothing would.
        NoHole => ("crashkernel:   no hole is large enough to be aligned");
        /// Who has how much of a window.
        Occupied { bytes: Bytes, owner: Owned } => ("crashkernel:   {} taken: {}", bytes, owner);
        /// What would have worked.
        WouldFit { size_mib: u64, suffix: &'a str } => ("crashkernel: crashkernel={}M{} would fit", size_mib, suffix);
        /// What would have worked above 4 GiB with a smaller low part.
        BothWouldFit { size_mib: u64, low_mib: u64 } => ("crashkernel: crashkernel={}M,high crashkernel={}M,low would fit", size_mib, low_mib);
        /// What would have worked below 4 GiB.
        LowWouldFit { size_mib: u64 } => ("crashkernel: crashkernel={}M,low would fit", size_mib);
        /// The same in 6.12, where `,low` counts beside `,high` only.
        LowWouldFit6_12 { size_mib: u64 } => ("crashkernel: crashkernel={}M,low beside crashkernel=SIZE,high would fit", size_mib);
        /// What would have worked at that place.
        WouldFitAt { size_mib: u64, base: u64 } => ("crashkernel: crashkernel={}M@{:#x} would fit", size_mib, base);
        /// Nothing would have worked.
        NothingFits => ("crashkernel: not even 1M would fit");
        /// The wanted place is misaligned.
        Misaligned { base: u64, align: Bytes } => ("crashkernel: {:#x} is not a multiple of {}", base, align);
        /// The wanted place is not memory.
        NotMemory { window: PhysRange, missing: Bytes } => ("crashkernel: {} is not all memory, {} are missing", window, missing);
        /// The wanted place is free, but in two pieces.
        Seam { window: PhysRange } => ("crashkernel: {} is free, but not one piece: memory of two nodes or kinds meets in it", window);
        /// There is room, but not in the books.
        ArrayFull => ("crashkernel: there is room, but early memory has no entry left to note it");
        /// An area that could not be given back.
        Stuck { range: PhysRange } => ("crashkernel: {} stays reserved without use: early memory has no entry left to give it back", range);
        /// The ledger cannot note the reservation.
        LedgerFull { claims: u64 } => ("crashkernel: nothing is reserved: the ledger has no room beyond {} claims", claims);
    }
}

/// A number of bytes for a reader: in MB from 10 MB on, else in KB or bytes; rounded down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Bytes(pub u64);

impl Bytes {
    const fn scaled(self) -> (u64, &'static str) {
        match self.0 {
            n if n.is_multiple_of(1 << 20) || n >= 10 << 20 => (n >> 20, "MB"),
            n if n >= 1 << 10 => (n >> 10, "KB"),
            n => (n, "bytes"),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = self.scaled();
        write!(f, "{number} {unit}")
    }
}

/// Who has a piece of memory, if the ledger knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned(pub Option<Owner>);

impl Owned {
    fn words(self) -> &'static str {
        self.0.map_or("reserved, owner unknown", Owner::words)
    }
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

#[cfg(feature = "defmt")]
mod frames {
    use super::{Bytes, Owned};
    use handoff::defmt;

    impl defmt::Format for Bytes {
        fn format(&self, f: defmt::Formatter<'_>) {
            let (number, unit) = self.scaled();
            defmt::write!(f, "{=u64} {=str}", number, unit);
        }
    }

    impl defmt::Format for Owned {
        fn format(&self, f: defmt::Formatter<'_>) {
            defmt::write!(f, "{=str}", self.words());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn sizes_for_a_reader() {
        for (bytes, text) in [
            (0, "0 MB"),
            (1, "1 bytes"),
            (1536, "1 KB"),
            (1 << 20, "1 MB"),
            ((1 << 20) + 4096, "1028 KB"),
            (10 << 20, "10 MB"),
            ((10 << 20) + 1, "10 MB"),
            (8 << 30, "8192 MB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
