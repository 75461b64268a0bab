// SPDX-License-Identifier: MIT OR Apache-2.0
//! Early memory: every operation of the log on the crate `memblock`, every address and every line compared.

use super::boot::{Boot, is_setup_arch};
use super::crash;
use super::difference::{Found, compare};
use super::infer::{self, Silence};
use super::memory_map;
use super::report::{Fact, Mismatch, Report};
use super::table::Outcome;
use super::trace::Trace;
use crate::dmesg::{self, Call, Entry, Event, Function, Request};
use handoff::{Bounds, Direction, Nid, Region, RegionFlags, Rules};
use memblock::{ArrayParts, Error, Memblock, Parts, Policy};

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
    used: Vec<bool>,
    dumps: usize,
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
        let (node_data, at_zones) = (Vec::new(), Vec::new());
        Self { boot, map, report, trace, memory, silence, node_data, at_zones, pages: None, used, dumps: 0 }
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
        self.report.skip("after the hand-over, when memblock is no more", self.silence.late);
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

    /// Goes on with Linux's answer where ours is another one, so that one difference is one difference.
    fn follow(&mut self, ours: Option<u64>, size: u64, found: &[usize]) {
        let entries = self.boot.entries();
        let linux = found.iter().find_map(|&i| match entries[i].event {
            Event::Call(call) if is_allocation(&call) => Some((call.base, call.size())),
            _ => None,
        });
        if ours == linux.map(|(base, _)| base) {
            return;
        }
        let lines = self.trace.take();
        if let Some(ours) = ours {
            _ = self.memory.free(ours, size);
        }
        if let Some((base, size)) = linux {
            _ = self.memory.reserve(base, size);
        }
        self.trace.take();
        self.trace.put(lines);
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
            Some((_, Entry { event: Event::Cma { .. }, .. })) => self.call(i, call),
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

    /// Compares a dump, and goes on with what Linux has.
    fn dump(&mut self, i: usize) {
        if self.dumps == 0 {
            _ = self.memory.trim_memory(4096);
        }
        self.trace.take();
        self.memory.dump();

        let entries = self.boot.entries();
        let is_dump =
            |e: &Event<'_>| matches!(e, Event::DumpSizes { .. } | Event::DumpCount | Event::DumpRegion { .. });
        let mut found = vec![i];
        found.extend((i + 1..entries.len()).take_while(|&k| is_dump(&entries[k].event)));
        self.report.equal(Fact::Dumps, 1);
        if !self.settle_all(Fact::DumpLines, &found) {
            self.adopt(&found);
        }
        self.dumps += 1;
        self.after_dump(i);
    }

    /// Takes over the regions of a dump that differs, so that it is not the reason for everything that follows.
    fn adopt(&mut self, found: &[usize]) {
        let entries = self.boot.entries();
        let parts = self.memory.parts();
        let list = |wanted: dmesg::Array, ours: &[Region]| -> Vec<Region> {
            let regions = found.iter().filter_map(|&i| match entries[i].event {
                Event::DumpRegion { array, base, last, nid, flags, .. } if array == wanted => {
                    let size = last.wrapping_sub(base).wrapping_add(1);
                    let same = ours.iter().find(|r| r.base == base).map_or(Nid::UNSET, |r| r.nid);
                    let unset = if same.number().is_some() { self.memory.policy().no_nid() } else { same };
                    Some(Region { base, size, nid: nid.map_or(unset, Nid::from), flags: RegionFlags(flags) })
                }
                _ => None,
            });
            regions.collect()
        };
        let (memory, reserved) =
            (list(dmesg::Array::Memory, parts.memory.regions), list(dmesg::Array::Reserved, parts.reserved.regions));
        let sum = |regions: &[Region]| regions.iter().fold(0u64, |sum, r| sum.wrapping_add(r.size));
        let array = |ours: ArrayParts<'_>, regions: &[Region]| {
            let stale = ours.total_size.wrapping_sub(sum(ours.regions));
            (ours.max.max(regions.len()), sum(regions).wrapping_add(stale), ours.place)
        };
        let (m, r) = (array(parts.memory, &memory), array(parts.reserved, &reserved));
        let adopted = Parts {
            memory: ArrayParts { regions: &memory, max: m.0, total_size: m.1, place: m.2 },
            reserved: ArrayParts { regions: &reserved, max: r.0, total_size: r.1, place: r.2 },
            ..parts
        };
        if let Ok(adopted) = Memblock::from_parts(&adopted, self.trace.clone()) {
            *self.memory = adopted;
        }
    }

    /// Hands everything over to the page allocator; `found` tells of arrays that grew meanwhile.
    fn hand_over(&mut self, found: &[usize]) {
        let handed = self.memory.free_all(self.map.max_pfn).map(|blocks| blocks.map(|b| 1u64 << b.order).sum());
        self.settle_all(Fact::Doublings, found);
        self.pages = Some(handed.unwrap_or(0));
    }

    /// Returns the lines behind `i` that follow from it: an address for a request of that size, arrays that grow.
    fn consequences(&self, i: usize, size: Option<u64>) -> Vec<usize> {
        let entries = self.boot.entries();
        let mut answered = size.is_none();
        let mut found = Vec::new();
        for k in i + 1..entries.len() {
            match entries[k].event {
                _ if self.used[k] => {}
                Event::Doubled { .. } | Event::DoubleFailed | Event::NotMirrored => found.push(k),
                Event::Call(call) if is_growth(call.caller) => found.push(k),
                Event::Call(call) if !answered && is_allocation(&call) && !self.is_of_a_node(k, &call, size) => {
                    answered = true;
                    found.push(k);
                }
                ref event if is_memblock(event) || matches!(event, Event::NodeData { .. } | Event::SlabUp) => break,
                _ => {}
            }
        }
        found
    }

    /// Returns whether an address belongs to the bookkeeping of a node, which the next line names, and not to the request
    /// before it.
    fn is_of_a_node(&self, k: usize, call: &Call<'_>, size: Option<u64>) -> bool {
        let rest = &self.boot.entries()[k + 1..];
        let next = rest.iter().find(|e| !matches!(e.event, Event::Doubled { .. }) && !is_grown(&e.event));
        size != Some(call.size()) && next.is_some_and(|e| matches!(e.event, Event::NodeData { .. }))
    }

    /// Compares our lines so far with the line `i` and those that follow from it.
    fn settle(&mut self, fact: Fact, i: usize, found: Vec<usize>) {
        let mut all = vec![i];
        all.extend(found);
        self.settle_all(fact, &all);
    }

    fn settle_all(&mut self, fact: Fact, found: &[usize]) -> bool {
        let mut expected = self.trace.take();
        if self.boot.rules == Rules::V5_4 {
            expected.retain(|line| !line.starts_with("memblock_phys_alloc_range: "));
        }
        let entries = self.boot.entries();
        found.iter().for_each(|&i| self.used[i] = true);
        self.drop_rate_limited(&mut expected, found);

        let end = found.last().map_or(self.boot.log.last_line, |&i| entries[i].line);
        let doublings = expected.iter().filter(|l| l.starts_with("memblock: ")).count();
        let lines: Vec<_> = found.iter().map(|&i| Found::from(&entries[i])).collect();
        let mut scratch = Report::default();
        let equal = compare(&mut scratch, fact, &expected, &lines, end);
        scratch.mismatches().iter().for_each(|m| self.report.mismatch(m.clone()));
        if fact == Fact::DumpLines {
            self.report.equal(fact, scratch.count(fact));
        }
        self.report.equal(Fact::Doublings, doublings);
        equal
    }

    /// Linux says at most ten times from one place that there is no mirrored memory left; there are two such places.
    fn drop_rate_limited(&mut self, expected: &mut Vec<String>, found: &[usize]) {
        const LIMIT: usize = 10;
        let said = |line: &String| line.starts_with("Could not allocate ");
        let told = found.iter().filter(|&&i| self.boot.entries()[i].event == Event::NotMirrored).count();
        let ours = expected.iter().filter(|l| said(l)).count();
        if ours > told && self.silence.not_mirrored >= LIMIT {
            let mut said_so_far = 0;
            expected.retain(|l| {
                said_so_far += usize::from(said(l));
                !said(l) || said_so_far <= told
            });
        }
        self.silence.not_mirrored += ours;
    }

    fn unexpected(&mut self, i: usize) {
        let entry = &self.boot.entries()[i];
        self.used[i] = true;
        let (line, got) = (entry.line, Some(entry.text.clone()));
        self.report.mismatch(Mismatch { line, what: Fact::Operations, expected: None, got });
    }

    /// Names what Linux did and our crate could not.
    fn complain(&mut self, i: usize, done: Result<(), Error>) {
        let entry = &self.boot.entries()[i];
        // A failure to grow is a line of its own, and compared as such.
        let told = self.boot.entries().get(i + 1).is_some_and(|e| e.event == Event::DoubleFailed);
        if let Err(error) = done.or_else(|e| if told { Ok(()) } else { Err(e) }) {
            let (line, got) = (entry.line, Some(entry.text.clone()));
            self.report.mismatch(Mismatch { line, what: Fact::Operations, expected: Some(error.to_string()), got });
        }
    }
}

/// Returns whether an allocator reserved what it found.
pub(super) fn is_allocation(call: &Call<'_>) -> bool {
    call.function == Function::Reserve && call.caller.starts_with("memblock_alloc_range_nid")
}

fn is_growth(caller: &str) -> bool {
    caller.starts_with("memblock_double_array")
}

fn is_grown(event: &Event<'_>) -> bool {
    matches!(event, Event::Call(call) if is_growth(call.caller))
}

fn is_memblock(event: &Event<'_>) -> bool {
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
