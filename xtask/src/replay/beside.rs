// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a capture tells beside its log of the page allocator: zones, frames, and the memory it was given.

use super::boot::Boot;
use super::capture::Capture;
use super::frames::Frames;
use super::free_blocks::{self, Free, FreeBlocks, Movables};
use super::freed;
use super::report::{Fact, Report};
use super::zoneinfo;
use handoff::{FrameState, Region, Rules, SECTION_FRAMES, ZoneSpan};
use memmap::{FrameRun, Layout, Movable};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const HANDOVER: &str = "handover.json";

/// The page allocator of a kernel that was stopped when it had handed over early memory.
#[derive(Deserialize)]
struct Stopped {
    kernel: String,
    max_pfn: u64,
    max_low_pfn: u64,
    nodes: Vec<Node>,
    /// First frame, end, and what the frames are for.
    pageblock_migratetype: Vec<(u64, u64, u8)>,
}

#[derive(Deserialize)]
struct Node {
    nid: u16,
    node_start_pfn: u64,
    spanned: u64,
    present: u64,
    /// 0 if there is none.
    first_deferred_pfn: Option<u64>,
    zones: Vec<Zone>,
}

#[derive(Deserialize)]
struct Zone {
    zone: String,
    zone_start_pfn: u64,
    spanned: u64,
    present: u64,
    managed: u64,
    free: Vec<Free>,
}

/// Compares what the files of the capture tell. `memory` and `reserved` are as they were at the hand-over.
pub(super) fn compare(
    capture: &Capture,
    boot: &Boot<'_>,
    max_pfn: u64,
    (memory, reserved): (&[Region], &[Region]),
    report: &mut Report,
) {
    let movable = Movable::from_command_line(&boot.command_line).by(boot.rules);
    // Why there is none was said with the zone report.
    let Ok(layout) = Layout::with_movable(memory, max_pfn, movable) else { return };
    let zones = layout.zones();
    let mut runs = Vec::new();
    layout.frame_runs(reserved, |run| runs.push(run));

    let stopped = capture.handover.as_ref().and_then(|json| match serde_json::from_slice::<Stopped>(json) {
        Ok(stopped) => Some(stopped),
        Err(error) => {
            report.wrong_in(
                HANDOVER,
                Fact::Zones,
                error.line(),
                Some("the state of an allocator".into()),
                error.to_string(),
            );
            None
        }
    });
    let deferred = stopped.iter().flat_map(|stopped| &stopped.nodes);
    let deferred = deferred.filter_map(|node| Some((node.nid, node.first_deferred_pfn.filter(|pfn| *pfn != 0)?)));
    let deferred: BTreeMap<u16, u64> = deferred.collect();
    if let Some(stopped) = &stopped {
        let ours = of_zones(boot, &layout, zones, &runs, &deferred);
        let told = told_of_zones(stopped);
        for (ours, told) in ours.iter().zip(&told) {
            match ours == told {
                true => report.equal(Fact::Zones, 1),
                false => report.wrong_in(HANDOVER, Fact::Zones, 1, Some(ours.clone()), told.as_str()),
            }
        }
        if let Some(ours) = ours.get(told.len()) {
            report.wrong_in(HANDOVER, Fact::Zones, 1, Some(ours.clone()), "no more zones");
        } else if let Some(told) = told.get(ours.len()) {
            report.wrong_in(HANDOVER, Fact::Zones, 1, None, told.as_str());
        }
    }

    let free = free_blocks::hand_over((memory, reserved), zones, &deferred).unwrap_or_else(|why| {
        report.wrong_in(HANDOVER, Fact::FreeBlocks, 1, Some(format!("nothing: {why}")), "an allocator");
        FreeBlocks::new()
    });
    if let Some(stopped) = &stopped {
        let movables = Movables { memory: layout.memory(), deferred: &deferred };
        movables.compare(HANDOVER, &stopped.pageblock_migratetype, report);
        compare_free_blocks(stopped, &free, &movables, report);
    }

    let (reserved_bit, free_type) =
        if boot.rules >= Rules::V6_12 { (1 << 13, 0xf000_0000) } else { (1 << 12, 0xffff_ff7f) };
    let memory = layout.memory();
    let end_pfn = layout.max_pfn().next_multiple_of(SECTION_FRAMES);
    let frames = Frames { runs: &runs, memory, reserved, reserved_bit, free_type, deferred: &deferred, end_pfn };
    if let Some(pages) = &capture.handover_pages {
        frames.compare_descriptors(&String::from_utf8_lossy(pages), &free_blocks::heads(&free), report);
    }
    let freed = capture
        .pagemap
        .as_ref()
        .map(|text| frames.compare_states(&String::from_utf8_lossy(text), freed::frames(boot), report));
    if let Some(text) = &capture.zoneinfo {
        zoneinfo::compare(&String::from_utf8_lossy(text), boot, zones, &runs, freed.as_deref(), report);
    }
}

