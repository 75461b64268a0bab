// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way through a CPU's cache.

use super::cache::Cache;
use super::mark::{CACHED_ORDERS, CACHED_ZONES, Mark};
use super::sync::MutexGuard;
use super::{Patience, Shared};
use crate::allocate::block_range;
use crate::allocator::{pfn, physical};
use crate::exact::{frame_range, whole_frames};
use crate::request::Content;
use crate::{Error, Node, Priority, Request};
use core::fmt;
use handoff::{PhysRange, ZoneKind};
use x86_64::structures::paging::PhysFrame;

/// A CPU's cache, taken for as long as this lives: then it needs no lock.
///
/// For code that stays on its CPU and is not interrupted by others that need the cache; those go to the zones meanwhile.
pub struct Cpu<'s, 'b, 'a, const Z: usize, const CPUS: usize> {
    shared: &'s Shared<'b, 'a, Z, CPUS>,
    cache: MutexGuard<'s, Cache<'b>>,
    patience: Patience,
}

impl<'b, 'a, const Z: usize, const CPUS: usize> Shared<'b, 'a, Z, CPUS> {
    /// Takes the cache of a CPU; `None` if there is no such CPU or its cache is taken.
    #[inline]
    pub fn cpu(&self, cpu: usize) -> Option<Cpu<'_, 'b, 'a, Z, CPUS>> {
        self.with_patience(cpu, Patience::Wait)
    }

    #[inline]
    fn with_patience(&self, cpu: usize, patience: Patience) -> Option<Cpu<'_, 'b, 'a, Z, CPUS>> {
        Some(Cpu { shared: self, cache: self.slots.get(cpu)?.0.try_lock()?, patience })
    }

    /// Allocates a block on a CPU as `request` says. For threads: see [interrupts](Self#interrupts).
    ///
    /// If zones have nothing, the blocks in all caches go back to them and it tries again. Linux: `__alloc_pages` (6.1).
    ///
    /// # Errors
    /// As [`Buddy::allocate_with`](crate::Buddy::allocate_with).
    #[inline]
    pub fn allocate_with(&self, cpu: usize, request: Request) -> Result<PhysFrame, Error> {
        self.allocate_on(cpu, request, Patience::Wait)
    }

    /// As [`allocate_with`](Self::allocate_with), but never waits: for interrupt handlers.
    ///
    /// # Errors
    /// Also [`Error::Busy`]; and [`Error::OutOfMemory`] although there may be something in other CPUs' caches.
    #[inline]
    pub fn try_allocate_with(&self, cpu: usize, request: Request) -> Result<PhysFrame, Error> {
        self.allocate_on(cpu, request, Patience::Never)
    }

    #[inline]
    fn allocate_on(&self, cpu: usize, request: Request, patience: Patience) -> Result<PhysFrame, Error> {
        if let Some(mut cpu) = self.with_patience(cpu, patience) {
            if let Some(block) = cpu.pop(request) {
                return Ok(block);
            }
            if let Some(block) = cpu.refill(request)? {
                return Ok(block);
            }
        }
        // The cache is free again: it may have to be emptied.
        self.allocate_in_zones(request, patience)
    }

    /// Frees a block of 2^`order` frames on a CPU. For threads: see [interrupts](Self#interrupts). Linux: `__free_pages` (6.1).
    ///
    /// # Errors
    /// As [`Buddy::free`](crate::Buddy::free). Nothing changed.
    #[inline]
    pub fn free(&self, cpu: usize, frame: PhysFrame, order: u8) -> Result<(), Error> {
        self.free_on(cpu, frame, order, Patience::Wait)
    }

    /// As [`free`](Self::free), but never waits: for interrupt handlers.
    ///
    /// # Errors
    /// Also [`Error::Busy`]: the block is still the caller's, to be freed later.
    #[inline]
    pub fn try_free(&self, cpu: usize, frame: PhysFrame, order: u8) -> Result<(), Error> {
        self.free_on(cpu, frame, order, Patience::Never)
    }

    #[inline]
    fn free_on(&self, cpu: usize, frame: PhysFrame, order: u8, patience: Patience) -> Result<(), Error> {
        match self.with_patience(cpu, patience) {
            Some(mut cpu) => cpu.free(frame, order),
            None => self.free_in_zones(frame, order, patience),
        }
    }

    /// Allocates exactly `frames` adjacent frames, as [`Buddy::allocate_exact`](crate::Buddy::allocate_exact) does; waits for locks.
    ///
    /// # Errors
    /// The same.
    pub fn allocate_exact(&self, frames: u64, request: Request) -> Result<PhysRange, Error> {
        if frames == 0 || frames > 1 << handoff::MAX_ORDER {
            return Err(Error::FrameCount { frames });
        }
        let order = request.order.max(frames.next_power_of_two().ilog2() as u8);
        let start = pfn(self.allocate_in_zones(Request { order, ..request }, Patience::Wait)?);
        self.trim(start, order, frames)?;
        frame_range(start, start + frames)
    }

    /// Gives back a range of whole allocated blocks, as [`Buddy::free_exact`](crate::Buddy::free_exact) does; waits for locks.
    ///
    /// # Errors
    /// The same; the blocks before the wrong one have been freed.
    pub fn free_exact(&self, range: PhysRange) -> Result<(), Error> {
        let (mut start, end) = whole_frames(range)?;
        while start < end {
            let order = self.allocated_order(start)?;
            if start + (1 << order) > end {
                return Err(Error::InUse { pfn: start, block: start, order });
            }
            self.free_in_zones(
                frame_range(start, end)?.frames().next().ok_or(Error::NotFrames { range })?,
                order,
                Patience::Wait,
            )?;
            start += 1 << order;
        }
        Ok(())
    }
}

