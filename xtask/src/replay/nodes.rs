// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which memory belongs to which node: what Linux makes of the firmware's ranges without telling all of it.

use super::boot::Boot;
use super::difference::{Found, compare};
use super::early::Machine;
use super::fake_nodes;
use super::report::{Fact, Report};
use super::trace::Trace;
use crate::dmesg::{Entry, Event};
use handoff::{Affinity, FRAME_BYTES, MemoryMap, Nid, PhysRange, Rules};
use memblock::{Array, Error, Policy};

/// A range of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Block {
    pub(super) range: PhysRange,
    pub(super) node: u16,
}

/// Returns the blocks that memory gets its nodes from, with the lines Linux prints of joining them; no blocks if they are
/// rejected because two nodes overlap.
///
/// Linux: `numa_cleanup_meminfo` (6.1).
pub(super) fn cleanup(given: &[Block], memory: &Machine, whole: PhysRange) -> (Option<Vec<Block>>, Vec<String>) {
    let has_memory = |b: &Block| memory.overlaps(Array::Memory, b.range.start(), b.range.size());
    let cut = given.iter().filter(|b| has_memory(b));
    let mut blocks: Vec<Block> =
        cut.filter_map(|b| Some(Block { range: b.range.intersection(whole)?, ..*b })).collect();
    let mut lines = Vec::new();
    let mem = |r: PhysRange| format!("[mem {:#010x}-{:#010x}]", r.start(), r.end() - 1);

    let mut i = 0;
    while i < blocks.len() {
        let mut j = i + 1;
        while j < blocks.len() {
            let (a, b) = (blocks[i], blocks[j]);
            if a.range.overlaps(b.range) {
                if a.node != b.node {
                    return (None, lines);
                }
                lines.push(format!("Warning: node {} {} overlaps with itself {}", a.node, mem(a.range), mem(b.range)));
            }
            let (start, end) = (a.range.start().min(b.range.start()), a.range.end().max(b.range.end()));
            let joined = PhysRange::new(start, end).filter(|joined| {
                a.node == b.node && !blocks.iter().any(|k| k.node != a.node && k.range.overlaps(*joined))
            });
            match joined {
                Some(joined) => {
                    let (node, a, b, joined_text) = (a.node, mem(a.range), mem(b.range), mem(joined));
                    lines.push(format!("NUMA: Node {node} {a} + {b} -> {joined_text}"));
                    blocks[i].range = joined;
                    blocks.remove(j);
                }
                None => j += 1,
            }
        }
        i += 1;
    }
    (Some(blocks), lines)
}

/// Takes every node and every mark of memory that can be unplugged away.
///
/// Linux: the beginning of `numa_init` (6.1).
pub(super) fn reset(memory: &mut Machine) -> Result<(), Error> {
    let none = memory.policy().no_nid();
    memory.set_node(Array::Memory, 0, u64::MAX, none)?;
    memory.set_node(Array::Reserved, 0, u64::MAX, none)?;
    memory.clear_hotplug(0, u64::MAX)
}

/// Gives memory and reservations their nodes. A node that holds something reserved cannot be unplugged.
///
/// Linux: `numa_register_memblks`, `numa_clear_kernel_node_hotplug` (6.1).
pub(super) fn register(memory: &mut Machine, blocks: &[Block]) -> Result<(), Error> {
    for array in [Array::Memory, Array::Reserved] {
        for block in blocks {
            memory.set_node(array, block.range.start(), block.range.size(), Nid::from(block.node))?;
        }
    }
    for block in blocks {
        if memory.reserved().iter().any(|r| r.nid == Nid::from(block.node)) {
            memory.clear_hotplug(block.range.start(), block.range.size())?;
        }
    }
    Ok(())
}

/// What the lines of a log say about nodes, and what follows.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) blocks: Vec<Block>,
    /// The nodes that get a place for their bookkeeping, in order.
    pub(super) nodes: Vec<u16>,
}

