// SPDX-License-Identifier: MIT OR Apache-2.0
//! Proves the adopted allocator and the heap over it: all CPUs work with it at once, and in the end everything is as it was.

use super::heap::{self, HeapError};
use super::processors::{PROCESSORS, Processors};
use super::team::Team;
use super::workload::{self, Front, Left, Place, Tally, Workload};
use crate::adopt::Kernel;
use crate::console::{Frames, Kind, print};
use crate::phys;
use alloc::vec::Vec;
use buddy::{Buddy, HeapStatistics};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, AtomicU32};
use handoff::{FRAME_BYTES, MAX_ORDER, MAX_ZONES, ORDERS, PhysRange, StageId, ZoneSpan};

/// A CPU's part in the test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) apic_id: u32,
    pub(crate) node: u16,
    pub(crate) tally: Tally,
}

/// What the test did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof {
    pub(crate) parts: heapless::Vec<Part, PROCESSORS>,
    /// The heap while the test ran.
    pub(crate) heap: HeapStatistics,
}

impl Proof {
    fn sum(&self, what: fn(&Tally) -> u64) -> u64 {
        self.parts.iter().map(|part| what(&part.tally)).sum()
    }

    /// Prints what all CPUs did together, what each did, and what the heap cost meanwhile.
    pub(crate) fn print(&self) {
        print!(
            "All {} CPUs at once: {} blocks, {} frames checked, {} requests refused; all given back",
            self.parts.len(),
            self.sum(|tally| tally.allocations.into()),
            self.sum(|tally| tally.frames_checked),
            self.sum(|tally| tally.refused.into())
        );
        self.parts.iter().for_each(|part| print!("  {part}"));
        print!(
            "  the last {} blocks were freed by every CPU twice: {} frees refused",
            self.sum(|tally| tally.last_frees.into()),
            self.sum(|tally| tally.second_frees.into())
        );
        let HeapStatistics { spans, span_bytes, objects, object_bytes, large_bytes, overhead_bytes, .. } = self.heap;
        print!(
            "Heap: {objects} objects of {object_bytes} bytes in {spans} spans of {span_bytes} bytes, {large_bytes} bytes in whole frames; \
             bitmaps and links {overhead_bytes} bytes; given back"
        );
    }

    /// Sends the same as figures.
    pub(crate) fn figures(&self) {
        let mut out = Frames(Kind::Figures, StageId::BOOT);
        let HeapStatistics {
            spans, span_bytes, objects, object_bytes, large_bytes, overhead_bytes, table_bytes, ..
        } = self.heap;
        let _ = writeln!(
            out,
            "smp.cpus={}\nsmp.last_blocks={}\nsmp.second_frees={}\nheap.spans={spans}\nheap.span_bytes={span_bytes}\n\
             heap.objects={objects}\nheap.object_bytes={object_bytes}\nheap.large_bytes={large_bytes}\n\
             heap.overhead_bytes={overhead_bytes}\nheap.table_bytes={table_bytes}",
            self.parts.len(),
            self.sum(|tally| tally.last_frees.into()),
            self.sum(|tally| tally.second_frees.into())
        );
        for part in &self.parts {
            let _ = writeln!(out, "smp.cpu={part}");
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { allocations, local, foreign, .. } = self.tally;
        write!(
            f,
            "APIC id {} on node {}: {allocations} pairs, {local} blocks of its node, {foreign} of other CPUs freed",
            self.apic_id, self.node
        )
    }
}

/// What the test found.
#[derive(Debug)]
pub(crate) enum Defect {
    /// What a CPU found.
    Cpu {
        apic_id: u32,
        defect: workload::Defect,
    },
    /// The allocator contradicts itself.
    Buddy(buddy::Error),
    Heap(HeapError),
    /// So many second frees were refused, of so many.
    SecondFrees {
        refused: u64,
        of: u64,
    },
    /// After everything was freed, the free lists are not what they were.
    NotRestored,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { apic_id, defect } => write!(f, "on the CPU with APIC id {apic_id}: {defect}"),
            Self::Buddy(error) => write!(f, "{error}"),
            Self::Heap(error) => write!(f, "{error}"),
            Self::SecondFrees { refused, of } => write!(f, "{refused} second frees were refused, of {of}"),
            Self::NotRestored => f.write_str("not every free block came back"),
        }
    }
}

impl From<buddy::Error> for Defect {
    fn from(error: buddy::Error) -> Self {
        Self::Buddy(error)
    }
}

impl From<HeapError> for Defect {
    fn from(error: HeapError) -> Self {
        Self::Heap(error)
    }
}

