// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware's map: every line that Linux's `setup_arch` prints of it, predicted by the crate `e820`.

use super::boot::Boot;
use super::difference::{Found, compare};
use super::firmware::{EfiKind, EfiRange};
use super::printed::{self, kind_of};
use super::report::{Fact, Report};
use super::trace::Trace;
use crate::dmesg::{self, Edit, Entry, Event, Function};
use e820::{
    Error, Line, MAX_ARCH_PFN, MAX_ARCH_PFN_5_LEVEL, Map, add_kernel_range, apply_parameters, end_of_low_ram_pfn,
    end_of_ram_pfn, finish_early_params, memory_setup, memory_setup_extended, print_nosave, print_ram_buffers,
    range_remove_print, range_update_print, reserve_setup_data, sanitize_print, setup_pci_gap, trim_bios_range,
    trim_uncached,
};
use handoff::{Log as _, MemoryKind, PhysRange, RawEntry};

type Table = e820::Table<1024>;

/// What the rest of the replay needs of the map.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// The entries when memblock is set up, and at the end.
    pub(super) at_setup: Vec<RawEntry>,
    pub(super) entries: Vec<RawEntry>,
    /// How many entries the firmware gave, sanitized: what `/sys/firmware/memmap` gets.
    pub(super) firmware_entries: usize,
    pub(super) max_pfn: u64,
    /// Whether Linux stops here: the user's map cannot be used.
    pub(super) panicked: bool,
}

/// A place where lines are that only the log tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// After the user's map, before the first page is taken away.
    Early,
    /// Before the end of RAM is looked for.
    BeforeEnd,
    /// After memblock was set up.
    Late,
}

/// Compares every line of the map and returns what came of it.
pub(super) fn replay(boot: &Boot<'_>, report: &mut Report) -> Outcome {
    let found: Vec<&Entry<'_>> = boot.entries().iter().filter(|e| is_map(boot, &e.event)).collect();
    let Some(first) = found.first().map(|e| e.line) else {
        report.cannot_use("it has no memory map of the firmware; a log of the whole boot begins with \"Linux version\" (dmesg right after the boot, or journalctl -k -b)");
        return Outcome::default();
    };
    let mut script = Script::new(boot);
    let (mut outcome, mut expected) = script.run(&[]);
    let extra = edits_only_the_log_has(boot, &found, &expected);
    if !extra.is_empty() {
        report.skip("edits of the map that only the log tells of, applied", extra.len());
        (outcome, expected) = script.run(&extra);
    }

    let around = (first.saturating_sub(1), boot.log.last_line);
    let found: Vec<_> = found.into_iter().filter(|e| !extra.iter().any(|x| x.1 == e.line)).map(Found::from).collect();
    compare(report, Fact::MapLines, &expected, &found, around);
    if script.adopted {
        report.advise(
            "what the MTRRs do not cache was taken from the lines of the edits: the log does not tell it otherwise",
        );
    }
    if boot.firmware.raw.is_none() {
        report.advise(
            "the printed map was taken for what the loader passed, which only a folder with its boot_params.bin tells",
        );
    }
    outcome
}

/// Returns whether a line is one that the map is behind.
fn is_map(boot: &Boot<'_>, event: &Event<'_>) -> bool {
    match event {
        Event::Table
        | Event::MapEntry { .. }
        | Event::Edit(_)
        | Event::LastPfn { .. }
        | Event::PciGap
        | Event::RamBuffer { .. }
        | Event::KernelNotRam
        | Event::MtrrTrimmed
        | Event::Nosave { .. } => true,
        Event::Panic(words) => *words == INVALID_USER_MAP,
        Event::Call(call) => {
            boot.debug && matches!(call.function, Function::Add | Function::Reserve) && of_setup(call.caller)
        }
        _ => false,
    }
}

const INVALID_USER_MAP: &str = "Invalid user supplied memory map";

/// Returns whether memblock is filled from the map there; the older name is that of 4.10 and before.
fn of_setup(caller: &str) -> bool {
    caller.starts_with("e820__memblock_setup+") || caller.starts_with("memblock_x86_fill+")
}

