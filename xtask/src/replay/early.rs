// SPDX-License-Identifier: MIT OR Apache-2.0
//! Early memory: every operation of the log on the crate `memblock`, every address and every line compared.

use super::boot::{Boot, is_setup_arch};
use super::crash;
use super::difference::{Found, compare};
use super::infer::{self, Silence};
use super::memory_map;
use super::report::{Fact, Report};
use super::table::Outcome;
use super::trace::Trace;
use crate::dmesg::{Call, Entry, Event, Function, Request};
use handoff::{Bounds, Direction, Nid, Region, RegionFlags, Rules};
use memblock::{Fallback, Memblock, Policy};

/// Early memory with room for what a log can hold.
pub(super) type Machine = Memblock<1024, Trace>;

/// The state of a replay.
pub(super) struct Early<'a, 'r> {
    pub(super) boot: &'a Boot<'a>,
    pub(super) map: &'a Outcome,
    pub(super) report: &'r mut Report,
    pub(super) trace: Trace,
    pub(super) memory: Box<Machine>,
    pub(super) silence: Silence,
    /// Where the bookkeeping of nodes lies.
    pub(super) node_data: Vec<Region>,
    /// Memory as it is when the zones are made.
    pub(super) at_zones: Vec<Region>,
    /// Pages handed over, once they are.
    pub(super) pages: Option<u64>,
    /// What was reserved then.
    pub(super) reserved: Vec<Region>,
    pub(super) used: Vec<bool>,
    pub(super) dumps: usize,
}

impl<'a, 'r> Early<'a, 'r> {
    pub(super) fn new(boot: &'a Boot<'a>, map: &'a Outcome, report: &'r mut Report) -> Self {
        let trace = Trace::default();
        let policy = Policy {
            rules: boot.rules,
            can_resize: true,
            trace: true,
            has_mirror: false,
            ..Policy::from_command_line(&boot.command_line)
        };
        let mut memory = Box::new(Memblock::with_log(policy, trace.clone()));
        memory.set_current_limit(infer::FIRST_LIMIT);
        if policy.movable_node {
            memory.set_direction(Direction::BottomUp);
        }
        let used = vec![false; boot.entries().len()];
        let silence = Silence::new(boot);
        Self {
            boot,
            map,
            report,
            trace,
            memory,
            silence,
            node_data: Vec::new(),
            at_zones: Vec::new(),
            pages: None,
            reserved: Vec::new(),
            used,
            dumps: 0,
        }
    }

    /// Replays everything up to the hand-over.
    pub(super) fn run(&mut self) {
        for (base, size) in infer::before_the_log(self.boot, self.report) {
            _ = self.memory.reserve(base, size);
        }
        self.trace.take();

        let entries = self.boot.entries();
        let crash_at = crash::place(self.boot);
        for i in 0..entries.len() {
            if crash_at == Some(i) {
                crash::replay(self.boot, &self.memory, &self.trace, i, self.report);
                self.trace.take();
            }
            if !self.used[i] {
                self.before(i);
                self.step(i);
            }
        }
        self.discard();
        self.report.skip("after the hand-over, when memblock is no more", self.silence.late);
    }

    /// Arrays that moved into memory go to the page allocator when all is done.
    ///
    /// Linux: `memblock_discard` (6.1).
    fn discard(&mut self) {
        let Some(from) = self.boot.handover() else { return };
        let entries = &self.boot.entries()[from..];
        let of_arrays =
            |e: &&Entry<'_>| matches!(&e.event, Event::Call(c) if c.caller.starts_with("memblock_discard+"));
        let found: Vec<_> = entries.iter().filter(of_arrays).map(Found::from).collect();
        // The first memory that is given back later shows that the log goes on long enough.
        if found.is_empty() && !entries.iter().any(|e| matches!(e.event, Event::Freed { .. })) {
            return;
        }
        let parts = self.memory.parts();
        let moved = [parts.reserved.place, parts.memory.place].into_iter().flatten();
        let late = moved.map(|r| format!("memblock_free_late: [{:#018x}-{:#018x}]", r.start(), r.end() - 1));
        let expected: Vec<_> = late.collect();
        self.silence.late -= found.len().min(self.silence.late);
        let around = (self.boot.line_before(from), self.boot.log.last_line);
        compare(self.report, Fact::Pairs, &expected, &found, around);
    }

