// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of everything around: nodes, zones, the crash kernel, and who else tells what it did with memory.

use super::event::Event;
use super::scan::Scan;

/// Reads a line, or does not know it.
type Reader = for<'a> fn(&'a str) -> Option<Event<'a>>;

pub(super) fn parse(text: &str) -> Option<Event<'_>> {
    const READERS: [Reader; 8] = [start, nodes, node_data, ramdisk, firmware, users, zones, end];
    if crash(text) {
        return Some(Event::Crash);
    }
    READERS.iter().find_map(|read| read(text))
}

fn start(text: &str) -> Option<Event<'_>> {
    if let Some(rest) = text.strip_prefix("Linux version ") {
        return Some(Event::Version(rest.split(' ').next()?));
    }
    if let Some(name) = text.strip_prefix("smpboot: CPU0: ") {
        return Some(Event::Processor { amd: name.contains("AMD") || name.contains("Hygon") });
    }
    if let Some(name) = text.strip_prefix("DMI: ").filter(|name| name.contains(", BIOS ")) {
        return Some(Event::Hardware(name));
    }
    text.strip_prefix("Command line: ").map(Event::CommandLine)
}

fn crash(text: &str) -> bool {
    const STARTS: [&str; 16] = [
        "crashkernel: unrecognized char: ",
        "crashkernel: memory value expected",
        "crashkernel: Memory value expected",
        "crashkernel: '-' expected",
        "crashkernel: ':' expected",
        "crashkernel: end <= start",
        "crashkernel: invalid size",
        "crahskernel: Memory value expected",
        "crashkernel size resulted in zero bytes",
        "crashkernel reserved: ",
        "crashkernel low memory reserved: ",
        "crashkernel reservation failed",
        "cannot allocate crashkernel",
        "Memory value expected",
        "reserve_crashkernel",
        "Ignoring crashkernel for a Xen PV domain",
    ];
    STARTS.iter().any(|start| text.starts_with(start))
        || text.starts_with("Reserving ") && text.contains("MB for crashkernel (")
        || text.starts_with("Cannot reserve ") && text.contains("MB crashkernel low memory")
}

fn nodes(text: &str) -> Option<Event<'_>> {
    if let Some(mut scan) = Scan::after(text, "ACPI: SRAT: Node ").or_else(|| Scan::after(text, "SRAT: Node ")) {
        let nid = u16::try_from(scan.dec()?).ok()?;
        scan.lit(" PXM ")?;
        scan.dec()?;
        scan.lit(" ")?;
        let (start, last) = scan.mem()?;
        let hotplug = scan.0.split(' ').any(|word| word == "hotplug");
        return Some(Event::Srat { nid, start, last, hotplug });
    }
    if text.starts_with("No NUMA configuration found") || text.starts_with("NUMA turned off") {
        return Some(Event::NumaDummy);
    }
    if let Some(mut scan) = Scan::after(text, "Faking a node at ") {
        let (_, last) = scan.mem()?;
        return scan.end().map(|()| Event::FakeNode { last });
    }
    if let Some(mut scan) = Scan::after(text, "Faking node ") {
        let nid = u16::try_from(scan.dec()?).ok()?;
        scan.lit(" at ")?;
        let (start, last) = scan.mem()?;
        return Some(Event::EmulatedNode { nid, start, last });
    }
    let joined = text.starts_with("NUMA: Node ") && text.contains("] -> [mem ");
    let itself = text.contains("node ") && text.contains("] overlaps with itself [mem ");
    (joined || itself).then_some(Event::NodeRange)
}

fn node_data(text: &str) -> Option<Event<'_>> {
    let mut scan = Scan::after(text.trim_start(), "NODE_DATA(")?;
    let nid = u16::try_from(scan.dec()?).ok()?;
    if scan.lit(") on node ").is_some() {
        scan.dec()?;
        return scan.end().map(|()| Event::NodeDataOn { nid });
    }
    scan.lit(") allocated ")?;
    let (start, last) = scan.mem()?;
    Some(Event::NodeData { nid, start, last })
}

fn ramdisk(text: &str) -> Option<Event<'_>> {
    if let Some(mut scan) = Scan::after(text, "RAMDISK: ") {
        let (start, last) = scan.mem()?;
        return Some(Event::Ramdisk { start, last });
    }
    if let Some(mut scan) = Scan::after(text, "Allocated new RAMDISK: ") {
        let (start, last) = scan.mem()?;
        return Some(Event::NewRamdisk { start, last });
    }
    let mut scan = Scan::after(text, "Move RAMDISK from ")?;
    let from = scan.mem()?;
    scan.lit(" to ")?;
    Some(Event::MoveRamdisk { from, to: scan.mem()? })
}

