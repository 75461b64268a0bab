// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the record of a boot says, taken from the best source there is.

use super::model::Evidence;
use super::proc::{self, Area, Zone};
use super::record::{COMMAND_LINE, FIRMWARE_MAP, IOMEM, LOG, MEMINFO, Record, ZONEINFO};
use super::smbios::{self, Module};
use crate::dmesg::{self, CrashArea, Entry, Event, Function, Log};
use handoff::{FRAME_BYTES, PhysRange, Rules, parameters};

/// A range with a name and where that was said.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) range: PhysRange,
    pub(super) name: String,
    pub(super) evidence: Evidence,
}

/// The line that sums memory up, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Sum {
    pub(super) present: u64,
    pub(super) handed_over: u64,
    pub(super) evidence: Evidence,
}

/// Memory that came back after the hand-over, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Freed {
    pub(super) what: String,
    pub(super) bytes: u64,
    pub(super) evidence: Evidence,
}

/// What is known of a boot.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) record: &'a Record,
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) release: Option<String>,
    pub(super) rules: Rules,
    pub(super) command_line: String,
    pub(super) modules: Vec<Module>,
    /// The firmware's map, sorted as it was printed.
    pub(super) firmware: Vec<Named>,
    /// Whole pages of memory by node.
    pub(super) memory: Vec<(u32, Named)>,
    pub(super) zones: Vec<Zone>,
    pub(super) areas: Vec<Area>,
    pub(super) crash: Vec<(CrashArea, Evidence)>,
    pub(super) sum: Option<Sum>,
    pub(super) freed: Vec<Freed>,
    /// Place of the first line behind the hand-over.
    pub(super) handover: Option<usize>,
    pub(super) mem_total: Option<(u64, Evidence)>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(record: &'a Record, logs: Vec<Log<'a>>) -> Self {
        let entries = logs.into_iter().rfind(|log| !log.entries.is_empty()).unwrap_or_default().entries;
        let find = |wanted: fn(&Event<'a>) -> Option<&'a str>| entries.iter().find_map(|e| wanted(&e.event));
        let release = find(|e| if let Event::Version(v) = e { Some(v) } else { None }).map(str::to_owned);
        let printed = find(|e| if let Event::CommandLine(line) = e { Some(line) } else { None }).unwrap_or_default();
        let command_line = if record.command_line.len() > printed.len() { &record.command_line } else { printed };
        let rules = release.as_deref().and_then(crate::replay::rules_of).unwrap_or_default();
        let handover = entries.iter().position(|e| matches!(e.event, Event::SlabUp | Event::Memory { .. }));

        let freed = freed(&entries, handover);
        Self {
            record,
            rules,
            command_line: command_line.to_owned(),
            modules: smbios::modules(&record.dmi),
            firmware: firmware(&entries, record),
            zones: proc::zoneinfo(&record.zoneinfo),
            areas: proc::iomem(&record.iomem).into_iter().filter(|area| area.range.end() > 1).collect(),
            crash: Vec::new(),
            sum: sum(&entries, rules, &freed),
            freed,
            memory: Vec::new(),
            mem_total: proc::meminfo(&record.meminfo, "MemTotal")
                .map(|(bytes, line)| (bytes, file(MEMINFO.name, line, &record.meminfo))),
            release,
            handover,
            entries,
        }
        .with_derived()
    }

    fn with_derived(mut self) -> Self {
        self.memory = self.memory_of_nodes();
        self.crash = self.crash_areas();
        if self.mem_total.is_none() && !self.zones.is_empty() {
            let managed = self.zones.iter().map(|z| proc::frames(z.managed)).fold(0, u64::saturating_add);
            let text = format!("the managed pages of all zones: {}", managed / FRAME_BYTES);
            self.mem_total = Some((managed, Evidence { source: ZONEINFO.name.into(), line: None, text }));
        }
        self
    }

    /// Returns whether every reservation was logged.
    pub(super) fn debug(&self) -> bool {
        self.entries.iter().any(|e| matches!(e.event, Event::DumpRegion { .. }))
            && self.handover.is_some()
            && parameters(&self.command_line).any(|(n, v)| n == "memblock" && v.is_some_and(|v| v.contains("debug")))
    }

    /// Returns the bytes of memory that the kernel knows, and where that is said.
    pub(super) fn present(&self) -> Option<(u64, Evidence)> {
        if let Some((_, first)) = self.memory.first() {
            let bytes = self.memory.iter().map(|(_, m)| m.range.size()).fold(0, u64::saturating_add);
            return Some((bytes, first.evidence.clone()));
        }
        if !self.zones.is_empty() {
            let bytes = self.zones.iter().map(|z| proc::frames(z.present)).fold(0, u64::saturating_add);
            let text = format!("the present pages of all zones: {}", bytes / FRAME_BYTES);
            return Some((bytes, Evidence { source: ZONEINFO.name.into(), line: None, text }));
        }
        self.sum.as_ref().map(|sum| (sum.present, sum.evidence.clone()))
    }

    /// Returns the ranges of memory.
    pub(super) fn memory_ranges(&self) -> Vec<PhysRange> {
        self.memory.iter().map(|(_, memory)| memory.range).collect()
    }

    /// Returns where the kernel's image lies, with its parts.
    pub(super) fn kernel(&self) -> Vec<&Area> {
        self.areas.iter().filter(|area| area.name.starts_with("Kernel ")).collect()
    }

    fn memory_of_nodes(&self) -> Vec<(u32, Named)> {
        let told: Vec<_> = self
            .entries
            .iter()
            .filter_map(|entry| {
                let (node, range) = dmesg::node_memory(&entry.text)?;
                Some((node, Named { range: range.inward()?, name: String::new(), evidence: log(entry) }))
            })
            .collect();
        if !told.is_empty() {
            return told;
        }
        let ram = self.areas.iter().filter(|area| area.name == "System RAM");
        let shown: Vec<_> = ram
            .filter_map(|area| {
                let evidence = file(IOMEM.name, area.line, &self.record.iomem);
                // Memory starts with the second page.
                let range = PhysRange::new(area.range.start().max(FRAME_BYTES), area.range.end())?.inward()?;
                Some((0, Named { range, name: String::new(), evidence }))
            })
            .collect();
        if shown.is_empty() { self.memory_of_firmware() } else { shown }
    }

    /// Returns the RAM of the firmware's map without what goes to the BIOS, if that is just what the zones have.
    fn memory_of_firmware(&self) -> Vec<(u32, Named)> {
        const LOW_END: u64 = 0xa_0000;
        let ram = self.firmware.iter().filter(|e| proc::memory_kind(&e.name).is_ram());
        let memory: Vec<_> = ram
            .filter_map(|entry| {
                let low = entry.range.start() < LOW_END;
                let end = if low { entry.range.end().min(LOW_END) } else { entry.range.end() };
                let range = PhysRange::new(entry.range.start().max(FRAME_BYTES), end)?.inward()?;
                Some((0, Named { range, name: String::new(), evidence: entry.evidence.clone() }))
            })
            .collect();
        let bytes = memory.iter().map(|(_, m)| m.range.size()).fold(0, u64::saturating_add);
        let present = self.zones.iter().map(|z| proc::frames(z.present)).fold(0, u64::saturating_add);
        if bytes == present { memory } else { Vec::new() }
    }

    /// Returns the areas for a crash kernel: exactly from `/proc/iomem`, else as the log tells.
    fn crash_areas(&self) -> Vec<(CrashArea, Evidence)> {
        let told = self.entries.iter().filter(|e| e.event == Event::Crash);
        let told: Vec<_> = told.filter_map(|e| Some((dmesg::crash_area(&e.text)?, log(e)))).collect();
        let areas: Vec<_> = self.areas.iter().filter(|area| area.name == "Crash kernel").collect();
        if areas.is_empty() {
            return told;
        }
        let several = areas.len() > 1;
        let exact = areas.into_iter().enumerate().map(|(i, area)| {
            let is_low = several && i == 0;
            let line = told.iter().find(|(t, _)| t.range.start() == area.range.start());
            let evidence = line.map_or_else(|| file(IOMEM.name, area.line, &self.record.iomem), |(_, e)| e.clone());
            (CrashArea { range: area.range, is_low }, evidence)
        });
        exact.collect()
    }

    /// Returns the line of the command line with a parameter, as evidence.
    pub(super) fn parameter(&self, names: &[&str]) -> Option<Evidence> {
        let found: Vec<_> = parameters(&self.command_line)
            .filter(|(name, _)| names.contains(name))
            .map(|(name, value)| value.map_or_else(|| name.to_owned(), |v| format!("{name}={v}")))
            .collect();
        (!found.is_empty()).then(|| Evidence { source: COMMAND_LINE.name.into(), line: None, text: found.join(" ") })
    }
}

