// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers by node.

use crate::{Buddy, Node, Request, Statistics};
use core::fmt;
use handoff::ZoneState;

/// How often a zone served whom, in allocations. Linux: `numa_hit`, `numa_miss`, `numa_foreign` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// It served a request for its node, or for any.
    pub hit: u64,
    /// It served a request that preferred another node.
    pub miss: u64,
    /// Another node served a request that preferred this one; counted in the first zone that the request would have used.
    pub foreign: u64,
}

impl core::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.hit += other.hit;
        self.miss += other.miss;
        self.foreign += other.foreign;
    }
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Returns the numbers of one node's zones together; all 0 if it has none.
    #[must_use]
    pub fn node_statistics(&self, node: u16) -> Statistics {
        let mut total = Statistics::default();
        self.zones().iter().filter(|zone| zone.span.node == node).for_each(|zone| total += zone.into());
        total
    }

    /// Returns how often each zone served whom since this allocator came to life, in the order of [`zones`](Self::zones).
    #[must_use]
    pub fn counters(&self) -> &[Counters] {
        &self.counters
    }

    /// Returns the nodes that have memory, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = u16> {
        self.zonelist.nodes_from(None)
    }

    /// Counts an allocation.
    #[inline]
    pub(crate) fn count(&mut self, zone: usize, request: Request) {
        match request.node {
            Node::Preferred(wanted) if wanted != self.states[zone].span.node => {
                self.counters[zone].miss += 1;
                let first = self.zonelist.candidates(request).next();
                if let Some(first) = first.filter(|first| self.states[*first].span.node == wanted) {
                    self.counters[first].foreign += 1;
                }
            }
            _ => self.counters[zone].hit += 1,
        }
    }
}

/// The text of `/proc/zoneinfo`, as far as a page allocator alone can tell: with watermarks, protection and counters.
#[derive(Debug)]
pub struct FullZoneInfo<'b, 'p, const Z: usize>(pub &'b Buddy<'p, Z>);

impl<const Z: usize> fmt::Display for FullZoneInfo<'_, '_, Z> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Buddy { zones, states, watermarks, counters, .. } = self.0;
        for (((zone, state), marks), counters) in zones.iter().zip(states).zip(watermarks).zip(counters) {
            let ZoneState { span, managed, .. } = state;
            writeln!(f, "Node {}, zone {:>8}", span.node, span.kind)?;
            writeln!(f, "  pages free     {}", zone.free)?;
            writeln!(f, "        boost    0")?;
            writeln!(f, "        min      {}", marks.min)?;
            writeln!(f, "        low      {}", marks.low)?;
            writeln!(f, "        high     {}", marks.high)?;
            writeln!(f, "        spanned  {}", span.spanned)?;
            writeln!(f, "        present  {}", span.present)?;
            writeln!(f, "        managed  {managed}")?;
            writeln!(f, "        cma      0")?;
            // The fifth is for memory of devices, of which there is none here: what is kept is the same.
            let [dma, dma32, normal, movable] = marks.lowmem_reserve;
            writeln!(f, "        protection: ({dma}, {dma32}, {normal}, {movable}, {movable})")?;
            writeln!(f, "      nr_free_pages {}", zone.free)?;
            writeln!(f, "      numa_hit     {}", counters.hit)?;
            writeln!(f, "      numa_miss    {}", counters.miss)?;
            writeln!(f, "      numa_foreign {}", counters.foreign)?;
            writeln!(f, "  start_pfn:           {}", span.start_pfn)?;
        }
        Ok(())
    }
}
