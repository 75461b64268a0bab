// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to the zones, under their locks.

use super::cache::{Cache, LARGE_BATCH, SMALL_BATCH};
use super::mark::{CACHED_ORDERS, CACHED_ZONES, Mark};
use super::sync::MutexGuard;
use super::{Guarded, Patience, Shared};
use crate::allocate::{Allowed, Pass, above_mark};
use crate::allocator::{pfn, physical, why_not};
use crate::exact::frame_range;
use crate::free::check_place;
use crate::map::Block;
use crate::request::Content;
use crate::rings::End;
use crate::tree::Leaf;
use crate::zone::corrupt;
use crate::{Error, Fault, Request};
use handoff::{NONE, PhysRange};
use heapless::Vec;
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
        let (mut busy, mut allowed) = (None, Allowed::default());
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
                    allowed.add(own, state);
                }
            }
        }
        Err(busy.unwrap_or_else(|| allowed.refusal(request)))
    }

    /// Frees a block: what no cache takes.
    pub(super) fn free_in_zones(&self, frame: PhysFrame, order: u8, patience: Patience) -> Result<(), Error> {
        let pfn = pfn(frame);
        let place = check_place(self.runs, pfn, order)?;
        let marks = self.marks(pfn);
        loop {
            let mark = marks.get(pfn);
            if mark.is_idle() {
                return Err(Error::AlreadyFree { pfn, block: pfn, order: mark.order() });
            }
            if !mark.is_none() && mark.order() != order {
                return Err(Error::WrongOrder { pfn, order, allocated: mark.order() });
            }
            if !mark.is_none() {
                if marks.claim(pfn, mark.idled()) {
                    return self.release(pfn, mark.idled(), patience);
                }
                continue;
            }

            let mut guarded = self.lock(place.zone, patience)?;
            // Under the lock no block gets a mark, so if there is none now the map says what is there.
            if !marks.get(pfn).is_none() {
                continue;
            }
            let Guarded { zone, state } = &mut *guarded;
            return zone.free(state, place, pfn, order).map_err(|error| self.in_cache(error));
        }
    }

    /// Returns a claimed block to its zone.
    pub(super) fn release(&self, pfn: u64, mark: Mark, patience: Patience) -> Result<(), Error> {
        match self.lock(self.runs.place(pfn)?.zone, patience) {
            Ok(mut guarded) => self.release_locked(&mut guarded, pfn, 1, mark.order()),
            Err(error) => {
                self.marks(pfn).set(pfn, mark.in_use());
                Err(error)
            }
        }
    }

    /// Returns idle blocks that follow one another to their zone, which is locked, in blocks as large as they make.
    fn release_locked(&self, guarded: &mut Guarded<'b, 'a>, first: u64, count: u64, order: u8) -> Result<(), Error> {
        let (Guarded { zone, state }, frames, marks) = (guarded, count << order, self.marks(first));
        (first..first + frames).step_by(1 << order).for_each(|pfn| _ = marks.set(pfn, Mark::NONE));
        let place = self.runs.place(first)?;
        let map = zone.pieces.get(place.piece as usize).map_or(NONE, |piece| piece.map());
        if count == 1 {
            return zone.release(state, map, place.frame, order);
        }
        zone.give(state, map, place.frame..place.frame + frames as u32, End::First).map(|_| ())
    }

    /// Puts a batch of blocks into a cache; fewer, or none, if the cache's zones have no more to give.
    ///
    /// Linux: `rmqueue_bulk` (6.1).
    pub(super) fn refill(&self, cache: &mut Cache<'_>, large: bool, patience: Patience) -> Result<(), Error> {
        let (order, batch) = (CACHED_ORDERS[usize::from(large)], if large { LARGE_BATCH } else { SMALL_BATCH });
        let request = Request::order(order).bind(cache.node);
        for zone in self.zonelist.candidates(request).filter(|zone| *zone < CACHED_ZONES) {
            if cache.zones & 1 << zone == 0 {
                continue;
            }
            let Ok(mut guarded) = self.lock(zone, patience) else { continue };
            let Guarded { zone: own, state } = &mut *guarded;
            let marks = &self.watermarks[zone];
            if !above_mark(own.free, marks, request, (2 * batch as u64) << order, Some(marks.low)) {
                continue;
            }
            let mut blocks = Vec::<u64, { 2 * SMALL_BATCH }>::new();
            let mut result = Ok(());
            while blocks.len() < batch && result.is_ok() {
                let first = match own.take_as(state, self.means(zone), marks, request, Pass::Fast) {
                    Ok(Some(first)) => first,
                    Ok(None) | Err(Error::NoMap) => break,
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                };
                // All that its tile has: another CPU's blocks there would share a line of marks with it.
                let rest = core::iter::from_fn(|| own.take_again(order));
                for pfn in core::iter::once(first).chain(rest).take(2 * SMALL_BATCH - blocks.len()) {
                    let ours = self.runs.place(pfn).is_ok_and(|place| place.zone == zone);
                    if !ours || !self.marks(pfn).set(pfn, Mark::idle(large)) || blocks.push(pfn).is_err() {
                        // Damaged maps gave what is not the zone's.
                        result = Err(corrupt(pfn, Fault::Zone));
                    }
                }
            }
            // The lowest on top, as it would come without a cache.
            blocks.iter().rev().for_each(|pfn| _ = cache.push(*pfn, large));
            if result.is_err() || !blocks.is_empty() {
                return result;
            }
        }
        Ok(())
    }

    /// Returns a batch of a cache's blocks to their zones, or all. Linux: `free_pcppages_bulk` (6.1).
    pub(super) fn give_back(&self, cache: &mut Cache<'_>, large: bool, all: bool) -> Result<(), Error> {
        let order = CACHED_ORDERS[usize::from(large)];
        let mut locked: Option<(usize, MutexGuard<'_, Guarded<'b, 'a>>)> = None;
        let mut result = Ok(());
        cache.take_oldest(large, all, |blocks| {
            let piece = |pfn: u64| self.runs.place(pfn).map(|place| (place.zone, place.piece));
            for run in blocks.chunk_by(|a, b| *b == a + (1 << order) && piece(*a) == piece(*b)) {
                let Some((first, Ok(place))) = run.first().map(|pfn| (*pfn, self.runs.place(*pfn))) else { continue };
                if locked.as_ref().is_none_or(|(current, _)| *current != place.zone) {
                    // Not two locks at once: another CPU may go the other way.
                    drop(locked.take());
                    locked = self.zones.get(place.zone).map(|zone| (place.zone, zone.lock()));
                }
                let Some((_, guarded)) = &mut locked else { continue };
                result = result.and(self.release_locked(guarded, first, run.len() as u64, order));
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
        let mark = self.marks(pfn).get(pfn);
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
            Error::InUse { pfn, block, order } if self.marks(block).get(block).is_idle() => {
                Error::AlreadyFree { pfn, block, order }
            }
            _ => error,
        }
    }

    /// Locks a zone.
    fn lock(&self, zone: usize, patience: Patience) -> Result<MutexGuard<'_, Guarded<'b, 'a>>, Error> {
        let zone = self.zones.get(zone).ok_or(Error::Capacity { capacity: Z })?;
        match patience {
            Patience::Wait => Ok(zone.lock()),
            Patience::Never => zone.try_lock().ok_or(Error::Busy),
        }
    }
}