    fn step(&mut self, i: usize) {
        let entry = &self.boot.entries()[i];
        if self.pages.is_some() {
            let late = matches!(entry.event, Event::Call(_) | Event::Request(_));
            self.silence.late += usize::from(late);
            return;
        }
        match entry.event {
            Event::Call(call) if is_allocation(&call) => self.unannounced(i, &call),
            Event::Call(call) if is_growth(call.caller) => self.unexpected(i),
            Event::Call(call) => self.call(i, &call),
            Event::Request(request) => self.request(i, &request),
            Event::Doubled { .. } | Event::DoubleFailed | Event::NotMirrored => self.unsolicited(i),
            Event::DumpHeading => self.dump(i),
            Event::DumpSizes { .. } | Event::DumpCount | Event::DumpRegion { .. } => self.unexpected(i),
            Event::NodeData { .. } | Event::NodeDataOn { .. } => self.node_data(i, i),
            Event::SlabUp | Event::Memory { .. } => self.hand_over(&[]),
            Event::Zone if self.at_zones.is_empty() => self.at_zones = self.memory.memory().to_vec(),
            _ => {}
        }
    }

    /// A call that changes memory, which the log tells of.
    fn call(&mut self, i: usize, call: &Call<'_>) {
        let (base, size) = (call.base, call.size());
        let memory = &mut self.memory;
        let done = match (call.function, call.node) {
            (Function::Add, Some((nid, flags))) => memory.add_node(base, size, Nid(nid), RegionFlags(flags)),
            (Function::Add, None) => memory.add(base, size),
            (Function::Remove, _) => memory.remove(base, size),
            (Function::Reserve, _) => memory.reserve(base, size),
            (Function::Free, _) => memory.free(base, size),
            (Function::FreeLate, _) => return self.unexpected(i),
        };
        self.report.equal(Fact::Operations, 1);
        self.settle(Fact::Operations, i, self.consequences(i, None));
        self.complain(i, done);
    }

    /// A request, whose answer is ours to predict.
    fn request(&mut self, i: usize, request: &Request<'_>) {
        if infer::is_memory_map(request.caller) && self.silence.memory_map_pending {
            self.silence.memory_map_pending = false;
            memory_map::replay(self.boot, self.map.max_pfn, &self.memory, &self.node_data, i, self.report);
            self.trace.take(); // of the memory map's own copy
        }
        let found = self.consequences(i, Some(request.size));
        let ours = self.allocate(request);
        self.report.equal(Fact::Operations, 1);
        self.report.equal(Fact::Allocations, 1);
        self.report.equal(Fact::FailedAllocations, usize::from(ours.is_none()));
        self.follow(ours, request.size, &found);
        self.settle(Fact::Allocations, i, found);

        if let Some(base) = ours.filter(|_| infer::is_gigantic_page(self.boot.rules, request.caller)) {
            _ = self.memory.reserved_mark_noinit(base.saturating_add(4096), request.size.saturating_sub(4096));
        }
    }

    fn allocate(&mut self, request: &Request<'_>) -> Option<u64> {
        let &Request { size, align, nid, from, max, .. } = request;
        let bounds = Bounds { size, align, min: from, max, nid: Nid(nid) };
        let found = match request.function {
            "memblock_phys_alloc_range" => self.memory.phys_alloc_range(bounds),
            "memblock_alloc_exact_nid_raw" => self.memory.alloc_exact_nid_raw(bounds),
            "memblock_alloc_try_nid_raw" => self.memory.alloc_try_nid_raw(bounds),
            _ => self.memory.alloc_try_nid(bounds),
        };
        found.ok()
    }

