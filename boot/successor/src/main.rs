// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second kernel: goes on with the live allocator that boot used until now, proves it and gives it back.
//!
//! It is another binary than boot, at another address and in another address space: all it gets is the hand-off, and the
//! memory that this says is free.
#![no_std]
#![no_main]

extern crate alloc;

mod blocks;
mod defect;
mod heap;
mod objects;
mod random;
mod top;
mod windows;

use buddy::Buddy;
use defect::Defect;
use handoff::{Log, MAX_ZONES, Machine, ORDERS, PhysRange, Proof, Stage, StageId, Succession, ZoneState, Zones};
use handoff::{parameters, strtoull};
use heapless::Vec;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

rt::stage!(Successor);

handoff::messages! {
    /// What it says.
    enum Event {
        /// The allocator is its own.
        Attached { zones: u64, free: u64 } => ("successor: attached to {} zones with {} free pages", zones, free);
        /// The block that the first kernel left is free.
        Inherited { address: u64, order: u8 } =>
            ("successor: freed the inherited block of order {} at {:#x}; a second free was refused", order, address);
    }
}

struct Successor;

impl Stage for Successor {
    const ID: StageId = StageId::SUCCESSOR;
    type In = Zones;
    type Out = Succession;
    type Error = Defect;

    fn run<M: Machine>(command_line: &str, input: Zones, machine: &mut M) -> Result<Succession, Defect> {
        let block = inherited(command_line).ok_or(Defect::NoBlock)?;
        let (table, before) = take_over(&input, block, &machine.log())?;
        let mut proof = Proof::default();
        heap::with(|heap| {
            proof.top = top::check(heap.buddy())?;
            blocks::check(heap.buddy(), &mut proof)
        })?;
        objects::check(&mut proof)?;
        Ok(Succession { zones: hand_back(table, &before)?, proof })
    }
}

/// The number of free blocks by zone and order.
type FreeBlocks = Vec<[u64; ORDERS], MAX_ZONES>;

/// Attaches to the allocator, frees the inherited block and puts a heap over the allocator; returns where the heap's table is,
/// and what was free before there was one.
#[inline(never)] // the allocator is large: each copy is to leave the stack at once
fn take_over<L: Log>(
    input: &Zones,
    (block, order): (PhysFrame, u8),
    log: &L,
) -> Result<(PhysRange, FreeBlocks), Defect> {
    let mut buddy = Buddy::attach(rt::memory(&input.tables), input)?;
    let free = buddy.statistics().free_frames();
    log.info(Event::Attached { zones: buddy.zones().len() as u64, free });

    if buddy.free(block, order + 1).is_ok() {
        return Err(Defect::Freed(block));
    }
    buddy.free(block, order)?;
    if buddy.free(block, order).is_ok() {
        return Err(Defect::Freed(block));
    }
    log.info(Event::Inherited { address: block.start_address().as_u64(), order });

    let before = free_blocks(&buddy);
    windows::set_up(&buddy);
    Ok((heap::set_up(buddy)?, before))
}

/// Takes the heap down and lets go of the allocator, in which everything is free; returns its zones. There is nothing else to
/// tell: tables and runs are where they were, since nothing could make the tables grow.
#[inline(never)] // as above
fn hand_back(table: PhysRange, before: &FreeBlocks) -> Result<Vec<ZoneState, MAX_ZONES>, Defect> {
    let mut buddy = heap::take_down()?;
    buddy.free_exact(table)?;
    buddy.validate()?;
    if free_blocks(&buddy) != *before {
        return Err(Defect::NotRestored);
    }
    Ok(buddy.zones().iter().copied().collect())
}

/// Returns the block that the first kernel left allocated, and its order: `block=ADDRESS,ORDER`.
fn inherited(command_line: &str) -> Option<(PhysFrame, u8)> {
    let (address, order) = parameters(command_line).find(|(name, _)| *name == "block")?.1?.split_once(',')?;
    let address = PhysAddr::try_new(strtoull(address.as_bytes()).0).ok()?;
    Some((PhysFrame::from_start_address(address).ok()?, order.parse().ok()?))
}

/// Returns the number of free blocks by zone and order.
fn free_blocks(buddy: &Buddy<'_>) -> FreeBlocks {
    buddy.zones().iter().map(ZoneState::free_blocks).collect()
}
