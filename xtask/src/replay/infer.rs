// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Linux does without a word, worked out from what it says before and after.

use super::boot::Boot;
use super::boot_services;
use super::early::{Early, maps_memory};
use super::nodes;
use super::report::{Fact, Report};
use crate::dmesg::{Array, Call, Edit, Entry, Event, Function};
use handoff::{Direction, PhysRange, RegionFlags, Rules};

/// Until all memory is mapped, arrays may only grow into the first megabyte.
pub(super) const FIRST_LIMIT: u64 = 1 << 20;

/// What has happened in silence so far.
#[derive(Debug, Default)]
pub(super) struct Silence {
    limit_raised: bool,
    nodes_reset: bool,
    nodes_assigned: bool,
    planned: Option<nodes::Plan>,
    given_places: usize,
    /// The last line that tells of the firmware's nodes.
    last_node_line: Option<usize>,
    pub(super) node_data_bytes: u64,
    pub(super) memory_map_pending: bool,
    boot_services_compared: bool,
    pub(super) not_mirrored: usize,
    pub(super) late: usize,
}

impl Silence {
    pub(super) fn new(boot: &Boot<'_>) -> Self {
        let entries = boot.entries();
        let first_data =
            entries.iter().position(|e| matches!(e.event, Event::NodeData { .. })).unwrap_or(entries.len());
        let is_node_line = |e: &Event<'_>| matches!(e, Event::Srat { .. } | Event::NumaDummy | Event::FakeNode { .. });
        Self {
            last_node_line: entries[..first_data].iter().rposition(|e| is_node_line(&e.event)),
            node_data_bytes: node_data_bytes(boot),
            memory_map_pending: true,
            ..Self::default()
        }
    }

    /// Returns the node whose turn it is. Small nodes got no place before 6.7, so one of those may be left out.
    pub(super) fn next_node(&mut self, told: u16) -> Option<u16> {
        const SMALL: u64 = 4 << 20;
        let plan = self.planned.as_ref()?;
        let bytes = |node: u16| {
            let blocks = plan.blocks.iter().filter(|b| b.node == node);
            let ends =
                blocks.fold((u64::MAX, 0), |(start, end), b| (b.range.start().min(start), b.range.end().max(end)));
            ends.1.saturating_sub(ends.0)
        };
        while plan.nodes.get(self.given_places).is_some_and(|&node| node != told && bytes(node) < SMALL) {
            self.given_places += 1;
        }
        let node = plan.nodes.get(self.given_places).copied();
        self.given_places += 1;
        node
    }

    fn all_nodes_placed(&self) -> bool {
        self.planned.as_ref().is_none_or(|plan| self.given_places >= plan.nodes.len())
    }
}

/// Returns the size of a node's bookkeeping, which belongs to one build of the kernel: the figure most lines agree on, of
/// equals the rounder one.
fn node_data_bytes(boot: &Boot<'_>) -> u64 {
    let entries = boot.entries();
    let mut sizes: Vec<(u64, usize)> = Vec::new();
    let mut vote = |size: u64| match sizes.iter_mut().find(|(s, _)| *s == size) {
        Some((_, votes)) => *votes += 1,
        None => sizes.push((size, 1)),
    };
    for (i, entry) in entries.iter().enumerate() {
        let Event::NodeData { start, last, .. } = entry.event else { continue };
        vote(last.wrapping_sub(start).wrapping_add(1));
        if let Some(Event::Call(call)) = i.checked_sub(1).map(|i| entries[i].event) {
            vote(call.size());
        }
    }
    sizes.into_iter().max_by_key(|(size, votes)| (*votes, size.trailing_zeros())).map_or(0, |(size, _)| size)
}

impl Early<'_, '_> {
    /// Does what Linux has done in silence before the line `i`.
    pub(super) fn before(&mut self, i: usize) {
        let event = &self.boot.entries()[i].event;
        let after_first_dump = self.boot.dump(0).is_some_and(|dump| i > dump);
        if !after_first_dump || self.pages.is_some() {
            return;
        }
        let is_dump = matches!(event, Event::DumpSizes { .. } | Event::DumpCount | Event::DumpRegion { .. });
        if !self.silence.limit_raised && !is_dump && ends_mapping(event) {
            self.raise_limit();
        }
        if boot_services::is_due(event) && !std::mem::replace(&mut self.silence.boot_services_compared, true) {
            boot_services::replay(self.boot, &self.memory, i, self.report);
            self.trace.take(); // of the copy
        }
        match event {
            Event::Srat { .. } if !self.silence.nodes_reset => self.reset_nodes(),
            Event::NumaDummy => self.reset_nodes(),
            _ => {}
        }
        if let Event::Srat { start, last, hotplug: true, .. } = *event {
            _ = self.memory.mark_hotplug(start, last.wrapping_sub(start).wrapping_add(1));
        }
        if self.silence.last_node_line.is_some_and(|last| i > last) && ends_table_of_nodes(event) {
            self.memory.set_direction(Direction::TopDown);
        }
    }