/// Compares the lines about nodes up to the first bookkeeping, and returns what they amount to.
pub(super) fn plan(boot: &Boot<'_>, memory: &Machine, max_pfn: u64, report: &mut Report) -> Plan {
    let entries = boot.entries();
    let first_data = entries.iter().position(|e| matches!(e.event, Event::NodeData { .. })).unwrap_or(entries.len());
    let entries = &entries[..first_data];
    let ram = PhysRange::new(0, max_pfn.saturating_mul(4096));
    let dummy = entries.iter().any(|e| e.event == Event::NumaDummy);

    let whole =
        if boot.rules < Rules::V6_12 { ram } else { PhysRange::new(memory.start_of_dram(), memory.end_of_dram()) };
    let Some((ram, whole)) = ram.zip(whole) else { return Plan::default() };
    let all = Block { range: ram, node: 0 };
    let given = ranges(entries, |e| match *e {
        Event::Srat { nid, start, last, .. } => Some((nid, start, last)),
        _ => None,
    });
    let (mut blocks, mut expected) = cleanup(&given, memory, whole);
    let rejected = blocks.is_none();
    if dummy {
        (blocks, _) = cleanup(&[all], memory, whole);
        expected.push(format!("Faking a node at [mem {:#018x}-{:#018x}]", 0, ram.end() - 1));
    }
    let known: Vec<PhysRange> =
        memory.memory().iter().filter_map(|r| PhysRange::capped(r.base, r.size)?.inward()).collect();
    let physical = blocks.as_deref().unwrap_or_default();
    // Not every kernel is built to make up nodes.
    let makes_up = entries.iter().any(|e| matches!(e.event, Event::EmulatedNode { .. }));
    if let Some(made) = fake_nodes::made_up(&boot.command_line, physical, &known, max_pfn).filter(|_| makes_up) {
        expected.extend(fake_nodes::lines(&made));
        let (joined, lines) = cleanup(&made, memory, whole);
        expected.extend(lines);
        blocks = joined;
    }
    if rejected && !dummy {
        expected.push("No NUMA configuration found".into());
    }

    let told =
        |e: &&Entry<'_>| matches!(e.event, Event::NodeRange | Event::FakeNode { .. } | Event::EmulatedNode { .. });
    let found: Vec<_> = entries.iter().filter(told).map(Found::from).collect();
    let next = boot.entries().get(first_data).map_or(boot.log.last_line, |e| e.line);
    compare(report, Fact::NodeLines, &expected, &found, (0, next));

    let blocks = blocks.unwrap_or_default();
    let mut nodes: Vec<u16> = blocks.iter().map(|b| b.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    Plan { blocks, nodes }
}

fn ranges(entries: &[Entry<'_>], range: impl Fn(&Event<'_>) -> Option<(u16, u64, u64)>) -> Vec<Block> {
    let said = entries.iter().filter_map(|e| range(&e.event));
    said.filter_map(|(node, start, last)| Some(Block { range: PhysRange::new(start, last.checked_add(1)?)?, node }))
        .collect()
}

/// Returns the nodes that `numa=fake=` makes of the firmware's, if it does.
pub(crate) fn made_up(command_line: &str, map: &MemoryMap, rules: Rules) -> Option<Vec<Affinity>> {
    let memory: Vec<PhysRange> = map.map.iter().filter(|e| e.kind.is_ram()).filter_map(|e| e.range.inward()).collect();
    let policy = Policy { rules, ..Policy::from_command_line(command_line) };
    let mut machine = Box::new(Machine::with_log(policy, Trace::default()));
    for range in &memory {
        machine.add(range.start(), range.size()).ok()?;
    }
    let ram = PhysRange::new(0, map.max_pfn.saturating_mul(FRAME_BYTES))?;
    let given: Vec<Block> = map.affinity.iter().map(|a| Block { range: a.range, node: a.node }).collect();
    let (physical, _) = if given.is_empty() {
        (Some(vec![Block { range: ram, node: 0 }]), Vec::new())
    } else {
        cleanup(&given, &machine, ram)
    };
    let made = fake_nodes::made_up(command_line, &physical?, &memory, map.max_pfn)?;
    Some(made.into_iter().map(|Block { range, node }| Affinity { range, node, hotplug: false }).collect())
}

/// Compares the firmware's ranges of nodes with the table they come from, if it was kept.
pub(super) fn check_srat(boot: &Boot<'_>, report: &mut Report) {
    let Some(expected) = &boot.firmware.srat else { return };
    let found: Vec<_> =
        boot.entries().iter().filter(|e| matches!(e.event, Event::Srat { .. })).map(Found::from).collect();
    let off = boot.has_parameter_value("numa", "off") || boot.has_parameter_value("acpi", "off");
    if !off {
        let end = boot.dump(1).map_or(boot.log.last_line, |dump| boot.entries()[dump].line);
        compare(report, Fact::NodeLines, expected, &found, (0, end));
    }
}
