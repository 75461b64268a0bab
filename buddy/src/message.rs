// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the stage says.

use handoff::ZoneKind;

handoff::messages! {
    /// A line of the log.
    pub enum Event<'a> {
        /// All memory that nobody reserved is free. Linux counts the same (`mem_init_print_info`, 6.1), but also names
        /// the parts of its own image.
        Memory { available_kb: u64, present_kb: u64, reserved_kb: u64 }
            => ("Memory: {}K/{}K available ({}K reserved)", available_kb, present_kb, reserved_kb);
        /// What a zone has to give.
        Zone { node: u16, kind: ZoneKind, managed: u64, present: u64 }
            => ("Node {}, zone {}: {} of {} pages managed", node, kind, managed, present);
        /// How the hand-over went.
        HandedOver { frames: u64, blocks: u64 } => ("buddy: {} pages handed over in {} blocks", frames, blocks);
        /// What the allocator's own tables cost.
        Tables { kilobytes: u64, dormant: u64 }
            => ("buddy: {}K of frame maps, {} sections dormant", kilobytes, dormant);
        /// Reserved memory was given up. Linux: `free_reserved_area` (6.1).
        Freeing { what: &'a str, kilobytes: u64 } => ("Freeing {} memory: {}K", what, kilobytes);
    }
}
