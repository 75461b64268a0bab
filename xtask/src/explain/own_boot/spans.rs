// SPDX-License-Identifier: MIT OR Apache-2.0
//! The map of a boot of our own image: what each stage left.

use super::{Record, owner};
use crate::explain::model::{Lane, Owner, Span};
use handoff::{Account, Blocks, Claim, FRAME_BYTES, MemoryKind, Nid, PhysRange};

/// Returns the spans of all lanes that the boot came to, sorted.
pub(super) fn spans(record: &Record<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut add = |lane, range: PhysRange, owner, label: &str, node: Option<u16>| {
        let evidence = record.evidence(range);
        let (start, end, label, node) = (range.start(), range.end(), label.to_owned(), node.map(u32::from));
        spans.push(Span { lane, start, end, owner, label, node, evidence });
    };

    for entry in record.firmware.iter().flat_map(|firmware| &firmware.map) {
        if let Some(range) = PhysRange::capped(entry.addr, entry.size) {
            add(Lane::Firmware, range, owner_of_kind(entry.kind), &entry.kind.to_string(), None);
        }
    }
    for entry in record.map.iter().flat_map(|map| &map.map) {
        add(Lane::E820, entry.range, owner_of_kind(entry.kind), &entry.kind.to_string(), None);
    }
    if let Some(blocks) = record.last_blocks() {
        let claims = blocks.ledger.claims();
        for claim in claims.iter().filter(|claim| claim.owner.account() == Account::Reserved) {
            add(Lane::Memblock, claim.range, owner(claim.owner), claim.owner.words(), None);
        }
        for (range, nid) in unclaimed(blocks, claims) {
            add(Lane::Memblock, range, Owner::All, "memory, not reserved", nid.number());
        }
    }
    if let Some(crash) = &record.crash {
        for (range, name) in [(crash.main, "crash kernel"), (crash.low, "crash kernel, low")] {
            if let Some(range) = range {
                add(Lane::Crashkernel, range, Owner::CrashKernel, name, None);
            }
        }
    }
    for zone in record.frames.iter().flat_map(|frames| &frames.zones) {
        let bytes = |frames: u64| frames.saturating_mul(FRAME_BYTES);
        if let Some(range) = PhysRange::capped(bytes(zone.start_pfn), bytes(zone.spanned)) {
            add(Lane::Memmap, range, Owner::PageDescriptors, zone.kind.name(), Some(zone.node));
        }
    }
    if let (Some(zones), Some(blocks)) = (&record.zones, record.last_blocks()) {
        // Boot gives memory back after the last hand-off.
        let claims = record.recording.claims().unwrap_or_else(|| zones.ledger.claims().to_vec());
        for (range, nid) in unclaimed(blocks, &claims) {
            add(Lane::Buddy, range, Owner::Managed, "free for programs", nid.number());
        }
    }
    spans.sort_by_key(|span| (span.lane, span.start));
    spans
}

/// Returns the parts of memory that no claim covers, with their node.
fn unclaimed(blocks: &Blocks, claims: &[Claim]) -> Vec<(PhysRange, Nid)> {
    let mut free = Vec::new();
    for region in &blocks.memory {
        let mut from = region.base;
        for claim in claims.iter().filter(|c| c.range.end() > region.base && c.range.start() < region.end()) {
            free.extend(PhysRange::new(from, claim.range.start()).map(|range| (range, region.nid)));
            from = from.max(claim.range.end());
        }
        free.extend(PhysRange::new(from, region.end()).map(|range| (range, region.nid)));
    }
    free
}

fn owner_of_kind(kind: MemoryKind) -> Owner {
    if kind.is_ram() { Owner::All } else { Owner::Firmware }
}
