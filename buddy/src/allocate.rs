// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a block.

use crate::allocator::pfn;
use crate::exact::frame_range;
use crate::pages::Pages;
use crate::request::Content;
use crate::search::find_block;
use crate::sections::Sections;
use crate::zone::{self, smallest};
use crate::{Buddy, Error, Request, Statistics, Watermarks};
use handoff::{Frame, PhysRange, ZoneState};
use x86_64::structures::paging::PhysFrame;

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates a block of 2^`order` frames and returns its first frame, whose number is a multiple of 2^`order`.
    ///
    /// The block comes from the highest zone of the lowest node that has one. Its content is undefined. Linux:
    /// `alloc_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::BelowWatermark`], with the largest free order and the free frames;
    /// [`Error::Order`] for more than 10.
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
        let block = self.take(request)?;
        let frame = self.physical(block);
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

    /// Takes a block off its list and splits it until it is of the order wanted.
    ///
    /// Linux: `get_page_from_freelist`, for the fast path and once more for the slow one (6.1).
    pub(crate) fn take(&mut self, request: Request) -> Result<Frame, Error> {
        request.check()?;
        self.can_fill(request)?;
        let Self { pages, zones, zonelist, sections, watermarks, .. } = self;
        let mut found = None;
        'passes: for pass in [Pass::Fast, Pass::Slow] {
            for zone in zonelist.candidates(request) {
                let (state, marks) = (&mut zones[zone], &watermarks[zone]);
                if let Some(frame) = take_from(pages, sections, state, marks, request, pass)? {
                    found = Some((zone, frame));
                    break 'passes;
                }
            }
        }
        let Some((zone, frame)) = found else { return Err(self.out_of_memory(request)) };
        self.count(zone, request);
        Ok(frame)
    }

    #[cold]
    pub(crate) fn out_of_memory(&self, request: Request) -> Error {
        let mut allowed = Statistics::default();
        self.zonelist.candidates(request).for_each(|z| allowed += (&self.zones[z]).into());
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

/// Takes a block from a zone if it has one and may give it.
#[inline(always)]
pub(crate) fn take_from(
    pages: &mut Pages<'_>,
    sections: &Sections,
    zone: &mut ZoneState,
    marks: &Watermarks,
    request: Request,
    pass: Pass,
) -> Result<Option<Frame>, Error> {
    let mark = match pass {
        Pass::Fast => Some(marks.low),
        Pass::Slow => marks.mark(request.priority),
    };
    let block = request.order.max(request.align_order);
    if (request.anywhere() && smallest(zone, block).is_none())
        || !above_mark(zone, marks, request, 1 << request.order, mark)
    {
        return Ok(None);
    }
    if !request.anywhere() {
        let Some((found, order, start)) = find_block(pages, sections, zone, request) else { return Ok(None) };
        zone::carve(pages, zone, found, order, start.0..start.0 + (1 << request.order))?;
        return Ok(Some(start));
    }
    let taken = zone::take(pages, zone, block)?;
    if let Some(frame) = taken.filter(|_| block > request.order) {
        zone::trim(pages, zone, frame, block, 1 << request.order)?;
    }
    Ok(taken)
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