fn firmware(text: &str) -> Option<Event<'_>> {
    if let Some(mut scan) = Scan::after(text, "ACPI: Reserving ") {
        scan.until(" table memory at ")?;
        let (start, last) = scan.mem()?;
        return Some(Event::AcpiTable { start, last });
    }
    if let Some(mut scan) = Scan::after(text, "found SMP MP-table at ") {
        let (start, last) = scan.mem()?;
        return Some(Event::MpTable { start, last });
    }
    if text.starts_with("efi: Memory: ") && text.trim_end().ends_with(" mirrored memory") {
        return Some(Event::Mirrored);
    }
    let mut scan = Scan::after(text, "efi: mem")?;
    scan.dec()?;
    scan.lit(": [")?;
    let (kind, attributes) = scan.until("] range=[")?.split_once('|')?;
    let (start, last) = scan.span()?;
    let has = |flag| attributes.split('|').any(|a| a.trim() == flag);
    Some(Event::EfiRange { kind: kind.trim(), mirrored: has("MR"), special: has("SP"), start, last })
}

/// Who says what became of memory it asked for.
fn users(text: &str) -> Option<Event<'_>> {
    if let Some(mut scan) = Scan::after(text, "Unknown kernel command line parameters \"") {
        // Each word with a blank in front of it, and a zero at the end.
        let words = scan.until("\", will be passed to user space.")?;
        return Some(Event::UnknownParameters { bytes: words.len() as u64 + 2 });
    }
    if let Some(mut scan) = Scan::after(text, "percpu: Embedded ") {
        let pages = scan.dec()?;
        scan.until(" u")?;
        return Some(Event::PerCpu { pages, unit: scan.dec()? });
    }
    if let Some(units) = text.strip_prefix("pcpu-alloc: ").filter(|units| units.starts_with('[')) {
        return Some(Event::PerCpuUnits(units));
    }
    if let Some(mut scan) = Scan::after(text, "software IO TLB: mapped ") {
        let (start, last) = scan.mem()?;
        return Some(Event::IoTlb { start, last });
    }
    if let Some(mut scan) = Scan::after(text, "cma: Reserved ") {
        let mib = scan.dec()?;
        scan.until(" at ")?;
        return Some(Event::Cma { mib, base: scan.hex()? });
    }
    let mut scan = Scan(text);
    scan.until(" hash table entries: ")?;
    scan.until(" (order: ")?;
    scan.until(", ")?;
    let bytes = scan.dec()?;
    scan.lit(" bytes, linear)").map(|()| Event::HashTable { bytes })
}

fn zones(text: &str) -> Option<Event<'_>> {
    const HEADINGS: [&str; 3] = ["Zone ranges:", "Movable zone start for each node", "Early memory node ranges"];
    if HEADINGS.contains(&text.trim_end()) {
        return Some(Event::Zone);
    }
    if let Some(mut scan) = Scan::after(text, "Initializing node ") {
        let nid = u16::try_from(scan.dec()?).ok()?;
        return scan.lit(" as memoryless").map(|()| Event::MemorylessNode { nid });
    }
    if let Some(mut scan) = Scan::after(text, "Initmem setup node ") {
        scan.dec()?;
        scan.lit(" ")?;
        return (scan.mem().is_some() || scan.0.trim_end() == "as memoryless").then_some(Event::Zone);
    }
    if let Some(mut scan) = Scan::after(text, "On node ") {
        scan.dec()?;
        scan.lit(", zone ")?;
        scan.until(": ")?;
        scan.dec()?;
        return scan.lit(" pages in unavailable ranges").map(|()| Event::Zone);
    }
    if let Some(mut scan) = Scan::after(text, "  node ") {
        scan.0 = scan.0.trim_start();
        scan.int()?;
        scan.lit(": ")?;
        scan.mem()?;
        return scan.end().map(|()| Event::Zone);
    }
    if let Some(mut scan) = Scan::after(text, "  Node ") {
        scan.dec()?;
        scan.lit(": ")?;
        scan.hex()?;
        return scan.end().map(|()| Event::MovableZone);
    }
    if text.trim_end() == "  Device   empty" {
        return Some(Event::DeviceZone);
    }
    let (name, rest) = text.strip_prefix("  ")?.split_once(' ')?;
    if !["DMA", "DMA32", "Normal", "HighMem", "Movable", "Device"].contains(&name) {
        return None;
    }
    let mut scan = Scan(rest.trim_start());
    if scan.lit("empty").is_none() {
        scan.mem()?;
    }
    scan.end().map(|()| Event::Zone)
}