/// Returns what is told of limits, nodes and zones, a line each.
fn of_zones(
    boot: &Boot<'_>,
    layout: &Layout,
    zones: &[ZoneSpan],
    runs: &[FrameRun],
    deferred: &BTreeMap<u16, u64>,
) -> Vec<String> {
    let mut lines = vec![limits(boot.release, layout.max_pfn(), layout.max_pfn())];
    let nodes: BTreeSet<u16> = layout.nodes().chain(boot.nodes()).collect();
    for node in nodes {
        let of_node = zones.iter().filter(|zone| zone.node == node);
        let present = of_node.clone().map(|zone| zone.present).sum();
        let (start, end) = layout.node_span(node).unwrap_or_default();
        lines.push(of_node_line(node, start, end - start, present));
        let until = deferred.get(&node).copied().unwrap_or(u64::MAX);
        lines.extend(of_node.map(|zone| {
            let managed = frames_in(
                zone,
                runs.iter()
                    .filter(|run| run.state == FrameState::Body)
                    .map(|run| (run.start_pfn, run.end_pfn.min(until), run.node)),
            );
            zone_line(node, zone.kind.name(), [zone.start_pfn, zone.spanned, zone.present, managed])
        }));
    }
    lines
}

fn told_of_zones(stopped: &Stopped) -> Vec<String> {
    let mut lines = vec![limits(&stopped.kernel, stopped.max_pfn, stopped.max_low_pfn)];
    for node in &stopped.nodes {
        lines.push(of_node_line(node.nid, node.node_start_pfn, node.spanned, node.present));
        lines.extend(node.zones.iter().map(|zone| {
            zone_line(node.nid, &zone.zone, [zone.zone_start_pfn, zone.spanned, zone.present, zone.managed])
        }));
    }
    lines
}

fn limits(kernel: &str, max_pfn: u64, max_low_pfn: u64) -> String {
    format!("Linux {kernel}, max_pfn {max_pfn}, max_low_pfn {max_low_pfn}")
}

fn of_node_line(node: u16, start_pfn: u64, spanned: u64, present: u64) -> String {
    format!("node {node}: from {start_pfn} on, {spanned} spanned, {present} present")
}

fn zone_line(node: u16, zone: &str, [start_pfn, spanned, present, managed]: [u64; 4]) -> String {
    format!("node {node}, zone {zone}: from {start_pfn} on, {spanned} spanned, {present} present, {managed} managed")
}

/// Returns how many of the frames - first, end, node - lie in a zone.
fn frames_in(zone: &ZoneSpan, ranges: impl Iterator<Item = (u64, u64, u16)>) -> u64 {
    let of_node = ranges.filter(|(.., node)| *node == zone.node);
    of_node.map(|(start, end, _)| end.min(zone.end_pfn()).saturating_sub(start.max(zone.start_pfn))).sum()
}

/// Compares what our allocator has in its lists with what the stopped kernel had.
fn compare_free_blocks(stopped: &Stopped, free: &FreeBlocks, movables: &Movables<'_>, report: &mut Report) {
    for (node, zone) in stopped.nodes.iter().flat_map(|node| node.zones.iter().map(move |zone| (node.nid, zone))) {
        // A zone that our crates do not have was entered before.
        let found = free.iter().find(|((nid, kind), _)| (*nid, kind.name()) == (node, zone.zone.as_str()));
        let Some((_, blocks)) = found else { continue };
        let managed = free_blocks::frames(blocks);
        match managed == zone.managed {
            true => report.equal(Fact::Zones, 1),
            false => report.wrong_in(
                HANDOVER,
                Fact::Zones,
                1,
                Some(format!("{managed} managed")),
                format!("{} managed", zone.managed),
            ),
        }
        let name = format!("node {node}, zone {}", zone.zone);
        free_blocks::compare(HANDOVER, &name, blocks, &zone.free, movables, report);
    }
}
