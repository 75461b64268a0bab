// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of zones of a running kernel: what they have, and what is kept free in them.

use super::boot::Boot;
use super::infer::is_of_gigantic_pages;
use super::report::{Fact, Report};
use crate::dmesg::{Event, Request};
use buddy::{Buddy, WatermarkPolicy, Watermarks};
use handoff::{FRAME_BYTES, FrameState, MAX_ZONES, ZoneSpan, ZoneState};
use memmap::FrameRun;
use std::collections::BTreeMap;

const ZONEINFO: &str = "zoneinfo.txt";

/// Where a kernel's image lies that was not moved.
const USUAL_IMAGE: u64 = 16 << 20;

/// What a zone has, as our crates say.
struct Expected<'a> {
    span: &'a ZoneSpan,
    /// Frames, if it is known which were freed after the hand-over.
    managed: Option<u64>,
    marks: Option<Watermarks>,
}

/// Compares the table with zones to which `freed` were given since the hand-over.
pub(super) fn compare(
    text: &str,
    boot: &Boot<'_>,
    zones: &[ZoneSpan],
    runs: &[FrameRun],
    freed: Option<&[(u64, u64)]>,
    report: &mut Report,
) {
    let mut expected = Vec::new();
    let managed = freed.map(|freed| managed(zones, runs, freed));
    if managed.is_none() {
        report.skip("what zones manage and keep free: there is no pagemap_rle.txt to tell what was freed", zones.len());
    }
    let marks = managed.as_ref().and_then(|managed| marks(boot, zones, runs, managed, report));
    for (i, span) in zones.iter().enumerate() {
        let of = |list: &Vec<u64>| list[i];
        let marks = marks.as_ref().and_then(|marks| marks.get(&(span.node, span.kind)).copied());
        expected.push(Expected { span, managed: managed.as_ref().map(of), marks });
    }

    let mut zone: Option<&Expected<'_>> = None;
    let mut missing: Vec<&ZoneSpan> = zones.iter().collect();
    let mut boost = 0;
    for (i, line) in text.lines().enumerate() {
        if let Some((node, kind)) = line.strip_prefix("Node ").and_then(|rest| rest.split_once(", zone")) {
            zone = expected.iter().find(|z| node.parse() == Ok(z.span.node) && z.span.kind.name() == kind.trim());
            missing.retain(|missing| zone.is_none_or(|zone| *missing != zone.span));
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        let span = |figure: fn(&ZoneSpan) -> u64| Some(zone.map_or(0, |zone| figure(zone.span)));
        let mark = |figure: fn(&Watermarks) -> u64| zone.and_then(|zone| zone.marks.as_ref()).map(figure);
        let (fact, figure) = match name {
            "boost" => {
                boost = value.parse().unwrap_or(0);
                continue;
            }
            "spanned" => (Fact::Zones, span(|span| span.spanned)),
            "present" => (Fact::Zones, span(|span| span.present)),
            "start_pfn:" => (Fact::Zones, span(|span| span.start_pfn)),
            "managed" => (Fact::Zones, zone.map_or(Some(0), |zone| zone.managed)),
            // A boost is temporary, and part of the marks as they are printed.
            "min" => (Fact::Watermarks, mark(|marks| marks.min).map(|mark| mark + boost)),
            "low" => (Fact::Watermarks, mark(|marks| marks.low).map(|mark| mark + boost)),
            "high" => (Fact::Watermarks, mark(|marks| marks.high).map(|mark| mark + boost)),
            "protection:" => {
                let Some(marks) = zone.and_then(|zone| zone.marks) else { continue };
                let [dma, dma32, normal, movable] = marks.lowmem_reserve;
                let expected = format!("protection: ({dma}, {dma32}, {normal}, {movable}");
                match line.trim().strip_prefix(&expected).is_some_and(|rest| rest.starts_with([',', ')'])) {
                    true => report.equal(Fact::Watermarks, 1),
                    false => report.wrong_in(ZONEINFO, Fact::Watermarks, i + 1, Some(expected), line.trim()),
                }
                continue;
            }
            _ => continue,
        };
        match figure {
            Some(figure) if value.parse() == Ok(figure) => report.equal(fact, 1),
            Some(figure) => report.wrong_in(ZONEINFO, fact, i + 1, Some(format!("{name} {figure}")), line.trim()),
            None => {}
        }
    }
    for zone in missing {
        let (expected, last) = (format!("node {}, zone {}", zone.node, zone.kind), text.lines().count());
        report.wrong_in(ZONEINFO, Fact::Zones, last, Some(expected), "the end of the file");
    }
}

/// Returns how many frames each zone has: what was handed over, and what was freed since.
fn managed(zones: &[ZoneSpan], runs: &[FrameRun], freed: &[(u64, u64)]) -> Vec<u64> {
    let frames = |run: &FrameRun| match run.state {
        FrameState::Body => run.end_pfn - run.start_pfn,
        _ => freed.iter().map(|(start, end)| (*end).min(run.end_pfn).saturating_sub((*start).max(run.start_pfn))).sum(),
    };
    let of_zone = |zone: &ZoneSpan| {
        let runs = runs.iter().filter(|run| (run.node, run.zone) == (zone.node, zone.kind));
        runs.map(frames).sum()
    };
    zones.iter().map(of_zone).collect()
}

/// Returns what is kept free: computed from what the zones had before the kernel freed its own beginnings.
fn marks(
    boot: &Boot<'_>,
    zones: &[ZoneSpan],
    runs: &[FrameRun],
    managed: &[u64],
    report: &mut Report,
) -> Option<BTreeMap<(u16, handoff::ZoneKind), Watermarks>> {
    let is_gigantic = |request: &Request<'_>| is_of_gigantic_pages(request.caller);
    if boot.requests().any(|(_, request, _)| is_gigantic(request))
        || boot.events().any(|e| matches!(e, Event::FreedBootServices { .. }))
    {
        report.skip("watermarks: memory came while they were set, in zones that the log does not name", zones.len());
        return None;
    }
    let ramdisk = boot.events().filter_map(|e| match e {
        Event::Ramdisk { start, .. } | Event::NewRamdisk { start, .. } => Some(*start),
        _ => None,
    });
    let image = boot.kernel_image().map_or(USUAL_IMAGE, handoff::PhysRange::start);
    let ramdisk = ramdisk.last().unwrap_or(image);
    let mut states: Vec<ZoneState> = zones.iter().map(|span| ZoneState::new(*span)).collect();
    for (state, managed) in states.iter_mut().zip(managed) {
        state.managed = *managed;
    }
    for entry in boot.entries() {
        // What the kernel rewrote of itself, it freed before.
        let Event::Freed { kib } = entry.event else { continue };
        if entry.text.contains("SMP alternatives") {
            continue;
        }
        let pfn = if entry.text.contains("initrd") { ramdisk } else { image } / FRAME_BYTES;
        let Some(run) = runs.iter().find(|run| (run.start_pfn..run.end_pfn).contains(&pfn)) else { continue };
        if let Some(state) = states.iter_mut().find(|s| (s.span.node, s.span.kind) == (run.node, run.zone)) {
            state.managed = state.managed.saturating_sub(kib * 1024 / FRAME_BYTES);
        }
    }
    states.retain(|state| state.managed > 0);
    let mut buddy = match Buddy::<MAX_ZONES>::from_parts(&mut [], &mut [], &states, &[], &[]) {
        Ok(buddy) => buddy,
        Err(why) => {
            report.wrong_in(ZONEINFO, Fact::Watermarks, 1, Some(format!("nothing: {why}")), "watermarks");
            return None;
        }
    };
    buddy.set_watermarks(&WatermarkPolicy::default());
    Some(
        states.iter().map(|state| (state.span.node, state.span.kind)).zip(buddy.watermarks().iter().copied()).collect(),
    )
}