/// Returns the edits in the log that our crate does not predict, with where they belong and their lines - unless one that
/// it does predict is missing, because then one may stand in the place of the other.
fn edits_only_the_log_has<'a>(
    boot: &Boot<'_>,
    found: &[&Entry<'a>],
    expected: &[String],
) -> Vec<(Place, usize, Edit<'a>)> {
    let mut predicted: Vec<&str> = expected.iter().map(String::as_str).filter(|l| l.starts_with("e820: ")).collect();
    let mut extra = Vec::new();
    let trim = found.iter().find(|e| e.text == "e820: update [mem 0x00000000-0x00000fff] usable ==> reserved");
    let last_pfn = found.iter().find(|e| matches!(e.event, Event::LastPfn { .. }));
    for entry in found {
        let Event::Edit(edit) = entry.event else { continue };
        if let Some(at) = predicted.iter().position(|l| *l == entry.text) {
            predicted.remove(at);
            continue;
        }
        let before = |mark: Option<&&Entry<'_>>| mark.is_some_and(|mark| entry.line < mark.line);
        let place = match (before(trim), before(last_pfn)) {
            (true, _) => Place::Early,
            (_, true) => Place::BeforeEnd,
            _ => Place::Late,
        };
        extra.push((place, entry.line, edit));
    }
    let missing = predicted.iter().any(|l| l.starts_with("e820: update ") || l.starts_with("e820: remove "));
    // Without the loader's data, what it set aside is known from these lines only; then they are predicted ones.
    if missing || extra.iter().any(|(place, line, _)| *place == Place::Early && !boot.is_announced(*line)) {
        return Vec::new();
    }
    extra
}

/// The steps of `setup_arch`.
struct Script<'a> {
    boot: &'a Boot<'a>,
    trace: Trace,
    /// Whether an edit was taken from the log instead of being predicted.
    adopted: bool,
}

impl<'a> Script<'a> {
    fn new(boot: &'a Boot<'a>) -> Self {
        Self { boot, trace: Trace::default(), adopted: false }
    }

