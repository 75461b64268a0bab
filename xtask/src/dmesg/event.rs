// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a line can say. Addresses are bytes; a `last` is inclusive, as the kernel prints it.

/// One of memblock's two arrays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Array {
    Memory,
    Reserved,
}

/// A function of memblock that takes a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Function {
    Add,
    Remove,
    Reserve,
    Free,
    /// To the page allocator, when memblock is no more.
    FreeLate,
}

/// A call on a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) function: Function,
    pub(crate) base: u64,
    pub(crate) last: u64,
    /// Node and flags of `memblock_add_node`.
    pub(crate) node: Option<(i32, u32)>,
    pub(crate) caller: &'a str,
}

impl Call<'_> {
    /// Returns the size in bytes; 0 for a last address in front of the first.
    pub(crate) const fn size(&self) -> u64 {
        self.last.wrapping_sub(self.base).wrapping_add(1)
    }
}

/// A call that asks for memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) function: &'a str,
    pub(crate) size: u64,
    pub(crate) align: u64,
    pub(crate) nid: i32,
    pub(crate) from: u64,
    pub(crate) max: u64,
    pub(crate) caller: &'a str,
}

/// A change to the firmware's map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Edit<'a> {
    Update { start: u64, last: u64, old: &'a str, new: &'a str },
    Remove { start: u64, last: u64, kind: Option<&'a str> },
}

/// What a line says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Event<'a> {
    /// `Linux version`: the release.
    Version(&'a str),
    CommandLine(&'a str),

    /// A heading, or another line that the table of the firmware is behind.
    Table,
    /// An entry of a printed map: whose, range, type.
    MapEntry {
        who: &'a str,
        start: u64,
        last: u64,
        kind: &'a str,
    },
    Edit(Edit<'a>),
    LastPfn {
        last_pfn: u64,
        max_arch_pfn: u64,
    },
    PciGap,
    RamBuffer {
        start: u64,
    },
    Nosave {
        start: u64,
        last: u64,
    },
    /// The kernel lies where the map has no RAM.
    KernelNotRam,
    /// RAM is given up because the MTRRs do not cover it.
    MtrrTrimmed,
    /// Memory of the graphics unit, which Linux marks as reserved in silence.
    Graphics {
        start: u64,
        last: u64,
    },
    /// A range that EFI will have removed from the map.
    EfiRemoves {
        start: u64,
        last: u64,
    },

    Call(Call<'a>),
    Request(Request<'a>),
    Doubled {
        array: Array,
        max: u64,
        base: u64,
        last: u64,
    },
    DoubleFailed,
    NotMirrored,
    DumpHeading,
    DumpSizes {
        memory: u64,
        reserved: u64,
    },
    DumpCount,
    DumpRegion {
        array: Array,
        base: u64,
        last: u64,
        size: u64,
        nid: Option<u16>,
        flags: u32,
    },

    Srat {
        nid: u16,
        start: u64,
        last: u64,
        hotplug: bool,
    },
    /// No NUMA, or switched off.
    NumaDummy,
    FakeNode {
        last: u64,
    },
    EmulatedNode {
        nid: u16,
        start: u64,
        last: u64,
    },
    /// What becomes of the firmware's ranges of a node.
    NodeRange,
    NodeData {
        nid: u16,
        start: u64,
        last: u64,
    },
    NodeDataOn {
        nid: u16,
    },

    Ramdisk {
        start: u64,
        last: u64,
    },
    NewRamdisk {
        start: u64,
        last: u64,
    },
    MoveRamdisk {
        from: (u64, u64),
        to: (u64, u64),
    },
    AcpiTable {
        start: u64,
        last: u64,
    },
    MpTable {
        start: u64,
        last: u64,
    },
    /// Bytes of the words that no one knows, as the kernel lays them out.
    UnknownParameters {
        bytes: u64,
    },
    /// Per-CPU memory: pages used of a unit, bytes of a unit.
    PerCpu {
        pages: u64,
        unit: u64,
    },
    /// Which processor has which unit of it.
    PerCpuUnits(&'a str),
    HashTable {
        bytes: u64,
    },
    IoTlb {
        start: u64,
        last: u64,
    },
    EfiRange {
        kind: &'a str,
        mirrored: bool,
        special: bool,
        start: u64,
        last: u64,
    },
    /// How much memory is mirrored.
    Mirrored,
    /// Where the contiguous memory allocator took its area.
    Cma {
        mib: u64,
        base: u64,
    },

    /// A line about the crash kernel.
    Crash,
    /// A line of the zone report.
    Zone,
    /// Where the movable zone of a node starts.
    MovableZone,
    MemorylessNode {
        nid: u16,
    },
    /// The zone of devices, which is always empty at boot.
    DeviceZone,

    /// The first word after memblock handed everything over.
    SlabUp,
    Memory {
        available: u64,
        present: u64,
        reserved: u64,
        cma: u64,
    },
    Freed {
        kib: u64,
    },
    /// Memory in which the firmware's boot services lay.
    FreedBootServices {
        kib: u64,
    },
    /// Bytes of the kernel's log.
    LogBuffer {
        bytes: u64,
    },
    /// Pages of a size, e.g. `1.00 GiB`, that were set aside.
    HugePages {
        size: &'a str,
        count: u64,
    },
    /// What the machine is called.
    Hardware(&'a str),
    /// The bus is about to get its resources.
    PciResources,
    Panic(&'a str),
    /// The processor that boots.
    Processor {
        amd: bool,
    },
}

/// Returns the words to compare: those of a current kernel, without the caller, whose offset belongs to one build.
pub(super) fn normal(text: &str, event: &Event<'_>) -> String {
    let text = text.trim_end();
    match event {
        Event::Call(_) | Event::Request(_) => {
            let text = text.rsplit_once(' ').map_or(text, |(text, _)| text);
            let freed = text.strip_prefix("   memblock_free:").or_else(|| text.strip_prefix("memblock_free:"));
            freed.map_or_else(|| text.to_owned(), |range| format!("memblock_phys_free:{range}"))
        }
        Event::Doubled { .. } => {
            behind_doubled(text).map_or(text, |rest| text[..text.len() - rest.len()].trim_end()).to_owned()
        }
        Event::Nosave { .. } => match text.split_once("egistered nosave memory") {
            Some((_, range)) => format!("PM: hibernation: Registered nosave memory{range}"),
            None => text.to_owned(),
        },
        // Before 4.13 these had a prefix.
        Event::Table | Event::LastPfn { .. } | Event::PciGap => text.strip_prefix("e820: ").unwrap_or(text).to_owned(),
        Event::NodeRange => text.strip_prefix("NUMA: Warning").map_or(text.to_owned(), |rest| format!("Warning{rest}")),
        Event::Panic(words) => (*words).to_owned(),
        // A terminal shows the tab as blanks.
        Event::DumpRegion { .. } => match text.split_once(']') {
            Some((index, region)) => format!("{index}]\t{}", region.trim_start()),
            None => text.to_owned(),
        },
        _ => text.to_owned(),
    }
}

/// Returns what stands behind the line that tells of a doubled array, on the same line.
pub(super) fn behind_doubled(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("memblock: ")?;
    let (head, rest) = rest.split_once(']')?;
    (head.contains(" is doubled to ") && !rest.trim().is_empty()).then_some(rest)
}
