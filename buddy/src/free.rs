// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving a block back.

use crate::allocator::pfn;
use crate::list::{self, End, page_mut};
use crate::{Buddy, Error};
use handoff::{Frame, FrameState, MAX_ORDER, Page};
use x86_64::structures::paging::PhysFrame;

/// Where on its list a freed block goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placement {
    /// To the tail, as at hand-over: the lists come out ascending.
    Tail,
    /// To the head, so that memory still in the cache is used first - unless the block is likely to merge soon.
    Usual,
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Gives back the block of 2^`order` frames that starts at `frame`, and merges it with its free buddies.
    ///
    /// Always checked: what was not allocated exactly so is refused and nothing changes. Touches at most two descriptors
    /// per order and walks no list. Linux: `__free_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::AlreadyFree`], [`Error::WrongOrder`], [`Error::Misaligned`], [`Error::InUse`] for a frame inside a block,
    /// [`Error::Reserved`], [`Error::Hole`], [`Error::Foreign`], [`Error::NotHandedOver`], [`Error::Order`].
    pub fn free(&mut self, frame: PhysFrame, order: u8) -> Result<(), Error> {
        let pfn = pfn(frame);
        if order > MAX_ORDER {
            return Err(Error::Order { order, max: MAX_ORDER });
        }
        if !pfn.is_multiple_of(1 << order) {
            return Err(Error::Misaligned { pfn, order });
        }

        let frame = self.sections.frame(pfn)?;
        let page = page_mut(self.pages, frame)?;
        match page.state() {
            FrameState::Allocated if page.order() == order => self.release(frame, order, Placement::Usual),
            FrameState::Allocated => Err(Error::WrongOrder { pfn, order, allocated: page.order() }),
            _ => Err(self.why_not(frame)),
        }
    }

    /// Merges a block, which is on no list, with its free buddies and puts the result on its list.
    ///
    /// Linux: `__free_one_page` (6.1).
    pub(crate) fn release(&mut self, frame: Frame, order: u8, placement: Placement) -> Result<(), Error> {
        let (mut start, mut order) = (frame, order);
        let zone = self.zonelist.zone_of(page_mut(self.pages, frame)?)?;
        let areas = &mut self.zones[zone].free_area;

        while order < MAX_ORDER && is_free(self.pages, start, buddy(start, order), order) {
            let buddy = buddy(start, order);
            list::unlink(self.pages, &mut areas[usize::from(order)], buddy)?;
            page_mut(self.pages, start.max(buddy))?.set_state(FrameState::Body);
            start = start.min(buddy);
            order += 1;
        }

        // A block whose buddy is in use, but whose parent's buddy is free, is likely to become part of a still larger
        // one: at the tail it has time for that.
        let likely = order + 1 < MAX_ORDER && {
            let parent = Frame(start.0 & !(1 << order));
            is_free(self.pages, start, buddy(parent, order + 1), order + 1)
        };
        let end = if placement == Placement::Tail || likely { End::Tail } else { End::Head };
        list::push(self.pages, &mut areas[usize::from(order)], start, order, end)
    }
}

/// Returns the block that a block of this order merges with.
pub(crate) const fn buddy(frame: Frame, order: u8) -> Frame {
    Frame(frame.0 ^ 1 << order)
}

/// Returns whether a free block of this order starts at `other`, in the same zone and node as `frame`.
///
/// Linux: `page_is_buddy` (6.1).
pub(crate) fn is_free(pages: &[Page], frame: Frame, other: Frame, order: u8) -> bool {
    let (Some(page), Some(other)) = (pages.get(frame.0 as usize), pages.get(other.0 as usize)) else { return false };
    other.state() == FrameState::Free
        && other.order() == order
        && other.zone() == page.zone()
        && other.node() == page.node()
}
