// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage: sanitized map in, memory and reservations out.

use crate::nodes::{self, Source};
use crate::{Error, Memblock, Notice, Policy, Store};
use handoff::{
    Blocks, EarlyStore, FRAME_BYTES, Ledger, Log, Machine, MemoryKind, MemoryMap, NodeDistances, Owner, PhysRange,
    REGIONS, Stage, StageId, parameters,
};

/// Assembles memory and what is reserved in it, up to where Linux places the crash kernel.
///
/// In this order: reserves the images and the first 64 KiB; adds RAM, reserves what is soft reserved; trims to whole pages;
/// reserves the low 1 MiB; gives out node ids and places one block of bookkeeping per node. Each reserved byte of memory
/// gets an owner in the ledger, each byte lost to trimming too.
///
/// With `movable_node` Linux allocates bottom-up until the nodes are known. Nothing is allocated here before that.
///
/// Linux: `early_reserve_memory`, `e820__memblock_setup`, `reserve_real_mode`, `initmem_init` (6.1).
#[derive(Clone, Copy, Debug)]
pub struct Assemble;

/// What Linux reserves first of all, against firmware that writes there.
const FIRST_BYTES: u64 = 0x1_0000;
/// What belongs to the real-mode code and the BIOS.
const LOW_BYTES: u64 = 0x10_0000;

impl Stage for Assemble {
    const ID: StageId = StageId::MEMBLOCK;
    type In = MemoryMap;
    type Out = Blocks;
    type Error = Error;

    fn run<M: Machine>(command_line: &str, input: MemoryMap, machine: &mut M) -> Result<Blocks, Error> {
        let log = machine.log();
        // A `linux=` that nobody knows was already reported by the first stage.
        let policy = Policy::from_command_line(command_line);
        let mut memblock = Memblock::<REGIONS, _>::with_log(policy, log.clone());
        let mut ledger = input.ledger.clone();

        for image in &input.images {
            memblock.reserve(image.range.start(), image.range.size())?;
        }
        memblock.reserve(0, FIRST_BYTES)?;
        add_map(&mut memblock, &input, &mut ledger)?;
        memblock.dump_all();

        memblock.reserve(0, LOW_BYTES)?;
        memblock.set_current_limit(input.max_pfn.saturating_mul(FRAME_BYTES));
        for image in &input.images {
            report_outside(&memblock, image.owner.words(), image.range, &log);
            claim(&mut ledger, &memblock, image.owner, image.range)?;
        }
        claim(&mut ledger, &memblock, Owner::LOW_MEMORY, LOW_MEMORY)?;

        let numa_off = parameters(command_line).any(|parameter| parameter == ("numa", Some("off")));
        let (source, data) = nodes::assign(&mut memblock, &input.affinity, input.max_pfn, numa_off)?;
        for data in data {
            claim(&mut ledger, &memblock, Owner::NODE_DATA, data.range)?;
        }
        memblock.dump_all();

        let MemoryMap { max_pfn, low_max_pfn, images, affinity, distances, .. } = input;
        let distances = if source == Source::Firmware { distances } else { NodeDistances::default() };
        let mut blocks = Blocks { max_pfn, low_max_pfn, images, affinity, distances, ledger, ..Blocks::default() };
        Store::save(&memblock, &mut blocks);
        Ok(blocks)
    }
}

const LOW_MEMORY: PhysRange = match PhysRange::new(0, LOW_BYTES) {
    Some(range) => range,
    None => panic!("the low 1 MiB is not empty"),
};

/// Adds RAM, reserves what is soft reserved, and trims; what trimming cuts off is lost to rounding.
///
/// Linux: `e820__memblock_setup` (6.1).
fn add_map<const N: usize, L: Log>(
    memblock: &mut Memblock<N, L>,
    input: &MemoryMap,
    ledger: &mut Ledger,
) -> Result<(), Error> {
    for entry in &input.map {
        let (base, size) = (entry.range.start(), entry.range.size());
        match entry.kind {
            MemoryKind::SOFT_RESERVED => memblock.reserve(base, size)?,
            kind if kind.is_ram() => memblock.add(base, size)?,
            _ => {}
        }
    }

    for memory in memblock.mem_ranges() {
        let (first, last) = match memory.inward() {
            Some(whole) => (PhysRange::new(memory.start(), whole.start()), PhysRange::new(whole.end(), memory.end())),
            None => (Some(memory), None),
        };
        for lost in [first, last].into_iter().flatten() {
            ledger.claim(Owner::ROUNDING, lost)?;
        }
    }
    memblock.trim_memory(FRAME_BYTES)?;
    if memblock.memory().is_empty() || input.max_pfn == 0 { Err(Error::NoMemory) } else { Ok(()) }
}

/// Gives the part of `range` that is memory to `owner`, unless somebody owns it.
fn claim<const N: usize, L: Log>(
    ledger: &mut Ledger,
    memblock: &Memblock<N, L>,
    owner: Owner,
    range: PhysRange,
) -> Result<(), Error> {
    for part in memblock.mem_ranges().filter_map(|memory| memory.intersection(range)) {
        ledger.claim(owner, part)?;
    }
    Ok(())
}

fn report_outside<const N: usize, L: Log>(memblock: &Memblock<N, L>, what: &str, range: PhysRange, log: &L) {
    let inside: u64 = memblock.mem_ranges().filter_map(|m| m.intersection(range)).map(PhysRange::size).sum();
    if inside < range.size() {
        log.warn(Notice::OutsideMemory { what, range, bytes: range.size() - inside });
    }
}
