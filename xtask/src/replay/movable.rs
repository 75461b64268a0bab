// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zone Movable, which our crate `memmap` does not have: where it starts on each node, and the holes that are counted to
//! it, so that the zone report can be compared all the same.

use super::boot::Boot;
use handoff::{FRAME_BYTES, FrameState, Region, RegionFlags, SECTION_FRAMES, ZoneKind, ZoneSpan, memparse, parameters};
use memmap::{FrameRun, Layout, MemoryRange};
use std::collections::BTreeMap;

/// Frames in the largest block of the page allocator; zone Movable starts at one.
const BLOCK_FRAMES: u64 = 1024;
/// The frames after the last of DMA and DMA32.
const ZONE_ENDS: [(&str, u64); 3] = [("DMA", 1 << 12), ("DMA32", 1 << 20), ("Normal", u64::MAX)];

/// Returns the first frame of zone Movable by node, for the nodes that have one.
///
/// Linux: `find_zone_movable_pfns_for_nodes` (6.1).
pub(super) fn starts(boot: &Boot<'_>, layout: &Layout) -> BTreeMap<u16, u64> {
    let memory = layout.memory();
    let mirrored = |r: &MemoryRange| r.flags.contains(RegionFlags::MIRROR);
    let from = |belongs: &dyn Fn(&MemoryRange) -> bool| {
        let mut starts = BTreeMap::new();
        for range in memory.iter().filter(|r| belongs(r)) {
            let start = starts.entry(range.node()).or_insert(range.start_pfn);
            *start = range.start_pfn.min(*start);
        }
        starts
    };
    let mut starts = if boot.has_parameter("movable_node") {
        from(&|r| r.flags.contains(RegionFlags::HOTPLUG))
    } else if boot.has_parameter_value("kernelcore", "mirror") {
        let any = memory.iter().any(mirrored);
        from(&|r| any && !mirrored(r) && r.start_pfn >= ZONE_ENDS[1].1)
    } else {
        spread(boot, layout)
    };
    for (node, start) in &mut starts {
        *start = start.next_multiple_of(BLOCK_FRAMES);
        if layout.node_span(*node).is_none_or(|(_, end)| *start >= end) {
            *start = 0;
        }
    }
    starts.retain(|_, start| *start != 0);
    starts
}

/// Spreads `kernelcore=` or `movablecore=` evenly over the nodes.
fn spread(boot: &Boot<'_>, layout: &Layout) -> BTreeMap<u16, u64> {
    let memory = layout.memory();
    let total = layout.present();
    let wanted = |wanted: &str| {
        let value = parameters(&boot.command_line).filter(|(name, _)| *name == wanted).last()?.1?;
        let (number, used) = memparse(value.as_bytes());
        Some(if value[used..].starts_with('%') {
            total.saturating_mul(100).saturating_mul(number) / 10_000
        } else {
            number / FRAME_BYTES
        })
    };
    let movable = wanted("movablecore")
        .filter(|n| *n > 0)
        .map(|n| total - n.checked_next_multiple_of(BLOCK_FRAMES).unwrap_or(total).min(total));
    let mut required = wanted("kernelcore").unwrap_or(0).max(movable.unwrap_or(0));
    let mut starts = BTreeMap::new();
    if required == 0 || required >= total {
        return starts;
    }

    let nodes: Vec<u16> = layout.nodes().collect();
    let highest = memory.last().map_or(0, |r| r.end_pfn);
    let lowest = memory.first().map_or(0, |r| r.start_pfn);
    // The zone that is split is the highest one that has memory.
    let usable = ZONE_ENDS.iter().map(|(_, end)| *end).filter(|end| *end < highest).max().unwrap_or(lowest);
    let mut sharing = nodes.len() as u64;
    loop {
        let mut share = required / sharing;
        for &node in &nodes {
            if required < share {
                share = required / sharing;
            }
            let mut left = share;
            for range in memory.iter().filter(|r| r.node() == node) {
                let start = starts.entry(node).or_insert(0);
                let mut first = range.start_pfn.max(*start);
                if first >= range.end_pfn {
                    continue;
                }
                if first < usable {
                    let kernel = range.end_pfn.min(usable) - first;
                    left -= kernel.min(left);
                    required -= kernel.min(required);
                    if range.end_pfn <= usable {
                        *start = range.end_pfn;
                        continue;
                    }
                    first = usable;
                }
                let size = (range.end_pfn - first).min(left);
                *start = first + size;
                required -= size.min(required);
                left -= size;
                if left == 0 {
                    break;
                }
            }
        }
        sharing -= 1;
        if sharing == 0 || required <= sharing {
            return starts;
        }
    }
}

