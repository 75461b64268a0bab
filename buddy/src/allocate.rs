// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a block.

use crate::allocator::{pfn, physical};
use crate::exact::frame_range;
use crate::map::Block;
use crate::online::Means;
use crate::request::Content;
use crate::tree::Leaf;
use crate::zone::{Zone, corrupt};
use crate::{Buddy, Error, Fault, Request, Watermarks};
use handoff::{NONE, PhysRange, ZoneKind, ZoneState};
use x86_64::structures::paging::PhysFrame;

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates a block of 2^`order` frames and returns its first frame, whose number is a multiple of 2^`order`.
    ///
    /// The block comes from the highest zone of the lowest node that has one. Its content is undefined. Linux:
    /// `alloc_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::BelowWatermark`], with the largest free order and the free frames;
    /// [`Error::Order`] for more than 10; [`Error::NoMap`] if a section would have to be split and there is no map for it.
    #[inline]
    pub fn allocate(&mut self, order: u8) -> Result<PhysFrame, Error> {
        self.allocate_with(Request::order(order))
    }

    /// Allocates a block as `request` says and returns its first frame.
    ///
    /// Linux: `__alloc_pages` (6.1).
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate), and [`Error::CannotZero`].
    #[inline]
    pub fn allocate_with(&mut self, request: Request) -> Result<PhysFrame, Error> {
        match self.take_first(request) {
            Some(pfn) => Ok(physical(pfn)),
            None => self.allocate_slowly(request),
        }
    }

    #[cold]
    #[inline]
    fn allocate_slowly(&mut self, request: Request) -> Result<PhysFrame, Error> {
        let frame = physical(self.take(request)?.1);
        if request.content == Content::Zero {
            self.finish(request, block_range(frame, request.order)?)?;
        }
        Ok(frame)
    }

    /// Takes a block for a request without wishes from the zone that it tries first; `None` if maps there have none.
    #[inline]
    fn take_first(&mut self, request: Request) -> Option<u64> {
        let index = usize::from(self.first_zone.filter(|_| request.has_no_wish())?);
        let (zone, state) = (self.zones.get_mut(index)?, self.states.get_mut(index)?);
        let pfn = zone.take_again(request.order).or_else(|| zone.take_elsewhere(state, request.order).ok()?)?;
        // What damaged maps give must be the zone's all the same; else the block stays allocated.
        self.runs.find(pfn).ok().filter(|run| usize::from(run.zone) == index)?;
        self.counters[index].hit += 1;
        Some(pfn)
    }

    /// Finds out which zone requests without wishes try first, if they may have all of it.
    pub(crate) fn find_first_zone(&mut self) {
        let open = |zone: &u16| {
            let marks = self.watermarks.get(usize::from(*zone));
            marks.is_some_and(|marks| marks.keep_nothing(marks.low, ZoneKind::NORMAL))
        };
        self.first_zone = self.zonelist.first(ZoneKind::NORMAL).filter(open);
    }

    /// Sets the function that fills memory with zeros, for requests that are [`zeroed`](Request::zeroed).
    ///
    /// The kernel knows where a physical address is mapped, this crate does not. It is called with the allocated range,
    /// which nobody else has.
    pub fn set_zeroing(&mut self, zero: fn(PhysRange)) {
        self.zero = Some(zero);
    }

    /// Checks that a request can be met as far as its content goes: before anything is taken.
    pub(crate) fn can_fill(&self, request: Request) -> Result<(), Error> {
        if request.content == Content::Zero && self.zero.is_none() { Err(Error::CannotZero) } else { Ok(()) }
    }

    /// Gives an allocated range the content that was asked for.
    pub(crate) fn finish(&self, request: Request, range: PhysRange) -> Result<(), Error> {
        match (request.content, self.zero) {
            (Content::Undefined, _) => {}
            (Content::Zero, Some(zero)) => zero(range),
            (Content::Zero, None) => return Err(Error::CannotZero),
        }
        Ok(())
    }

    /// Takes a block out of the first zone that may give one; returns the zone and the number of the first frame.
    ///
    /// Linux: `get_page_from_freelist`, for the fast path and once more for the slow one (6.1).
    #[inline]
    pub(crate) fn take(&mut self, request: Request) -> Result<(usize, u64), Error> {
        request.check()?;
        self.can_fill(request)?;
        let Self { zones, states, zonelist, runs, watermarks, growth, .. } = self;
        let (mut found, mut no_map) = (None, None);
        'passes: for pass in [Pass::Fast, Pass::Slow] {
            for zone in zonelist.candidates(request) {
                let means = Means::new(zone, runs, *growth);
                match zones[zone].take_as(&mut states[zone], means, &watermarks[zone], request, pass) {
                    Ok(Some(pfn)) => {
                        found = Some((zone, pfn));
                        break 'passes;
                    }
                    Ok(None) => {}
                    // Another zone may have what needs no map.
                    Err(Error::NoMap) => no_map = Some(Error::NoMap),
                    Err(error) => return Err(error),
                }
            }
        }
        let Some((zone, pfn)) = found else { return Err(no_map.unwrap_or_else(|| self.out_of_memory(request))) };
        self.count(zone, request);
        Ok((zone, pfn))
    }

    #[cold]
    pub(crate) fn out_of_memory(&self, request: Request) -> Error {
        let mut allowed = Allowed::default();
        self.zonelist.candidates(request).for_each(|zone| allowed.add(&self.zones[zone], &self.states[zone]));
        allowed.refusal(request)
    }
}