    /// What follows the dumps: mirrored memory is marked after the first; all nodes have their places at the second.
    pub(super) fn after_dump(&mut self, i: usize) {
        if self.boot.dump(0) == Some(i) {
            self.mark_mirrored();
        } else if !self.silence.all_nodes_placed() {
            let line = self.boot.entries()[i].line;
            let rest = self.silence.planned.as_ref().map_or(&[][..], |plan| &plan.nodes[self.silence.given_places..]);
            for node in rest {
                self.report.missing(Fact::NodeLines, 0, line, format!("NODE_DATA({node}) allocated"));
            }
        }
    }

    /// Linux: `memblock_set_current_limit(get_max_mapped())` (6.1).
    fn raise_limit(&mut self) {
        let end = self.memory.end_of_dram() / 4096;
        self.memory.set_current_limit(end.min(self.map.max_pfn) * 4096);
        self.silence.limit_raised = true;
    }

    pub(super) fn reset_nodes(&mut self) {
        _ = nodes::reset(&mut self.memory);
        self.silence.nodes_reset = true;
    }

    /// Gives memory its nodes, once, right before the first of them gets a place for its bookkeeping.
    pub(super) fn assign_nodes(&mut self) {
        if std::mem::replace(&mut self.silence.nodes_assigned, true) {
            return;
        }
        if !self.silence.limit_raised {
            self.raise_limit();
        }
        if !self.silence.nodes_reset {
            self.reset_nodes();
        }
        self.memory.set_direction(Direction::TopDown);
        let plan = nodes::plan(self.boot, &self.memory, self.map.max_pfn, self.report);
        _ = nodes::register(&mut self.memory, &plan.blocks);
        self.silence.planned = Some(plan);
    }

    /// Linux: `efi_find_mirror` (6.1). Where the EFI map is not known, the second dump shows what was marked.
    fn mark_mirrored(&mut self) {
        if !self.boot.has_parameter_value("kernelcore", "mirror") {
            return self.compare_mirrored();
        }
        let mut marked: Vec<(u64, u64)> =
            self.boot.firmware.efi.iter().filter(|r| r.mirrored).map(|r| (r.start, r.size)).collect();
        if self.boot.firmware.efi.is_empty() && self.boot.events().any(|e| *e == Event::Mirrored) {
            let from = self.boot.dump(1).unwrap_or(self.boot.entries().len());
            marked = self.boot.entries()[from..]
                .iter()
                .filter_map(|e| match e.event {
                    Event::DumpRegion { array: Array::Memory, base, size, flags, .. }
                        if flags & RegionFlags::MIRROR.0 != 0 =>
                    {
                        Some((base, size))
                    }
                    _ => None,
                })
                .collect();
            self.report.advise("which memory is mirrored was taken from a dump: efi=debug would tell");
        }
        for (start, size) in marked {
            _ = self.memory.mark_mirror(start, size);
        }
        self.compare_mirrored();
    }

    /// Compares the line that says how much memory is mirrored.
    fn compare_mirrored(&mut self) {
        let found = self.boot.entries().iter().filter(|e| e.event == Event::Mirrored);
        let found: Vec<_> = found.map(super::difference::Found::from).collect();
        let efi = &self.boot.firmware.efi;
        if efi.is_empty() {
            return;
        }
        let mib = |wanted: fn(bool) -> bool| {
            efi.iter().filter(|r| wanted(r.mirrored)).fold(0u64, |sum, r| sum.wrapping_add(r.size)) >> 20
        };
        let (mirrored, all) = (mib(|m| m), mib(|_| true));
        let any = efi.iter().any(|r| r.mirrored);
        let expected: Vec<_> =
            any.then(|| format!("efi: Memory: {mirrored}M/{all}M mirrored memory")).into_iter().collect();
        let dump = self.boot.dump(0).map_or(0, |dump| self.boot.entries()[dump].line);
        super::difference::compare(self.report, Fact::NodeLines, &expected, &found, (dump, self.boot.log.last_line));
    }
}

