// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doubly linked lists of blocks, whose links are descriptors' indexes.
//!
//! Links may come from a hand-off that somebody damaged, so each one is checked before it is followed and a list is
//! checked before it is changed: a wrong link is an error and never a panic.

use crate::pages::{Pages, page, page_mut};
use crate::{Error, Fault};
use handoff::{Frame, FrameState, FreeArea, Page};

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Next to be handed out.
    Head,
    /// Last to be handed out.
    Tail,
}

/// Makes `frame` the first frame of a free block and puts it on the list.
#[inline(always)]
pub(crate) fn push(pages: &mut Pages<'_>, area: &mut FreeArea, frame: Frame, order: u8, end: End) -> Result<(), Error> {
    let (prev, next) = match end {
        End::Head => (Frame::NONE, area.head),
        End::Tail => (area.tail, Frame::NONE),
    };
    match end {
        End::Head if next == Frame::NONE => area.tail = frame,
        End::Head => page_mut(pages, next)?.prev = frame,
        End::Tail if prev == Frame::NONE => area.head = frame,
        End::Tail => page_mut(pages, prev)?.next = frame,
    }
    match end {
        End::Head => area.head = frame,
        End::Tail => area.tail = frame,
    }
    area.blocks += 1;

    let page = page_mut(pages, frame)?;
    (page.prev, page.next, page.refcount) = (prev, next, 0);
    page.set_order(order);
    page.set_state(FrameState::Free);
    Ok(())
}

/// Takes `frame` off the list. Its state is left to the caller.
#[inline(always)]
pub(crate) fn unlink(pages: &mut Pages<'_>, area: &mut FreeArea, frame: Frame) -> Result<(), Error> {
    let Page { prev, next, .. } = *page(pages, frame)?;
    let before = if prev == Frame::NONE { area.head } else { page(pages, prev)?.next };
    let after = if next == Frame::NONE { area.tail } else { page(pages, next)?.prev };
    if before != frame || after != frame || area.blocks == 0 {
        return Err(Error::Corrupt { frame, fault: Fault::Links });
    }

    match prev {
        Frame::NONE => area.head = next,
        _ => page_mut(pages, prev)?.next = next,
    }
    match next {
        Frame::NONE => area.tail = prev,
        _ => page_mut(pages, next)?.prev = prev,
    }
    area.blocks -= 1;

    let page = page_mut(pages, frame)?;
    (page.prev, page.next) = (Frame::NONE, Frame::NONE);
    Ok(())
}