    /// Returns what comes of the map, and the lines.
    fn run(&mut self, extra: &[(Place, usize, Edit<'_>)]) -> (Outcome, Vec<String>) {
        let mut outcome = Outcome::default();
        if let Err(error) = self.steps(extra, &mut outcome) {
            self.trace.error(error);
        }
        let mut lines = self.trace.take();
        lines.retain(|line| line == INVALID_USER_MAP || is_printed_by_linux(line));
        (outcome, lines)
    }

    fn steps(&mut self, extra: &[(Place, usize, Edit<'_>)], outcome: &mut Outcome) -> Result<(), Error> {
        let (boot, log) = (self.boot, self.trace.clone());
        let log = &log;
        let edit = |table: &mut Table, place| -> Result<(), Error> {
            extra.iter().filter(|x| x.0 == place).try_for_each(|x| apply_edit(table, x.2))?;
            _ = table.sanitize();
            Ok(())
        };

        let mut table = self.firmware_map()?;
        let extended = self.extended();
        if !extended.is_empty() {
            memory_setup_extended(&mut table, extended, log)?;
        }
        outcome.firmware_entries = table.entries().len();
        let mut kexec = table.clone();
        let user_map = apply_parameters(&mut table, &boot.command_line, log);
        add_efi_map(&mut table, boot)?;
        let (nodes, rules) = match &boot.firmware.setup_data {
            Some(nodes) => (nodes.clone(), boot.rules),
            None => printed::setup_data(boot),
        };
        reserve_setup_data(&mut table, &mut kexec, &nodes, rules, log)?;
        if user_map && finish_early_params(&mut table, log).is_err() {
            outcome.panicked = true;
            return Ok(());
        }

        if extra.iter().any(|x| x.0 == Place::Early) {
            edit(&mut table, Place::Early)?;
        }
        if let Some(kernel) = boot.kernel_image() {
            add_kernel_range(&mut table, kernel, log)?;
        }
        trim_bios_range(&mut table, log)?;
        if extra.iter().any(|x| x.0 == Place::BeforeEnd) {
            edit(&mut table, Place::BeforeEnd)?;
        }
        let max_arch_pfn = self.max_arch_pfn();
        outcome.max_pfn = end_of_ram_pfn(&table, max_arch_pfn, boot.rules, log);
        if self.trim_mtrr(&mut table, outcome.max_pfn)? {
            outcome.max_pfn = end_of_ram_pfn(&table, max_arch_pfn, boot.rules, log);
        }
        end_of_low_ram_pfn(&table, outcome.max_pfn, max_arch_pfn, boot.rules, log);

        outcome.at_setup = table.entries().to_vec();
        if boot.debug {
            for e in table.entries() {
                let function = match e.kind {
                    MemoryKind::RAM | MemoryKind::RESERVED_KERN => "memblock_add",
                    MemoryKind::SOFT_RESERVED => "memblock_reserve",
                    _ => continue,
                };
                let last = e.addr.wrapping_add(e.size).wrapping_sub(1);
                log.info(format!("{function}: [{:#018x}-{last:#018x}] e820__memblock_setup", e.addr).as_str());
            }
        }
        for event in boot.events() {
            if let Event::Graphics { start, last } = event {
                table.add(RawEntry {
                    addr: *start,
                    size: last.wrapping_sub(*start).wrapping_add(1),
                    kind: MemoryKind::RESERVED,
                })?;
                _ = table.sanitize();
            }
        }
        if extra.iter().any(|x| x.0 == Place::Late) {
            edit(&mut table, Place::Late)?;
        }
        if boot.has_hibernation() {
            let by_entry = printed::nosave_by_entry(table.entries(), outcome.max_pfn);
            if boot.tells_nosave(&by_entry) {
                by_entry.iter().for_each(|line| log.info(line.as_str()));
            } else {
                print_nosave(&table, outcome.max_pfn, log);
            }
        }
        if boot.reached_handover() || boot.events().any(|e| *e == Event::PciGap) {
            setup_pci_gap(&table, outcome.max_pfn, log);
        }
        if boot.events().any(|e| matches!(e, Event::PciResources | Event::RamBuffer { .. })) {
            print_ram_buffers(&table, log);
        }
        outcome.entries = table.entries().to_vec();
        Ok(())
    }

    /// Takes over what the loader passed, or else what was printed of it.
    fn firmware_map(&self) -> Result<Table, Error> {
        let (boot, log) = (self.boot, &self.trace);
        let Some(raw) = &boot.firmware.raw else {
            let printed = printed::firmware_entries(boot);
            let map = printed.first().map_or("BIOS-e820", |(who, _)| who);
            let entries: Vec<_> = printed.iter().map(|(_, entry)| *entry).collect();
            return if map == "BIOS-e820" { memory_setup(&entries, log) } else { self.fallback(&entries, map) };
        };
        match (memory_setup(raw, log), boot.firmware.fallback) {
            (Err(Error::TooFewEntries { .. } | Error::Wraps { .. }), Some((kib, who))) => {
                let ram = |addr, size| RawEntry { addr, size, kind: MemoryKind::RAM };
                self.fallback(&[ram(0, 0x9_f000), ram(1 << 20, kib << 10)], who)
            }
            (table, _) => table,
        }
    }

    /// The map of the older BIOS calls, which Linux prints under their names.
    fn fallback(&self, entries: &[RawEntry], who: &str) -> Result<Table, Error> {
        let mut table = Table::from_entries(entries.iter().copied())?;
        _ = table.sanitize();
        self.trace.info("BIOS-provided physical RAM map:");
        for e in table.entries() {
            let (last, kind) = (e.addr.wrapping_add(e.size).wrapping_sub(1), e.kind);
            self.trace.info(format!("{who}: [mem {:#018x}-{last:#018x}] {kind}", e.addr).as_str());
        }
        Ok(table)
    }

    /// Returns what the loader added to the firmware's map: from the files, or else what the map shows that was printed
    /// then. Adding that again leaves it as it is, if it is what Linux would print.
    fn extended(&self) -> Vec<RawEntry> {
        match &self.boot.firmware.extended[..] {
            [] => printed::entries(self.boot, "extended").into_iter().map(|(_, entry)| entry).collect(),
            known => known.to_vec(),
        }
    }

    fn max_arch_pfn(&self) -> u64 {
        let said = self.boot.events().filter_map(|e| match e {
            Event::LastPfn { max_arch_pfn, .. } => Some(*max_arch_pfn),
            _ => None,
        });
        said.filter(|n| *n == MAX_ARCH_PFN_5_LEVEL).last().unwrap_or(MAX_ARCH_PFN)
    }

    /// Gives up RAM that the CPU does not cache; returns whether there was some.
    fn trim_mtrr(&mut self, table: &mut Table, max_pfn: u64) -> Result<bool, Error> {
        if let Some(cached) = self.boot.firmware.write_back.as_deref().filter(|_| !self.boot.is_amd()) {
            return Ok(trim_uncached(table, cached, max_pfn, &self.trace)? > 0);
        }
        let entries = self.boot.entries();
        let Some(warning) = entries.iter().position(|e| e.event == Event::MtrrTrimmed) else { return Ok(false) };
        self.adopted = true;
        let from = entries.iter().position(|e| matches!(e.event, Event::LastPfn { .. })).unwrap_or(warning);
        let mut lost = 0u64;
        for entry in &entries[from.min(warning)..warning] {
            let Event::Edit(Edit::Update { start, last, .. }) = entry.event else { continue };
            let size = last.wrapping_sub(start).wrapping_add(1);
            let bytes = range_update_print(table, start, size, MemoryKind::RAM, MemoryKind::RESERVED, &self.trace)?;
            lost = lost.saturating_add(bytes);
        }
        self.trace.warn(Line::MtrrTrimmed { mib: lost >> 20 });
        self.trace.info(Line::MtrrUpdate);
        sanitize_print(table, Map::Modified, &self.trace)?;
        Ok(true)
    }
}

/// Adds the EFI map where Linux does: with `add_efi_memmap`, or if it tells of special-purpose memory.
fn add_efi_map(table: &mut Table, boot: &Boot<'_>) -> Result<(), Error> {
    let soft_reserve = !boot.has_parameter_value("efi", "nosoftreserve");
    let special = |r: &EfiRange| r.special && matches!(r.kind, EfiKind::Usable { conventional: true, .. });
    let wanted = boot.has_parameter("add_efi_memmap") || soft_reserve && boot.firmware.efi.iter().any(special);
    if !wanted || boot.firmware.efi.is_empty() {
        return Ok(());
    }
    for range in &boot.firmware.efi {
        let kind = match range.kind {
            EfiKind::Usable { .. } if soft_reserve && range.special => MemoryKind::SOFT_RESERVED,
            EfiKind::Usable { .. } if range.write_back => MemoryKind::RAM,
            EfiKind::Acpi => MemoryKind::ACPI,
            EfiKind::Nvs => MemoryKind::NVS,
            EfiKind::Unusable => MemoryKind::UNUSABLE,
            EfiKind::Persistent => MemoryKind::PMEM,
            EfiKind::Usable { .. } | EfiKind::Reserved => MemoryKind::RESERVED,
        };
        table.add(RawEntry { addr: range.start, size: range.size, kind })?;
    }
    _ = table.sanitize();
    Ok(())
}

fn apply_edit(table: &mut Table, edit: Edit<'_>) -> Result<(), Error> {
    let size = |start: u64, last: u64| last.wrapping_sub(start).wrapping_add(1);
    let quiet = &handoff::Quiet;
    match edit {
        Edit::Update { start, last, old, new } => {
            range_update_print(table, start, size(start, last), kind_of(old), kind_of(new), quiet).map(|_| ())
        }
        Edit::Remove { start, last, kind } => {
            range_remove_print(table, start, size(start, last), kind.map(kind_of), quiet).map(|_| ())
        }
    }
}

/// Returns whether Linux has such a line too; our crate explains more.
fn is_printed_by_linux(line: &str) -> bool {
    line.starts_with("memblock_") || dmesg::parse(line).first().is_some_and(|log| !log.entries.is_empty())
}

/// Returns memory as memblock has it from the map: whole pages of what may be used, touching entries together.
pub(super) fn memory_of(entries: &[RawEntry]) -> Vec<PhysRange> {
    let mut memory: Vec<PhysRange> = Vec::new();
    for range in entries.iter().filter(|e| e.kind.is_ram()).filter_map(|e| PhysRange::capped(e.addr, e.size)) {
        match memory.pop() {
            Some(last) if last.end() == range.start() => memory.extend(PhysRange::new(last.start(), range.end())),
            last => memory.extend(last.into_iter().chain([range])),
        }
    }
    memory.into_iter().filter_map(PhysRange::inward).collect()
}
