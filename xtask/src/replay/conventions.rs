// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the callers that every boot has ask for: alignment, window and node follow from who asks.
//!
//! Most requests are answered with the same address whatever their window is, so a wrong window would not show.

use super::boot::{Boot, is_setup_arch};
use super::report::{Fact, Report};
use super::table::Outcome;
use crate::dmesg::{Entry, Event, Request};
use handoff::{FRAME_BYTES, PhysRange, Rules};

/// What a caller asks for; `None` where that differs from call to call.
struct Convention {
    caller: &'static str,
    align: Option<u64>,
    from: Option<u64>,
    max: Option<u64>,
    nodes: Nodes,
}

/// Which nodes a caller names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nodes {
    /// None.
    Any,
    /// One that there is, or none.
    Known,
}

const CACHE_LINE: Option<u64> = Some(64);
const PAGE: Option<u64> = Some(FRAME_BYTES);
const START: Option<u64> = Some(0);
/// Up to what is mapped.
const LIMIT: Option<u64> = Some(0);

const fn anywhere(caller: &'static str, align: Option<u64>) -> Convention {
    Convention { caller, align, from: START, max: LIMIT, nodes: Nodes::Any }
}

const CONVENTIONS: [Convention; 22] = [
    anywhere("acpi_parse_hpet", CACHE_LINE),
    anywhere("io_apic_init_mappings", CACHE_LINE),
    anywhere("e820__reserve_resources", CACHE_LINE),
    anywhere("firmware_map_add_early", CACHE_LINE),
    anywhere("register_nosave_region", CACHE_LINE),
    anywhere("start_kernel", CACHE_LINE),
    anywhere("print_unknown_bootoptions", CACHE_LINE),
    anywhere("setup_command_line", CACHE_LINE),
    anywhere("alloc_bootmem_cpumask_var", CACHE_LINE),
    anywhere("pcpu_setup_first_chunk", CACHE_LINE),
    anywhere("pcpu_alloc_first_chunk", CACHE_LINE),
    anywhere("pcpu_embed_first_chunk", CACHE_LINE),
    anywhere("pcpu_page_first_chunk", CACHE_LINE),
    anywhere("pcpu_build_alloc_info", PAGE),
    anywhere("alloc_large_system_hash", CACHE_LINE),
    anywhere("spp_getpage", PAGE),
    anywhere("setup_log_buf", None),
    anywhere("free_area_init", None),
    Convention { caller: "pcpu_fc_alloc", align: None, from: Some(16 << 20), max: LIMIT, nodes: Nodes::Known },
    Convention { caller: "__alloc_bootmem_huge_page", align: None, from: START, max: LIMIT, nodes: Nodes::Known },
    Convention { caller: "reserve_real_mode", align: PAGE, from: START, max: Some(1 << 20), nodes: Nodes::Any },
    Convention { caller: "swiotlb_init_remap", align: None, from: START, max: None, nodes: Nodes::Any },
];

/// Compares every request whose caller is known.
pub(super) fn check(boot: &Boot<'_>, map: &Outcome, memory: &[PhysRange], report: &mut Report) {
    let mapping = Mapping::new(boot, memory);
    let last_place = PhysRange::new(0, map.max_pfn.saturating_mul(FRAME_BYTES)).map_or(0, PhysRange::end);
    let mapped = memory.last().map_or(0, |r| r.end()).min(last_place);
    let node_known = |nid: i32| nid == -1 || boot.nodes().any(|node| i32::from(node) == nid);

    for entry in boot.entries() {
        let Event::Request(request) = &entry.event else { continue };
        let Request { caller, align, from, max, nid, size, .. } = *request;
        let is = |name: &str| caller.split('+').next() == Some(name);
        let expected = if is("init_mem_mapping") {
            asks(entry, request, Some(2 << 20), Some(1 << 20), Some(last_place))
        } else if is("alloc_low_pages") {
            let (from, max) = mapping.window(from, max);
            asks(entry, request, PAGE, Some(from), Some(max))
        } else if is("numa_alloc_distance") && boot.rules >= Rules::V6_12 {
            asks(entry, request, PAGE, START, LIMIT)
        } else if is("numa_alloc_distance") || is_setup_arch(caller) && boot.is_for_ramdisk(entry) {
            asks(entry, request, PAGE, START, Some(mapped))
        } else if is("swiotlb_init_remap") {
            // The buffer itself below 4 GiB, or anywhere if it may be; what describes it anywhere.
            let align = if size.is_multiple_of(FRAME_BYTES) && align != 64 { PAGE } else { CACHE_LINE };
            let max = if max == 0 { 0 } else { 0xffff_ffff };
            asks(entry, request, align, START, Some(max))
        } else if is("pcpu_fc_alloc") {
            let align = if size.is_multiple_of(2 << 20) { Some(2 << 20) } else { PAGE };
            asks(entry, request, align, Some(16 << 20), LIMIT)
        } else if is("__alloc_bootmem_huge_page") {
            asks(entry, request, Some(size), START, LIMIT)
        } else if let Some(c) = CONVENTIONS.iter().find(|c| is(c.caller)) {
            asks(entry, request, c.align, c.from, c.max)
        } else {
            continue;
        };
        let named = CONVENTIONS.iter().find(|c| is(c.caller)).map(|c| c.nodes);
        let node = match named {
            Some(Nodes::Any) | None => nid == -1,
            Some(Nodes::Known) => node_known(nid),
        };
        if expected == entry.text && node {
            report.equal(Fact::Pairs, 1);
        } else {
            let what = if node { expected } else { "a node that there is, or none (-1)".into() };
            report.wrong(Fact::Pairs, entry.line, Some(what), entry.text.as_str());
        }
    }
}

