// SPDX-License-Identifier: MIT OR Apache-2.0
//! What our crates make of a setting: the chain e820, memblock, crashkernel, memmap, and what Linux takes behind it.

use super::hash_tables;
use super::setting::Setting;
use handoff::{
    Blocks, Bounds, Claim, EarlyMemory, EarlyStore, FRAME_BYTES, HostMachine, Ledger, Lines, Log, MemoryMap, Nid,
    Owner, PhysRange, REGIONS, Rules, SECTION_BYTES, Stage, ZoneSpan, memparse, parameters, strtoull,
};
use memblock::{Memblock, Store};
use memmap::{Layout, Movable};
use rangemap::RangeSet;

/// What a setting comes to.
#[derive(Debug)]
pub(super) struct Computed {
    pub(super) map: MemoryMap,
    pub(super) crash: Option<PhysRange>,
    pub(super) crash_low: Option<PhysRange>,
    pub(super) zones: Vec<Zone>,
    pub(super) descriptor_bytes: u64,
    /// Bytes that the page allocator gets in the end.
    pub(super) managed_bytes: u64,
    /// What the crates said.
    pub(super) lines: Vec<String>,
}

/// A zone, with the frames that the page allocator gets in the end.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) span: ZoneSpan,
    pub(super) managed: u64,
}

/// Bytes up to which every device reaches.
const FOUR_GIB: u64 = 4 << 30;

/// Runs the chain.
///
/// # Errors
/// The stage that failed, and why.
pub(super) fn compute(setting: &Setting) -> Result<Computed, String> {
    let command_line = format!("{} {}", rules_word(setting.rules), setting.command_line);
    let mut machine = HostMachine::default();
    let map =
        e820::Sanitize::run(&command_line, setting.firmware.clone(), &mut machine).map_err(|e| format!("e820: {e}"))?;
    let mut nodes = map.clone();
    let made_up = crate::replay::made_up(&command_line, &map, setting.rules);
    if let Some(made_up) = made_up.filter(|_| setting.makes_up_nodes) {
        nodes.affinity.clear();
        nodes.affinity.extend_from_slice(&made_up).map_err(|_| "numa=fake= makes more nodes than our crates take")?;
    }
    let mut blocks =
        memblock::Assemble::run(&command_line, nodes, &mut machine).map_err(|e| format!("memblock: {e}"))?;
    let log = Lines::default();
    let mut memory = Store::restore(&blocks, &command_line, log.clone());
    mirror(setting, &mut memory, &mut blocks.ledger);
    for range in &setting.boot_services {
        _ = memory.reserve(range.start(), range.size());
    }
    for size in log_buffer(setting) {
        take(&mut memory, size, 64, 0);
    }
    Store::save(&memory, &mut blocks);
    let crash =
        crashkernel::Reserve::<Store>::run(&command_line, blocks, &mut machine).unwrap_or_else(|never| match never {});
    let (main, low, mut blocks) = (crash.main, crash.low, crash.blocks);

    let layout = Layout::with_movable(
        &blocks.memory,
        blocks.max_pfn,
        Movable::from_command_line(&command_line).by(setting.rules),
    )
    .map_err(|e| format!("memmap: {e}"))?;
    let mut memory = Store::restore(&blocks, &command_line, log);
    memmap::allocate(&layout, &setting.model, &mut memory, &mut blocks.ledger).map_err(|e| format!("memmap: {e}"))?;
    let full = [Owner::SECTIONS, Owner::DESCRIPTORS, Owner::DESCRIPTOR_TABLES]
        .map(|owner| blocks.ledger.bytes(owner))
        .iter()
        .sum();
    for (size, limit) in later(setting, &layout) {
        take(&mut memory, size, FRAME_BYTES, limit);
    }
    Store::save(&memory, &mut blocks);

    let descriptor_bytes = descriptors(setting, &blocks, full);
    let mut reserved = pages(&blocks);
    give_back(setting, &mut reserved);
    let mut zones: Vec<Zone> =
        layout.zones().iter().map(|&span| Zone { managed: managed(&span, &layout, &reserved), span }).collect();
    // Other descriptors than Linux's leave their room free, wherever that is.
    let saved = full.saturating_sub(descriptor_bytes) / FRAME_BYTES;
    if let Some(last) = zones.last_mut() {
        last.managed = (last.managed + saved).saturating_sub(descriptor_bytes.saturating_sub(full) / FRAME_BYTES);
    }
    // Parts of the image for the start only: nobody says where in it they lie.
    let freed = setting.image_freed_bytes / FRAME_BYTES;
    let holds_image = |z: &&mut Zone| {
        setting.image.is_some_and(|i| (z.span.start_pfn..z.span.end_pfn()).contains(&(i.start() / FRAME_BYTES)))
    };
    if let Some(zone) = zones.iter_mut().find(holds_image) {
        zone.managed += freed;
    }
    let managed_bytes = zones.iter().map(|z| z.managed).sum::<u64>() * FRAME_BYTES;
    Ok(Computed { map, crash: main, crash_low: low, zones, descriptor_bytes, managed_bytes, lines: machine.lines() })
}

const fn rules_word(rules: Rules) -> &'static str {
    match rules {
        Rules::V5_4 => "linux=5.4",
        Rules::V6_1 => "linux=6.1",
        Rules::V6_12 => "linux=6.12",
    }
}