    /// Something was reserved by an allocator that nobody asked. The bookkeeping of a node is placed like that.
    fn unannounced(&mut self, i: usize, call: &Call<'_>) {
        let entries = self.boot.entries();
        let told = self.consequences(i, None);
        let next = told.last().map_or(i, |last| *last) + 1;
        let follower = entries.iter().enumerate().skip(next).find(|(_, e)| {
            matches!(
                e.event,
                Event::NodeData { .. } | Event::Cma { .. } | Event::Call(_) | Event::Request(_) | Event::DumpHeading
            )
        });
        match follower {
            Some((at, Entry { event: Event::NodeData { .. }, .. })) => self.node_data(i, at),
            Some((at, Entry { event: Event::Cma { mib, base }, .. })) => self.contiguous(i, at, call, (*mib, *base)),
            _ if self.boot.rules == Rules::V5_4 => {
                self.report
                    .skip("requests that this version does not tell of, so that their answers were taken over", 1);
                self.call(i, call);
            }
            _ => {
                self.unexpected(i);
                self.call_silently(call);
            }
        }
    }

    /// Places the area of the contiguous memory allocator; `at` is the line that says where it is.
    ///
    /// Linux: `dma_contiguous_reserve`, `cma_declare_contiguous_nid` (6.1).
    fn contiguous(&mut self, i: usize, at: usize, call: &Call<'_>, (mib, base): (u64, u64)) {
        const ALIGN: u64 = 2 << 20;
        const ABOVE: u64 = 4 << 30;
        let told = &self.boot.entries()[at];
        if (call.base, call.size() >> 20) != (base, mib) {
            let expected = format!("{} MiB at {:#x}, as reserved", call.size() >> 20, call.base);
            self.report.wrong(Fact::Pairs, told.line, Some(expected), told.text.as_str());
        }
        if self.boot.has_parameter("hugetlb_cma") {
            return self.call(i, call); // per node, by sizes that are not told
        }
        let (size, end) = (call.size(), self.memory.end_of_dram());
        let limit = end.min(self.map.max_pfn.saturating_mul(4096));
        let bounds = |min| Bounds { size, align: ALIGN, min, max: limit, nid: Nid::NONE };
        let direction = self.memory.direction();
        let mut ours = None;
        if direction == Direction::TopDown && end >= ABOVE.saturating_add(size) {
            // Above 4 GiB the lowest place, to leave memory that devices can reach.
            self.memory.set_direction(Direction::BottomUp);
            ours = self.memory.alloc_range_nid(bounds(ABOVE), Fallback::Never).ok();
            self.memory.set_direction(direction);
        }
        let ours = ours.or_else(|| self.memory.alloc_range_nid(bounds(0), Fallback::Never).ok());
        self.report.equal(Fact::Operations, 1);
        self.report.equal(Fact::Allocations, 1);
        let mut found = vec![i];
        found.extend(self.consequences(i, None));
        self.follow(ours, size, &found);
        self.settle_all(Fact::Allocations, &found);
    }

    fn call_silently(&mut self, call: &Call<'_>) {
        _ = self.memory.reserve(call.base, call.size());
        self.trace.take();
    }