/// Returns a line of the log as evidence.
pub(super) fn log(entry: &Entry<'_>) -> Evidence {
    Evidence { source: LOG.name.into(), line: Some(entry.line), text: entry.text.trim().to_owned() }
}

/// Returns a line of a file as evidence.
pub(super) fn file(name: &str, line: usize, text: &str) -> Evidence {
    let words = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim().to_owned();
    Evidence { source: name.into(), line: Some(line), text: words }
}

/// Returns the firmware's map with the entries that the loader adds for those that do not fit its page.
fn firmware(entries: &[Entry<'_>], record: &Record) -> Vec<Named> {
    let maps = maps(entries);
    let last_extended = maps.iter().rfind(|(who, _)| *who == "extended");
    let bios = maps.iter().find(|(who, _)| who.starts_with("BIOS-") || ["Xen", "PVH"].contains(who));
    if let Some((_, map)) = last_extended.or(bios) {
        return map.clone();
    }
    let text = &record.firmware_map;
    let entry = |e: proc::Entry| {
        let evidence = file(FIRMWARE_MAP.name, e.line, text);
        Named { range: e.range, name: e.kind, evidence }
    };
    proc::firmware_map(text).into_iter().map(entry).collect()
}

/// Returns the maps that were printed, in order, and whose they are.
pub(super) fn maps<'a>(entries: &[Entry<'a>]) -> Vec<(&'a str, Vec<Named>)> {
    let mut maps: Vec<(&str, Vec<Named>)> = Vec::new();
    let mut open = false;
    for entry in entries {
        let Event::MapEntry { who, start, last, kind } = entry.event else {
            open = false;
            continue;
        };
        if !open || maps.last().is_none_or(|(before, _)| *before != who) {
            maps.push((who, Vec::new()));
        }
        open = true;
        let range = last.checked_add(1).and_then(|end| PhysRange::new(start, end));
        if let (Some((_, map)), Some(range)) = (maps.last_mut(), range) {
            map.push(Named { range, name: kind.to_owned(), evidence: log(entry) });
        }
    }
    maps
}

