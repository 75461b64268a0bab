// SPDX-License-Identifier: MIT OR Apache-2.0
//! The allocator for several CPUs: a lock per zone, a cache per CPU.

mod cache;
mod cpu;
mod mark;
#[cfg(all(test, loom))]
mod models;
mod sync;
mod zones;

pub use cpu::Cpu;

use crate::online::{Growth, Means};
use crate::runs::Runs;
use crate::zone::Zone;
use crate::zonelist::Zonelist;
use crate::{Buddy, Error, Request, Statistics, Watermarks};
use cache::Cache;
use core::fmt;
use handoff::{PhysRange, RUNS, ZoneKind, ZoneState};
use heapless::Vec;
use mark::{CACHED_ZONES, MarkTable, Marks};
use sync::{AtomicU8, Mutex};

/// The front of a [`Buddy`] that up to `CPUS` CPUs use at the same time.
///
/// It borrows the allocator; when it is dropped, all caches are emptied and the allocator is whole again.
///
/// Every zone has its own lock. Every CPU has a cache of single frames and of
/// huge pages (order 9), for requests that name neither address nor alignment nor low zones nor another node. It takes and gives 128
/// frames, or 4 huge pages, at once, and takes up to twice as many where memory is in small blocks: CPUs that write to the same cache
/// lines of `marks` would slow each other down. Everything else goes to the zones.
///
/// A free is checked as in [`Buddy`], also when the block goes to a cache: a byte per frame says who has it, and of two CPUs
/// that free the same block at the same moment one gets the error.
///
/// # Interrupts
/// The CPU's number comes from the caller and only says which cache is tried; a wrong one, or a thread that moves to another
/// CPU meanwhile, costs time and nothing else. Interrupts may stay on:
/// - [`allocate_with`](Self::allocate_with) and [`free`](Self::free) are for threads. They may wait for another CPU that has a zone's lock.
/// - [`try_allocate_with`](Self::try_allocate_with) and [`try_free`](Self::try_free) are for interrupt handlers. They never wait:
///   if the interrupted thread, or another CPU, has the lock they need, they return [`Error::Busy`] and have changed nothing.
/// - A handler that calls one of the first two can wait forever, for the thread that it interrupted.
/// - [`cpu`](Self::cpu) is for code that runs with interrupts off, or alone on its CPU: it takes the cache for as long as one
///   wants and then needs no lock. Handlers on this CPU meanwhile go to the zones.
///
/// Linux: `struct per_cpu_pages`, `rmqueue_pcplist`, `free_unref_page` (6.1).
///
/// ```
/// # use buddy::{Buddy, FrameMap, Mode, Piece, Plan};
/// # use handoff::{Region, ZoneKind, ZoneSpan};
/// # let memory = [Region { nid: 0.into(), ..Region::new(0, 4 << 20) }];
/// # let zones = [ZoneSpan { node: 0, kind: ZoneKind::DMA, start_pfn: 0, spanned: 1024, present: 1024 }];
/// # let plan = Plan::<1>::new(&memory, &[], &zones, Mode::Lazy)?;
/// # let mut pieces = vec![Piece::UNUSED; plan.pieces()];
/// # let mut maps = vec![FrameMap::UNUSED; plan.maps()];
/// # let mut buddy = Buddy::new(&plan, &mut pieces, &mut maps)?;
/// # buddy.hand_over(&memory, &[])?;
/// use buddy::{Request, Shared};
/// use core::sync::atomic::AtomicU8;
///
/// let marks: Vec<AtomicU8> = (0..buddy.marks()).map(|_| AtomicU8::new(0)).collect();
/// let shared = Shared::<1, 2>::new(&mut buddy, &marks)?;
/// std::thread::scope(|threads| {
///     for cpu in 0..2 {
///         let shared = &shared;
///         threads.spawn(move || {
///             let frame = shared.allocate_with(cpu, Request::order(0)).unwrap();
///             shared.free(cpu, frame, 0).unwrap();
///             assert!(shared.free(cpu, frame, 0).is_err());
///         });
///     }
/// });
/// drop(shared);
/// assert_eq!(buddy.statistics().free_frames(), 1024);
/// # Ok::<(), buddy::Error>(())
/// ```
pub struct Shared<'b, 'a, const Z: usize, const CPUS: usize> {
    runs: &'b Runs,
    zonelist: &'b Zonelist<Z>,
    watermarks: &'b [Watermarks],
    zero: Option<fn(PhysRange)>,
    growth: Option<Growth<'a>>,
    /// The marks of each run; none where they are missing.
    marks: Vec<Marks<'b>, RUNS>,
    zones: Vec<Mutex<Guarded<'b, 'a>>, Z>,
    slots: [Slot<'b>; CPUS],
}

/// What a zone's lock guards.
struct Guarded<'b, 'a> {
    zone: &'b mut Zone<'a>,
    state: &'b mut ZoneState,
}

/// A CPU's cache, in cache lines of its own; the processor fetches them in pairs.
#[repr(align(128))]
struct Slot<'b>(Mutex<Cache<'b>>);

