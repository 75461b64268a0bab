// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors and tables for tests, from a few numbers. All of them are frames.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

use handoff::{FRAME_BYTES, Frame, FrameState, Page, PhysRange, Region, SectionRun, ZoneKind, ZoneSpan};
use std::collections::BTreeSet;
use std::ops::Range;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

pub const SECTION: u64 = handoff::SECTION_FRAMES;

/// A zone: its node, its kind, the frames it spans.
pub type Zone = (u16, ZoneKind, Range<u64>);

/// What an allocator is made of.
pub struct Layout {
    pub pages: Vec<Page>,
    pub sections: Vec<SectionRun>,
    pub spans: Vec<ZoneSpan>,
    pub memory: Vec<Region>,
    pub reserved: Vec<Region>,
}

impl Layout {
    /// Makes the memory map of `memory`, each range with its node.
    pub fn new(zones: &[Zone], memory: &[(u16, Range<u64>)], reserved: &[Range<u64>]) -> Self {
        let bytes = |r: &Range<u64>| Region::new(r.start * FRAME_BYTES, (r.end - r.start) * FRAME_BYTES);
        let memory: Vec<_> = memory.iter().map(|(n, r)| Region { nid: (*n).into(), ..bytes(r) }).collect();
        Self::from_regions(zones, memory, reserved.iter().map(bytes).collect())
    }

    /// Makes the memory map of byte-granular regions, as the stage before does.
    pub fn from_regions(zones: &[Zone], memory: Vec<Region>, reserved: Vec<Region>) -> Self {
        let sections = sections(&memory);
        let total: u64 = sections.iter().map(|run| u64::from(run.sections) * SECTION).sum();
        let mut pages = vec![Page::new(ZoneKind::NORMAL, 0, FrameState::Hole); total as usize];
        let mut spans: Vec<_> = zones
            .iter()
            .map(|(node, kind, r)| ZoneSpan {
                node: *node,
                kind: *kind,
                start_pfn: r.start,
                spanned: r.end - r.start,
                present: 0,
            })
            .collect();

        for region in &memory {
            let frames = region.base / FRAME_BYTES..region.end() / FRAME_BYTES;
            for span in spans.iter_mut().filter(|span| region.nid == span.node.into()) {
                let inside = frames.start.max(span.start_pfn)..frames.end.min(span.end_pfn());
                for pfn in inside {
                    span.present += 1;
                    pages[index(&sections, pfn).unwrap()] = Page::new(span.kind, span.node, FrameState::Body);
                }
            }
        }
        for region in &reserved {
            for pfn in region.base / FRAME_BYTES..region.end().div_ceil(FRAME_BYTES) {
                if let Some(page) = index(&sections, pfn).map(|i| &mut pages[i]) {
                    if page.state() == FrameState::Body {
                        page.set_state(FrameState::Reserved);
                    }
                }
            }
        }
        spans.retain(|span| span.present > 0);
        Self { pages, sections, spans, memory, reserved }
    }

    /// Drops the descriptors from `frames` on, so that small tests stay small.
    pub fn cut(mut self, frames: usize) -> Self {
        self.pages.truncate(frames);
        self
    }
}

/// Returns the runs of sections that hold memory.
fn sections(memory: &[Region]) -> Vec<SectionRun> {
    let present: BTreeSet<u64> =
        memory.iter().flat_map(|r| r.base / FRAME_BYTES / SECTION..(r.end() / FRAME_BYTES).div_ceil(SECTION)).collect();
    let mut runs: Vec<SectionRun> = Vec::new();
    for (i, section) in present.into_iter().enumerate() {
        match runs.last_mut() {
            Some(run) if u64::from(run.first_section + run.sections) == section => run.sections += 1,
            _ => runs.push(SectionRun {
                first_section: section as u32,
                sections: 1,
                first_frame: Frame(i as u32 * SECTION as u32),
            }),
        }
    }
    runs
}

/// Returns the index of a frame's descriptor, found the slow way.
pub fn index(sections: &[SectionRun], pfn: u64) -> Option<usize> {
    sections.iter().find_map(|run| {
        let offset = pfn.checked_sub(u64::from(run.first_section) * SECTION)?;
        (offset < u64::from(run.sections) * SECTION).then_some(run.first_frame.0 as usize + offset as usize)
    })
}

pub fn frame(pfn: u64) -> PhysFrame {
    PhysFrame::containing_address(PhysAddr::new(pfn * FRAME_BYTES))
}

pub fn pfn(frame: PhysFrame) -> u64 {
    frame.start_address().as_u64() / FRAME_BYTES
}

pub fn frames(range: Range<u64>) -> PhysRange {
    PhysRange::new(range.start * FRAME_BYTES, range.end * FRAME_BYTES).unwrap()
}
