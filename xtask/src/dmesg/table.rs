// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that the firmware's map is behind.

use super::event::{Edit, Event};
use super::scan::Scan;

/// Whose maps are printed.
const MAPS: [&str; 9] =
    ["BIOS-e820", "BIOS-e801", "BIOS-88", "extended", "reserve setup_data", "user", "modified", "Xen", "PVH"];

pub(super) fn parse(text: &str) -> Option<Event<'_>> {
    if let Some(event) = entry(text).or_else(|| edit(text)) {
        return Some(event);
    }
    let bare = text.strip_prefix("e820: ").unwrap_or(text);
    heading(bare).or_else(|| result(bare)).or_else(|| graphics(text)).or_else(|| efi(text))
}

fn entry(text: &str) -> Option<Event<'_>> {
    let (who, rest) = text.split_once(": [mem ")?;
    let who = MAPS.into_iter().find(|map| *map == who)?;
    let mut scan = Scan(rest);
    let (start, last) = scan.span()?;
    scan.lit(" ")?;
    Some(Event::MapEntry { who, start, last, kind: scan.0.trim_end() })
}

fn edit(text: &str) -> Option<Event<'_>> {
    if let Some(mut scan) = Scan::after(text, "e820: update ") {
        let (start, last) = scan.mem()?;
        scan.lit(" ")?;
        let (old, new) = scan.0.trim_end().split_once(" ==> ")?;
        return Some(Event::Edit(Edit::Update { start, last, old, new }));
    }
    let mut scan = Scan::after(text, "e820: remove ")?;
    let (start, last) = scan.mem()?;
    let kind = Some(scan.0.trim()).filter(|kind| !kind.is_empty());
    Some(Event::Edit(Edit::Remove { start, last, kind }))
}

fn heading(text: &str) -> Option<Event<'_>> {
    const LINES: [&str; 7] = [
        "update e820 for mtrr",
        "CPU MTRRs all blank - virtualized system.",
        "PCI devices with unassigned 32-bit BARs may not work!",
        "Cannot find an available gap in the 32-bit address range",
        "mem=nopentium ignored! (only supported on x86_32)",
        "Malformed early option 'mem'",
        "Malformed early option 'memmap'",
    ];
    const HEADINGS: [&str; 5] = ["BIOS-provided", "extended", "reserve setup_data", "user-defined", "modified"];
    let map = text.trim_end().strip_suffix(" physical RAM map:");
    if map.is_some_and(|map| HEADINGS.contains(&map)) || LINES.contains(&text.trim_end()) {
        return Some(Event::Table);
    }
    let full = text.starts_with("too many entries; ignoring [mem ");
    full.then_some(Event::Table)
}

fn result(text: &str) -> Option<Event<'_>> {
    if let Some(mut scan) = Scan::after(text, "last_pfn = ") {
        let last_pfn = scan.hex()?;
        scan.lit(" max_arch_pfn = ")?;
        let max_arch_pfn = scan.hex()?;
        return scan.end().map(|()| Event::LastPfn { last_pfn, max_arch_pfn });
    }
    if let Some(mut scan) = Scan::after(text, "reserve RAM buffer ") {
        let (start, _) = scan.mem()?;
        return scan.end().map(|()| Event::RamBuffer { start });
    }
    if text.starts_with(".text .data .bss are not marked as E820_TYPE_RAM!") {
        return Some(Event::KernelNotRam);
    }
    if text.starts_with("WARNING: BIOS bug: CPU MTRRs don't cover all of memory") {
        return Some(Event::MtrrTrimmed);
    }
    if text.starts_with("[mem ") {
        let mut scan = Scan(text);
        scan.mem()?;
        return scan.lit(" available for PCI devices").map(|()| Event::PciGap);
    }
    let mut scan = Scan(text);
    scan.until("egistered nosave memory: ")?;
    let (start, last) = scan.mem()?;
    scan.end().map(|()| Event::Nosave { start, last })
}

fn graphics(text: &str) -> Option<Event<'_>> {
    let mut scan = Scan::after(text, "Reserving Intel graphics memory at ")?;
    let (start, last) = scan.mem()?;
    Some(Event::Graphics { start, last })
}

fn efi(text: &str) -> Option<Event<'_>> {
    let mut scan = Scan::after(text, "efi: Remove mem")?;
    scan.until(": MMIO range=[")?;
    let (start, last) = scan.span()?;
    scan.0.ends_with("from e820 map").then_some(Event::EfiRemoves { start, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_edits() {
        let (start, last) = (0x1000, 0x1fff);
        for (text, event) in [
            (
                "BIOS-e820: [mem 0x1000-0x1fff] type 99",
                Event::MapEntry { who: "BIOS-e820", start, last, kind: "type 99" },
            ),
            (
                "reserve setup_data: [mem 0x1000-0x1fff] ACPI data",
                Event::MapEntry { who: "reserve setup_data", start, last, kind: "ACPI data" },
            ),
            (
                "e820: update [mem 0x1000-0x1fff] usable ==> soft reserved",
                Event::Edit(Edit::Update { start, last, old: "usable", new: "soft reserved" }),
            ),
            ("e820: remove [mem 0x1000-0x1fff] ", Event::Edit(Edit::Remove { start, last, kind: None })),
            (
                "e820: remove [mem 0x1000-0x1fff] ACPI NVS",
                Event::Edit(Edit::Remove { start, last, kind: Some("ACPI NVS") }),
            ),
            ("last_pfn = 0x10 max_arch_pfn = 0x400", Event::LastPfn { last_pfn: 0x10, max_arch_pfn: 0x400 }),
            ("e820: last_pfn = 0x10 max_arch_pfn = 0x400", Event::LastPfn { last_pfn: 0x10, max_arch_pfn: 0x400 }),
            ("PM: Registered nosave memory: [mem 0x1000-0x1fff]", Event::Nosave { start, last }),
            ("[mem 0x1000-0x1fff] available for PCI devices", Event::PciGap),
            ("user-defined physical RAM map:", Event::Table),
            ("e820: reserve RAM buffer [mem 0x1000-0x1fff]", Event::RamBuffer { start }),
        ] {
            assert_eq!(parse(text), Some(event), "{text}");
        }
    }

    #[test]
    fn other_lines_are_none() {
        for text in [
            "PCI: Using E820 reservations for host bridge windows",
            "pnp 00:01: [mem 0x0-0xf]",
            "e820: update [mem 0x0-",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
