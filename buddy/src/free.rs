// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving a block back.

use crate::allocator::{pfn, why_not};
use crate::pages::{Pages, page};
use crate::sections::Sections;
use crate::zone::{self, Placement};
use crate::{Buddy, Error};
use handoff::{Frame, FrameState, MAX_ORDER};
use x86_64::structures::paging::PhysFrame;

impl<const Z: usize> Buddy<'_, Z> {
    /// Gives back the block of 2^`order` frames that starts at `frame`, and merges it with its free buddies.
    ///
    /// Always checked: what was not allocated exactly so is refused and nothing changes. Touches at most two descriptors
    /// per order and walks no list. Linux: `__free_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::AlreadyFree`], [`Error::WrongOrder`], [`Error::Misaligned`], [`Error::InUse`] for a frame inside a block,
    /// [`Error::Reserved`], [`Error::Hole`], [`Error::Foreign`], [`Error::NotHandedOver`], [`Error::Order`].
    #[inline]
    pub fn free(&mut self, frame: PhysFrame, order: u8) -> Result<(), Error> {
        let frame = check(&self.pages, &self.sections, pfn(frame), order)?;
        self.release(frame, order, Placement::Usual)
    }

    /// Merges a block, which is on no list, with its free buddies and puts the result on its list.
    pub(crate) fn release(&mut self, frame: Frame, order: u8, placement: Placement) -> Result<(), Error> {
        let zone = self.zonelist.zone_of(page(&self.pages, frame)?)?;
        zone::release(&mut self.pages, &mut self.zones[zone], frame, order, placement)
    }
}

/// Returns the descriptor of a block that may be freed: one that was allocated exactly so.
#[inline(always)]
pub(crate) fn check(pages: &Pages<'_>, sections: &Sections, pfn: u64, order: u8) -> Result<Frame, Error> {
    if order > MAX_ORDER {
        return Err(Error::Order { order, max: MAX_ORDER });
    }
    if !pfn.is_multiple_of(1 << order) {
        return Err(Error::Misaligned { pfn, order });
    }
    let frame = sections.frame(pfn)?;
    let page = page(pages, frame)?;
    match page.state() {
        FrameState::Allocated if page.order() == order => Ok(frame),
        FrameState::Allocated => Err(Error::WrongOrder { pfn, order, allocated: page.order() }),
        _ => Err(why_not(pages, sections, frame)),
    }
}