    /// Places the bookkeeping of the next node; `i` is the first line of it, `at` the one that names it.
    fn node_data(&mut self, i: usize, at: usize) {
        let entries = self.boot.entries();
        self.assign_nodes();
        let Event::NodeData { nid: told, .. } = entries[at].event else { return self.unexpected(i) };
        let node = self.silence.next_node(told).unwrap_or(told);
        let size = self.silence.node_data_bytes;

        let ours = self.memory.phys_alloc_try_nid(size, 64, Nid::from(node)).ok();
        let mut lines = self.trace.take();
        if let Some(base) = ours {
            let last = base.wrapping_add(size).wrapping_sub(1);
            lines.push(format!("NODE_DATA({node}) allocated [mem {base:#010x}-{last:#010x}]"));
            let on = self.memory.search_pfn_nid(base / 4096).map(|span| span.nid);
            if let Some(on) = on.filter(|on| *on != Nid::from(node)) {
                lines.push(format!("    NODE_DATA({node}) on node {}", on.0));
            }
            self.node_data.push(Region::new(base, size));
        }
        self.trace.put(lines);
        self.report.equal(Fact::Operations, 1);
        self.report.equal(Fact::Allocations, 1);

        let mut found: Vec<usize> = (i..=at).filter(|&k| is_memblock(&entries[k].event)).collect();
        found.push(at);
        found.dedup();
        found.extend(entries.get(at + 1).filter(|e| matches!(e.event, Event::NodeDataOn { .. })).map(|_| at + 1));
        self.follow(ours, size, &found);
        self.settle_all(Fact::Allocations, &found);
    }

    /// An array grew and the log does not say of what: something that Linux does without a word.
    fn unsolicited(&mut self, i: usize) {
        let entries = self.boot.entries();
        let mut found = vec![i];
        found.extend(self.consequences(i, None));
        let next = found.last().map_or(i, |last| last + 1);
        let anchor = entries.iter().skip(next).map(|e| &e.event).find(|event| {
            is_memblock(event)
                || matches!(event, Event::Srat { .. } | Event::NumaDummy | Event::SlabUp | Event::Memory { .. })
        });
        match anchor {
            Some(Event::Srat { .. } | Event::NumaDummy) => self.reset_nodes(),
            Some(Event::SlabUp | Event::Memory { .. }) => return self.hand_over(&found),
            _ => self.assign_nodes(),
        }
        self.settle_all(Fact::Doublings, &found);
    }

    /// Hands everything over to the page allocator; `found` tells of arrays that grew meanwhile.
    fn hand_over(&mut self, found: &[usize]) {
        let handed = self.memory.free_all(self.map.max_pfn).map(|blocks| blocks.map(|b| 1u64 << b.order).sum());
        self.settle_all(Fact::Doublings, found);
        self.pages = Some(handed.unwrap_or(0));
        self.reserved = self.memory.reserved().to_vec();
    }
}

/// Returns whether an allocator reserved what it found.
pub(super) fn is_allocation(call: &Call<'_>) -> bool {
    call.function == Function::Reserve && call.caller.starts_with("memblock_alloc_range_nid")
}

pub(super) fn is_growth(caller: &str) -> bool {
    caller.starts_with("memblock_double_array")
}

pub(super) fn is_grown(event: &Event<'_>) -> bool {
    matches!(event, Event::Call(call) if is_growth(call.caller))
}

pub(super) fn is_memblock(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Call(_)
            | Event::Request(_)
            | Event::Doubled { .. }
            | Event::DoubleFailed
            | Event::NotMirrored
            | Event::DumpHeading
            | Event::DumpSizes { .. }
            | Event::DumpCount
            | Event::DumpRegion { .. }
    )
}

/// Returns whether a call comes from the part of the boot that still maps memory.
pub(super) fn maps_memory(event: &Event<'_>) -> bool {
    const CALLERS: [&str; 10] = [
        "init_mem_mapping",
        "alloc_low_pages",
        "init_range_memory_mapping",
        "reserve_real_mode",
        "efi_",
        "kernel_physical",
        "early_memtest",
        "do_one_pass",
        "memory_map",
        "reserve_bad_mem",
    ];
    let of = |caller: &str| CALLERS.iter().any(|c| caller.starts_with(c));
    match event {
        // The real mode trampoline's megabyte.
        Event::Call(call) if is_setup_arch(call.caller) => (call.base, call.last) == (0, 0xf_ffff),
        Event::Call(call) => of(call.caller) || is_allocation(call) || is_growth(call.caller),
        Event::Request(request) => of(request.caller),
        Event::Doubled { .. } | Event::DoubleFailed | Event::NotMirrored => true,
        _ => false,
    }
}
