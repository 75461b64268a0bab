// SPDX-License-Identifier: MIT OR Apache-2.0
//! The zone report.

use crate::layout::ZONE_ENDS;
use crate::message::Address;
use crate::message::zone_column;
use crate::{Layout, Line, MovableStart, NodeColumn};
use handoff::{FRAME_BYTES, Log, PhysRange};

impl Layout {
    /// Writes the zone report: zones, ranges of memory, nodes, holes.
    ///
    /// `nodes` are all nodes there are, in any order; one without memory gets a line that says so.
    ///
    /// Linux: `free_area_init` (6.1). Of its lines, that of zone Device is left out.
    pub fn report<L: Log>(&self, nodes: &(impl Iterator<Item = u16> + Clone), log: &L) {
        log.info(Line::ZoneRanges);
        let mut start = self.memory()[0].start_pfn;
        for (kind, limit) in ZONE_ENDS {
            let (name, end) = (zone_column(kind), limit.min(self.max_pfn()).max(start));
            match bytes(start, end) {
                Some(range) => log.info(Line::Zone { name, range }),
                None => log.info(Line::EmptyZone { name }),
            }
            start = end;
        }
        log.info(Line::MovableZone);
        for MovableStart { node, start_pfn } in self.movable_starts() {
            log.info(Line::MovableStart { node: *node, start: Address(start_pfn * FRAME_BYTES) });
        }

        log.info(Line::NodeRanges);
        for memory in self.memory() {
            if let Some(range) = bytes(memory.start_pfn, memory.end_pfn) {
                log.info(Line::NodeRange { node: NodeColumn(memory.node()), range });
            }
        }

        let above = |least: u32| self.nodes().chain(nodes.clone()).map(u32::from).filter(|n| *n >= least).min();
        for node in core::iter::successors(above(0), |n| above(n + 1)).map(|n| n as u16) {
            match self.node_span(node).and_then(|(start, end)| bytes(start, end)) {
                Some(range) => log.info(Line::Node { node, range }),
                None => log.info(Line::Memoryless { node }),
            }
        }

        for hole in self.unavailable() {
            log.info(Line::Unavailable { node: hole.node, zone: hole.zone, frames: hole.frames });
        }
    }
}

/// Returns the bytes of frames `[start, end)`.
fn bytes(start: u64, end: u64) -> Option<PhysRange> {
    PhysRange::new(start * FRAME_BYTES, end * FRAME_BYTES)
}
