// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nodes that `numa=fake=` makes up.

use super::nodes::Block;
use handoff::{FRAME_BYTES, PhysRange, memparse, parameters, strtoull};

/// What the sizes of made-up nodes are multiples of, and the least of them. Linux: `FAKE_NODE_MIN_SIZE` (6.1).
const STEP: u64 = 32 << 20;
/// Linux: `MAX_NUMNODES` (6.1, Debian).
const MAX_NODES: u64 = 1024;
/// Linux: `NR_NODE_MEMBLKS` (6.1).
const MAX_BLOCKS: usize = 2048;
/// The end of zone DMA32.
const DMA32_END: u64 = 4 << 30;

/// Returns the nodes that the command line makes of those there are; `None` if it does not, or if they do not come out.
/// `memory` is in order and in whole pages.
///
/// Linux: `numa_emulation` (6.1).
pub(super) fn made_up(
    command_line: &str,
    physical: &[Block],
    memory: &[PhysRange],
    max_pfn: u64,
) -> Option<Vec<Block>> {
    let asked = parameters(command_line).filter(|(name, _)| *name == "numa");
    let asked = asked.filter_map(|(_, value)| value?.strip_prefix("fake=")).last()?;
    let mut split = Split { left: physical.to_vec(), memory, made: Vec::new(), count: 0 };
    let end = max_pfn.saturating_mul(FRAME_BYTES);
    let all = end - split.hole(0, end);
    let mut nodes: Vec<u16> = physical.iter().map(|block| block.node).collect();
    nodes.sort_unstable();
    nodes.dedup();

    let (number, _) = strtoull(asked.as_bytes());
    if asked.contains('U') {
        for _ in nodes {
            let Some(&first) = split.left.first() else { continue };
            let share = in_pages(first.range.size().checked_div(number)?);
            split.run(&[first.node], &Way { bytes: stepped(share), larger: 0, strict: true, nodes: MAX_NODES })?;
            if u64::from(split.count) < number {
                return None;
            }
        }
    } else if asked.contains(['M', 'G']) {
        let (bytes, _) = memparse(asked.as_bytes());
        let bytes = bytes.max(stepped(in_pages(all / MAX_NODES))) / STEP * STEP;
        split.run(&nodes, &Way { bytes, larger: 0, strict: false, nodes: MAX_NODES })?;
    } else {
        let number = number.min(MAX_NODES);
        let share = all.checked_div(number)?;
        // What is left of each makes some of them larger.
        let larger = share % STEP * number / STEP;
        let bytes = Some(share / STEP * STEP).filter(|bytes| *bytes > 0)?;
        split.run(&nodes, &Way { bytes, larger, strict: false, nodes: number })?;
    }
    Some(split.made)
}

/// Returns the lines that Linux prints of them.
pub(super) fn lines(made: &[Block]) -> impl Iterator<Item = String> {
    made.iter().map(|Block { range, node }| {
        let (start, last) = (range.start(), range.end() - 1);
        format!("Faking node {node} at [mem {start:#018x}-{last:#018x}] ({}MB)", range.size() >> 20)
    })
}

fn in_pages(bytes: u64) -> u64 {
    bytes / FRAME_BYTES * FRAME_BYTES
}

fn stepped(bytes: u64) -> u64 {
    bytes.max(STEP).next_multiple_of(STEP)
}

/// How nodes are split.
struct Way {
    /// How much a node has at least.
    bytes: u64,
    /// How many of the first have [`STEP`] more.
    larger: u64,
    /// Whether holes count as memory.
    strict: bool,
    /// Their numbers start again from 0 behind so many.
    nodes: u64,
}

/// A split in progress.
struct Split<'a> {
    left: Vec<Block>,
    memory: &'a [PhysRange],
    made: Vec<Block>,
    count: u32,
}