/// Returns the zones with zone Movable among them.
///
/// Linux: `adjust_zone_range_for_zone_movable` (6.1).
pub(super) fn zones(layout: &Layout, starts: &BTreeMap<u16, u64>) -> Vec<ZoneSpan> {
    let mut zones: Vec<ZoneSpan> = Vec::new();
    for zone in layout.zones() {
        let (start, end) = (zone.start_pfn, zone.end_pfn());
        let movable = starts.get(&zone.node).copied().unwrap_or(u64::MAX);
        let halves = [(zone.kind, start, end.min(movable)), (ZoneKind::MOVABLE, start.max(movable), end)];
        for (kind, start_pfn, end_pfn) in halves.into_iter().filter(|(_, start, end)| start < end) {
            let frames = |r: &MemoryRange| r.end_pfn.min(end_pfn).saturating_sub(r.start_pfn.max(start_pfn));
            let present = layout.memory().iter().filter(|r| r.node() == zone.node).map(frames).sum();
            let half = ZoneSpan { node: zone.node, kind, start_pfn, spanned: end_pfn - start_pfn, present };
            match zones.last_mut().filter(|below| (below.node, below.kind) == (half.node, half.kind)) {
                Some(below) => {
                    below.spanned += half.spanned;
                    below.present += half.present;
                }
                None => zones.push(half),
            }
        }
    }
    zones
}

/// Returns the runs of equal descriptors with zone Movable among the zones. A hole belongs to the memory behind it.
pub(super) fn runs(layout: &Layout, reserved: &[Region], starts: &BTreeMap<u16, u64>) -> Vec<FrameRun> {
    let mut runs = Vec::new();
    layout.frame_runs(reserved, |run| {
        let start = starts.get(&run.node).copied().unwrap_or(u64::MAX);
        let hole_end = || layout.spans().find(|span| run.start_pfn < span.end_pfn).map_or(0, |hole| hole.end_pfn);
        let split = match run.state {
            FrameState::Hole if hole_end() >= start => run.start_pfn,
            FrameState::Hole => run.end_pfn,
            _ => start.clamp(run.start_pfn, run.end_pfn),
        };
        let above = FrameRun { start_pfn: split, zone: ZoneKind::MOVABLE, ..run };
        runs.extend([FrameRun { end_pfn: split, ..run }, above].into_iter().filter(|run| run.start_pfn < run.end_pfn));
    });
    runs
}

/// Puts zone Movable into the lines of the zone report.
pub(super) fn insert(layout: &Layout, starts: &BTreeMap<u16, u64>, lines: &mut Vec<String>) {
    if starts.is_empty() {
        return;
    }
    let heading = lines.iter().position(|l| l == "Movable zone start for each node").map_or(lines.len(), |at| at + 1);
    let of_node = starts.iter().map(|(node, pfn)| format!("  Node {node}: {:#018x}", pfn * FRAME_BYTES));
    lines.splice(heading..heading, of_node);

    let is_hole = |line: &String| line.ends_with(" pages in unavailable ranges");
    let at = lines.iter().position(is_hole).unwrap_or(lines.len());
    lines.retain(|line| !is_hole(line));
    lines.splice(at..at, holes(layout, starts));
}

/// Returns the lines of holes: each is counted to the zone of the memory behind it, the last one to that before it.
fn holes(layout: &Layout, starts: &BTreeMap<u16, u64>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut end = 0;
    let mut zone_before = ("DMA", 0);
    let frames = |from: u64, to: u64| -> u64 {
        let in_run = |run: &handoff::SectionRun| {
            let start = u64::from(run.first_section) * SECTION_FRAMES;
            let end = start + u64::from(run.sections) * SECTION_FRAMES;
            end.min(to).saturating_sub(start.max(from))
        };
        layout.sections().iter().map(in_run).sum()
    };
    let mut tell = |(zone, node): (&str, u16), count: u64| {
        if count > 0 {
            lines.push(format!("On node {node}, zone {zone}: {count} pages in unavailable ranges"));
        }
    };
    for range in layout.memory() {
        let node = range.node();
        let movable = starts.get(&node).copied().unwrap_or(u64::MAX);
        let mut low = 0;
        let kernel = ZONE_ENDS.map(|(name, high)| {
            let zone = (name, low, high.min(movable));
            low = high;
            zone
        });
        for (name, low, high) in kernel.into_iter().chain([("Movable", movable, u64::MAX)]) {
            let (start, stop) = (range.start_pfn.max(low), range.end_pfn.min(high));
            if start < stop {
                tell((name, node), frames(end, start));
                end = stop;
                zone_before = (name, node);
            }
        }
    }
    tell(zone_before, frames(end, end.next_multiple_of(SECTION_FRAMES)));
    lines
}
