// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory by address, as each stage sees it.

use super::claims::Claims;
use super::facts::{Facts, Named, file, log};
use super::model::{Evidence, Lane, Owner, Span};
use super::proc::{frames, memory_kind};
use super::record::{IOMEM, ZONEINFO};
use crate::dmesg::Event;
use handoff::PhysRange;
use rangemap::RangeSet;

/// Spans of which the first to take an address of a lane has it.
#[derive(Default)]
struct Map {
    taken: RangeSet<u64>,
    spans: Vec<Span>,
}

impl Map {
    fn add(&mut self, range: PhysRange, span: &Span) {
        let whole = range.start()..range.end();
        let gaps: Vec<_> = self.taken.gaps(&whole).collect();
        for gap in gaps {
            self.spans.push(Span { start: gap.start, end: gap.end, ..span.clone() });
        }
        self.taken.insert(whole);
    }

    /// Starts another lane.
    fn next(&mut self) {
        self.taken.clear();
    }
}

/// Returns the spans, with the map after the user's changes if our crate made one.
pub(super) fn map(facts: &Facts<'_>, claims: Option<&Claims>, e820: &[(PhysRange, String)]) -> Vec<Span> {
    let mut map = Map::default();
    for entry in &facts.firmware {
        map.add(entry.range, &of_kind(Lane::Firmware, &entry.name, Some(&entry.evidence)));
    }
    map.next();
    for (range, name) in e820 {
        map.add(*range, &of_kind(Lane::E820, name, None));
    }
    map.next();
    reservations(facts, claims, &mut map);
    let reserved = map.taken.clone();
    for (node, memory) in &facts.memory {
        let free = span(Lane::Memblock, Owner::All, "free", Some(*node), Some(&memory.evidence));
        map.add(memory.range, &free);
    }
    map.next();
    for (area, evidence) in &facts.crash {
        let label = if area.is_low { "Crash kernel, low part" } else { "Crash kernel" };
        map.add(area.range, &span(Lane::Crashkernel, Owner::CrashKernel, label, None, Some(evidence)));
    }
    map.next();
    zones(facts, &mut map);
    map.next();
    for (node, memory) in &facts.memory {
        for free in reserved.gaps(&(memory.range.start()..memory.range.end())) {
            let whole = PhysRange::new(free.start, free.end).and_then(PhysRange::inward);
            let managed = span(Lane::Buddy, Owner::Managed, "Managed by the page allocator", Some(*node), None);
            whole.into_iter().for_each(|range| map.add(range, &managed));
        }
    }
    map.spans.sort_by_key(|span| (span.lane, span.start));
    map.spans
}

fn span(lane: Lane, owner: Owner, label: &str, node: Option<u32>, evidence: Option<&Evidence>) -> Span {
    Span { lane, start: 0, end: 0, owner, label: label.to_owned(), node, evidence: evidence.cloned() }
}

fn of_kind(lane: Lane, name: &str, evidence: Option<&Evidence>) -> Span {
    let owner = if memory_kind(name).is_ram() { Owner::All } else { Owner::Firmware };
    span(lane, owner, name, None, evidence)
}

/// Adds what is reserved: all of it with `memblock=debug`, else what other lines name.
fn reservations(facts: &Facts<'_>, claims: Option<&Claims>, map: &mut Map) {
    if let Some(claims) = claims {
        for (range, origin) in claims.iter() {
            let about = origin.share.about();
            let label = format!("{} ({})", about.label, origin.label);
            map.add(range, &span(Lane::Memblock, about.owner, &label, None, Some(&origin.evidence)));
        }
        return;
    }
    for (area, evidence) in &facts.crash {
        map.add(area.range, &span(Lane::Memblock, Owner::CrashKernel, "Crash kernel", None, Some(evidence)));
    }
    for area in facts.kernel() {
        let evidence = file(IOMEM.name, area.line, &facts.record.iomem);
        map.add(area.range, &span(Lane::Memblock, Owner::KernelImage, &area.name, None, Some(&evidence)));
    }
    for entry in &facts.entries {
        let (start, last, owner, label) = match entry.event {
            Event::Ramdisk { start, last } => (start, last, Owner::Initrd, "Initial RAM disk"),
            Event::NodeData { start, last, .. } => (start, last, Owner::NodeData, "Node data"),
            // Its last address is the one after the last byte.
            Event::IoTlb { start, last } => (start, last.saturating_sub(1), Owner::Swiotlb, "Bounce buffers (swiotlb)"),
            _ => continue,
        };
        if let Some(range) = super::claims::last(start, last) {
            map.add(range, &span(Lane::Memblock, owner, label, None, Some(&log(entry))));
        }
    }
}

fn zones(facts: &Facts<'_>, map: &mut Map) {
    for zone in &facts.zones {
        let end = zone.start.saturating_add(zone.spanned);
        let Some(whole) = PhysRange::new(frames(zone.start), frames(end)) else { continue };
        let evidence = file(ZONEINFO.name, zone.line, &facts.record.zoneinfo);
        let zone_span = span(Lane::Memmap, Owner::PageDescriptors, &zone.name, Some(zone.node), Some(&evidence));
        let of_node = |memory: &&(u32, Named)| memory.0 == zone.node;
        for (_, memory) in facts.memory.iter().filter(of_node) {
            memory.range.intersection(whole).into_iter().for_each(|range| map.add(range, &zone_span));
        }
    }
}
