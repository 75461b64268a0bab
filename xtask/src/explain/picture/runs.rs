// SPDX-License-Identifier: MIT OR Apache-2.0
//! One answer for each address: what the lanes say together.

use crate::explain::model::{Lane, Span};
use handoff::PhysRange;

/// A piece of memory and the span that says best whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) range: PhysRange,
    pub(super) span: &'a Span,
}

/// The lanes that say who owns memory, the best first. Zones are left out: a zone is a place, not an owner.
pub(super) const BEST_FIRST: [Lane; 5] = [Lane::Buddy, Lane::Crashkernel, Lane::Memblock, Lane::E820, Lane::Firmware];

/// Returns who owns what, sorted and disjoint; neighbours that say the same are one.
pub(super) fn runs(map: &[Span]) -> Vec<Run<'_>> {
    // An end comes before a start at the same address, so that touching spans never overlap.
    let mut edges: Vec<(u64, bool, &Span)> = map
        .iter()
        .filter(|span| span.start < span.end)
        .flat_map(|span| [(span.start, true, span), (span.end, false, span)])
        .collect();
    edges.sort_by_key(|(address, starts, _)| (*address, *starts));

    let mut open: [Option<&Span>; BEST_FIRST.len()] = [None; BEST_FIRST.len()];
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (at, (address, starts, span)) in edges.iter().enumerate() {
        if let Some(rank) = BEST_FIRST.iter().position(|lane| *lane == span.lane) {
            open[rank] = starts.then_some(*span);
        }
        let next = edges.get(at + 1).map_or(*address, |next| next.0);
        let best = open.iter().flatten().next();
        let (Some(range), Some(best)) = (PhysRange::new(*address, next), best) else { continue };
        match runs.last_mut() {
            Some(last) if last.range.end() == range.start() && same(last.span, best) => {
                last.range = PhysRange::new(last.range.start(), range.end()).unwrap_or(last.range);
            }
            _ => runs.push(Run { range, span: best }),
        }
    }
    runs
}

fn same(a: &Span, b: &Span) -> bool {
    (a.owner, &a.label) == (b.owner, &b.label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::model::Owner;

    fn span(lane: Lane, start: u64, end: u64, owner: Owner) -> Span {
        Span { lane, start, end, owner, label: format!("{owner:?}"), node: None, evidence: None }
    }

    #[test]
    fn the_last_lane_that_knows_wins() {
        let map = [
            span(Lane::Firmware, 0, 100, Owner::All),
            span(Lane::Firmware, 100, 200, Owner::Firmware),
            span(Lane::Memblock, 10, 20, Owner::Initrd),
            span(Lane::Memblock, 20, 90, Owner::All),
            span(Lane::Memmap, 0, 100, Owner::PageDescriptors),
            span(Lane::Buddy, 15, 40, Owner::Managed),
            span(Lane::Buddy, 40, 90, Owner::Managed),
            span(Lane::Firmware, 300, 300, Owner::Firmware),
        ];
        let runs: Vec<_> = runs(&map).iter().map(|r| (r.range.start(), r.range.end(), r.span.owner)).collect();
        let expected = [
            (0, 10, Owner::All),
            (10, 15, Owner::Initrd),
            (15, 90, Owner::Managed),
            (90, 100, Owner::All),
            (100, 200, Owner::Firmware),
        ];
        assert_eq!(runs, expected);
    }
}