/// Returns the line of a request with what is fixed put in.
fn asks(entry: &Entry<'_>, request: &Request<'_>, align: Option<u64>, from: Option<u64>, max: Option<u64>) -> String {
    let Request { function, size, nid, .. } = *request;
    let (align, from, max) = (align.unwrap_or(request.align), from.unwrap_or(request.from), max.unwrap_or(request.max));
    let nid = if entry.text.contains(" nid=") { format!(" nid={nid}") } else { String::new() };
    format!("{function}: {size} bytes align={align:#x}{nid} from={from:#018x} max_addr={max:#018x}")
}

/// How memory is mapped, from the top down; nothing where it is mapped from the bottom.
///
/// Linux: `memory_map_top_down` (6.1).
#[derive(Default)]
struct Mapping {
    /// The addresses down to which memory is mapped, step by step.
    steps: Vec<u64>,
    /// The highest address that is mapped after the first step, and after each range above it, which come last.
    highest: Vec<u64>,
}

impl Mapping {
    fn new(boot: &Boot<'_>, memory: &[PhysRange]) -> Self {
        const LOWEST: u64 = 1 << 20;
        const STEP: u64 = 2 << 20;
        let probe = boot.requests().find(|(_, r, _)| r.caller.starts_with("init_mem_mapping+"));
        let Some((.., Some((base, size)))) = probe else { return Self::default() };
        // No higher than memory, whatever the log says: every step costs time.
        let top = base.saturating_add(size).min(memory.last().map_or(0, |r| r.end()));
        let mapped_in = |start: u64, end: u64| {
            let window = PhysRange::new(start, end);
            memory.iter().filter_map(move |r| r.intersection(window?))
        };

        let (mut step, mut mapped, mut last) = (STEP, 0u64, top);
        let (mut steps, mut highest) = (vec![top], 0);
        while last > LOWEST {
            let start = if last > step { ((last - 1) / step * step).max(LOWEST) } else { LOWEST };
            mapped = mapped_in(start, last).map(PhysRange::size).fold(mapped, u64::saturating_add);
            highest = highest.max(mapped_in(start, last).map(PhysRange::end).max().unwrap_or(0));
            last = start;
            steps.push(last);
            if mapped >= step {
                step = step.saturating_mul(1 << 8);
            }
        }
        let above = mapped_in(top, u64::MAX).map(PhysRange::end);
        Self { steps, highest: std::iter::once(highest).chain(above).collect() }
    }

    /// Returns the window of a request for a page table: the one it has, if that is possible.
    fn window(&self, from: u64, max: u64) -> (u64, u64) {
        let (Some(lowest), Some(highest)) = (self.steps.last(), self.highest.first()) else {
            return (from & !(FRAME_BYTES - 1), max & !(FRAME_BYTES - 1));
        };
        let from = if self.steps.contains(&from) { from } else { *lowest };
        let above = from == *lowest && self.highest.contains(&max);
        (from, if above { max } else { *highest })
    }
}
