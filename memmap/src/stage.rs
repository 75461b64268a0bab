// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage: crash → frames.

use crate::{Error, Layout, Line, Movable, SparseModel, StructPages, allocate};
use core::marker::PhantomData;
use handoff::{
    Blocks, Crash, EarlyStore, FRAME_BYTES, Frames, Log, Machine, Owner, Page, PhysRange, Rules, Stage, StageId,
};
use heapless::Vec;

/// The stage that finds zones and sections, and allocates and writes the descriptors; `S` is the early memory it allocates from.
#[derive(Clone, Copy, Debug)]
pub struct Initialize<S>(PhantomData<S>);

impl<S: EarlyStore> Stage for Initialize<S> {
    const ID: StageId = StageId::MEMMAP;
    type In = Crash;
    type Out = Frames;
    type Error = Error;

    fn run<M: Machine>(command_line: &str, input: Crash, machine: &mut M) -> Result<Frames, Error> {
        let log = machine.log();
        let mut blocks = input.blocks;
        for region in &blocks.memory {
            if !(region.base | region.size).is_multiple_of(FRAME_BYTES) {
                return Err(Error::Unaligned { base: region.base, size: region.size });
            }
        }
        let movable = Movable::from_command_line(command_line);
        let layout = Layout::with_movable(&blocks.memory, blocks.max_pfn, movable)?;
        let mode = struct_pages(command_line, &layout, &log);
        let mut descriptors = Vec::new();
        if mode == StructPages::Eager {
            let model = SparseModel::of(Rules::from_command_line(command_line).unwrap_or_default());
            let mut memory = S::restore(&blocks, command_line, log.clone());
            descriptors = allocate(&layout, &model, &mut memory, &mut blocks.ledger)?;
            S::save(&memory, &mut blocks);
            claim_region_arrays(&mut blocks)?;
        }

        layout.report(&(0..blocks.distances.nodes() as u16), &log);
        match mode {
            StructPages::Eager => layout.initialize(machine.descriptors(&descriptors)?, &blocks.reserved)?,
            StructPages::Lazy => log.info(Line::Lazy { bytes: layout.frames() * size_of::<Page>() as u64 }),
        }

        let (zones, sections) = layout.into_parts();
        Ok(Frames { blocks, zones, sections, descriptors })
    }
}

/// Returns whether to write descriptors now: as the command line says, else as is right for so much memory.
fn struct_pages<L: Log>(command_line: &str, layout: &Layout, log: &L) -> StructPages {
    let usual = StructPages::default_for(layout.present() * FRAME_BYTES);
    let asked = StructPages::from_command_line(command_line).unwrap_or_else(|value| {
        log.warn(Line::UnknownMode { value, taken: usual.name() });
        None
    });
    asked.unwrap_or(usual)
}

/// Gives what is reserved and nobody's to the region arrays: they move when they grow, and nobody else takes memory here.
fn claim_region_arrays(blocks: &mut Blocks) -> Result<(), Error> {
    let old = blocks.ledger.clone();
    for claim in old.claims().iter().filter(|c| c.owner == Owner::REGION_ARRAYS) {
        blocks.ledger.release(claim.range)?;
    }
    for memory in blocks.memory.iter().filter_map(|r| PhysRange::capped(r.base, r.size)) {
        for reserved in blocks.reserved.iter().filter_map(|r| PhysRange::capped(r.base, r.size)) {
            if let Some(range) = memory.intersection(reserved) {
                blocks.ledger.claim(Owner::REGION_ARRAYS, range)?;
            }
        }
    }
    Ok(())
}
