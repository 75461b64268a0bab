// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory map: what it asks for, and the zone report, predicted by the crate `memmap`.

use super::boot::Boot;
use super::difference::{Found, compare};
use super::early::Machine;
use super::infer::is_memory_map;
use super::report::{Fact, Report};
use super::trace::Trace;
use crate::dmesg::{Entry, Event, Request};
use handoff::{Bounds, EarlyMemory, FRAME_BYTES, Ledger, Owner, PhysRange, Region, Rules};
use memmap::{Layout, Movable, Paging, SparseModel, allocate};

/// Compares the requests for descriptors and the tables around them, on a copy of memory as it is then.
pub(super) fn replay(
    boot: &Boot<'_>,
    max_pfn: u64,
    memory: &Machine,
    node_data: &[Region],
    at: usize,
    report: &mut Report,
) {
    let requests = boot.entries()[at..].iter().filter(|e| matches!(e.event, Event::Request(_)));
    let of_map = |e: &&Entry<'_>| matches!(e.event, Event::Request(Request { caller, .. }) if is_memory_map(caller));
    let found: Vec<_> = requests.take_while(of_map).map(Found::from).collect();
    let next = boot.entries()[at..].iter().find(|e| e.event == Event::Zone);
    let around = (boot.line_before(at), next.map_or(boot.log.last_line, |e| e.line));

    match predict(boot, max_pfn, memory, node_data, at) {
        Ok(expected) => _ = compare(report, Fact::MemoryMapRequests, &expected, &found, around),
        Err(why) => {
            let first = &boot.entries()[at];
            report.wrong(Fact::MemoryMapRequests, first.line, Some(format!("nothing: {why}")), first.text.as_str());
        }
    }
}

fn predict(
    boot: &Boot<'_>,
    max_pfn: u64,
    memory: &Machine,
    node_data: &[Region],
    at: usize,
) -> Result<Vec<String>, String> {
    let Event::Request(Request { size: root_array, .. }) = boot.entries()[at].event else { return Ok(Vec::new()) };
    let layout = Layout::new(memory.memory(), max_pfn).map_err(|e| e.to_string())?;
    let model = model(boot.rules, root_array).ok_or("its first table has a size that no known kernel asks for")?;
    let mut ledger = Ledger::new();
    for region in node_data {
        let claim = PhysRange::from_size(region.base, region.size).map(|range| ledger.claim(Owner::NODE_DATA, range));
        if claim.is_some_and(|done| done.is_err()) {
            return Err("there are too many nodes".into());
        }
    }
    let mut asked = Asked { memory: Box::new(memory.clone()), lines: Vec::new() };
    allocate(&layout, &model, &mut asked, &mut ledger).map(|_| asked.lines).map_err(|e| e.to_string())
}

/// The sizes that belong to one build follow from the size of its first table.
pub(crate) fn model(rules: Rules, root_array: u64) -> Option<SparseModel> {
    let known = [(16, Paging::FourLevel), (32, Paging::FourLevel), (16, Paging::FiveLevel), (32, Paging::FiveLevel)];
    let models = known.map(|(entry_bytes, paging)| SparseModel { entry_bytes, paging, ..SparseModel::of(rules) });
    models.into_iter().find(|model| model.root_array_bytes() == root_array)
}

/// Early memory that notes what it is asked for, in Linux's words.
struct Asked {
    memory: Box<Machine>,
    lines: Vec<String>,
}

impl Asked {
    fn note(&mut self, function: &str, bounds: Bounds) {
        let Bounds { size, align, min, max, nid } = bounds;
        let nid = nid.0;
        self.lines
            .push(format!("{function}: {size} bytes align={align:#x} nid={nid} from={min:#018x} max_addr={max:#018x}"));
    }

    /// Asks for pages one by one, as Linux does where no larger block is left; the answer is a place in the first of them.
    fn single_pages(&mut self, function: &str, bounds: Bounds) -> Option<u64> {
        let page = Bounds { size: FRAME_BYTES, ..bounds };
        let pages = (0..bounds.size / FRAME_BYTES).map(|_| {
            self.note(function, page);
            self.memory.alloc_try_nid(page).ok()
        });
        pages.collect::<Option<Vec<u64>>>()?.first().copied()
    }
}

impl EarlyMemory for Asked {
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64> {
        self.memory.phys_alloc_range(bounds).ok()
    }

    fn alloc_try_nid(&mut self, bounds: Bounds) -> Option<u64> {
        // Descriptors and page tables are aligned to pages and not zeroed by memblock.
        let raw = bounds.align >= 4096;
        let function = if raw { "memblock_alloc_try_nid_raw" } else { "memblock_alloc_try_nid" };
        if raw && bounds.align == FRAME_BYTES && bounds.size > FRAME_BYTES {
            return self.single_pages(function, bounds);
        }
        self.note(function, bounds);
        self.memory.alloc_try_nid(bounds).ok()
    }

    fn alloc_exact_nid(&mut self, bounds: Bounds) -> Option<u64> {
        self.note("memblock_alloc_exact_nid_raw", bounds);
        self.memory.alloc_exact_nid_raw(bounds).ok()
    }

    fn free(&mut self, base: u64, size: u64) -> bool {
        self.memory.free(base, size).is_ok()
    }

    fn memory(&self) -> &[Region] {
        self.memory.memory()
    }

    fn reserved(&self) -> &[Region] {
        self.memory.reserved()
    }

    fn memory_size(&self) -> u64 {
        self.memory.phys_mem_size()
    }
}

/// Compares the zone report.
pub(super) fn replay_zones(boot: &Boot<'_>, memory: &[Region], max_pfn: u64, report: &mut Report) {
    let entries = boot.entries();
    let in_report = |e: &&Entry<'_>| matches!(e.event, Event::Zone | Event::MovableZone | Event::MemorylessNode { .. });
    let mut found: Vec<&Entry<'_>> = entries.iter().filter(in_report).collect();
    let Some(last) = entries.iter().rposition(|e| in_report(&e)) else {
        if boot.reached_handover() {
            report.cannot_use("its zone report is missing");
        }
        return;
    };
    report.skip("zone Device, which is empty at boot", entries.iter().filter(|e| e.event == Event::DeviceZone).count());

    let movable = Movable::from_command_line(&boot.command_line).by(boot.rules);
    let layout = match Layout::with_movable(memory, max_pfn, movable) {
        Ok(layout) => layout,
        Err(why) => {
            let first = found[0];
            return report.wrong(Fact::ZoneLines, first.line, Some(format!("nothing: {why}")), first.text.as_str());
        }
    };
    let memoryless = entries.iter().filter_map(|e| match e.event {
        Event::MemorylessNode { nid } => Some(nid),
        Event::Zone => e.text.strip_prefix("Initmem setup node ")?.strip_suffix(" as memoryless")?.parse().ok(),
        _ => None,
    });
    let trace = Trace::default();
    layout.report(&memoryless, &trace);

    found.retain(|e| !matches!(e.event, Event::MemorylessNode { .. }));
    let found: Vec<_> = found.into_iter().map(Found::from).collect();
    compare(report, Fact::ZoneLines, &trace.take(), &found, (0, boot.line_after(last)));
}