fn freed(entries: &[Entry<'_>], handover: Option<usize>) -> Vec<Freed> {
    let services = entries.iter().any(|e| matches!(e.event, Event::FreedBootServices { .. }));
    let late = entries.iter().skip(handover.unwrap_or(0));
    let freed = |entry: &Entry<'_>| {
        let (what, bytes) = match entry.event {
            Event::Freed { kib } => (dmesg::freed(&entry.text)?.to_owned(), kib.saturating_mul(1024)),
            Event::FreedBootServices { kib } => ("EFI boot services".to_owned(), kib.saturating_mul(1024)),
            Event::Call(call) if call.function == Function::FreeLate => {
                let function = function(call.caller);
                if services && function.starts_with("efi_") {
                    return None;
                }
                let range = PhysRange::new(call.base, call.last.checked_add(1)?)?.inward()?;
                (function.to_owned(), range.size())
            }
            _ => return None,
        };
        Some(Freed { what, bytes, evidence: log(entry) })
    };
    late.filter_map(freed).collect()
}

/// Returns the bytes of pages of 1 GiB that were taken before the page allocator was there.
fn gigantic_bytes(entries: &[Entry<'_>]) -> u64 {
    entries.iter().map(|entry| gigantic(&entry.event)).fold(0, u64::saturating_add)
}

/// Returns the bytes of the pages that a line tells of, if they are of 1 GiB.
pub(super) fn gigantic(event: &Event<'_>) -> u64 {
    let Event::HugePages { size, count } = event else { return 0 };
    let gib = size.strip_suffix(" GiB").and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    (gib as u64).saturating_mul(1 << 30).saturating_mul(*count)
}

/// Returns the name of a function without the offset in it.
pub(super) fn function(caller: &str) -> &str {
    caller.split('+').next().unwrap_or(caller)
}

fn sum(entries: &[Entry<'_>], rules: Rules, freed: &[Freed]) -> Option<Sum> {
    entries.iter().find_map(|entry| {
        let Event::Memory { present, reserved, cma, .. } = entry.event else { return None };
        // From 6.8 on the line comes late, when some memory is freed already.
        let before = freed.iter().filter(|f| rules >= Rules::V6_12 && f.evidence.line < Some(entry.line));
        let before = before.map(|f| f.bytes).fold(0, u64::saturating_add);
        // Gigantic pages are counted by then as well.
        let gigantic = if rules >= Rules::V6_12 { gigantic_bytes(entries) } else { 0 };
        let kib = |kib: u64| kib.saturating_mul(1024);
        let handed_over = kib(present)
            .checked_sub(kib(reserved))?
            .checked_sub(kib(cma))?
            .checked_sub(before)?
            .checked_sub(gigantic)?;
        Some(Sum { present: kib(present), handed_over, evidence: log(entry) })
    })
}
