// SPDX-License-Identifier: MIT OR Apache-2.0
//! The free blocks of each zone and order when early memory has been handed over, from our crate `buddy`, and what their
//! neighbourhood is for.

use super::report::{Fact, Report};
use buddy::{Buddy, FrameMap, Mode, Piece, Plan};
use handoff::{MAX_ZONES, ORDERS, Region, SECTION_FRAMES, ZoneKind, ZoneSpan};
use memmap::MemoryRange;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The free blocks of a zone and order, as a stopped kernel had them in its lists.
#[derive(Deserialize)]
pub(super) struct Free {
    order: usize,
    nr_free: usize,
    /// First frames by what the blocks are for, in the order of the list.
    lists: BTreeMap<String, Vec<u64>>,
}

/// What 2 MiB of frames are for: Linux's numbers.
const UNMOVABLE: u8 = 0;
const MOVABLE: u8 = 1;
/// Frames that are for the same.
const PAGE_BLOCK: u64 = 512;

/// Where pages may move: in 2 MiB whose first frame is memory with a descriptor that is written.
pub(super) struct Movables<'a> {
    pub(super) memory: &'a [MemoryRange],
    pub(super) deferred: &'a BTreeMap<u16, u64>,
}

impl Movables<'_> {
    fn of(&self, pfn: u64) -> u8 {
        let first = pfn / PAGE_BLOCK * PAGE_BLOCK;
        let written = |m: &&MemoryRange| self.deferred.get(&m.node()).is_none_or(|until| first < *until);
        let range = self.memory.iter().find(|m| (m.start_pfn..m.end_pfn).contains(&first)).filter(written);
        if range.is_some() { MOVABLE } else { UNMOVABLE }
    }

    /// Returns runs of sections that have descriptors: first frame, end, what they are for.
    fn runs(&self) -> Vec<(u64, u64, u8)> {
        let of_range = |m: &MemoryRange| m.start_pfn / SECTION_FRAMES..m.end_pfn.div_ceil(SECTION_FRAMES);
        let sections: BTreeSet<u64> = self.memory.iter().flat_map(of_range).collect();
        let blocks = sections.iter().flat_map(|s| (s * SECTION_FRAMES..(s + 1) * SECTION_FRAMES).step_by(512));
        let mut runs: Vec<(u64, u64, u8)> = Vec::new();
        for block in blocks {
            let kind = self.of(block);
            match runs.last_mut().filter(|run| (run.1, run.2) == (block, kind)) {
                Some(run) => run.1 += PAGE_BLOCK,
                None => runs.push((block, block + PAGE_BLOCK, kind)),
            }
        }
        runs
    }

    /// Compares the runs with those of the stopped kernel.
    pub(super) fn compare(&self, file: &'static str, told: &[(u64, u64, u8)], report: &mut Report) {
        let ours = self.runs();
        if ours == told {
            return report.equal(Fact::FreeBlocks, told.len());
        }
        let first = ours.iter().zip(told).position(|(a, b)| a != b).unwrap_or(ours.len().min(told.len()));
        let run = |runs: &[(u64, u64, u8)]| format!("run {first} of movable frames: {:?}", runs.get(first));
        report.wrong_in(file, Fact::FreeBlocks, 1, Some(run(&ours)), run(told));
    }
}

/// First frames of free blocks by node, zone and order.
pub(super) type FreeBlocks = BTreeMap<(u16, ZoneKind), [BTreeSet<u64>; ORDERS]>;

/// Hands memory over to an allocator and returns what is free then, below the first frame by node that waits.
///
/// # Errors
/// Why that cannot be done.
pub(super) fn hand_over(
    (memory, reserved): (&[Region], &[Region]),
    zones: &[ZoneSpan],
    deferred: &BTreeMap<u16, u64>,
) -> Result<FreeBlocks, String> {
    let plan = Plan::<MAX_ZONES>::new(memory, reserved, zones, Mode::Lazy).map_err(|e| e.to_string())?;
    let mut pieces = vec![Piece::UNUSED; plan.pieces()];
    let mut maps = vec![FrameMap::UNUSED; plan.maps()];
    let mut buddy = Buddy::new(&plan, &mut pieces, &mut maps).map_err(|e| e.to_string())?;
    buddy.hand_over(memory, reserved).map_err(|e| e.to_string())?;
    buddy.validate().map_err(|e| e.to_string())?;

    let spans: Vec<_> = buddy.zones().iter().map(|zone| zone.span).collect();
    let free = spans.iter().enumerate().map(|(index, span)| {
        let until = deferred.get(&span.node).copied().unwrap_or(u64::MAX);
        let of_order = |order: usize| {
            let blocks = buddy.free_blocks(index, order as u8).map(|block| block.start_address().as_u64() / 4096);
            blocks.filter(|pfn| *pfn < until).collect()
        };
        ((span.node, span.kind), std::array::from_fn(of_order))
    });
    Ok(free.collect())
}

/// Returns the first frame of each free block, with its order.
pub(super) fn heads(free: &FreeBlocks) -> BTreeMap<u64, u64> {
    let of_zone = |blocks: &[BTreeSet<u64>; ORDERS]| -> Vec<(u64, u64)> {
        blocks.iter().zip(0..).flat_map(|(blocks, order)| blocks.iter().map(move |pfn| (*pfn, order))).collect()
    };
    free.values().flat_map(of_zone).collect()
}

/// Returns how many frames the blocks of a zone have.
pub(super) fn frames(blocks: &[BTreeSet<u64>; ORDERS]) -> u64 {
    blocks.iter().enumerate().map(|(order, blocks)| (blocks.len() as u64) << order).sum()
}

/// Compares the blocks of a zone with the lists of the stopped kernel. They were freed from the lowest to the highest, each
/// to the end of its list.
pub(super) fn compare(
    file: &'static str,
    zone: &str,
    ours: &[BTreeSet<u64>; ORDERS],
    told: &[Free],
    movables: &Movables<'_>,
    report: &mut Report,
) {
    if told.iter().map(|told| told.order).ne(0..ORDERS) {
        let got = format!("{:?}", told.iter().map(|told| told.order).collect::<Vec<_>>());
        return report.wrong_in(file, Fact::FreeBlocks, 1, Some(format!("{zone}: orders 0 to {}", ORDERS - 1)), got);
    }
    for (ours, told) in ours.iter().zip(told) {
        let mut lists: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for pfn in ours {
            lists.entry(movables.of(*pfn).to_string()).or_default().push(*pfn);
        }
        if lists == told.lists && told.nr_free == ours.len() {
            report.equal(Fact::FreeBlocks, ours.len());
            continue;
        }
        let all = |lists: &BTreeMap<String, Vec<u64>>| -> BTreeSet<(String, u64)> {
            lists.iter().flat_map(|(kind, list)| list.iter().map(|pfn| (kind.clone(), *pfn))).collect()
        };
        let (ours_by_kind, theirs) = (all(&lists), all(&told.lists));
        let words = |count: usize, only: Vec<&(String, u64)>| {
            let only: Vec<String> = only.iter().take(8).map(|(kind, pfn)| format!("{pfn} of type {kind}")).collect();
            format!("{zone}, order {}: {count} blocks in ascending order, {only:?} among them", told.order)
        };
        let expected = words(ours.len(), ours_by_kind.difference(&theirs).collect());
        let got = words(told.nr_free, theirs.difference(&ours_by_kind).collect());
        report.wrong_in(file, Fact::FreeBlocks, 1, Some(expected), got);
    }
}
