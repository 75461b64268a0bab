// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a block.

use crate::list::{self, End, page, page_mut};
use crate::{Buddy, Error, Fault, Request, Statistics};
use handoff::{Frame, FrameState, MAX_ORDER, ZoneState};
use x86_64::structures::paging::PhysFrame;

impl<const Z: usize> Buddy<'_, Z> {
    /// Allocates a block of 2^`order` frames and returns its first frame, whose number is a multiple of 2^`order`.
    ///
    /// The block comes from the highest zone of the lowest node that has one. Its content is undefined. Linux:
    /// `alloc_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], with the largest free order and the free frames; [`Error::Order`] for more than 10.
    pub fn allocate(&mut self, order: u8) -> Result<PhysFrame, Error> {
        self.allocate_with(Request::order(order))
    }

    /// Allocates a block as `request` says and returns its first frame.
    ///
    /// Linux: `__alloc_pages` (6.1).
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    pub fn allocate_with(&mut self, request: Request) -> Result<PhysFrame, Error> {
        let frame = self.take(request)?;
        Ok(self.physical(frame))
    }

    /// Takes a block off its list and splits it until it is of the order wanted.
    pub(crate) fn take(&mut self, request: Request) -> Result<Frame, Error> {
        if request.order > MAX_ORDER {
            return Err(Error::Order { order: request.order, max: MAX_ORDER });
        }
        let found = self.zonelist.candidates(request).find_map(|z| Some((z, smallest(&self.zones[z], request.order)?)));
        let Some((zone, mut order)) = found else { return Err(self.out_of_memory(request)) };

        let areas = &mut self.zones[zone].free_area;
        let frame = areas[usize::from(order)].head;
        let first = page(self.pages, frame)?;
        let is_block =
            first.state() == FrameState::Free && first.order() == order && frame.0.is_multiple_of(1 << order);
        if !is_block || self.zonelist.zone_of(first) != Ok(zone) {
            return Err(Error::Corrupt { frame, fault: Fault::NotOnThisList });
        }
        list::unlink(self.pages, &mut areas[usize::from(order)], frame)?;

        while order > request.order {
            order -= 1;
            let upper = Frame(frame.0 + (1 << order));
            list::push(self.pages, &mut areas[usize::from(order)], upper, order, End::Head)?;
        }
        self.mark_allocated(frame, order)?;
        Ok(frame)
    }

    /// Makes `frame` the first frame of an allocated block.
    pub(crate) fn mark_allocated(&mut self, frame: Frame, order: u8) -> Result<(), Error> {
        let page = page_mut(self.pages, frame)?;
        page.set_state(FrameState::Allocated);
        page.set_order(order);
        page.refcount = 1;
        Ok(())
    }

    #[cold]
    pub(crate) fn out_of_memory(&self, request: Request) -> Error {
        let mut allowed = Statistics::default();
        self.zonelist.candidates(request).for_each(|z| allowed += (&self.zones[z]).into());
        let (largest, free) = (allowed.largest_free_order(), allowed.free_frames());
        Error::OutOfMemory { order: request.order, largest, free }
    }
}

/// Returns the smallest order of at least `order` that the zone has a free block of.
fn smallest(zone: &ZoneState, order: u8) -> Option<u8> {
    (order..=MAX_ORDER).find(|order| zone.free_area[usize::from(*order)].head != Frame::NONE)
}
