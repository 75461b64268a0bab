// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a block.

use crate::exact::{Part, frame_range};
use crate::request::Content;
use crate::zone::{self, smallest};
use crate::{Buddy, Error, Request, Statistics, Watermarks};
use handoff::{Frame, MAX_ORDER, PhysRange, ZoneState};
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
    pub fn allocate(&mut self, order: u8) -> Result<PhysFrame, Error> {
        self.allocate_with(Request::order(order))
    }

    /// Allocates a block as `request` says and returns its first frame.
    ///
    /// Linux: `__alloc_pages` (6.1).
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate), and [`Error::CannotZero`].
    pub fn allocate_with(&mut self, request: Request) -> Result<PhysFrame, Error> {
        let frame = self.take(request)?;
        let start = self.sections.pfn(frame);
        self.finish(request, frame_range(start, start + (1 << request.order))?)?;
        Ok(self.physical(frame))
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
    pub(crate) fn take(&mut self, request: Request) -> Result<Frame, Error> {
        let order = request.order;
        let block = order.max(request.align_order);
        if block > MAX_ORDER {
            return Err(Error::Order { order: block, max: MAX_ORDER });
        }
        self.can_fill(request)?;
        if !request.anywhere() {
            let start = self.take_between(request)?;
            return self.sections.frame(start);
        }

        let Some(zone) = self.choose(Request { order: block, ..request }) else {
            return Err(self.out_of_memory(Request { order: block, ..request }));
        };
        let Some(frame) = zone::take(&mut self.pages, &mut self.zones[zone], block)? else {
            return Err(self.out_of_memory(request));
        };
        if block > order {
            let start = self.sections.pfn(frame);
            self.divide(start, start + (1 << order), Part::Allocated)?;
            self.divide(start + (1 << order), start + (1 << block), Part::Free)?;
        }
        Ok(frame)
    }

    /// Returns the zone to take a block from, and counts that. Zones are used down to `low` first, then as far as the
    /// request's priority goes.
    ///
    /// Linux: `get_page_from_freelist`, for the fast path and once more for the slow one (6.1).
    fn choose(&mut self, request: Request) -> Option<usize> {
        let first = self.zonelist.candidates(request).next()?;
        let find = |mark: fn(&Watermarks, Request) -> Option<u64>| {
            self.zonelist.candidates(request).find(|z| may_take(&self.zones[*z], &self.watermarks[*z], request, mark))
        };
        let zone = find(|marks, _| Some(marks.low)).or_else(|| find(|marks, request| marks.mark(request.priority)))?;
        self.count(zone, first, request.node);
        Some(zone)
    }

    #[cold]
    pub(crate) fn out_of_memory(&self, request: Request) -> Error {
        let mut allowed = Statistics::default();
        self.zonelist.candidates(request).for_each(|z| allowed += (&self.zones[z]).into());
        let (order, largest, free) = (request.order, allowed.largest_free_order(), allowed.free_frames());
        if request.anywhere() && largest.is_some_and(|largest| largest >= order) {
            Error::BelowWatermark { order, largest, free }
        } else {
            Error::OutOfMemory { order, largest, free }
        }
    }
}

/// Returns whether a zone has a block for the request and may give it.
#[inline]
fn may_take(
    zone: &ZoneState,
    marks: &Watermarks,
    request: Request,
    mark: fn(&Watermarks, Request) -> Option<u64>,
) -> bool {
    smallest(zone, request.order).is_some()
        && above_mark(zone, marks, request, 1 << request.order, mark(marks, request))
}

/// Returns whether a zone may give what the request asks for, as far as its watermarks go.
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
        Some(_) if *marks == Watermarks::NONE => true,
        Some(mark) => marks.allow(zone.free(), frames, request.zone, mark),
    }
}