/// Whether a call may wait for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Patience {
    Wait,
    Never,
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Returns how many marks a [`Shared`] needs so that every frame can be in a cache.
    #[must_use]
    pub fn marks(&self) -> usize {
        MarkTable::needed(self.runs())
    }
}

impl<'b, 'a, const Z: usize, const CPUS: usize> Shared<'b, 'a, Z, CPUS> {
    /// Returns a front with empty caches. All CPUs are on the allocator's lowest node until [`set_node`](Self::set_node).
    ///
    /// `marks` has a byte for each frame that can be in a cache; what is in them does not matter. With fewer than
    /// [`Buddy::marks`] the highest memory, and what is in the same zone, is in no cache. Watermarks, distances and both functions
    /// are what the allocator has now.
    ///
    /// # Errors
    /// As [`set_node`](Self::set_node).
    pub fn new(buddy: &'b mut Buddy<'a, Z>, marks: &'b [AtomicU8]) -> Result<Self, Error> {
        let Buddy { zones, states, runs, zonelist, watermarks, zero, growth, .. } = buddy;
        let marks = MarkTable::new(marks).runs(runs.as_slice()).map(|marks| marks.unwrap_or(Marks::NONE)).collect();
        let locked = zones.iter_mut().zip(states).map(|(zone, state)| Mutex::new(Guarded { zone, state }));
        let shared = Self {
            zones: locked.collect(),
            runs,
            zonelist,
            watermarks,
            zero: *zero,
            growth: *growth,
            marks,
            slots: core::array::from_fn(|_| Slot(Mutex::new(Cache::EMPTY))),
        };
        let lowest = shared.zonelist.nodes_from(None).next().unwrap_or(0);
        (0..CPUS).try_for_each(|cpu| shared.set_node(cpu, lowest))?;
        Ok(shared)
    }

    /// Returns the marks of the run that a frame lies in.
    fn marks(&self, pfn: u64) -> Marks<'b> {
        self.runs.index(pfn).and_then(|run| self.marks.get(run).copied()).unwrap_or(Marks::NONE)
    }

    /// Returns the zones of each run, with the marks.
    fn marked_runs(&self) -> impl Iterator<Item = (usize, Marks<'b>)> {
        self.runs.as_slice().iter().map(|run| run.zone.into()).zip(self.marks.iter().copied())
    }

    /// Returns what a zone needs to get more maps.
    fn means(&self, zone: usize) -> Means<'_, 'a> {
        Means::new(zone, self.runs, self.growth)
    }

    /// Says which node a CPU is on: its cache holds memory of this one, if that has any, else of the nearest one.
    ///
    /// # Errors
    /// [`Error::Capacity`] if there is no such CPU; [`Error::Busy`] if its cache is in use. A cache that holds something is emptied, which can
    /// fail as [`free`](Self::free) can.
    pub fn set_node(&self, cpu: usize, node: u16) -> Result<(), Error> {
        let slot = self.slots.get(cpu).ok_or(Error::Capacity { capacity: CPUS })?;
        let mut cache = slot.0.try_lock().ok_or(Error::Busy)?;
        self.empty(&mut cache)?;
        let node = self.zonelist.nodes_from(Some(node)).next().unwrap_or(node);
        let of_node = |lowest: ZoneKind| {
            let zones = self.zonelist.candidates(Request::order(0).bind(node));
            let has_marks = |zone| self.marked_runs().all(|(other, marks)| other != zone || marks.len() > 0);
            let marked = |zone: usize| zone < CACHED_ZONES && has_marks(zone);
            let kept = zones.filter(move |zone| marked(*zone) && self.zonelist.kind_of(*zone) >= Some(lowest));
            kept.fold(0u64, |bits, zone| bits | 1 << zone)
        };
        // What old devices need is not hidden in caches, unless there is nothing else.
        let zones = Some(of_node(ZoneKind::DMA32)).filter(|zones| *zones != 0);
        (cache.node, cache.zones) = (node, zones.unwrap_or_else(|| of_node(ZoneKind::DMA)));
        let runs = self.marked_runs().filter(|(zone, _)| *zone < CACHED_ZONES && cache.zones & 1 << zone != 0);
        cache.marks = runs.map(|(_, marks)| marks).max_by_key(|marks| marks.len()).unwrap_or(Marks::NONE);
        Ok(())
    }

    /// Returns all caches' blocks to their zones, but for caches in use.
    ///
    /// For statistics, and before a CPU goes away. Linux: `drain_all_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn drain(&self) -> Result<(), Error> {
        self.slots.iter().filter_map(|slot| slot.0.try_lock()).try_for_each(|mut cache| self.empty(&mut cache))
    }

    /// Returns the numbers of all zones together, and the frames in caches: these count as allocated in the zones.
    ///
    /// Exact if nobody allocates or frees meanwhile. Waits for caches that are in use.
    #[must_use]
    pub fn statistics(&self) -> (Statistics, u64) {
        let mut total = Statistics::default();
        for zone in &self.zones {
            let Guarded { zone, state } = &mut *zone.lock();
            zone.count_blocks(state);
            total += (&**state).into();
        }
        (total, self.slots.iter().map(|slot| slot.0.lock().frames()).sum())
    }

    fn empty(&self, cache: &mut Cache<'_>) -> Result<(), Error> {
        self.give_back(cache, false, true)?;
        self.give_back(cache, true, true)
    }
}

