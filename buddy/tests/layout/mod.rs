// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zones, memory and tables for tests, from a few numbers. All of them are frames.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

use buddy::{Buddy, FrameMap, Mode, Piece, Plan};
use handoff::{FRAME_BYTES, PhysRange, Region, ZoneKind, ZoneSpan, ZoneState};
use std::ops::Range;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

pub const SECTION: u64 = handoff::SECTION_FRAMES;

/// A zone: its node, its kind, the frames it spans.
pub type Zone = (u16, ZoneKind, Range<u64>);

/// What an allocator is made of.
pub struct Layout {
    pub spans: Vec<ZoneSpan>,
    pub memory: Vec<Region>,
    pub reserved: Vec<Region>,
    pub mode: Mode,
    /// Maps beyond the plan, and room for sections of the first zone.
    pub spare: usize,
    pub room: u32,
    pub pieces: Vec<Piece>,
    pub maps: Vec<FrameMap>,
}

impl Layout {
    /// Makes the layout of `memory`, each range with its node.
    pub fn new(zones: &[Zone], memory: &[(u16, Range<u64>)], reserved: &[Range<u64>]) -> Self {
        let bytes = |r: &Range<u64>| Region::new(r.start * FRAME_BYTES, (r.end - r.start) * FRAME_BYTES);
        let memory: Vec<_> = memory.iter().map(|(n, r)| Region { nid: (*n).into(), ..bytes(r) }).collect();
        Self::from_regions(zones, memory, reserved.iter().map(bytes).collect())
    }

    /// Makes the layout of byte-granular regions, as the stage before does.
    pub fn from_regions(zones: &[Zone], memory: Vec<Region>, reserved: Vec<Region>) -> Self {
        let span = |(node, kind, r): &Zone| {
            let inside = |region: &Region| {
                let (start, end) =
                    (region.base.div_ceil(FRAME_BYTES).max(r.start), (region.end() / FRAME_BYTES).min(r.end));
                if region.nid == (*node).into() { end.saturating_sub(start) } else { 0 }
            };
            let present = memory.iter().map(inside).sum();
            ZoneSpan { node: *node, kind: *kind, start_pfn: r.start, spanned: r.end - r.start, present }
        };
        let mut spans: Vec<_> = zones.iter().map(span).collect();
        spans.retain(|span| span.present > 0);
        let (pieces, maps) = (Vec::new(), Vec::new());
        Self { spans, memory, reserved, mode: Mode::Eager, spare: 0, room: 0, pieces, maps }
    }

    /// Whole sections stay dormant.
    pub fn lazy(self) -> Self {
        Self { mode: Mode::Lazy, ..self }
    }

    /// Returns an allocator to which nothing was handed over.
    pub fn empty<const Z: usize>(&mut self) -> Buddy<'_, Z> {
        let mut plan = Plan::<Z>::new(&self.memory, &self.reserved, &self.spans, self.mode).unwrap();
        if let Some(first) = self.spans.first() {
            plan = plan.room(first.node, first.kind, self.room).unwrap();
        }
        // Whatever was there before.
        self.pieces = vec![Piece::UNUSED; plan.pieces()];
        self.maps = vec![FrameMap::UNUSED; plan.maps() + self.spare];
        Buddy::new(&plan, &mut self.pieces, &mut self.maps).unwrap()
    }

    /// Returns an allocator that has everything.
    pub fn started<const Z: usize>(&mut self) -> Buddy<'_, Z> {
        let (memory, reserved) = (self.memory.clone(), self.reserved.clone());
        let mut buddy = self.empty();
        buddy.hand_over(&memory, &reserved).unwrap();
        buddy
    }
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

/// One zone of so many whole sections, of which some frames are reserved.
pub fn sections(count: u64, reserved: &[Range<u64>]) -> Layout {
    Layout::new(&[(0, ZoneKind::NORMAL, 0..count * SECTION)], &[(0, 0..count * SECTION)], reserved).lazy()
}

/// Returns how many sections are free as a whole and have no map.
pub fn dormant(buddy: &Buddy<'_>) -> u64 {
    buddy.statistics().dormant_sections
}

/// Checks that all is consistent, and that nothing was lost while so many frames are allocated.
pub fn check(buddy: &Buddy<'_>, allocated: u64) {
    assert_eq!(buddy.validate(), Ok(()));
    let sum = |number: fn(&ZoneState) -> u64| buddy.zones().iter().map(number).sum::<u64>();
    let (free, maps) = (sum(ZoneState::free), sum(|zone| zone.map_frames));
    assert_eq!(free + allocated + maps, sum(|zone| zone.managed), "{free} free, {maps} with maps");
}
