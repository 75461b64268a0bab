// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which memory belongs to which node, and a place for each node's bookkeeping.

use crate::{Array, Error, Memblock, Notice};
use handoff::{AFFINITIES, Affinity, FRAME_BYTES, Log, Nid, PhysRange, Rules};
use heapless::Vec;

/// Ranges with a node: disjoint, except on the same node.
type Nodes = Vec<Affinity, AFFINITIES>;

/// Bytes of `pg_data_t` in Debian's 6.1, in whole pages.
const NODE_DATA_BYTES: u64 = 0x2_b000;
/// The same in Debian's 6.12, in whole cache lines.
const NODE_DATA_BYTES_6_12: u64 = 0x2_a980;
const CACHE_LINE_BYTES: u64 = 64;
/// Memory without a node that is still put up with.
const SLACK_BYTES: u64 = 1 << 20;

/// Where a node's bookkeeping lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeData {
    pub(crate) node: u16,
    pub(crate) range: PhysRange,
}

/// Who said which memory belongs to which node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The firmware.
    Firmware,
    /// Nobody who can be believed: all of it is node 0.
    Nobody,
}

/// Gives memory and reservations their nodes, from what the firmware says or else all to node 0; returns who was believed
/// and where each node's bookkeeping was placed, by node.
///
/// Linux: `x86_numa_init`, `numa_init` (6.1).
pub(crate) fn assign<const N: usize, L: Log>(
    memblock: &mut Memblock<N, L>,
    affinity: &[Affinity],
    max_pfn: u64,
    numa_off: bool,
) -> Result<(Source, Vec<NodeData, AFFINITIES>), Error> {
    reset(memblock)?;
    if !affinity.is_empty() && !numa_off {
        let believed = mark(memblock, affinity)?;
        if let Some(nodes) = believed.then(|| cleanup(memblock, affinity, max_pfn)).flatten() {
            register(memblock, &nodes)?;
            if is_covered(memblock, &nodes) {
                return Ok((Source::Firmware, place(memblock, &nodes)?));
            }
        }
        reset(memblock)?;
    }

    memblock.log.info(if numa_off { Notice::NumaOff } else { Notice::NoNuma });
    let end = max_pfn.saturating_mul(FRAME_BYTES);
    memblock.log.info(Notice::FakeNode { last: end.wrapping_sub(1) });
    let all = PhysRange::new(0, end).map(|range| Affinity { range, node: 0, hotplug: false });
    let nodes: Nodes = all.into_iter().collect();
    register(memblock, &nodes)?;
    Ok((Source::Nobody, place(memblock, &nodes)?))
}

fn reset<const N: usize, L: Log>(memblock: &mut Memblock<N, L>) -> Result<(), Error> {
    let none = memblock.policy().no_nid();
    memblock.set_node(Array::Memory, 0, u64::MAX, none)?;
    memblock.set_node(Array::Reserved, 0, u64::MAX, none)?;
    memblock.clear_hotplug(0, u64::MAX)
}

/// Marks what can be unplugged; returns whether the node numbers can be believed.
fn mark<const N: usize, L: Log>(memblock: &mut Memblock<N, L>, affinity: &[Affinity]) -> Result<bool, Error> {
    if let Some(&Affinity { node, range, .. }) = affinity.iter().find(|a| Nid::from(a.node).number().is_none()) {
        memblock.log.error(Notice::NodeNumber { node, range });
        return Ok(false);
    }
    for a in affinity.iter().filter(|a| a.hotplug) {
        memblock.mark_hotplug(a.range.start(), a.range.size())?;
    }
    Ok(true)
}

/// Cuts the ranges to where memory is and joins those of a node with no other node between; `None` if two nodes overlap.
///
/// Linux: `numa_cleanup_meminfo` (6.1).
fn cleanup<const N: usize, L: Log>(memblock: &Memblock<N, L>, given: &[Affinity], max_pfn: u64) -> Option<Nodes> {
    let whole = if memblock.policy().rules < Rules::V6_12 {
        PhysRange::new(0, max_pfn.saturating_mul(FRAME_BYTES))?
    } else {
        PhysRange::new(memblock.start_of_dram(), memblock.end_of_dram())?
    };
    let mut nodes = Nodes::new();
    for &a in given {
        let holds_memory = memblock.overlaps(Array::Memory, a.range.start(), a.range.size());
        match a.range.intersection(whole).filter(|_| holds_memory) {
            Some(range) => nodes.extend([Affinity { range, ..a }]),
            None => memblock.log.warn(Notice::NodeWithoutMemory { node: a.node, range: a.range }),
        }
    }

    let mut i = 0;
    while i < nodes.len() {
        let mut j = i + 1;
        while j < nodes.len() {
            let (a, b) = (nodes[i], nodes[j]);
            if overlap(&memblock.log, a, b)? || a.node != b.node {
                j += 1;
                continue;
            }
            let (start, end) = (a.range.start().min(b.range.start()), a.range.end().max(b.range.end()));
            let joined = PhysRange::new(start, end)?;
            if nodes.iter().any(|other| other.node != a.node && other.range.overlaps(joined)) {
                j += 1;
                continue;
            }
            memblock.log.info(Notice::Joined { node: a.node, a: a.range, b: b.range, start, last: end - 1 });
            nodes[i].range = joined;
            nodes.remove(j);
        }
        i += 1;
    }
    Some(nodes)
}

