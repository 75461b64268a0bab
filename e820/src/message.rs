// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every line this crate writes to a log.

use crate::Error;
use handoff::MemoryKind;

handoff::messages! {
    /// A line of the log. Those that Linux prints too have its exact text.
    #[non_exhaustive]
    pub enum Line<'a> {
        /// What the table that follows is.
        Heading { map: &'a str } => ("{} physical RAM map:", map);
        /// One entry of a table.
        Entry { who: &'a str, start: u64, last: u64, kind: MemoryKind } =>
            ("{}: [mem {:#018x}-{:#018x}] {}", who, start, last, kind);
        /// A range changes its type.
        Update { start: u64, last: u64, old: MemoryKind, new: MemoryKind } =>
            ("e820: update [mem {:#010x}-{:#010x}] {} ==> {}", start, last, old, new);
        /// A range of one type is cut out.
        Remove { start: u64, last: u64, kind: MemoryKind } => ("e820: remove [mem {:#010x}-{:#010x}] {}", start, last, kind);
        /// A range is cut out. The line ends with a blank, as Linux's does.
        RemoveAny { start: u64, last: u64 } => ("e820: remove [mem {:#010x}-{:#010x}] ", start, last);
        /// The table is full.
        TooManyEntries { start: u64, last: u64 } => ("too many entries; ignoring [mem {:#010x}-{:#010x}]", start, last);
        /// Where RAM ends.
        LastPfn { last_pfn: u64, max_arch_pfn: u64 } => ("last_pfn = {:#x} max_arch_pfn = {:#x}", last_pfn, max_arch_pfn);
        /// The kernel lies where the map has no RAM.
        KernelNotRam => (".text .data .bss are not marked as E820_TYPE_RAM!");
        /// No variable MTRR caches anything.
        MtrrBlank => ("CPU MTRRs all blank - virtualized system.");
        /// RAM that the CPU would not cache is given up.
        MtrrTrimmed { mib: u64 } => ("WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing {}MB of RAM.", mib);
        /// The map follows the MTRRs.
        MtrrUpdate => ("update e820 for mtrr");
        /// The largest gap below 4 GiB.
        PciGap { start: u64, last: u64 } => ("[mem {:#010x}-{:#010x}] available for PCI devices", start, last);
        /// There is no gap below 4 GiB.
        NoPciGap => ("Cannot find an available gap in the 32-bit address range");
        /// What follows from having no gap.
        PciMayNotWork => ("PCI devices with unassigned 32-bit BARs may not work!");
        /// What is kept free behind a RAM entry.
        RamBuffer { start: u64, last: u64 } => ("e820: reserve RAM buffer [mem {:#010x}-{:#010x}]", start, last);
        /// What a hibernation does not save.
        Nosave { start: u64, last: u64 } => ("PM: hibernation: Registered nosave memory: [mem {:#010x}-{:#010x}]", start, last);

        /// A parameter could not be used. Linux prints this for `mem=` only.
        Malformed { name: &'a str } => ("Malformed early option '{}'", name);
        /// A parameter of 32-bit kernels.
        NoPentium => ("mem=nopentium ignored! (only supported on x86_32)");
        /// The user's map cannot be sanitized. Linux panics with this text.
        InvalidUserMap => ("Invalid user supplied memory map");

        /// A parameter without a value.
        NoValue { name: &'a str, instead: &'a str } => ("{} was ignored: it has no value; write {}", name, instead);
        /// A parameter was not applied.
        Refused { name: &'a str, value: &'a str, why: &'a str, instead: &'a str } =>
            ("{}={} was ignored: {}; write {}", name, value, why, instead);
        /// A parameter was not applied because the map did not take it.
        NotApplied { name: &'a str, value: &'a str, why: Error } => ("{}={} was ignored: {}", name, value, why);
        /// A parameter was applied, but not all of its text.
        Rest { name: &'a str, value: &'a str, rest: &'a str } =>
            ("{}={}: \"{}\" at the end was ignored; units are K, M, G, T, P and E, without a B", name, value, rest);
        /// A number is larger than 64 bits, or a type than 32.
        Wrapped { name: &'a str, value: &'a str } =>
            ("{}={}: a number is too large, what is left of it was used; write a smaller one", name, value);
        /// A start address is missing.
        NoStart { value: &'a str } => ("memmap={}: no start address, 0 was used; write memmap=SIZE@START", value);
        /// A parameter was applied and made no difference.
        NoEffect { name: &'a str, value: &'a str } => ("{}={} changed nothing: it meets no byte of the map that it could change", name, value);
        /// What was added loses to what is there.
        Outranked { value: &'a str, start: u64, last: u64, kind: MemoryKind } =>
            ("memmap={}: [mem {:#010x}-{:#010x}] stays {}, which outranks it; to change a type write memmap=SIZE%START-OLD+NEW",
             value, start, last, kind);
        /// A size alone is a limit, which is often what a lost `$` leaves.
        IsLimit { value: &'a str } =>
            ("memmap={} takes away all memory above it; for memmap=SIZE$START write \\$ in the boot loader's file", value);
        /// What the user asked for is not done.
        Undone { why: Error } => ("mem= and memmap= are undone, the firmware's map is used: {}", why);

        /// Another version was asked for.
        UnknownRules { value: &'a str } => ("linux={} is not known, linux=6.1 is used; write linux=5.4, linux=6.1 or linux=6.12", value);
        /// An entry that no map can hold.
        Dropped { start: u64, size: u64, kind: MemoryKind } =>
            ("firmware entry of {:#x} bytes at {:#x} ({}) runs past the last address: it is ignored", size, start, kind);
        /// An entry that ends with the last address.
        Shortened { start: u64, size: u64, kind: MemoryKind } =>
            ("firmware entry of {:#x} bytes at {:#x} ({}) ends at the last address: its last byte is left out", size, start, kind);
        /// There is one entry.
        SingleEntry => ("the firmware's map has a single entry, which is used as it is");
        /// RAM beyond what page tables reach.
        Unreachable { bytes: u64 } => ("{:#x} bytes of RAM above 64 TiB cannot be used: 4-level page tables end there", bytes);
    }
}

/// Which table is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Map {
    /// The firmware's, sanitized.
    Bios,
    /// With what a `SETUP_E820_EXT` node added.
    Extended,
    /// With the loader's `setup_data` set aside.
    SetupData,
    /// As the command line wants it.
    User,
    /// After a quirk changed it.
    Modified,
}

impl Map {
    /// Returns what Linux calls the table in its heading, and at the start of each line.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Bios => ("BIOS-provided", "BIOS-e820"),
            Self::Extended => ("extended", "extended"),
            Self::SetupData => ("extended", "reserve setup_data"),
            Self::User => ("user-defined", "user"),
            Self::Modified => ("modified", "modified"),
        }
    }

    /// Prints heading and entries. Linux: `e820__print_table` (6.1).
    pub fn print<const N: usize, L: handoff::Log>(self, table: &crate::Table<N>, log: &L) {
        let (map, who) = self.words();
        log.info(Line::Heading { map });
        for e in table.entries() {
            log.info(Line::Entry {
                who,
                start: e.addr,
                last: e.addr.wrapping_add(e.size).wrapping_sub(1),
                kind: e.kind,
            });
        }
    }
}
