// SPDX-License-Identifier: MIT OR Apache-2.0
//! The free blocks of each zone and order when early memory has been handed over, from our crate `buddy`.

use super::report::{Fact, Report};
use buddy::{Buddy, FrameMap, Mode, Piece, Plan};
use handoff::{MAX_ZONES, ORDERS, Region, ZoneKind, ZoneSpan};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The free blocks of a zone and order, as a stopped kernel had them in its lists.
#[derive(Deserialize)]
pub(super) struct Free {
    order: usize,
    nr_free: usize,
    /// By what they are for, which our allocator does not tell apart.
    lists: BTreeMap<String, Vec<u64>>,
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

/// Returns how many frames the blocks of a zone have.
pub(super) fn frames(blocks: &[BTreeSet<u64>; ORDERS]) -> u64 {
    blocks.iter().enumerate().map(|(order, blocks)| (blocks.len() as u64) << order).sum()
}

/// Compares the blocks of a zone with the lists of the stopped kernel.
pub(super) fn compare(
    file: &'static str,
    zone: &str,
    ours: &[BTreeSet<u64>; ORDERS],
    told: &[Free],
    report: &mut Report,
) {
    for (order, ours) in ours.iter().enumerate() {
        let Some(told) = told.iter().find(|told| told.order == order) else {
            report.wrong_in(file, Fact::FreeBlocks, 1, Some(format!("{zone}, order {order}")), "no such order");
            continue;
        };
        let theirs: Vec<u64> = told.lists.values().flatten().copied().collect();
        let found: BTreeSet<u64> = theirs.iter().copied().collect();
        let of = |blocks: Vec<u64>| format!("{zone}, order {order}: {} blocks, {blocks:?} among them", ours.len());
        if *ours == found && theirs.len() == found.len() && told.nr_free == found.len() {
            report.equal(Fact::FreeBlocks, found.len());
        } else {
            let missing = ours.difference(&found).copied().collect();
            let unexpected: Vec<u64> = found.difference(ours).copied().collect();
            let got = format!("{} blocks in lists of {}, {unexpected:?} among them", theirs.len(), told.nr_free);
            report.wrong_in(file, Fact::FreeBlocks, 1, Some(of(missing)), got);
        }
    }
}
