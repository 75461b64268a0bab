// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage: frames in, a live allocator out.

use crate::hand_over::is_offered;
use crate::map::{MAPS_PER_STEP, STEP_FRAMES};
use crate::{Buddy, Error, Event, FrameMap, Mode, Piece, Plan};
use core::marker::PhantomData;
use handoff::{
    Bounds, EarlyMemory, EarlyStore, FRAME_BYTES, Frames, Full, GrantError, Ledger, Log, MAX_ZONES, Machine, Nid,
    Owner, PhysRange, Region, Stage, StageId, TABLE_BLOCKS, Zones,
};
use heapless::Vec;

/// The stage that hands all memory nobody reserved to the allocator; `S` is the early memory in which its tables go.
#[derive(Clone, Copy, Debug)]
pub struct HandOver<S>(PhantomData<S>);

impl<S: EarlyStore> Stage for HandOver<S> {
    const ID: StageId = StageId::BUDDY;
    type In = Frames;
    type Out = Zones;
    type Error = Error;

    fn run<M: Machine>(command_line: &str, mut input: Frames, machine: &mut M) -> Result<Zones, Error> {
        let log = machine.log();
        // Without descriptors nothing is to cost memory before somebody uses it.
        let mode = if input.descriptors.is_empty() { Mode::Lazy } else { Mode::Eager };
        let plan = Plan::<MAX_ZONES>::new(&input.blocks.memory, &input.blocks.reserved, &input.zones, mode)?;
        // Taking the tables' memory cuts what is free once more, in up to two sections.
        let maps = plan.maps() + if mode == Mode::Lazy { 2 } else { 0 };
        let tables = reserve::<S, _>(command_line, &mut input, table_frames(plan.pieces(), maps), log.clone())?;

        let Frames { mut blocks, sections, descriptors, .. } = input;
        let (pieces, maps) = split(machine.memory(&[tables])?, plan.pieces()).ok_or(GrantError { range: tables })?;
        let mut buddy = Buddy::new(&plan, pieces, maps)?;
        let handed = buddy.hand_over(&blocks.memory, &blocks.reserved)?;
        report(&log, &buddy, handed, tables);

        claim_partial_pages(&blocks.memory, &blocks.reserved, &mut blocks.ledger)?;
        let distances = blocks.distances;
        let state = Zones { sections, descriptors, distances, tables: Vec::from([tables]), ..Zones::default() };
        buddy.detach(&state, blocks.ledger)
    }
}

impl<'a> Buddy<'a, MAX_ZONES> {
    /// Returns the allocator that a hand-off describes, in time proportional to the number of zones and runs.
    ///
    /// `tables` are the bytes that lie in `state.tables`, one after another.
    ///
    /// # Errors
    /// As [`from_parts`](Self::from_parts); [`Error::Tables`] also for bytes that do not start at a multiple of 64.
    pub fn attach(tables: &'a mut [u8], state: &Zones) -> Result<Self, Error> {
        let pieces = state.zones.iter().fold(0usize, |sum, zone| sum.saturating_add(zone.pieces as usize));
        let (pieces, maps) = split(tables, pieces).ok_or(Error::Tables { pieces, maps: 0 })?;
        Self::from_parts(pieces, maps, &state.zones, &state.runs, &state.shares)
    }

    /// Returns the hand-off from which [`attach`](Self::attach) makes the same allocator again.
    ///
    /// `before` is the one that this allocator came from: it says where the kernel's descriptors lie, and the tables.
    ///
    /// # Errors
    /// [`Error::Capacity`] if there are too many stretches of maps.
    pub fn detach(self, before: &Zones, ledger: Ledger) -> Result<Zones, Error> {
        let mut after = Zones { ledger, shares: Vec::new(), ..before.clone() };
        for share in self.shares() {
            after.shares.push(share).map_err(|_| Error::Capacity { capacity: handoff::MAP_SHARES })?;
            let known = |range: &PhysRange| after.tables.contains(range);
            if let Some(own) = share.own.filter(|own| !known(own)) {
                after.tables.push(own).map_err(|_| Error::Capacity { capacity: TABLE_BLOCKS })?;
            }
        }
        after.runs = self.runs().iter().copied().collect();
        after.zones = self.zones().into_iter().collect();
        Ok(after)
    }
}

