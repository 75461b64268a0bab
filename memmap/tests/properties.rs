// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any memory against a model that looks at every frame by itself.

use handoff::{FRAME_BYTES, FrameState, Nid, Page, Region, SECTION_FRAMES, ZoneKind};
use memmap::{Error, Layout};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Sections of the model: at the start of memory, where zone DMA ends, and around 4 GiB.
const SECTIONS: [u64; 5] = [0, 1, 2, 31, 32];

/// Addresses where something begins or ends: often on the border of a section, a page block or a frame.
fn address() -> impl Strategy<Value = u64> {
    let section = prop::sample::select(&SECTIONS[..]);
    let frame =
        prop_oneof![Just(0), 0..4u64, 4090..4100u64, (0..64u64).prop_map(|block| block * 512), 0..SECTION_FRAMES];
    let byte = prop_oneof![4 => Just(0), 1 => 0..FRAME_BYTES];
    (section, frame, byte).prop_map(|(section, frame, byte)| (section * SECTION_FRAMES + frame) * FRAME_BYTES + byte)
}

/// Sorted disjoint regions, some of which touch; `nodes` many nodes.
fn regions(nodes: i32, count: usize) -> impl Strategy<Value = Vec<Region>> {
    let cuts = prop::collection::btree_set(address(), 2..count);
    let kinds = prop::collection::vec(prop::option::weighted(0.7, 0..nodes), count);
    (cuts, kinds).prop_map(|(cuts, kinds)| {
        let cuts: Vec<_> = cuts.into_iter().collect();
        // Nothing lies between the two groups of sections, which the model does not look at.
        let (below, above) = (3 * SECTION_FRAMES * FRAME_BYTES, 31 * SECTION_FRAMES * FRAME_BYTES);
        let apart = |cut: &[u64]| [[cut[0], cut[1].min(below)], [cut[0].max(above), cut[1]]];
        let pieces = cuts.windows(2).zip(kinds).flat_map(|(cut, kind)| apart(cut).map(|cut| (cut, kind)));
        let pieces = pieces.filter(|(cut, _)| cut[0] < cut[1]);
        let region = |(cut, node): ([u64; 2], Option<i32>)| {
            Some(Region { nid: Nid(node?), ..Region::new(cut[0], cut[1] - cut[0]) })
        };
        pieces.filter_map(region).collect()
    })
}

fn zone(pfn: u64) -> ZoneKind {
    match pfn {
        0..0x1000 => ZoneKind::DMA,
        0x1000..0x10_0000 => ZoneKind::DMA32,
        _ => ZoneKind::NORMAL,
    }
}

/// What a frame is, found by looking at it alone: its node if it is memory.
struct Naive {
    memory: BTreeMap<u64, u16>,
    /// Frames of present sections with descriptor number.
    frames: Vec<u64>,
}

impl Naive {
    fn new(regions: &[Region]) -> Self {
        let all = || SECTIONS.iter().flat_map(|s| s * SECTION_FRAMES..(s + 1) * SECTION_FRAMES);
        let node = |pfn: u64| {
            let whole = |r: &&Region| r.base <= pfn * FRAME_BYTES && (pfn + 1) * FRAME_BYTES <= r.end();
            regions.iter().find(whole).map(|r| r.nid.number().unwrap())
        };
        let memory: BTreeMap<_, _> = all().filter_map(|pfn| Some((pfn, node(pfn)?))).collect();
        let present = |pfn: &u64| {
            let start = pfn / SECTION_FRAMES * SECTION_FRAMES;
            memory.range(start..start + SECTION_FRAMES).next().is_some()
        };
        let frames = all().filter(present).collect();
        Self { memory, frames }
    }