fn end(text: &str) -> Option<Event<'_>> {
    if text.starts_with("SLUB: HWalign") {
        return Some(Event::SlabUp);
    }
    if text.starts_with("PCI: pci_cache_line_size set to ") {
        return Some(Event::PciResources);
    }
    if let Some(words) = text.strip_prefix("Kernel panic - not syncing: ") {
        return Some(Event::Panic(words.trim_end()));
    }
    if text.starts_with("kernel BUG at ") {
        return Some(Event::Panic(text.trim_end()));
    }
    if let Some(mut scan) = Scan::after(text, "efi: Freeing EFI boot services memory: ") {
        let kib = scan.dec()?;
        return scan.lit("K").map(|()| Event::FreedBootServices { kib });
    }
    if let Some(mut scan) = Scan::after(text, "Freeing ") {
        scan.until(" memory: ")?;
        let kib = scan.dec()?;
        return scan.lit("K").map(|()| Event::Freed { kib });
    }
    if let Some(mut scan) = Scan::after(text, "HugeTLB: registered ") {
        let size = scan.until(" page size, pre-allocated ")?;
        return Some(Event::HugePages { size, count: scan.dec()? });
    }
    if let Some(mut scan) = Scan::after(text.strip_prefix("printk: ").unwrap_or(text), "log_buf_len: ") {
        let bytes = scan.dec()?;
        return scan.lit(" bytes").map(|()| Event::LogBuffer { bytes });
    }
    let mut scan = Scan::after(text, "Memory: ")?;
    let available = scan.dec()?;
    scan.lit("K/")?;
    let present = scan.dec()?;
    scan.lit("K available (")?;
    let (mut reserved, mut cma) = (None, 0);
    for part in scan.0.trim_end().strip_suffix(')')?.split(", ") {
        if let Some(kib) = part.strip_suffix("K reserved") {
            reserved = kib.parse().ok();
        } else if let Some(kib) = part.strip_suffix("K cma-reserved") {
            cma = kib.parse().ok()?;
        }
    }
    Some(Event::Memory { available, present, reserved: reserved?, cma })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let (start, last) = (0x1000, 0x1fff);
        for (text, event) in [
            ("Linux version 6.1.0-1-amd64 (a@b) x", Event::Version("6.1.0-1-amd64")),
            (
                "ACPI: SRAT: Node 1 PXM 7 [mem 0x1000-0x1fff] hotplug",
                Event::Srat { nid: 1, start, last, hotplug: true },
            ),
            ("ACPI: SRAT: Node 1 PXM 7 [mem 0x1000-0x1fff]", Event::Srat { nid: 1, start, last, hotplug: false }),
            ("NODE_DATA(3) allocated [mem 0x1000-0x1fff]", Event::NodeData { nid: 3, start, last }),
            ("    NODE_DATA(3) on node 0", Event::NodeDataOn { nid: 3 }),
            ("  node  12: [mem 0x1000-0x1fff]", Event::Zone),
            ("  Node 1: 0x0000000100000000", Event::MovableZone),
            ("  DMA32    empty", Event::Zone),
            ("  Device   empty", Event::DeviceZone),
            ("On node 0, zone DMA: 97 pages in unavailable ranges", Event::Zone),
            ("Initmem setup node 1 as memoryless", Event::Zone),
            ("Reserving 64MB of low memory at 2MB for crashkernel (low RAM limit: 4096MB)", Event::Crash),
            ("Memory value expected after '@'", Event::Crash),
            (
                "Unknown kernel command line parameters \"a b\", will be passed to user space.",
                Event::UnknownParameters { bytes: 5 },
            ),
            ("percpu: Embedded 61 pages/cpu s212992 r8192 d28672 u2097152", Event::PerCpu { pages: 61, unit: 2 << 20 }),
            (
                "Dentry cache hash table entries: 262144 (order: 9, 2097152 bytes, linear)",
                Event::HashTable { bytes: 2 << 20 },
            ),
            ("Freeing initrd memory: 1304K", Event::Freed { kib: 1304 }),
            ("efi: Freeing EFI boot services memory: 49336K", Event::FreedBootServices { kib: 49336 }),
            ("printk: log_buf_len: 16777216 bytes", Event::LogBuffer { bytes: 16 << 20 }),
            (
                "HugeTLB: registered 1.00 GiB page size, pre-allocated 2 pages",
                Event::HugePages { size: "1.00 GiB", count: 2 },
            ),
            ("DMI: QEMU x, BIOS 1.16", Event::Hardware("QEMU x, BIOS 1.16")),
            (
                "Memory: 219836K/2096632K available (1K kernel code, 2K rwdata, 79272K reserved, 4K cma-reserved)",
                Event::Memory { available: 219_836, present: 2_096_632, reserved: 79272, cma: 4 },
            ),
            (
                "efi: mem06: [Conventional|   |  |  |  |SP|  |MR|  |  |  |   |WB|WT|WC|UC] range=[0x1000-0x1fff] (0MB)",
                Event::EfiRange { kind: "Conventional", mirrored: true, special: true, start, last },
            ),
        ] {
            assert_eq!(parse(text), Some(event), "{text}");
        }
    }

    #[test]
    fn other_lines_are_none() {
        for text in [
            "Memory: 12M",
            "Kernel command line: crashkernel=1M",
            "Reserving Intel graphics memory at [mem 0x1000-0x1fff]",
            "Inode-cache hash table entries: 131072 (order: 8, 1048576 bytes, vmalloc)",
            "  DMAX    empty",
            "node 0 deferred pages initialised in 96ms",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