/// Returns the frames that pieces and maps fill: first the pieces, up to a whole frame, then the maps.
fn table_frames(pieces: usize, maps: usize) -> u64 {
    let pieces = (pieces * size_of::<Piece>()) as u64;
    pieces.div_ceil(FRAME_BYTES) + (maps as u64).div_ceil(MAPS_PER_STEP) * STEP_FRAMES
}

/// Views bytes as the pieces and maps of [`table_frames`].
fn split(bytes: &mut [u8], pieces: usize) -> Option<(&mut [Piece], &mut [FrameMap])> {
    let own = pieces.checked_mul(size_of::<Piece>())?;
    let (first, maps) = bytes.split_at_mut_checked(own.checked_next_multiple_of(FRAME_BYTES as usize)?)?;
    let pieces = bytemuck::try_cast_slice_mut(&mut first[..own]).ok()?;
    let whole = maps.len() - maps.len() % size_of::<FrameMap>();
    Some((pieces, bytemuck::try_cast_slice_mut(&mut maps[..whole]).ok()?))
}

/// Takes so many frames of early memory.
fn reserve<S: EarlyStore, L: Log>(
    command_line: &str,
    input: &mut Frames,
    frames: u64,
    log: L,
) -> Result<PhysRange, Error> {
    let bytes = frames * FRAME_BYTES;
    let bounds = Bounds { size: bytes, align: FRAME_BYTES, min: 0, max: 0, nid: Nid::NONE };
    let mut memory = S::restore(&input.blocks, command_line, log);
    let base = memory.alloc_try_nid(bounds).ok_or(Error::NoRoom { bytes })?;
    S::save(&memory, &mut input.blocks);
    let range = PhysRange::from_size(base, bytes).ok_or(Error::NoRoom { bytes })?;
    input.blocks.ledger.claim(Owner::FRAME_MAPS, range)?;
    Ok(range)
}

/// Claims the bytes of memory that nobody reserved but that were not handed over.
///
/// These are the rest of frames that a reservation touches, and memory regions that are never handed over. Linux does not
/// account for them.
fn claim_partial_pages(memory: &[Region], reserved: &[Region], ledger: &mut Ledger) -> Result<(), Full> {
    let range = |region: &Region| PhysRange::capped(region.base, region.size);
    for memory in memory {
        let Some(bytes) = range(memory) else { continue };
        if !is_offered(memory) {
            ledger.claim(Owner::NOT_MAPPED, bytes)?;
            continue;
        }
        let touched = reserved.iter().filter_map(|region| range(region)?.outward().intersection(bytes));
        for part in touched {
            ledger.claim(Owner::PARTIAL_PAGES, part)?;
        }
    }
    Ok(())
}

fn report<L: Log>(log: &L, buddy: &Buddy<'_>, handed: crate::HandedOver, tables: PhysRange) {
    let kb = |frames: u64| frames * FRAME_BYTES / 1024;
    let present: u64 = buddy.states.iter().map(|zone| zone.span.present).sum();
    for zone in &buddy.states {
        let (node, kind, present) = (zone.span.node, zone.span.kind, zone.span.present);
        log.info(Event::Zone { node, kind, managed: zone.managed, present });
    }
    log.info(Event::HandedOver { frames: handed.frames, blocks: handed.blocks });
    log.info(Event::Tables { kilobytes: tables.size() / 1024, dormant: buddy.statistics().dormant_sections });
    log.info(Event::Memory {
        available_kb: kb(handed.frames),
        present_kb: kb(present),
        reserved_kb: kb(present - handed.frames),
    });
}
