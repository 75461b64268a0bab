// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every CPU does to prove the allocator: random blocks are allocated, filled, passed on to other CPUs, checked and
//! freed; in the end all CPUs free all blocks that are left, so that each is freed many times at once.

use super::misbehave;
use super::processors::PROCESSORS;
use super::team::{self, Work};
use crate::phys;
use alloc::vec::Vec;
use buddy::{Request, Shared};
use core::fmt;
use core::hint::spin_loop;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire},
};
use handoff::{FRAME_BYTES, MAX_ORDER, MAX_ZONES, ZoneSpan};
use spin::Mutex;
use x86_64::structures::paging::PhysFrame;

/// Allocations and frees of a CPU.
const STEPS: u32 = 4000;
/// The same for all CPUs together: where there are many, each does less.
const STEPS_OF_ALL: u32 = 32_000;
/// Blocks that a CPU has at once.
const ALIVE: usize = 96;
/// Times that each CPU frees each of the last blocks.
const LAST_FREES: usize = 2;

/// The allocator for all CPUs.
pub(crate) type Front<'b> = Shared<'b, 'static, MAX_ZONES, PROCESSORS>;

/// What the test found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Defect {
    /// The allocator contradicts itself.
    Buddy(buddy::Error),
    /// A frame does not hold what was written to it.
    Content(u64),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buddy(error) => write!(f, "{error}"),
            Self::Content(address) => write!(f, "the frame at {address:#x} lost what was written to it"),
        }
    }
}

/// What a CPU did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) allocations: u32,
    pub(crate) refused: u32,
    pub(crate) frames_checked: u64,
    /// Blocks of its own node, of those allocated.
    pub(crate) local: u32,
    /// Blocks that other CPUs allocated and this one freed.
    pub(crate) foreign: u32,
    /// Of the last blocks, those that this CPU freed, and frees that were refused because another one had.
    pub(crate) last_frees: u32,
    pub(crate) second_frees: u32,
    pub(crate) defect: Option<Defect>,
}

/// A block in use.
#[derive(Clone, Copy, Debug)]
struct Block {
    frame: PhysFrame,
    order: u8,
    /// The CPU that allocated it.
    cpu: usize,
    seed: u64,
}

/// What belongs to one CPU, by its number.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) node: u16,
    pub(crate) tally: Mutex<Tally>,
    alive: Mutex<Vec<Block>>,
    /// Where others leave a block for this one.
    offered: Mutex<Option<Block>>,
}

/// The blocks that are left at the end.
#[derive(Debug)]
pub(crate) struct Left(Mutex<Vec<Block>>);

impl Place {
    /// Returns the place of a CPU on that node, with all the memory it will need.
    pub(crate) fn new(node: u16) -> Self {
        Self { node, alive: Mutex::new(Vec::with_capacity(ALIVE)), ..Self::default() }
    }
}

impl Left {
    /// Returns room for the last blocks of so many CPUs.
    pub(crate) fn new(cpus: usize) -> Self {
        Self(Mutex::new(Vec::with_capacity(cpus * (ALIVE + 1))))
    }

    /// Returns how often so many CPUs together free a block that one of them has freed already.
    pub(crate) fn second_frees(&self, cpus: usize) -> u64 {
        (self.0.lock().len() * (LAST_FREES * cpus - 1)) as u64
    }
}

/// The work, on memory that has been set aside: it allocates nothing on the heap.
pub(crate) struct Workload<'w, 'b> {
    pub(crate) front: &'w Front<'b>,
    pub(crate) zones: &'w [ZoneSpan],
    pub(crate) places: &'w [Place],
    pub(crate) left: &'w Left,
    /// The numbers of the CPUs that take part.
    pub(crate) members: &'w [usize],
    /// How often one has come to a meeting.
    pub(crate) met: AtomicU32,
}

impl Work for Workload<'_, '_> {
    fn run(&self, cpu: usize) {
        let place = &self.places[cpu];
        let mut tally = place.tally.lock();
        let mut result = self.churn(cpu, place, &mut tally);
        self.meet(cpu, 1); // from here on nobody offers blocks
        result = result.and_then(|()| self.hand_in(place, &mut tally));
        self.meet(cpu, 2); // from here on nobody allocates
        result = result.and_then(|()| self.free_last(cpu, &mut tally));
        tally.defect = result.err();
    }
}

