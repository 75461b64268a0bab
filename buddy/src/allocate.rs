// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a block.

use crate::allocator::{pfn, physical};
use crate::exact::frame_range;
use crate::map::Block;
use crate::online::Means;
use crate::request::Content;
use crate::tree::Leaf;
use crate::zone::{Zone, corrupt, smallest};
use crate::{Buddy, Error, Fault, Request, Statistics, Watermarks};
use handoff::{PhysRange, SECTION_FRAMES, ZoneState};
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
        let frame = physical(self.take(request)?.1);
        if request.content == Content::Zero {
            self.finish(request, block_range(frame, request.order)?)?;
        }
        Ok(frame)
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
        let mut allowed = Statistics::default();
        self.zonelist.candidates(request).for_each(|z| allowed += (&self.states[z]).into());
        refusal(request, &allowed)
    }
}

/// Returns why a request that finds nothing in the allowed zones fails.
pub(crate) fn refusal(request: Request, allowed: &Statistics) -> Error {
    let (order, largest, free) =
        (request.order.max(request.align_order), allowed.largest_free_order(), allowed.free_frames());
    if request.anywhere() && largest.is_some_and(|largest| largest >= order) {
        Error::BelowWatermark { order, largest, free }
    } else {
        Error::OutOfMemory { order: request.order, largest, free }
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
        let in_maps = smallest(state, block);
        if (request.anywhere() && in_maps.is_none() && state.dormant.count == 0)
            || !above_mark(state, marks, request, 1 << request.order, mark)
        {
            return Ok(None);
        }
        if !request.anywhere() {
            return self.take_inside(state, means, request);
        }
        let from = match in_maps {
            Some(from) => from,
            None => {
                self.wake_any(state, means)?;
                let Some(from) = smallest(state, block) else { return Ok(None) };
                from
            }
        };
        let pfn = self.take_from(state, from, block)?;
        // What damaged maps give must be the zone's all the same.
        let place = means.runs.place(pfn)?;
        if place.zone != means.zone {
            return Err(corrupt(pfn, Fault::Zone));
        }
        if block > request.order {
            let number = self.pieces.get(place.piece as usize).map_or(handoff::NONE, |piece| piece.map());
            let start = (pfn % SECTION_FRAMES) as u32;
            let taken = Block { start, order: block, leaf: Leaf::Allocated };
            self.trim(state, number, taken, start + (1 << request.order))?;
        }
        Ok(Some(pfn))
    }
}

/// Returns whether a zone may give so many frames, as far as its watermarks go.
#[inline]
pub(crate) fn above_mark(
    zone: &ZoneState,
    marks: &Watermarks,
    request: Request,
    frames: u64,
    mark: Option<u64>,
) -> bool {
    // Without marks, counting what is free can be saved.
    match mark {
        None => true,
        Some(mark) if marks.keep_nothing(mark, request.zone) => true,
        Some(mark) => marks.allow(zone.free(), frames, request.zone, mark),
    }
}
