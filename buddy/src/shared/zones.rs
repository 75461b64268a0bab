// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to the zones, under their locks.

use super::cache::{Cache, LARGE_BATCH, SMALL_BATCH};
use super::mark::{CACHED_ORDERS, MARKED_ZONES, Mark};
use super::{Guarded, Patience, Shared, Stretch};
use crate::allocate::{Pass, above_mark, refusal, take_from};
use crate::allocator::{cut, pfn};
use crate::exact::frame_range;
use crate::free::check;
use crate::pages::{Pages, page, page_mut};
use crate::request::Content;
use crate::zone::{self, Placement};
use crate::{Error, Fault, Request, Statistics};
use handoff::{Frame, FrameState, PhysRange, ZoneState};
use spin::MutexGuard;
use x86_64::structures::paging::PhysFrame;

impl<'a, const Z: usize> Guarded<'a, Z> {
    /// Returns a zone with the descriptors around it.
    fn zone(&mut self, index: usize) -> Option<(&mut Pages<'a>, &mut ZoneState)> {
        let zone = self.zones.iter_mut().find(|(zone, _)| *zone == index)?;
        Some((&mut self.pages, &mut *zone.1))
    }
}

impl<'a, const Z: usize, const CPUS: usize> Shared<'a, Z, CPUS> {
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
        let start = self.sections.pfn(block);
        self.fill(request, frame_range(start, start + (1 << request.order))?)?;
        Ok(self.sections.physical(block))
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

