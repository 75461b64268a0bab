// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who has which reserved bytes when memory is handed over, from a log with `memblock=debug`.

use super::facts::{Facts, function, log};
use super::model::Evidence;
use super::share::Share;
use crate::dmesg::{Array, Call, Event, Function, Request};
use handoff::{FRAME_BYTES, PhysRange};
use rangemap::{RangeMap, RangeSet};
use std::ops::Range;

/// Why a range is reserved.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) share: Share,
    /// The function that asked, or what lies there.
    pub(super) label: String,
    pub(super) evidence: Evidence,
}

/// The reserved ranges. The first who took a byte has it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    origins: Vec<Origin>,
    ranges: RangeMap<u64, usize>,
}

impl Claims {
    /// Returns every claim in order, with its range.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PhysRange, &Origin)> {
        let origin = |(range, number): (&Range<u64>, &usize)| {
            Some((PhysRange::new(range.start, range.end)?, self.origins.get(*number)?))
        };
        self.ranges.iter().filter_map(origin)
    }

    /// Returns the bytes of the pages of memory in which nothing is free.
    pub(super) fn reserved_bytes(&self, memory: &[PhysRange]) -> u64 {
        let pages: RangeSet<u64> = self
            .ranges
            .iter()
            .map(|(r, _)| r.start - r.start % FRAME_BYTES..r.end.div_ceil(FRAME_BYTES).saturating_mul(FRAME_BYTES))
            .collect();
        let inside = memory.iter().flat_map(|m| {
            let bounds = m.start()..m.end();
            pages.overlapping(&bounds).map(|p| p.end.min(m.end()) - p.start.max(m.start())).collect::<Vec<_>>()
        });
        inside.sum()
    }

    fn take(&mut self, range: PhysRange, origin: Origin) {
        let whole = range.start()..range.end();
        let gaps: Vec<_> = self.ranges.gaps(&whole).collect();
        for gap in gaps {
            self.ranges.insert(gap, self.origins.len());
        }
        self.origins.push(origin);
    }

    /// Does what the log shows up to the hand-over.
    pub(super) fn replay(facts: &Facts<'_>) -> Self {
        let mut claims = Self::default();
        let mut asked: Option<&Request<'_>> = None;
        let mut dumps = 0;
        for (at, entry) in facts.entries.iter().enumerate().take(facts.handover.unwrap_or(usize::MAX)) {
            match &entry.event {
                Event::Request(request) => asked = Some(request),
                Event::DumpHeading => {
                    dumps += 1;
                    if dumps == 1 {
                        claims.before_the_log(facts, at);
                    }
                }
                Event::DumpRegion { array: Array::Reserved, base, last, .. } if dumps == 1 => {
                    claims.silent(facts, *base, *last, log(entry));
                }
                Event::Call(call) => {
                    let Some(range) = last(call.base, call.last) else { continue };
                    match call.function {
                        Function::Reserve => {
                            let by =
                                asked.take().filter(|_| is_internal(call.caller)).map_or(call.caller, |r| r.caller);
                            let (share, label) = purpose(facts, call, range, function(by));
                            claims.take(range, Origin { share, label, evidence: log(entry) });
                        }
                        Function::Free => claims.ranges.remove(range.start()..range.end()),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        claims
    }

    /// Takes what lies in memory since the loader, as far as later lines tell where.
    fn before_the_log(&mut self, facts: &Facts<'_>, dump: usize) {
        for entry in &facts.entries {
            if let Event::Ramdisk { start, last: end } = entry.event
                && let Some(range) = last(start, end)
            {
                self.take(range, Origin { share: Share::Initrd, label: "initrd".into(), evidence: log(entry) });
            }
        }
        // The tables right behind the kernel are reserved with a word; the kernel lies in the same region of the dump.
        let brk = facts.entries[..dump].iter().find_map(|e| match e.event {
            Event::Call(call) if ["setup_arch", "reserve_brk"].contains(&function(call.caller)) => {
                last(call.base, call.last)
            }
            _ => None,
        });
        let Some(brk) = brk else { return };
        for entry in &facts.entries[dump..] {
            if let Event::DumpRegion { array: Array::Reserved, base, last: end, .. } = entry.event
                && base <= brk.start()
                && brk.end() - 1 <= end
                && let Some(range) = PhysRange::new(base, brk.end())
            {
                // What the loader placed in front of the kernel may touch it; images start at whole 2 MiB.
                let label = "kernel image".to_owned();
                self.ranges.remove(brk.start()..brk.end());
                return self.take(range, Origin { share: Share::KernelImage, label, evidence: log(entry) });
            }
        }
    }

    /// Takes what the first dump shows as reserved and nobody told of.
    fn silent(&mut self, facts: &Facts<'_>, base: u64, end: u64, evidence: Evidence) {
        let Some(range) = last(base, end) else { return };
        let (share, label) = if range.end() <= LOW_BYTES {
            (Share::LowMemory, "first pages and BIOS data")
        } else if facts.kernel().iter().any(|area| area.range.overlaps(range)) {
            (Share::KernelImage, "kernel image")
        } else {
            (Share::Loader, "before the first line of memblock=debug")
        };
        self.take(range, Origin { share, label: label.into(), evidence });
    }
}

/// Where PCs keep what is older than they are.
pub(super) const LOW_BYTES: u64 = 1 << 20;

/// Returns the range up to an inclusive last address.
pub(super) fn last(base: u64, last: u64) -> Option<PhysRange> {
    PhysRange::new(base, last.checked_add(1)?)
}

/// Returns whether memblock itself reserves, for who asked before.
fn is_internal(caller: &str) -> bool {
    caller.starts_with("memblock_alloc")
        || caller.starts_with("memblock_phys_alloc")
        || caller.starts_with("__memblock")
}

fn purpose(facts: &Facts<'_>, call: &Call<'_>, range: PhysRange, by: &str) -> (Share, String) {
    let crash = facts.crash.iter().find(|(area, _)| area.range.start() == range.start());
    let node =
        || facts.entries.iter().any(|e| matches!(e.event, Event::NodeData { start, .. } if start == range.start()));
    let initrd = || {
        let start = |e: &Event<'_>| match *e {
            Event::Ramdisk { start, .. } | Event::NewRamdisk { start, .. } => Some(start),
            _ => None,
        };
        facts.entries.iter().any(|e| start(&e.event) == Some(range.start()))
    };
    match crash {
        Some((area, _)) if area.is_low => return (Share::CrashLow, "crash kernel, low".into()),
        Some(_) => return (Share::Crash, "crash kernel".into()),
        None => {}
    }
    if function(call.caller) == "memblock_double_array" {
        (Share::Other, "memblock's own arrays".into())
    } else if node() {
        (Share::NodeData, "node data".into())
    } else if initrd() {
        (Share::Initrd, "initrd".into())
    } else if range.end() <= LOW_BYTES && Share::of_caller(by) == Share::Other {
        (Share::LowMemory, by.to_owned())
    } else {
        (Share::of_caller(by), by.to_owned())
    }
}
