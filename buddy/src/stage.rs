// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage: frames in, a live allocator out.

use crate::hand_over::is_offered;
use crate::{Buddy, Error, Event};
use handoff::{
    DESCRIPTOR_BLOCKS, FRAME_BYTES, Frames, Full, Ledger, Log, MAX_ZONES, Machine, NodeDistances, Owner, Page,
    PhysRange, Region, Stage, StageId, Zones,
};
use heapless::Vec;

/// The stage that hands all memory nobody reserved to the allocator.
#[derive(Clone, Copy, Debug)]
pub struct HandOver;

impl Stage for HandOver {
    const ID: StageId = StageId::BUDDY;
    type In = Frames;
    type Out = Zones;
    type Error = Error;

    fn run<M: Machine>(_command_line: &str, input: Frames, machine: &mut M) -> Result<Zones, Error> {
        let log = machine.log();
        let Frames { mut blocks, zones, sections, descriptors } = input;
        let mut buddy = Buddy::<MAX_ZONES>::new(machine.descriptors(&descriptors)?, &sections, &zones)?;

        let handed = buddy.hand_over(&blocks.memory, &blocks.reserved)?;
        report(&log, &buddy, handed);

        claim_partial_pages(&blocks.memory, &blocks.reserved, &mut blocks.ledger)?;
        Ok(buddy.detach(descriptors, blocks.distances, blocks.ledger))
    }
}

impl<'a> Buddy<'a, MAX_ZONES> {
    /// Returns the allocator that a hand-off describes, in time proportional to the number of zones.
    ///
    /// `pages` are the descriptors that lie in `state.descriptors`, one after another.
    ///
    /// # Errors
    /// As [`from_parts`](Self::from_parts).
    pub fn attach(pages: &'a mut [Page], state: &Zones) -> Result<Self, Error> {
        Self::from_parts(pages, &state.sections, &state.zones)
    }

    /// Returns the hand-off from which [`attach`](Self::attach) makes the same allocator again.
    #[must_use]
    pub fn detach(
        self,
        descriptors: Vec<PhysRange, DESCRIPTOR_BLOCKS>,
        distances: NodeDistances,
        ledger: Ledger,
    ) -> Zones {
        Zones { zones: self.zones, sections: self.sections.into_runs(), descriptors, distances, ledger }
    }
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

fn report<L: Log>(log: &L, buddy: &Buddy<'_>, handed: crate::HandedOver) {
    let kb = |frames: u64| frames * FRAME_BYTES / 1024;
    let present: u64 = buddy.zones.iter().map(|zone| zone.span.present).sum();
    for zone in &buddy.zones {
        let (node, kind, present) = (zone.span.node, zone.span.kind, zone.span.present);
        log.info(Event::Zone { node, kind, managed: zone.managed, present });
    }
    log.info(Event::HandedOver { frames: handed.frames, blocks: handed.blocks });
    log.info(Event::Memory {
        available_kb: kb(handed.frames),
        present_kb: kb(present),
        reserved_kb: kb(present - handed.frames),
    });
}