    fn take(&self, request: Request, patience: Patience) -> Result<Frame, Error> {
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
                let Some((pages, state)) = guarded.zone(zone) else { continue };
                if let Some(frame) = take_from(pages, self.sections, state, &self.watermarks[zone], request, pass)? {
                    return Ok(frame);
                }
                // Counted under the same lock: a moment later it may look different.
                if pass == Pass::Slow {
                    allowed += (&*state).into();
                }
            }
        }
        Err(busy.unwrap_or_else(|| refusal(request, &allowed)))
    }

    /// Frees a block: what no cache takes.
    pub(super) fn free_in_zones(&self, frame: PhysFrame, order: u8, patience: Patience) -> Result<(), Error> {
        let pfn = pfn(frame);
        let frame = self.sections.frame(pfn)?;
        loop {
            let mark = self.marks.get(frame.0);
            if mark.is_idle() {
                return Err(Error::AlreadyFree { pfn, block: pfn, order: mark.order() });
            }
            if !mark.is_none() && mark.order() != order {
                return Err(Error::WrongOrder { pfn, order, allocated: mark.order() });
            }
            if !mark.is_none() && self.marks.claim(frame.0, mark) {
                return self.release(frame, mark, patience);
            }

            let mut guarded = self.lock_frame(frame, patience)?;
            // Under the lock no block gets a mark, so if there is none now the descriptor says what is there.
            if !self.marks.get(frame.0).is_none() {
                continue;
            }
            if let Err(error) = check(&guarded.pages, self.sections, pfn, order) {
                return Err(self.in_cache(error));
            }
            let node = page(&guarded.pages, frame)?;
            let zone = self.zonelist.zone_of(node)?;
            let (pages, state) = guarded.zone(zone).ok_or(Error::Corrupt { frame, fault: Fault::Zone })?;
            return zone::release(pages, state, frame, order, Placement::Usual);
        }
    }

    /// Returns a claimed block to its zone.
    pub(super) fn release(&self, frame: Frame, mark: Mark, patience: Patience) -> Result<(), Error> {
        let mut guarded = match self.lock_frame(frame, patience) {
            Ok(guarded) => guarded,
            Err(error) => {
                self.marks.set(frame.0, mark.in_use());
                return Err(error);
            }
        };
        self.release_locked(&mut guarded, frame)
    }

    /// Returns an idle block to its zone, which is locked.
    fn release_locked(&self, guarded: &mut Guarded<'a, Z>, frame: Frame) -> Result<(), Error> {
        let mark = self.marks.get(frame.0);
        self.marks.set(frame.0, Mark::NONE);
        let zone = guarded.zone(mark.zone());
        let (pages, state) = zone.ok_or(Error::Corrupt { frame, fault: Fault::Zone })?;
        zone::release(pages, state, frame, mark.order(), Placement::Usual)
    }

    /// Puts a batch of blocks into a cache; fewer, or none, if the cache's zones have no more to give.
    ///
    /// Linux: `rmqueue_bulk` (6.1).
    pub(super) fn refill(&self, cache: &mut Cache, large: bool, patience: Patience) -> Result<(), Error> {
        let (order, batch) = (CACHED_ORDERS[usize::from(large)], if large { LARGE_BATCH } else { SMALL_BATCH });
        let request = Request::order(order).bind(cache.node);
        for zone in self.zonelist.candidates(request).filter(|zone| *zone < MARKED_ZONES) {
            if cache.zones & 1 << zone == 0 {
                continue;
            }
            let Ok(mut guarded) = self.lock(zone, patience) else { continue };
            let Some((pages, state)) = guarded.zone(zone) else { continue };
            let marks = &self.watermarks[zone];
            if !above_mark(state, marks, request, (batch as u64) << order, Some(marks.low)) {
                continue;
            }
            let mut blocks = [Frame::NONE; SMALL_BATCH];
            let mut room = blocks.iter_mut();
            let taken = zone::take_many(pages, state, order, batch, |frame| {
                self.marks.set(frame.0, Mark::idle(zone, large));
                if let Some(slot) = room.next() {
                    *slot = frame;
                }
            });
            // The lowest on top, as it would come without a cache.
            let blocks = blocks.iter().rev().copied().filter(|frame| *frame != Frame::NONE);
            blocks.for_each(|frame| _ = cache.push(frame, large));
            if taken? > 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns a batch of a cache's blocks to their zones, or all. Linux: `free_pcppages_bulk` (6.1).
    pub(super) fn give_back(&self, cache: &mut Cache, large: bool, all: bool) -> Result<(), Error> {
        let mut locked: Option<(usize, MutexGuard<'_, Guarded<'a, Z>>)> = None;
        let mut result = Ok(());
        cache.take_oldest(large, all, |blocks| {
            let zone = |frame: &Frame| self.marks.get(frame.0).zone();
            for run in blocks.chunk_by(|a, b| b.0 == a.0 + 1 && zone(a) == zone(b)) {
                let Some(first) = run.first().copied() else { continue };
                let stretch = self.stretch_of_frame(first);
                if locked.as_ref().is_none_or(|(current, _)| *current != stretch) {
                    // Not two locks at once: another CPU may go the other way.
                    drop(locked.take());
                    locked = self.stretches.get(stretch).map(|found| (stretch, found.lock.lock()));
                }
                let Some((_, guarded)) = &mut locked else { continue };
                let released = match run.len() {
                    1 => self.release_locked(guarded, first),
                    count => self.release_run(guarded, first, count as u32),
                };
                result = result.and(released);
            }
        });
        result
    }

    /// Returns idle single frames that follow one another to their zone, in blocks as large as they make.
    fn release_run(&self, guarded: &mut Guarded<'a, Z>, first: Frame, count: u32) -> Result<(), Error> {
        let zone = guarded.zone(self.marks.get(first.0).zone());
        let (pages, state) = zone.ok_or(Error::Corrupt { frame: first, fault: Fault::Zone })?;
        for (start, order) in cut(first.0.into(), u64::from(first.0) + u64::from(count)) {
            let start = Frame(start as u32);
            for frame in (start.0..start.0 + (1 << order)).map(Frame) {
                self.marks.set(frame.0, Mark::NONE);
                page_mut(pages, frame)?.set_state(FrameState::Body);
            }
            zone::release(pages, state, start, order, Placement::Usual)?;
        }
        Ok(())
    }

    /// Keeps the first `frames` frames of a block that was just allocated.
    pub(super) fn trim(&self, start: u64, order: u8, frames: u64) -> Result<(), Error> {
        let frame = self.sections.frame(start)?;
        let mut guarded = self.lock_frame(frame, Patience::Wait)?;
        let zone = self.zonelist.zone_of(page(&guarded.pages, frame)?)?;
        let (pages, state) = guarded.zone(zone).ok_or(Error::Corrupt { frame, fault: Fault::Zone })?;
        zone::trim(pages, state, frame, order, frames as u32)
    }

    /// Returns the order of the allocated block that starts at `pfn`.
    pub(super) fn allocated_order(&self, pfn: u64) -> Result<u8, Error> {
        let frame = self.sections.frame(pfn)?;
        let mark = self.marks.get(frame.0);
        if mark.is_idle() {
            return Err(Error::AlreadyFree { pfn, block: pfn, order: mark.order() });
        }
        let guarded = self.lock_frame(frame, Patience::Wait)?;
        let page = page(&guarded.pages, frame)?;
        match check(&guarded.pages, self.sections, pfn, page.order()) {
            Ok(_) => Ok(page.order()),
            Err(error) => Err(self.in_cache(error)),
        }
    }

    /// Says of a frame inside a block that is in a cache that it is free.
    #[cold]
    fn in_cache(&self, error: Error) -> Error {
        match error {
            Error::InUse { pfn, block, order } => match self.sections.frame(block).map(|frame| self.marks.get(frame.0))
            {
                Ok(mark) if mark.is_idle() => Error::AlreadyFree { pfn, block, order },
                _ => error,
            },
            _ => error,
        }
    }

    fn stretch_of_frame(&self, frame: Frame) -> usize {
        self.stretches.partition_point(|stretch| stretch.first <= frame).saturating_sub(1)
    }

    /// Locks what guards a frame's descriptor.
    fn lock_frame(&self, frame: Frame, patience: Patience) -> Result<MutexGuard<'_, Guarded<'a, Z>>, Error> {
        let stretch = self.stretches.get(self.stretch_of_frame(frame));
        stretch.ok_or(Error::Corrupt { frame, fault: Fault::Missing })?.lock(patience)
    }

    /// Locks a zone.
    fn lock(&self, zone: usize, patience: Patience) -> Result<MutexGuard<'_, Guarded<'a, Z>>, Error> {
        let stretch = self.stretch_of.get(zone).and_then(|stretch| self.stretches.get(usize::from(*stretch)));
        stretch.ok_or(Error::Capacity { capacity: Z })?.lock(patience)
    }
}

impl<'a, const Z: usize> Stretch<'a, Z> {
    fn lock(&self, patience: Patience) -> Result<MutexGuard<'_, Guarded<'a, Z>>, Error> {
        match patience {
            Patience::Wait => Ok(self.lock.lock()),
            Patience::Never => self.lock.try_lock().ok_or(Error::Busy),
        }
    }
}