/// Marks memory that is mirrored. Linux does so before it places the bookkeeping of nodes, which moves there.
fn mirror<L: Log>(setting: &Setting, memory: &mut Memblock<REGIONS, L>, ledger: &mut Ledger) {
    for range in &setting.mirrored {
        _ = memory.mark_mirror(range.start(), range.size());
    }
    let of_nodes = |claim: &&Claim| claim.owner == Owner::NODE_DATA && !setting.mirrored.is_empty();
    let old: Vec<PhysRange> = ledger.claims().iter().filter(of_nodes).map(|claim| claim.range).collect();
    for range in old {
        let on = memory.search_pfn_nid(range.start() / FRAME_BYTES).map_or(Nid::NONE, |span| span.nid);
        let bounds = Bounds { size: range.size(), align: 64, min: 0, max: 0, nid: on };
        let place = memory.alloc_try_nid(bounds).ok().and_then(|base| PhysRange::from_size(base, range.size()));
        if let Some(place) = place
            && ledger.release(range).is_ok()
        {
            _ = memory.free(range.start(), range.size());
            _ = ledger.claim(Owner::NODE_DATA, place);
        }
    }
}

/// Takes memory as high as it goes below a limit, 0 for none.
fn take<M: EarlyMemory>(memory: &mut M, size: u64, align: u64, limit: u64) {
    if size > 0 {
        _ = memory.alloc_try_nid(Bounds { size, align, min: 0, max: limit, nid: Nid::NONE });
    }
}

/// Returns the pieces of a log larger than the one in the image: text, descriptors and their fields.
fn log_buffer(setting: &Setting) -> Vec<u64> {
    let asked = parameters(&setting.command_line).filter(|(name, _)| *name == "log_buf_len").last().and_then(|p| p.1);
    let bytes = asked.map_or(0, |value| memparse(value.as_bytes()).0.min(1 << 31)).next_power_of_two();
    match setting.rules {
        // Up to 128 KiB are in the image.
        _ if bytes <= 128 << 10 => Vec::new(),
        Rules::V5_4 => vec![bytes],
        Rules::V6_1 | Rules::V6_12 => vec![bytes, bytes / 4 * 3, bytes / 4 * 11],
    }
}

/// Returns what is taken behind the descriptors: bytes, and the address it must lie below.
fn later(setting: &Setting, layout: &Layout) -> Vec<(u64, u64)> {
    let value = |wanted: &str| parameters(&setting.command_line).filter(|(name, _)| *name == wanted).last();
    let mut later = vec![(setting.per_cpu_bytes, 0)];
    // With several nodes the tables are in virtual memory, and taken from the page allocator.
    if layout.nodes().count() == 1 {
        later.extend(hash_tables::sizes(layout.present(), &setting.command_line).map(|size| (size, 0)));
    }
    let bounce = value("swiotlb").and_then(|p| p.1).unwrap_or_default();
    let slots = strtoull(bounce.as_bytes()).0.saturating_mul(2048);
    let off = bounce.contains("noforce") || value("iommu").is_some_and(|p| p.1 == Some("off"));
    let forced = bounce.contains("force") && !bounce.contains("noforce");
    // Memory that may be plugged in later counts as well.
    let plugged = setting.firmware.affinity.iter().any(|a| a.range.end() > FOUR_GIB);
    if forced || !off && (plugged || layout.max_pfn() > FOUR_GIB / FRAME_BYTES) {
        let bytes = if slots > 0 { slots } else { 64 << 20 };
        // A record of 24 bytes for each slot.
        later.extend([(bytes, FOUR_GIB), (bytes / 2048 * 24, 0)]);
    }
    later
}

/// Returns the bytes of descriptors that are made at the start.
fn descriptors(setting: &Setting, blocks: &Blocks, full: u64) -> u64 {
    if !setting.lazy {
        return full.saturating_mul(setting.descriptor_bytes) / 64;
    }
    // A section is split when a part of it is reserved.
    let split: RangeSet<u64> =
        blocks.reserved.iter().map(|r| r.base / SECTION_BYTES..r.end().div_ceil(SECTION_BYTES)).collect();
    let sections: u64 = split.iter().map(|s| s.end - s.start).sum();
    (sections * (SECTION_BYTES / FRAME_BYTES) * setting.descriptor_bytes)
        .min(full.saturating_mul(setting.descriptor_bytes) / 64)
}

/// Returns the numbers of the frames in which something is reserved.
fn pages(blocks: &Blocks) -> RangeSet<u64> {
    blocks.reserved.iter().map(|r| r.base / FRAME_BYTES..r.end().div_ceil(FRAME_BYTES)).collect()
}

/// Frees what is needed for the start only.
fn give_back(setting: &Setting, reserved: &mut RangeSet<u64>) {
    let services = setting.boot_services.iter().filter(|_| setting.services_end);
    for range in setting.initrd.iter().chain(services).filter_map(|range| range.inward()) {
        reserved.remove(range.start() / FRAME_BYTES..range.end() / FRAME_BYTES);
    }
}

fn managed(zone: &ZoneSpan, layout: &Layout, reserved: &RangeSet<u64>) -> u64 {
    let memory = layout.memory().iter().filter(|m| m.node() == zone.node);
    let inside = memory.filter_map(|m| {
        let (start, end) = (m.start_pfn.max(zone.start_pfn), m.end_pfn.min(zone.end_pfn()));
        (start < end).then_some(start..end)
    });
    let free = |frames: std::ops::Range<u64>| {
        let taken: u64 = reserved.overlapping(&frames).map(|r| r.end.min(frames.end) - r.start.max(frames.start)).sum();
        frames.end - frames.start - taken
    };
    inside.map(free).sum()
}
