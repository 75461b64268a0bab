// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to the zones, under their locks.

use super::cache::{Cache, LARGE_BATCH, SMALL_BATCH};
use super::mark::{CACHED_ORDERS, CACHED_ZONES, Mark};
use super::{Guarded, Patience, Shared};
use crate::allocate::{Pass, above_mark, refusal};
use crate::allocator::{pfn, physical, why_not};
use crate::exact::frame_range;
use crate::free::check_place;
use crate::map::Block;
use crate::request::Content;
use crate::rings::End;
use crate::runs::Place;
use crate::tree::Leaf;
use crate::zone::{corrupt, smallest};
use crate::{Error, Fault, Request, Statistics};
use handoff::{NONE, PhysRange, SECTION_FRAMES};
use spin::MutexGuard;
use x86_64::structures::paging::PhysFrame;

impl<'b, 'a, const Z: usize, const CPUS: usize> Shared<'b, 'a, Z, CPUS> {
    /// Allocates from the zones.
    pub(super) fn allocate_in_zones(&self, request: Request, patience: Patience) -> Result<PhysFrame, Error> {
        let block = match self.take(request, patience) {
            Err(Error::OutOfMemory { .. } | Error::BelowWatermark { .. }) if patience == Patience::Wait => {
                // What is missing may lie in caches.
                self.drain()?;
                self.take(request, patience)
            }
            result => result,
        }?;
        self.fill(request, frame_range(block, block + (1 << request.order))?)?;
        Ok(physical(block))
    }

    /// Gives allocated memory the content that was asked for.
    #[inline]
    pub(super) fn fill(&self, request: Request, range: PhysRange) -> Result<(), Error> {
        match (request.content, self.zero) {
            (Content::Undefined, _) => Ok(()),
            (Content::Zero, Some(zero)) => {
                zero(range);
                Ok(())
            }
            (Content::Zero, None) => Err(Error::CannotZero),
        }
    }

    fn take(&self, request: Request, patience: Patience) -> Result<u64, Error> {
        request.check()?;
        if request.content == Content::Zero && self.zero.is_none() {
            return Err(Error::CannotZero);
        }
        let (mut busy, mut allowed) = (None, Statistics::default());
        for pass in [Pass::Fast, Pass::Slow] {
            for zone in self.zonelist.candidates(request) {
                let mut guarded = match self.lock(zone, patience) {
                    Ok(guarded) => guarded,
                    Err(error) => {
                        busy = Some(error);
                        continue;
                    }
                };
                let Guarded { zone: own, state } = &mut *guarded;
                match own.take_as(state, self.means(zone), &self.watermarks[zone], request, pass) {
                    Ok(Some(pfn)) => return Ok(pfn),
                    Ok(None) => {}
                    Err(Error::NoMap) => busy = busy.or(Some(Error::NoMap)),
                    Err(error) => return Err(error),
                }
                // Counted under the same lock: a moment later it may look different.
                if pass == Pass::Slow {
                    allowed += (&**state).into();
                }
            }
        }
        Err(busy.unwrap_or_else(|| refusal(request, &allowed)))
    }

    /// Frees a block: what no cache takes.
    pub(super) fn free_in_zones(&self, frame: PhysFrame, order: u8, patience: Patience) -> Result<(), Error> {
        let pfn = pfn(frame);
        let place = check_place(self.runs, pfn, order)?;
        let at = self.mark_of(place);
        loop {
            let mark = self.marks.get(at);
            if mark.is_idle() {
                return Err(Error::AlreadyFree { pfn, block: pfn, order: mark.order() });
            }
            if !mark.is_none() && mark.order() != order {
                return Err(Error::WrongOrder { pfn, order, allocated: mark.order() });
            }
            if !mark.is_none() && self.marks.claim(at, mark) {
                return self.release(place, mark, patience);
            }

            let mut guarded = self.lock(place.zone, patience)?;
            // Under the lock no block gets a mark, so if there is none now the map says what is there.
            if !self.marks.get(at).is_none() {
                continue;
            }
            let Guarded { zone, state } = &mut *guarded;
            let map = zone.check(place, pfn, order).map_err(|error| self.in_cache(error))?;
            return zone.release(state, map, place.frame, order);
        }
    }

    /// Returns a claimed block to its zone.
    pub(super) fn release(&self, place: Place, mark: Mark, patience: Patience) -> Result<(), Error> {
        match self.lock(place.zone, patience) {
            Ok(mut guarded) => self.release_locked(&mut guarded, place, 1, mark.order()),
            Err(error) => {
                self.marks.set(self.mark_of(place), mark.in_use());
                Err(error)
            }
        }
    }

    /// Returns idle blocks that follow one another to their zone, which is locked, in blocks as large as they make.
    fn release_locked(&self, guarded: &mut Guarded<'b, 'a>, place: Place, count: u32, order: u8) -> Result<(), Error> {
        let Guarded { zone, state } = guarded;
        let (first, frames) = (self.mark_of(place), count << order);
        (first..first + frames as usize).step_by(1 << order).for_each(|at| self.marks.set(at, Mark::NONE));
        let map = zone.pieces.get(place.piece as usize).map_or(NONE, |piece| piece.map());
        zone.give(state, map, place.frame..place.frame + frames, End::First).map(|_| ())
    }