/// Complains about an overlap; `None` if it is one of different nodes.
fn overlap<L: Log>(log: &L, a: Affinity, b: Affinity) -> Option<bool> {
    if a.range.overlaps(b.range) && a.node != b.node {
        log.error(Notice::Overlaps { node: a.node, a: a.range, other: b.node, b: b.range });
        return None;
    }
    if a.range.overlaps(b.range) {
        log.warn(Notice::OverlapsItself { node: a.node, a: a.range, b: b.range });
    }
    Some(false)
}

/// Linux: the first half of `numa_register_memblks` and `numa_clear_kernel_node_hotplug` (6.1).
fn register<const N: usize, L: Log>(memblock: &mut Memblock<N, L>, nodes: &Nodes) -> Result<(), Error> {
    for array in [Array::Memory, Array::Reserved] {
        for a in nodes {
            memblock.set_node(array, a.range.start(), a.range.size(), Nid::from(a.node))?;
        }
    }
    // The kernel cannot be unplugged, so a node that holds something reserved cannot either.
    for a in nodes {
        if memblock.reserved().iter().any(|r| r.nid == Nid::from(a.node)) {
            memblock.clear_hotplug(a.range.start(), a.range.size())?;
        }
    }
    Ok(())
}

/// Returns whether nearly all memory has a node.
///
/// Linux: `numa_meminfo_cover_memory` (6.1), `memblock_validate_numa_coverage` (6.12).
fn is_covered<const N: usize, L: Log>(memblock: &Memblock<N, L>, nodes: &Nodes) -> bool {
    let total: u64 = memblock.pfn_ranges(Nid::UNSET).map(|r| (r.end - r.start) * FRAME_BYTES).sum();
    let in_nodes = |a: &Affinity| -> u64 {
        let (start, end) = (a.range.start() / FRAME_BYTES, a.range.end() / FRAME_BYTES);
        let ranges = memblock.pfn_ranges(Nid::from(a.node));
        ranges.map(|r| r.end.min(end).saturating_sub(r.start.max(start)) * FRAME_BYTES).sum()
    };
    if memblock.policy().rules < Rules::V6_12 {
        let covered: u64 = nodes.iter().map(in_nodes).sum();
        let missing = total.saturating_sub(covered);
        if missing >= SLACK_BYTES {
            memblock.log.error(Notice::Uncovered { covered_mb: covered >> 20, ram_mb: total >> 20 });
        }
        missing < SLACK_BYTES
    } else {
        let ranges = memblock.pfn_ranges(Nid::UNSET).filter(|r| r.nid.number().is_none());
        let missing: u64 = ranges.map(|r| (r.end - r.start) * FRAME_BYTES).sum();
        if missing > SLACK_BYTES {
            let ram_mb = memblock.phys_mem_size() >> 20;
            memblock.log.error(Notice::NoCoverage { missing_mb: missing >> 20, ram_mb });
        }
        missing <= SLACK_BYTES
    }
}

/// Places the bookkeeping of each node, on the node itself if it has room.
///
/// Linux: `alloc_node_data` (6.1).
fn place<const N: usize, L: Log>(
    memblock: &mut Memblock<N, L>,
    nodes: &Nodes,
) -> Result<Vec<NodeData, AFFINITIES>, Error> {
    let bytes = if memblock.policy().rules < Rules::V6_12 { NODE_DATA_BYTES } else { NODE_DATA_BYTES_6_12 };
    let mut placed = Vec::new();
    let mut next = 0;
    while let Some(node) = nodes.iter().map(|a| a.node).filter(|&node| node >= next).min() {
        next = node + 1; // no overflow: node numbers stay below 1024
        let found = memblock.phys_alloc_try_nid(bytes, CACHE_LINE_BYTES, Nid::from(node));
        let base = found.map_err(|error| no_place(memblock, node, bytes, error))?;
        memblock.log.info(Notice::NodeData { node, base, last: base + bytes - 1 });
        if let Some(on) = memblock.search_pfn_nid(base / FRAME_BYTES).filter(|span| span.nid != Nid::from(node)) {
            memblock.log.info(Notice::NodeDataElsewhere { node, on: on.nid.0 });
        }
        placed.extend(PhysRange::from_size(base, bytes).map(|range| NodeData { node, range }));
    }
    Ok(placed)
}

fn no_place<const N: usize, L: Log>(memblock: &Memblock<N, L>, node: u16, bytes: u64, error: Error) -> Error {
    let Error::NoRoom { bounds } = error else { return error };
    memblock.log.error(Notice::NoNodeData { node, bytes });
    let why = memblock.explain_failure(handoff::Bounds { nid: Nid::NONE, ..bounds });
    Error::NodeData {
        node,
        needed_bytes: bytes,
        memory_bytes: memblock.memory_bytes(),
        free_bytes: why.free_bytes,
        largest_bytes: why.largest_hole.map_or(0, PhysRange::size),
    }
}