    /// The memory frame whose zone and node a frame has.
    fn model_for(&self, pfn: u64) -> (u64, u16) {
        let (pfn, node) = self.memory.range(pfn..).next().or(self.memory.iter().next_back()).unwrap();
        (*pfn, *node)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_is_what_the_naive_model_says(memory in regions(3, 9), reserved in regions(1, 9)) {
        let naive = Naive::new(&memory);
        let layout = match Layout::new(&memory, 0) {
            Err(error) => {
                prop_assert_eq!(error, Error::NoMemory);
                prop_assert!(naive.memory.is_empty());
                return Ok(());
            }
            Ok(layout) => layout,
        };

        // Descriptors.
        prop_assert_eq!(layout.frames(), naive.frames.len() as u64);
        let untouched = Page::new(ZoneKind::MOVABLE, 99, FrameState::Body);
        let mut pages = vec![untouched; naive.frames.len()];
        layout.initialize(&mut pages, &reserved).unwrap();
        for (page, &pfn) in pages.iter().zip(&naive.frames) {
            let (model, node) = naive.model_for(pfn);
            let touches = |r: &Region| r.base < (pfn + 1) * FRAME_BYTES && pfn * FRAME_BYTES < r.end();
            let state = match naive.memory.contains_key(&pfn) {
                false => FrameState::Hole,
                true if reserved.iter().any(touches) => FrameState::Reserved,
                true => FrameState::Body,
            };
            prop_assert_eq!(*page, Page::new(zone(model), node, state), "frame {:#x}", pfn);
        }

        // Each descriptor once, in order.
        let mut next = 0;
        layout.frame_runs(&reserved, |run| {
            assert_eq!(run.index, next);
            next += (run.end_pfn - run.start_pfn) as usize;
        });
        prop_assert_eq!(next, pages.len());

        // Sections: where they say, a frame has its descriptor.
        for run in layout.sections() {
            let pfn = u64::from(run.first_section) * SECTION_FRAMES;
            prop_assert_eq!(naive.frames[run.first_frame as usize], pfn);
            let last = pfn + u64::from(run.sections) * SECTION_FRAMES - 1;
            prop_assert_eq!(naive.frames[run.first_frame as usize + (last - pfn) as usize], last);
        }

        // Zones.
        let mut zones: BTreeMap<(u16, ZoneKind), u64> = BTreeMap::new();
        naive.memory.iter().for_each(|(pfn, node)| *zones.entry((*node, zone(*pfn))).or_default() += 1);
        prop_assert_eq!(layout.zones().len(), zones.len());
        for (ours, ((node, kind), present)) in layout.zones().iter().zip(zones) {
            prop_assert_eq!((ours.node, ours.kind, ours.present), (node, kind, present));
            let of_node = || naive.memory.iter().filter(|(_, n)| **n == node).map(|(pfn, _)| *pfn);
            let (first, last) = (of_node().next().unwrap(), of_node().next_back().unwrap());
            let limits = match kind {
                ZoneKind::DMA => (0, 0x1000),
                ZoneKind::DMA32 => (0x1000, 0x10_0000),
                _ => (0x10_0000, u64::MAX),
            };
            prop_assert_eq!(ours.start_pfn, first.max(limits.0));
            prop_assert_eq!(ours.end_pfn(), (last + 1).min(limits.1));
        }

        // Holes, one for each gap in memory.
        let mut holes: Vec<(u64, u16, ZoneKind, u64)> = vec![];
        for &pfn in naive.frames.iter().filter(|pfn| !naive.memory.contains_key(pfn)) {
            let (model, node) = naive.model_for(pfn);
            let gap = if model < pfn { u64::MAX } else { model };
            match holes.last_mut().filter(|hole| hole.0 == gap) {
                Some(hole) => hole.3 += 1,
                None => holes.push((gap, node, zone(model), 1)),
            }
        }
        let ours: Vec<_> = layout.unavailable().map(|u| (u.node, u.zone, u.frames)).collect();
        let theirs: Vec<_> = holes.into_iter().map(|(_, node, zone, frames)| (node, zone, frames)).collect();
        prop_assert_eq!(ours, theirs);
    }
}
