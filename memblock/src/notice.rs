// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of the stage: those of Linux word for word, and ours, which begin with `memblock:`.

use handoff::PhysRange;

handoff::messages! {
    /// A line of the stage.
    pub enum Notice<'a> {
        /// The firmware says nothing about nodes.
        NoNuma => ("No NUMA configuration found");
        /// `numa=off`.
        NumaOff => ("NUMA turned off");
        /// All memory becomes node 0.
        FakeNode { last: u64 } => ("Faking a node at [mem {:#018x}-{:#018x}]", 0u64, last);
        /// Two ranges of a node became one.
        Joined { node: u16, a: PhysRange, b: PhysRange, start: u64, last: u64 }
            => ("NUMA: Node {} [mem {:#010x}-{:#010x}] + [mem {:#010x}-{:#010x}] -> [mem {:#010x}-{:#010x}]",
                node, a.start(), a.end() - 1, b.start(), b.end() - 1, start, last);
        /// A node is named twice for the same memory.
        OverlapsItself { node: u16, a: PhysRange, b: PhysRange }
            => ("Warning: node {} [mem {:#010x}-{:#010x}] overlaps with itself [mem {:#010x}-{:#010x}]",
                node, a.start(), a.end() - 1, b.start(), b.end() - 1);
        /// Two nodes are named for the same memory.
        Overlaps { node: u16, a: PhysRange, other: u16, b: PhysRange }
            => ("node {} [mem {:#010x}-{:#010x}] overlaps with node {} [mem {:#010x}-{:#010x}]",
                node, a.start(), a.end() - 1, other, b.start(), b.end() - 1);
        /// Too much memory has no node (before 6.8).
        Uncovered { covered_mb: u64, ram_mb: u64 }
            => ("NUMA: nodes only cover {}MB of your {}MB e820 RAM. Not used.", covered_mb, ram_mb);
        /// Too much memory has no node (since 6.8).
        NoCoverage { missing_mb: u64, ram_mb: u64 }
            => ("NUMA: no nodes coverage for {}MB of {}MB RAM", missing_mb, ram_mb);
        /// The bookkeeping of a node has its place.
        NodeData { node: u16, base: u64, last: u64 }
            => ("NODE_DATA({}) allocated [mem {:#010x}-{:#010x}]", node, base, last);
        /// That place is on another node.
        NodeDataElsewhere { node: u16, on: i32 }
            => ("    NODE_DATA({}) on node {}", node, on);
        /// There is no such place.
        NoNodeData { node: u16, bytes: u64 }
            => ("Cannot find {} bytes in any node (initial node: {})", bytes, node);
        /// A node number is too large, so that no node is believed.
        NodeNumber { node: u16, range: PhysRange }
            => ("memblock: node {} of {} is above 1023: all nodes are ignored", node, range);
        /// A node's range holds no memory.
        NodeWithoutMemory { node: u16, range: PhysRange }
            => ("memblock: node {}: {} holds no memory, ignored", node, range);
        /// Something was loaded where there is no memory.
        OutsideMemory { what: &'a str, range: PhysRange, bytes: u64 }
            => ("memblock: {} {}: {} bytes of it are not in memory; reserved all the same", what, range, bytes);
        /// A hand-off that is none.
        NotRestored { reason: &'a str }
            => ("memblock: cannot restore early memory: {}; nothing can be allocated", reason);
    }
}