impl<const Z: usize, const CPUS: usize> Cpu<'_, '_, '_, Z, CPUS> {
    /// Allocates a block as `request` says. If zones have nothing, what is in other CPUs' caches goes back to them and it tries
    /// again.
    ///
    /// # Errors
    /// As [`Buddy::allocate_with`](crate::Buddy::allocate_with).
    #[inline]
    pub fn allocate_with(&mut self, request: Request) -> Result<PhysFrame, Error> {
        match self.pop(request) {
            Some(block) => Ok(block),
            None => self.past_cache(request),
        }
    }

    /// Returns what the cache holds to the zones.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn drain(&mut self) -> Result<(), Error> {
        self.shared.empty(&mut self.cache)
    }

    #[inline(never)]
    fn past_cache(&mut self, request: Request) -> Result<PhysFrame, Error> {
        if let Some(block) = self.refill(request)? {
            return Ok(block);
        }
        match self.shared.allocate_in_zones(request, self.patience) {
            Err(Error::OutOfMemory { .. } | Error::BelowWatermark { .. }) if self.cache.frames() > 0 => {
                self.shared.empty(&mut self.cache)?;
                self.shared.allocate_in_zones(request, self.patience)
            }
            result => result,
        }
    }

    /// Allocates a block from the cache; `None` if that is not for such requests, or empty.
    #[inline]
    fn pop(&mut self, request: Request) -> Option<PhysFrame> {
        if !self.serves(request) || request.content == Content::Zero {
            return None;
        }
        let large = request.order != 0;
        let block = self.cache.pop(large)?;
        self.hand_out(block, large);
        Some(physical(block))
    }

    /// Marks a block that was in the cache: only this CPU has it now, so nobody else changes the mark.
    #[inline]
    fn hand_out(&self, block: u64, large: bool) {
        let mark = Mark::idle(large).in_use();
        if !self.cache.marks.set(block, mark) {
            self.shared.marks(block).set(block, mark);
        }
    }

    /// Returns whether the cache is for such requests.
    #[inline]
    fn serves(&self, request: Request) -> bool {
        CACHED_ORDERS.contains(&request.order)
            && request.anywhere()
            && request.align_order <= request.order
            && request.priority == Priority::Usual
            && request.zone >= ZoneKind::NORMAL
            && match request.node {
                Node::Any => true,
                Node::Preferred(node) | Node::Bind(node) => node == self.cache.node,
            }
    }

    /// Allocates a block from the cache after filling it if it is empty; `None` if that is not for such requests, or stays empty.
    #[inline(never)]
    fn refill(&mut self, request: Request) -> Result<Option<PhysFrame>, Error> {
        if !self.serves(request) {
            return Ok(None);
        }
        let large = request.order != 0;
        if self.cache.is_empty(large) {
            self.shared.refill(&mut self.cache, large, self.patience)?;
        }
        let Some(block) = self.cache.pop(large) else { return Ok(None) };
        self.hand_out(block, large);
        let frame = physical(block);
        self.shared.fill(request, block_range(frame, request.order)?).or_else(|error| {
            self.free(frame, request.order)?;
            Err(error)
        })?;
        Ok(Some(frame))
    }

    /// Frees a block of 2^`order` frames.
    ///
    /// # Errors
    /// As [`Buddy::free`](crate::Buddy::free). Nothing changed.
    #[inline]
    pub fn free(&mut self, frame: PhysFrame, order: u8) -> Result<(), Error> {
        let (block, large) = (pfn(frame), order != 0);
        // In one step: whether it is in use, of this order, and nobody else frees it.
        if !CACHED_ORDERS.contains(&order) || !self.cache.marks.claim(block, Mark::idle(large)) {
            return self.free_elsewhere(frame, order);
        }
        self.keep(block, large)
    }

    /// Frees a block that is not in the cache's largest run, or was not allocated by a cache, or not at all.
    #[inline(never)]
    fn free_elsewhere(&mut self, frame: PhysFrame, order: u8) -> Result<(), Error> {
        let (block, large) = (pfn(frame), order != 0);
        let zone = self.shared.runs.place(block)?.zone;
        let kept = CACHED_ORDERS.contains(&order) && zone < CACHED_ZONES && self.cache.zones & 1 << zone != 0;
        if kept && self.shared.marks(block).claim(block, Mark::idle(large)) {
            return self.keep(block, large);
        }
        self.shared.free_in_zones(frame, order, self.patience)
    }

    /// Puts a claimed block into the cache.
    #[inline]
    fn keep(&mut self, block: u64, large: bool) -> Result<(), Error> {
        if self.cache.push(block, large) { Ok(()) } else { self.make_room(block, large) }
    }

    #[inline(never)]
    fn make_room(&mut self, block: u64, large: bool) -> Result<(), Error> {
        if self.patience == Patience::Never {
            return self.shared.release(block, Mark::idle(large), self.patience);
        }
        self.shared.give_back(&mut self.cache, large, false)?;
        self.cache.push(block, large);
        Ok(())
    }
}

impl<const Z: usize, const CPUS: usize> fmt::Debug for Cpu<'_, '_, '_, Z, CPUS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu").field("frames", &self.cache.frames()).finish_non_exhaustive()
    }
}
