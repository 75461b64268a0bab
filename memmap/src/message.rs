// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this crate says.

use core::fmt;
use handoff::{PhysRange, ZoneKind};

handoff::messages! {
    /// A line of the zone report.
    pub enum Line<'a> {
        /// Heads the zones.
        ZoneRanges => ("Zone ranges:");
        /// What a zone may hold on any node; the name fills 8 columns.
        Zone { name: &'static str, range: PhysRange } => ("  {} {}", name, range);
        /// A zone that can hold nothing.
        EmptyZone { name: &'static str } => ("  {} empty", name);
        /// Heads the starts of the movable zone.
        MovableZone => ("Movable zone start for each node");
        /// The start of the movable zone of a node.
        MovableStart { node: u16, start: Address } => ("  Node {}: {}", node, start);
        /// Heads the ranges of memory.
        NodeRanges => ("Early memory node ranges");
        /// A range of memory.
        NodeRange { node: NodeColumn, range: PhysRange } => ("  node {}: {}", node, range);
        /// A node from its first to its last frame.
        Node { node: u16, range: PhysRange } => ("Initmem setup node {} {}", node, range);
        /// A node without memory.
        Memoryless { node: u16 } => ("Initmem setup node {} as memoryless", node);
        /// A hole with descriptors.
        Unavailable { node: u16, zone: ZoneKind, frames: u64 } =>
            ("On node {}, zone {}: {} pages in unavailable ranges", node, zone, frames);
        /// No descriptor is written; what all of them would cost.
        Lazy { bytes: u64 } =>
            ("memmap: no page descriptors are written at boot; all of them would take {} bytes (struct_pages=eager)", bytes);
        /// A value of `struct_pages=` that means nothing.
        UnknownMode { value: &'a str, taken: &'static str } =>
            ("memmap: struct_pages={} is neither eager nor lazy: taken as {}", value, taken);
    }
}

/// An address with 16 digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address(pub u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

#[cfg(feature = "defmt")]
impl handoff::defmt::Format for Address {
    fn format(&self, f: handoff::defmt::Formatter<'_>) {
        use handoff::defmt;
        defmt::write!(f, "{=u64:#018x}", self.0);
    }
}

/// A node number, right-aligned in 3 columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeColumn(pub u16);

impl fmt::Display for NodeColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:3}", self.0)
    }
}

/// defmt cannot pad with blanks.
#[cfg(feature = "defmt")]
impl handoff::defmt::Format for NodeColumn {
    fn format(&self, f: handoff::defmt::Formatter<'_>) {
        use handoff::defmt;
        let blanks = match self.0 {
            0..10 => "  ",
            10..100 => " ",
            100.. => "",
        };
        defmt::write!(f, "{=str}{=u16}", blanks, self.0);
    }
}

/// Returns the name of a zone, left-aligned in 8 columns.
pub(crate) const fn zone_column(kind: ZoneKind) -> &'static str {
    match kind {
        ZoneKind::DMA => "DMA     ",
        ZoneKind::DMA32 => "DMA32   ",
        ZoneKind::NORMAL => "Normal  ",
        _ => "Movable ",
    }
}