    /// Puts a batch of blocks into a cache; fewer, or none, if the cache's zones have no more to give.
    ///
    /// Linux: `rmqueue_bulk` (6.1).
    pub(super) fn refill(&self, cache: &mut Cache, large: bool, patience: Patience) -> Result<(), Error> {
        let (order, batch) = (CACHED_ORDERS[usize::from(large)], if large { LARGE_BATCH } else { SMALL_BATCH });
        let request = Request::order(order).bind(cache.node);
        for zone in self.zonelist.candidates(request).filter(|zone| *zone < CACHED_ZONES) {
            if cache.zones & 1 << zone == 0 {
                continue;
            }
            let Ok(mut guarded) = self.lock(zone, patience) else { continue };
            let Guarded { zone: own, state } = &mut *guarded;
            let marks = &self.watermarks[zone];
            if !above_mark(state, marks, request, (batch as u64) << order, Some(marks.low)) {
                continue;
            }
            if smallest(state, order).is_none()
                && (state.dormant.count == 0 || own.wake_any(state, self.means(zone)).is_err())
            {
                continue;
            }
            let mut blocks = [u64::MAX; SMALL_BATCH];
            let mut room = blocks.iter_mut();
            let mut result = Ok(());
            let taken = own.take_many(state, order, batch, |pfn| match self.runs.place(pfn) {
                Ok(place) if place.zone == zone => {
                    self.marks.set(self.mark_of(place), Mark::idle(large));
                    room.next().into_iter().for_each(|slot| *slot = pfn);
                }
                // Damaged maps gave what is not the zone's.
                _ => result = Err(corrupt(pfn, Fault::Zone)),
            });
            // The lowest on top, as it would come without a cache.
            let blocks = blocks.iter().rev().copied().filter(|pfn| *pfn != u64::MAX);
            blocks.for_each(|pfn| _ = cache.push(pfn, large));
            result?;
            if taken? > 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns a batch of a cache's blocks to their zones, or all. Linux: `free_pcppages_bulk` (6.1).
    pub(super) fn give_back(&self, cache: &mut Cache, large: bool, all: bool) -> Result<(), Error> {
        let order = CACHED_ORDERS[usize::from(large)];
        let mut locked: Option<(usize, MutexGuard<'_, Guarded<'b, 'a>>)> = None;
        let mut result = Ok(());
        cache.take_oldest(large, all, |blocks| {
            let section = |pfn: u64| pfn / SECTION_FRAMES;
            let place = |pfn: u64| self.runs.place(pfn).map(|place| (place.zone, section(pfn)));
            for run in blocks.chunk_by(|a, b| *b == a + (1 << order) && place(*a) == place(*b)) {
                let Some(Ok(first)) = run.first().map(|pfn| self.runs.place(*pfn)) else { continue };
                if locked.as_ref().is_none_or(|(current, _)| *current != first.zone) {
                    // Not two locks at once: another CPU may go the other way.
                    drop(locked.take());
                    locked = self.zones.get(first.zone).map(|zone| (first.zone, zone.lock.lock()));
                }
                let Some((_, guarded)) = &mut locked else { continue };
                result = result.and(self.release_locked(guarded, first, run.len() as u32, order));
            }
        });
        result
    }

    /// Keeps the first `frames` frames of a block that was just allocated.
    pub(super) fn trim(&self, start: u64, order: u8, frames: u64) -> Result<(), Error> {
        let place = self.runs.place(start)?;
        let mut guarded = self.lock(place.zone, Patience::Wait)?;
        let Guarded { zone, state } = &mut *guarded;
        let map = zone.pieces.get(place.piece as usize).map_or(NONE, |piece| piece.map());
        let block = Block { start: place.frame, order, leaf: Leaf::Allocated };
        zone.trim(state, map, block, place.frame + frames as u32)
    }

    /// Returns the order of the allocated block that starts at `pfn`.
    pub(super) fn allocated_order(&self, pfn: u64) -> Result<u8, Error> {
        let place = self.runs.place(pfn)?;
        let mark = self.marks.get(self.mark_of(place));
        if mark.is_idle() {
            return Err(Error::AlreadyFree { pfn, block: pfn, order: mark.order() });
        }
        let guarded = self.lock(place.zone, Patience::Wait)?;
        let found = guarded.zone.find(place, pfn)?;
        if found.leaf == Leaf::Allocated && found.start == pfn {
            Ok(found.order)
        } else {
            Err(self.in_cache(why_not(pfn, found)))
        }
    }

    /// Says of a frame inside a block that is in a cache that it is free.
    #[cold]
    fn in_cache(&self, error: Error) -> Error {
        match error {
            Error::InUse { pfn, block, order } => match self.runs.place(block) {
                Ok(place) if self.marks.get(self.mark_of(place)).is_idle() => Error::AlreadyFree { pfn, block, order },
                _ => error,
            },
            _ => error,
        }
    }

    /// Locks a zone.
    fn lock(&self, zone: usize, patience: Patience) -> Result<MutexGuard<'_, Guarded<'b, 'a>>, Error> {
        let zone = self.zones.get(zone).ok_or(Error::Capacity { capacity: Z })?;
        match patience {
            Patience::Wait => Ok(zone.lock.lock()),
            Patience::Never => zone.lock.try_lock().ok_or(Error::Busy),
        }
    }
}