impl Workload<'_, '_> {
    fn churn(&self, cpu: usize, place: &Place, tally: &mut Tally) -> Result<(), Defect> {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (cpu as u64) << 32);
        let mut alive = place.alive.lock();
        for step in 0..STEPS.min(STEPS_OF_ALL / self.members.len() as u32) {
            team::step(cpu);
            if step == STEPS / 40 {
                misbehave::at_work(cpu);
            }
            let number = random.next();
            if alive.len() == ALIVE || (!alive.is_empty() && number & 1 == 0) {
                let index = (number >> 8) as usize % alive.len();
                let block = alive.swap_remove(index);
                if misbehave::keeps(cpu) {
                    alive.push(block);
                }
                let other = self.members[(number >> 40) as usize % self.members.len()];
                // One in four is left for somebody, who leaves another one instead.
                let block = if number & 6 == 0 { self.offer(cpu, other, block) } else { Some(block) };
                if let Some(block) = block {
                    check(&block, tally)?;
                    tally.foreign += u32::from(block.cpu != cpu);
                    self.front.free(cpu, block.frame, block.order).map_err(Defect::Buddy)?;
                }
            } else {
                self.allocate(cpu, place, number, tally).into_iter().for_each(|block| alive.push(block));
            }
        }
        Ok(())
    }

    /// Leaves a block for another CPU; returns the one that was left there before.
    fn offer(&self, cpu: usize, other: usize, block: Block) -> Option<Block> {
        let mut offered = self.places[other].offered.lock();
        if misbehave::scribbles(cpu) {
            // SAFETY: the block is in use and lies in RAM, which the direct map covers; nobody has it until the lock is free.
            words(&block).take(1).for_each(|(word, value)| unsafe { word.write_volatile(!value) });
        }
        offered.replace(block)
    }

    fn allocate(&self, cpu: usize, place: &Place, number: u64, tally: &mut Tally) -> Option<Block> {
        let order = ((number >> 8) % u64::from(MAX_ORDER + 1)) as u8;
        let Ok(frame) = self.front.allocate_with(cpu, Request::order(order).prefer(place.node)) else {
            tally.refused += 1; // a small machine has no block of that order left
            return None;
        };
        let block = Block { frame, order, cpu, seed: number };
        // SAFETY: the allocator gave the block to this CPU and to no other; it lies in RAM, which the direct map covers.
        words(&block).for_each(|(word, value)| unsafe { word.write_volatile(value) });
        tally.allocations += 1;
        let pfn = frame.start_address().as_u64() / FRAME_BYTES;
        let zone = self.zones.iter().find(|zone| (zone.start_pfn..zone.end_pfn()).contains(&pfn));
        tally.local += u32::from(zone.is_some_and(|zone| zone.node == place.node));
        Some(block)
    }

    /// Checks this CPU's blocks and puts them to those of the others.
    fn hand_in(&self, place: &Place, tally: &mut Tally) -> Result<(), Defect> {
        let mut alive = place.alive.lock();
        for block in alive.drain(..).chain(place.offered.lock().take()) {
            check(&block, tally)?;
            self.left.0.lock().push(block);
        }
        Ok(())
    }

    /// Frees all blocks that all CPUs have left, as all CPUs do now: of each block one free is right.
    fn free_last(&self, cpu: usize, tally: &mut Tally) -> Result<(), Defect> {
        let count = self.left.0.lock().len();
        for i in 0..LAST_FREES * count {
            team::step(cpu);
            let block = self.left.0.lock()[(i + cpu * 7) % count];
            match self.front.free(cpu, block.frame, block.order) {
                Ok(()) => tally.last_frees += 1,
                Err(buddy::Error::AlreadyFree { .. }) => tally.second_frees += 1,
                Err(error) => return Err(Defect::Buddy(error)),
            }
        }
        Ok(())
    }

    /// Waits until every CPU has come here for the `round`th time.
    fn meet(&self, cpu: usize, round: u32) {
        self.met.fetch_add(1, AcqRel);
        while self.met.load(Acquire) < round * self.members.len() as u32 {
            team::step(cpu);
            spin_loop();
        }
    }
}

/// Checks that a block holds what was written to it.
fn check(block: &Block, tally: &mut Tally) -> Result<(), Defect> {
    tally.frames_checked += 1 << block.order;
    // SAFETY: the block is in use, by nobody but this CPU: it lies in RAM, which the direct map covers. If another has it
    // all the same, the volatile read tells.
    let mut wrong = words(block).filter(|(word, value)| unsafe { word.read_volatile() } != *value);
    let lost = wrong.next().map(|(word, _)| word as u64 - phys::DIRECT_MAP.as_u64());
    lost.map_or(Ok(()), |address| Err(Defect::Content(address)))
}

/// Returns the first and the last word of every frame of a block, each with the value it should have.
fn words(block: &Block) -> impl Iterator<Item = (*mut u64, u64)> {
    let start = block.frame.start_address().as_u64();
    let seed = block.seed | 1;
    let offsets = (0..1_u64 << block.order).flat_map(|i| [i * FRAME_BYTES, i * FRAME_BYTES + FRAME_BYTES - 8]);
    offsets.map(move |offset| ((phys::DIRECT_MAP + start + offset).as_mut_ptr(), (start + offset).wrapping_mul(seed)))
}

/// A xorshift generator: the same numbers in every boot.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