/// Returns whether all memory is mapped by the time of a line.
fn ends_mapping(event: &Event<'_>) -> bool {
    let memblock = matches!(event, Event::Call(_) | Event::Request(_) | Event::DumpHeading);
    let later = matches!(
        event,
        Event::Ramdisk { .. }
            | Event::AcpiTable { .. }
            | Event::Srat { .. }
            | Event::NumaDummy
            | Event::NodeData { .. }
    );
    later || memblock && !maps_memory(event)
}

/// Returns whether the firmware's nodes are read by the time of a line: only a table of distances may still be made.
fn ends_table_of_nodes(event: &Event<'_>) -> bool {
    match event {
        Event::NodeRange | Event::EmulatedNode { .. } | Event::NodeData { .. } | Event::DumpHeading => true,
        Event::Request(request) => !request.caller.starts_with("numa_alloc_distance"),
        _ => false,
    }
}

/// Returns whether a request is for the memory map.
pub(super) fn is_memory_map(caller: &str) -> bool {
    ["sparse_", "vmemmap_", "memblocks_present", "memory_present", "__earlyonly_bootmem_alloc"]
        .iter()
        .any(|c| caller.starts_with(c))
}

/// Returns whether all but the first page of an allocation get no descriptors of their own.
pub(super) fn is_gigantic_page(rules: Rules, caller: &str) -> bool {
    rules >= Rules::V6_12 && is_of_gigantic_pages(caller)
}

pub(super) fn is_of_gigantic_pages(caller: &str) -> bool {
    caller.starts_with("__alloc_bootmem_huge_page")
}

/// Returns what was reserved before `memblock=debug` was read: what the first dump shows and no line tells of.
///
/// Only what is known to be reserved that early is taken from the dump. Anything else is a line that is missing.
pub(super) fn before_the_log(boot: &Boot<'_>, report: &mut Report) -> Vec<(u64, u64)> {
    let Some(dump) = boot.dump(0) else { return Vec::new() };
    let (before, after) = boot.entries().split_at(dump);
    let regions = after.iter().skip(1).map_while(|e| match e.event {
        Event::DumpRegion { array, base, last, .. } => Some((array, base, last)),
        Event::DumpSizes { .. } | Event::DumpCount => Some((Array::Memory, 0, 0)),
        _ => None,
    });
    let regions = regions.filter(|(array, ..)| *array == Array::Reserved);
    let dumped: Vec<PhysRange> =
        regions.filter_map(|(_, base, last)| PhysRange::new(base, last.checked_add(1)?)).collect();

    let mut silent = known(boot);
    let mut told: Vec<PhysRange> = Vec::new();
    for entry in before {
        match entry.event {
            Event::Call(call) if call.function == Function::Reserve => {
                told.extend(PhysRange::capped(call.base, call.size()));
            }
            Event::Doubled { base, last, .. } => told.extend(PhysRange::new(base, last.saturating_add(4096) & !4095)),
            _ => {}
        }
    }

    // What is told of must be in the dump.
    for entry in before {
        let Event::Call(call) = entry.event else { continue };
        let freed = |e: &Entry<'_>| {
            let of_range = |c: &Call<'_>| c.function == Function::Free && c.base <= call.last && call.base <= c.last;
            matches!(&e.event, Event::Call(c) if of_range(c))
        };
        let is_reserve = call.function == Function::Reserve && call.size() > 0 && !before.iter().any(freed);
        let inside = |d: &PhysRange| d.start() <= call.base && call.base <= call.last && call.last < d.end();
        if is_reserve && !dumped.iter().any(inside) {
            let expected = Some("a range that is in the dump".to_owned());
            report.wrong(Fact::Operations, entry.line, expected, entry.text.as_str());
        }
    }

    // The BIOS says where its area begins; what is told of inside it was reserved already.
    if let Some(bios) = bios_area(&dumped, &told) {
        silent.push(bios);
    }
    let left = without(&without(&dumped, &silent), &told);
    let mut unexplained = Vec::new();
    // A log that ends early may not have come to what tells of it.
    let told_of_disk = boot.events().any(|e| matches!(e, Event::Ramdisk { .. } | Event::MoveRamdisk { .. }));
    let ends_before_ramdisk = !boot.reached_handover() && !told_of_disk;
    let brk = boot.brk();
    for range in left {
        // The kernel ends where its first tables begin, and is megabytes large. 5.4 reserves more in silence.
        let is_kernel = brk.is_some_and(|brk| brk.start() == range.end()) && range.size() > 1 << 20;
        let is_setup_data = setup_data(boot).any(|at| range.start() == at);
        if is_kernel || is_setup_data || is_snb_graphics(range) || boot.rules == Rules::V5_4 || ends_before_ramdisk {
            silent.push(range);
        } else {
            unexplained.push(range);
        }
    }
    for range in &unexplained {
        let line = boot.entries()[dump].line;
        // Next to a range that is told of, it is a part of that one.
        let touches = |t: &PhysRange| t.end() == range.start() || range.end() == t.start();
        let neighbour = before.iter().find(|e| match e.event {
            Event::Call(call) => PhysRange::capped(call.base, call.size()).as_ref().is_some_and(touches),
            _ => false,
        });
        if let Some(entry) = neighbour {
            let expected = Some(format!("together with [{:#018x}-{:#018x}]", range.start(), range.end() - 1));
            report.wrong(Fact::Operations, entry.line, expected, entry.text.as_str());
            continue;
        }
        let expected = format!("memblock_reserve: [{:#018x}-{:#018x}]", range.start(), range.end() - 1);
        report.missing(Fact::Operations, 0, line, expected);
    }
    if brk.is_none() && boot.rules > Rules::V5_4 {
        let line = boot.entries()[dump].line;
        report.missing(Fact::Operations, 0, line, "memblock_reserve: [...] setup_arch (the kernel's first tables)");
    }
    silent.extend(unexplained);
    silent.iter().map(|r| (r.start(), r.size())).collect()
}