impl Split<'_> {
    /// Takes pieces of physical nodes in turn until nothing is left; `None` if they are too many.
    fn run(&mut self, nodes: &[u16], way: &Way) -> Option<()> {
        let mut nodes = nodes.to_vec();
        while !nodes.is_empty() {
            nodes.retain(|node| self.left.iter().any(|block| block.node == *node));
            for node in &nodes {
                let at = self.left.iter().position(|block| block.node == *node)?;
                let range = self.left[at].range;
                let (start, limit) = (range.start(), range.end());
                let end = self.end_of_node(start, limit, way).min(limit);
                if self.made.len() == MAX_BLOCKS {
                    return None;
                }
                let number = u16::try_from(u64::from(self.count) % way.nodes).ok()?;
                self.made.push(Block { range: PhysRange::new(start, end)?, node: number });
                self.count += 1;
                match PhysRange::new(end, limit) {
                    Some(rest) => self.left[at].range = rest,
                    None => _ = self.left.remove(at),
                }
            }
        }
        Some(())
    }

    fn end_of_node(&self, start: u64, limit: u64, way: &Way) -> u64 {
        let memory = |start: u64, end: u64| end.saturating_sub(start) - self.hole(start, end);
        let mut end = start.saturating_add(way.bytes);
        if u64::from(self.count) < way.larger {
            end = end.saturating_add(STEP);
        }
        while !way.strict && memory(start, end) < way.bytes {
            end = end.saturating_add(STEP);
            if end > limit {
                end = limit;
                break;
            }
        }
        // The next one would have too little memory below 4 GiB, or too little at all.
        if end < DMA32_END && memory(end, DMA32_END) < STEP {
            end = DMA32_END;
        }
        if !way.strict && end < limit && memory(end, limit) < way.bytes {
            end = limit;
        }
        end
    }

    /// Returns the bytes between two addresses that are no memory.
    fn hole(&self, start: u64, end: u64) -> u64 {
        let Some(range) = PhysRange::new(start, end).and_then(PhysRange::inward) else { return 0 };
        let inside = self.memory.iter().filter_map(|m| m.intersection(range)).map(PhysRange::size);
        range.size() - inside.sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn block(node: u16, start: u64, end: u64) -> Block {
        Block { range: PhysRange::new(start, end).unwrap(), node }
    }

    /// Nodes of a machine with 4 GiB and a hole below 4 GiB, by start and size in MiB.
    fn nodes(value: &str, physical: &[Block]) -> Option<Vec<(u16, u64, u64)>> {
        let memory = [(0x1000, 3 * GIB), (4 * GIB, 5 * GIB)].map(|(start, end)| PhysRange::new(start, end).unwrap());
        let made = made_up(&format!("quiet numa={value}"), physical, &memory, 5 * GIB / FRAME_BYTES)?;
        Some(made.iter().map(|b| (b.node, b.range.start() / MIB, b.range.size() / MIB)).collect())
    }

    #[test]
    fn by_number_by_size_and_of_each_node() {
        let one = [block(0, 0, 5 * GIB)];
        let two = [block(0, 0, 2 * GIB), block(1, 2 * GIB, 5 * GIB)];
        assert_eq!(nodes("fake=2", &one), Some(vec![(0, 0, 2048), (1, 2048, 3072)]));
        let four = vec![(0, 0, 1024), (1, 2048, 2048), (2, 1024, 1024), (3, 4096, 1024)];
        assert_eq!(nodes("fake=4", &two), Some(four));
        assert_eq!(nodes("fake=2G", &one), Some(vec![(0, 0, 5120)]), "what is left is less than 2 GiB");
        assert_eq!(nodes("fake=1G", &one), Some(vec![(0, 0, 1056), (1, 1056, 1024), (2, 2080, 3040)]));
        assert_eq!(nodes("fake=2U", &two), Some(vec![(0, 0, 1024), (1, 1024, 1024), (2, 2048, 2048), (3, 4096, 1024)]));
    }

    #[test]
    fn what_makes_no_nodes() {
        let one = [block(0, 0, 5 * GIB)];
        for value in ["off", "fake=0", "fake=", "fake=0U", "fake=x"] {
            assert_eq!(nodes(value, &one), None, "{value}");
        }
        assert!(nodes("fake=99999", &one).is_none(), "each would have less than 32 MiB");
        assert!(nodes("fake=1M", &one).unwrap().len() > 100);
    }
}