/// Runs the test, on all processors if there is a page in which the others can start.
///
/// # Errors
/// The first [`Defect`].
#[inline(never)] // what it moves is large: it is to leave the stack at once
pub(crate) fn run(
    mut kernel: Kernel,
    processors: &Processors,
    trampoline: Option<PhysRange>,
) -> Result<(Kernel, Proof), Defect> {
    let before = free_blocks(&kernel.buddy);
    let called = trampoline.map(|page| Team::call(&processors.enabled, page, &mut kernel.space, &mut kernel.buddy));
    let team = called.unwrap_or_else(Team::alone);
    let marks = Marks::take(&mut kernel.buddy)?;

    let table = heap::set_up(kernel.buddy)?;
    let proof = on_heap(&team, processors, &marks)?;
    kernel.buddy = heap::take_down()?;
    kernel.buddy.free(table, 0)?;
    marks.give_back(&mut kernel.buddy)?;
    team.dismiss(&mut kernel.space, &mut kernel.buddy)?;

    kernel.buddy.validate()?;
    if free_blocks(&kernel.buddy) == before { Ok((kernel, proof)) } else { Err(Defect::NotRestored) }
}

/// Runs the workload with its books on the heap.
fn on_heap(team: &Team, processors: &Processors, marks: &Marks) -> Result<Proof, Defect> {
    let node_of = |id| processors.enabled.iter().find(|known| known.apic_id == id).map_or(0, |known| known.node);
    let mut places: Vec<Place> = Vec::new();
    for (number, apic_id) in team.members() {
        places.resize_with(number + 1, Place::default);
        places[number] = Place::new(node_of(apic_id));
    }
    let left = Left::new(team.members.len());
    let heap = heap::with(|heap| {
        let statistics = heap.statistics();
        workload(heap.buddy(), team, &places, &left, marks).map(|()| statistics)
    })??;

    let mut proof = Proof { parts: heapless::Vec::new(), heap };
    for (number, apic_id) in team.members() {
        let Place { node, tally, .. } = &places[number];
        let tally = *tally.lock();
        if let Some(defect) = tally.defect {
            return Err(Defect::Cpu { apic_id, defect });
        }
        let _ = proof.parts.push(Part { apic_id, node: *node, tally }); // there is room for every processor
    }
    let refused = proof.parts.iter().map(|part| u64::from(part.tally.second_frees)).sum();
    let of = left.second_frees(team.members.len());
    if refused == of { Ok(proof) } else { Err(Defect::SecondFrees { refused, of }) }
}

/// Lets all CPUs work, each with a cache for its own node.
#[inline(never)] // the front is large
fn workload(
    buddy: &mut Buddy<'static>,
    team: &Team,
    places: &[Place],
    left: &Left,
    marks: &Marks,
) -> Result<(), Defect> {
    let zones: heapless::Vec<ZoneSpan, MAX_ZONES> = buddy.zones().iter().map(|zone| zone.span).collect();
    let front = Front::new(buddy, marks.0)?;
    for number in &team.members {
        front.set_node(*number, places[*number].node)?;
    }
    team.run(&Workload { front: &front, zones: &zones, places, left, members: &team.members, met: AtomicU32::new(0) });
    Ok(front.drain()?)
}

/// The byte that the caches keep for each frame, as far as one block has room: frames beyond the first 16 GiB are not cached.
struct Marks(&'static [AtomicU8], PhysRange);

impl Marks {
    fn take(buddy: &mut Buddy<'static>) -> Result<Self, buddy::Error> {
        let order = (buddy.marks() as u64).div_ceil(FRAME_BYTES).next_power_of_two().ilog2() as u8;
        let start = buddy.allocate(order.min(MAX_ORDER))?.start_address().as_u64();
        let range = PhysRange::from_size(start, FRAME_BYTES << order.min(MAX_ORDER));
        let range = range.ok_or(buddy::Error::Foreign { pfn: start / FRAME_BYTES })?;
        // SAFETY: just allocated, for this alone, until `give_back`; it lies in RAM, which the direct map covers, and any byte
        // is a valid `AtomicU8`.
        let bytes =
            unsafe { core::slice::from_raw_parts(phys::bytes_mut(range).as_ptr().cast(), range.size() as usize) };
        Ok(Self(bytes, range))
    }

    fn give_back(self, buddy: &mut Buddy<'static>) -> Result<(), buddy::Error> {
        buddy.free_exact(self.1)
    }
}

/// Returns the number of free blocks by zone and order.
fn free_blocks(buddy: &Buddy<'_>) -> heapless::Vec<[u64; ORDERS], MAX_ZONES> {
    buddy.zones().iter().map(|zone| zone.free_area.map(|area| area.blocks)).collect()
}