/// Returns what is reserved early whatever the dump says.
fn known(boot: &Boot<'_>) -> Vec<PhysRange> {
    let mut known = Vec::new();
    if boot.rules > Rules::V5_4 {
        known.extend(PhysRange::new(0, 0x1_0000));
    }
    let told = boot.events().find_map(|e| match *e {
        Event::Ramdisk { start, last } => PhysRange::new(start, last.checked_add(1)?),
        // Where it is moved, it is not announced; the last page is not full.
        Event::MoveRamdisk { from: (start, last), .. } => {
            PhysRange::new(start, last.checked_add(1)?.checked_next_multiple_of(4096)?)
        }
        _ => None,
    });
    known.extend(boot.firmware.ramdisk.or(told));
    for node in boot.firmware.setup_data.iter().flatten() {
        // The seed for random numbers has its length until it was read.
        known.extend(PhysRange::capped(node.addr, node.size).filter(|_| node.kind != 9));
        known.extend(node.target.and_then(|(addr, size)| PhysRange::capped(addr, size)));
    }
    known
}

fn setup_data(boot: &Boot<'_>) -> impl Iterator<Item = u64> {
    boot.events().filter_map(|e| match e {
        Event::Edit(Edit::Update { start, old: "usable", new: "usable", .. }) => Some(*start),
        _ => None,
    })
}

/// Returns the area of the BIOS up to 1 MiB.
///
/// Linux: `reserve_bios_regions` (6.1).
fn bios_area(dumped: &[PhysRange], told: &[PhysRange]) -> Option<PhysRange> {
    const HIGHEST: u64 = 0x9_f000;
    const END: u64 = 1 << 20;
    let region = dumped.iter().find(|r| r.start() <= HIGHEST && END <= r.end())?;
    let below: Vec<_> = told.iter().copied().filter(|t| t.start() < HIGHEST).collect();
    let area = without(&[*region], &below).into_iter().find(|r| r.contains(END - 1))?;
    PhysRange::new(area.start(), END)
}

/// Returns whether a page is one that the graphics of Sandy Bridge cannot be given.
fn is_snb_graphics(range: PhysRange) -> bool {
    const PAGES: [u64; 5] = [0x2005_0000, 0x2011_0000, 0x2013_0000, 0x2013_8000, 0x4000_4000];
    range.size() == 4096 && PAGES.contains(&range.start())
}

fn without(ranges: &[PhysRange], taken: &[PhysRange]) -> Vec<PhysRange> {
    let mut left = ranges.to_vec();
    for t in taken {
        let cut = |r: PhysRange| {
            [PhysRange::new(r.start(), r.end().min(t.start())), PhysRange::new(r.start().max(t.end()), r.end())]
        };
        left = left.into_iter().flat_map(cut).flatten().collect();
    }
    left
}