/// What the zones have that a request may use.
#[derive(Default)]
pub(crate) struct Allowed {
    largest: Option<u8>,
    free: u64,
}

impl Allowed {
    pub(crate) fn add(&mut self, zone: &Zone<'_>, state: &ZoneState) {
        self.largest = self.largest.max(zone.largest_free_order(state));
        self.free = self.free.saturating_add(zone.free);
    }

    /// Returns why a request that finds nothing there fails.
    pub(crate) fn refusal(self, request: Request) -> Error {
        let Self { largest, free } = self;
        let order = request.order.max(request.align_order);
        if request.anywhere() && largest.is_some_and(|largest| largest >= order) {
            Error::BelowWatermark { order, largest, free }
        } else {
            Error::OutOfMemory { order: request.order, largest, free }
        }
    }
}

/// Returns the bytes of a block.
pub(crate) fn block_range(frame: PhysFrame, order: u8) -> Result<PhysRange, Error> {
    let start = pfn(frame);
    frame_range(start, start + (1 << order))
}

/// How far below its watermarks a zone is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pass {
    /// Down to `low`, so that the next zone is tried before this one's reserve.
    Fast,
    /// As far as the request's priority goes.
    Slow,
}

impl<'a> Zone<'a> {
    /// Takes a block from the zone if it has one and may give it; returns the number of the first frame.
    #[inline]
    pub(crate) fn take_as(
        &mut self,
        state: &mut ZoneState,
        means: Means<'_, 'a>,
        marks: &Watermarks,
        request: Request,
        pass: Pass,
    ) -> Result<Option<u64>, Error> {
        let mark = match pass {
            Pass::Fast => Some(marks.low),
            Pass::Slow => marks.mark(request.priority),
        };
        let block = request.order.max(request.align_order);
        if !above_mark(self.free, marks, request, 1 << request.order, mark) {
            return Ok(None);
        }
        if !request.anywhere() {
            return self.take_inside(state, means, request);
        }
        let taken = match self.take(state, block)? {
            None if state.dormant.count == 0 => None,
            None => {
                self.wake_any(state, means)?;
                self.take(state, block)?
            }
            taken => taken,
        };
        let Some(pfn) = taken else { return Ok(None) };
        // What damaged maps give must be the zone's all the same.
        if usize::from(means.runs.find(pfn)?.zone) != means.zone {
            return Err(corrupt(pfn, Fault::Zone));
        }
        if block > request.order {
            let place = means.runs.place(pfn)?;
            let number = self.pieces.get(place.piece as usize).map_or(NONE, |piece| piece.map());
            let start = place.frame;
            let taken = Block { start, order: block, leaf: Leaf::Allocated };
            self.trim(state, number, taken, start + (1 << request.order))?;
        }
        Ok(Some(pfn))
    }
}

/// Returns whether a zone may give so many frames, as far as its watermarks go.
#[inline]
pub(crate) fn above_mark(free: u64, marks: &Watermarks, request: Request, frames: u64, mark: Option<u64>) -> bool {
    mark.is_none_or(|mark| marks.keep_nothing(mark, request.zone) || marks.allow(free, frames, request.zone, mark))
}
