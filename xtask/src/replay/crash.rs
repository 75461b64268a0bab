// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crash kernel: every request and every word, predicted by the crate `crashkernel` from the command line alone.

use super::boot::Boot;
use super::difference::{Found, compare};
use super::early::Machine;
use super::infer::is_memory_map;
use super::report::{Fact, Report};
use super::trace::Trace;
use crate::dmesg::{self, Event, Request};
use handoff::{Bounds, EarlyMemory, FRAME_BYTES, Ledger, PhysRange, Region};

const SEARCH: &str = "memblock_phys_alloc_range";

/// Returns the place in the log where the crash kernel's memory is looked for, or would be.
pub(super) fn place(boot: &Boot<'_>) -> Option<usize> {
    let dump = boot.dump(1)?;
    let entries = boot.entries();
    (dump + 1..entries.len()).find(|&i| match entries[i].event {
        Event::Crash | Event::SlabUp | Event::Memory { .. } => true,
        Event::Request(request) => request.function == SEARCH || is_memory_map(request.caller),
        Event::Call(call) => call.caller.contains("crashkernel"),
        _ => false,
    })
}

/// Compares what is searched for, found and said, on a copy of memory as it is then.
pub(super) fn replay(boot: &Boot<'_>, memory: &Machine, trace: &Trace, at: usize, report: &mut Report) {
    trace.take();
    let mut memory = Box::new(memory.clone());
    _ = crashkernel::reserve(&boot.command_line, boot.rules, &mut *memory, &Ledger::new(), trace);
    let mut expected = trace.take();
    expected.retain(|line| is_printed_by_linux(line));
    if !boot.tells_searches() {
        expected.retain(|line| !line.starts_with(SEARCH));
    }

    let of_others = |event: &Event<'_>| match event {
        Event::Request(Request { function, caller, .. }) => *function != SEARCH || is_memory_map(caller),
        Event::SlabUp | Event::Memory { .. } => true,
        _ => false,
    };
    let entries = boot.entries()[at..].iter().take_while(|e| !of_others(&e.event));
    let told = entries.filter(|e| {
        matches!(
            e.event,
            Event::Crash
                | Event::Request(_)
                | Event::Call(_)
                | Event::Doubled { .. }
                | Event::DoubleFailed
                | Event::NotMirrored
        )
    });
    let found: Vec<_> = told.map(Found::from).collect();
    let next = boot.entries()[at..].iter().find(|e| of_others(&e.event)).map_or(boot.log.last_line, |e| e.line);
    let around = (boot.line_before(at), next);
    compare(report, Fact::CrashDecisions, &expected, &found, around);
    report.equal(Fact::CrashDecisions, usize::from(expected.is_empty() && found.is_empty()));
}

fn is_printed_by_linux(line: &str) -> bool {
    let memblock = ["memblock_", "memblock: ", "Could not allocate "].iter().any(|start| line.starts_with(start));
    memblock || dmesg::parse(line).first().is_some_and(|log| log.entries.iter().any(|e| e.event == Event::Crash))
}

/// Compares the words of a log without `memblock=debug`: sizes and mistakes follow from the command line, and a place is
/// checked for being one where Linux looks.
pub(super) fn replay_lines(boot: &Boot<'_>, memory: &[PhysRange], memory_size: u64, report: &mut Report) {
    let found: Vec<_> = boot.entries().iter().filter(|e| e.event == Event::Crash).map(Found::from).collect();
    if boot.command_line.contains("crashkernel=auto") && found.iter().any(|f| place_in(f.text).is_some()) {
        return report.skip("crashkernel=auto is an addition of the distribution", found.len());
    }
    let regions: Vec<Region> = memory.iter().map(|r| Region::new(r.start(), r.size())).collect();
    let mut places: Vec<_> = found.iter().filter_map(|f| place_in(f.text)).collect();
    places.sort_unstable_by(|a, b| b.cmp(a)); // Linux takes the highest
    let mut told = Told { regions, memory_size, places };

    let trace = Trace::default();
    _ = crashkernel::reserve(&boot.command_line, boot.rules, &mut told, &Ledger::new(), &trace);
    let mut expected = trace.take();
    expected.retain(|line| is_printed_by_linux(line));
    compare(report, Fact::CrashDecisions, &expected, &found, (0, boot.log.last_line));
    report.equal(Fact::CrashDecisions, usize::from(expected.is_empty() && found.is_empty()));
    report.skip("where the crash kernel lies was checked for possible places only", told.places.len());
}

/// Returns the place a line of success names.
fn place_in(line: &str) -> Option<u64> {
    if let Some((_, rest)) = line.split_once("memory at ") {
        return rest.split_once("MB")?.0.parse::<u64>().ok()?.checked_mul(1 << 20);
    }
    let (_, rest) = line.split_once("reserved: 0x")?;
    u64::from_str_radix(rest.split_once(' ')?.0, 16).ok()
}

/// Memory that answers with the places the log tells of, if they are possible ones.
struct Told {
    regions: Vec<Region>,
    memory_size: u64,
    places: Vec<u64>,
}

impl EarlyMemory for Told {
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64> {
        let fits = |base: &u64| {
            let range = PhysRange::from_size(*base, bounds.size)?;
            let inside = self.regions.iter().any(|r| r.base <= range.start() && range.end() <= r.end());
            let window = base.max(&FRAME_BYTES) >= &bounds.min && range.end() <= bounds.max;
            (inside && window && base.is_multiple_of(bounds.align)).then_some(())
        };
        self.places.iter().copied().find(|base| fits(base).is_some())
    }

    fn alloc_try_nid(&mut self, _: Bounds) -> Option<u64> {
        None
    }

    fn alloc_exact_nid(&mut self, _: Bounds) -> Option<u64> {
        None
    }

    fn free(&mut self, _: u64, _: u64) -> bool {
        true
    }

    fn memory(&self) -> &[Region] {
        &self.regions
    }

    fn reserved(&self) -> &[Region] {
        &[]
    }

    fn memory_size(&self) -> u64 {
        self.memory_size
    }
}
