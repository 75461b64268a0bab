// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAM of the firmware's map that the kernel does not take for memory, by reason.

use super::claims::LOW_BYTES;
use super::facts::{Facts, Named, log, maps};
use super::model::Evidence;
use super::proc::memory_kind;
use crate::dmesg::{Edit, Event};
use handoff::{FRAME_BYTES, PhysRange};
use rangemap::RangeSet;

/// The name of what the user took away.
pub(super) const LIMIT: &str = "Limit on the command line";

/// Bytes with one reason.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) label: &'static str,
    pub(super) why: &'static str,
    pub(super) bytes: u64,
    pub(super) evidence: Vec<Evidence>,
    /// Whether taking the parameter off the command line gives it back.
    pub(super) is_asked_for: bool,
}

/// A reason, and the memory it can explain.
struct Reason {
    label: &'static str,
    why: &'static str,
    ranges: RangeSet<u64>,
    evidence: Vec<Evidence>,
    is_asked_for: bool,
}

/// Returns what went missing between RAM and memory, and the bytes of memory that is no RAM of the firmware's.
pub(super) fn losses(facts: &Facts<'_>, memory: &[PhysRange]) -> (Vec<Loss>, u64) {
    let ram: RangeSet<u64> = of_kind(&facts.firmware, true);
    let memory: RangeSet<u64> = memory.iter().map(|m| m.start()..m.end()).collect();
    let mut lost = minus(&ram, &memory);
    let added = size(&minus(&memory, &ram));

    let mut losses = Vec::new();
    for reason in reasons(facts, &ram) {
        let left = minus(&lost, &reason.ranges);
        let bytes = size(&lost) - size(&left);
        lost = left;
        if bytes > 0 {
            let Reason { label, why, evidence, is_asked_for, .. } = reason;
            losses.push(Loss { label, why, bytes, evidence, is_asked_for });
        }
    }
    let parts = lost.iter().filter(|range| range.end - range.start < FRAME_BYTES).map(|r| r.end - r.start).sum();
    if parts > 0 {
        losses.push(Loss {
            label: "Parts of pages",
            why: "Entries of the firmware's map that start or end within a page of 4 KiB.",
            bytes: parts,
            evidence: Vec::new(),
            is_asked_for: false,
        });
    }
    (losses, added)
}

/// Returns the reasons there can be; the first that fits counts.
fn reasons(facts: &Facts<'_>, ram: &RangeSet<u64>) -> Vec<Reason> {
    let bios = RangeSet::from_iter([0..FRAME_BYTES, 0xa_0000..LOW_BYTES]);
    let mut reasons = vec![Reason {
        label: "First page and 640K-1M",
        why: "Left to the BIOS, which keeps its data there.",
        ranges: bios.clone(),
        evidence: edits(facts, |range, _| bios.overlaps(&(range.start()..range.end()))),
        is_asked_for: false,
    }];
    let mut left = ram.clone();
    for (who, map) in maps(&facts.entries) {
        let (label, why, is_asked_for) = match who {
            "user" => (LIMIT, "mem= or memmap= takes it away.", true),
            "modified" => ("Not cached", "The processor would be slow there (MTRR), so Linux gives it up.", false),
            _ => continue,
        };
        let after = of_kind(&map, true);
        let evidence = facts.parameter(&["mem", "memmap"]).filter(|_| is_asked_for).into_iter().collect();
        reasons.push(Reason { label, why, ranges: minus(&left, &after), evidence, is_asked_for });
        left = after;
    }
    let taken = |range: PhysRange, new: Option<&str>| {
        new.is_none_or(|new| !memory_kind(new).is_ram() && new != "usable") && range.start() >= FRAME_BYTES
    };
    let ranges = facts.entries.iter().filter_map(edit).filter(|(range, new)| taken(*range, *new));
    reasons.push(Reason {
        label: "Taken out of the map",
        why: "Set aside by Linux or EFI for a special purpose.",
        ranges: ranges.map(|(range, _)| range.start()..range.end()).collect(),
        evidence: edits(facts, taken),
        is_asked_for: false,
    });
    reasons
}

/// Returns the range of an edit, and what it became.
fn edit<'a>(entry: &crate::dmesg::Entry<'a>) -> Option<(PhysRange, Option<&'a str>)> {
    let Event::Edit(edit) = entry.event else { return None };
    let (start, last, new) = match edit {
        Edit::Update { start, last, new, .. } => (start, last, Some(new)),
        Edit::Remove { start, last, .. } => (start, last, None),
    };
    Some((PhysRange::new(start, last.checked_add(1)?)?, new))
}

fn edits(facts: &Facts<'_>, wanted: impl Fn(PhysRange, Option<&str>) -> bool) -> Vec<Evidence> {
    let of = facts.entries.iter().filter(|e| edit(e).is_some_and(|(range, new)| wanted(range, new)));
    of.take(3).map(log).collect()
}

/// Returns the RAM of a map, or the rest.
pub(super) fn of_kind(map: &[Named], is_ram: bool) -> RangeSet<u64> {
    let wanted = map.iter().filter(|e| memory_kind(&e.name).is_ram() == is_ram);
    wanted.map(|e| e.range.start()..e.range.end()).collect()
}

fn minus(a: &RangeSet<u64>, b: &RangeSet<u64>) -> RangeSet<u64> {
    let mut left = a.clone();
    for range in b.iter() {
        left.remove(range.clone());
    }
    left
}

/// Returns the bytes of ranges.
pub(super) fn size(ranges: &RangeSet<u64>) -> u64 {
    ranges.iter().map(|r| r.end - r.start).fold(0, u64::saturating_add)
}