impl<const Z: usize, const CPUS: usize> Drop for Shared<'_, '_, Z, CPUS> {
    fn drop(&mut self) {
        // Blocks that cannot go back stay allocated; `Buddy::validate` then names the damage.
        let _ = self.drain();
    }
}

impl<const Z: usize, const CPUS: usize> fmt::Debug for Shared<'_, '_, Z, CPUS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Shared");
        debug.field("cpus", &CPUS).field("locks", &self.zones.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{FrameMap, Mode, Piece, Plan};
    use handoff::{Region, ZoneSpan};
    use std::vec::Vec;

    /// What an interrupt handler meets in the middle of anything: a taken cache, a locked zone, or both.
    #[test]
    fn a_handler_never_waits_and_loses_nothing() {
        let memory = [Region { nid: 0.into(), ..Region::new(0, 4 << 20) }];
        let zones = [ZoneSpan { node: 0, kind: ZoneKind::DMA, start_pfn: 0, spanned: 1024, present: 1024 }];
        let plan = Plan::<1>::new(&memory, &[], &zones, Mode::Lazy).unwrap();
        let (mut pieces, mut maps) = ([Piece::UNUSED; 1], [FrameMap::UNUSED; 1]);
        let mut buddy = Buddy::new(&plan, &mut pieces, &mut maps).unwrap();
        buddy.hand_over(&memory, &[]).unwrap();
        let marks: Vec<AtomicU8> = (0..buddy.marks()).map(|_| AtomicU8::new(0)).collect();
        let shared = Shared::<1, 1>::new(&mut buddy, &marks).unwrap();
        let (single, pair) = (Request::order(0), Request::order(1));
        let cached = shared.allocate_with(0, single).unwrap();
        let other = shared.allocate_with(0, pair).unwrap();

        let locked = shared.zones[0].lock();
        // The cache still gives and takes.
        let frame = shared.try_allocate_with(0, single).unwrap();
        shared.try_free(0, frame, 0).unwrap();
        assert_eq!(shared.try_allocate_with(0, pair), Err(Error::Busy));
        assert_eq!(shared.try_free(0, other, 1), Err(Error::Busy));
        let cpu = shared.cpu(0).unwrap();
        assert_eq!(shared.try_allocate_with(0, single), Err(Error::Busy));
        assert_eq!(shared.try_free(0, cached, 0), Err(Error::Busy));
        assert_eq!(shared.set_node(0, 0), Err(Error::Busy));
        drop(locked);

        // Both blocks are still the caller's.
        let frame = shared.try_allocate_with(0, single).unwrap();
        shared.try_free(0, frame, 0).unwrap();
        shared.try_free(0, cached, 0).unwrap();
        assert!(matches!(shared.try_free(0, cached, 0), Err(Error::AlreadyFree { .. })));
        drop(cpu);

        // A full cache that cannot be emptied now: the block goes to the zone, or stays with the caller.
        let blocks: Vec<_> = (0..cache::SMALL + 1).map(|_| shared.allocate_with(0, single).unwrap()).collect();
        shared.drain().unwrap();
        let (last, first) = blocks.split_last().unwrap();
        first.iter().for_each(|block| shared.try_free(0, *block, 0).unwrap());
        let locked = shared.zones[0].lock();
        assert_eq!(shared.try_free(0, *last, 0), Err(Error::Busy));
        drop(locked);
        shared.try_free(0, *last, 0).unwrap();
        shared.try_free(0, other, 1).unwrap();
        let (zones, cached) = shared.statistics();
        assert_eq!((zones.free_frames() + cached, cached), (1024, cache::SMALL as u64));
        drop(shared);
        assert_eq!((buddy.validate(), buddy.statistics().free_blocks[10]), (Ok(()), 1));
    }
}
