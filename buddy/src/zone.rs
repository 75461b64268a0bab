// SPDX-License-Identifier: MIT OR Apache-2.0
//! One zone: what taking and giving back a block does to its lists and descriptors. No locks, no choice of zone.

use crate::allocator::cut;
use crate::list::{self, End};
use crate::pages::{Pages, page, page_mut};
use crate::{Error, Fault};
use core::ops::Range;
use handoff::{Frame, FrameState, MAX_ORDER, Page, ZoneState};

/// Where on its list a freed block goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placement {
    /// To the tail, as at hand-over: the lists come out ascending.
    Tail,
    /// To the head, so that memory still in the cache is used first - unless the block is likely to merge soon.
    Usual,
}

/// Returns the smallest order of at least `order` that the zone has a free block of.
#[inline]
pub(crate) fn smallest(zone: &ZoneState, order: u8) -> Option<u8> {
    (order..=MAX_ORDER).find(|order| zone.free_area[usize::from(*order)].head != Frame::NONE)
}

/// Takes the first block of the smallest sufficient order off its list and splits it; `None` if there is none.
///
/// Linux: `__rmqueue_smallest` and `expand` (6.1).
#[inline(always)]
pub(crate) fn take(pages: &mut Pages<'_>, zone: &mut ZoneState, wanted: u8) -> Result<Option<Frame>, Error> {
    let Some(mut order) = smallest(zone, wanted) else { return Ok(None) };
    let frame = zone.free_area[usize::from(order)].head;
    let first = page(pages, frame)?;
    let is_block = first.state() == FrameState::Free && first.order() == order && frame.0.is_multiple_of(1 << order);
    if !is_block || !belongs(first, zone) {
        return Err(Error::Corrupt { frame, fault: Fault::NotOnThisList });
    }
    list::unlink(pages, &mut zone.free_area[usize::from(order)], frame)?;

    while order > wanted {
        order -= 1;
        let upper = Frame(frame.0 + (1 << order));
        list::push(pages, &mut zone.free_area[usize::from(order)], upper, order, End::Head)?;
    }
    mark_allocated(pages, frame, order)?;
    Ok(Some(frame))
}

/// Takes up to `count` blocks and passes each to `each`; returns how many. Which ones is what as many calls of [`take`]
/// would take, but a larger block is cut into all its parts at once.
///
/// Linux: `rmqueue_bulk` (6.1).
#[cfg(feature = "spin")]
pub(crate) fn take_many(
    pages: &mut Pages<'_>,
    zone: &mut ZoneState,
    wanted: u8,
    count: usize,
    mut each: impl FnMut(Frame),
) -> Result<usize, Error> {
    let mut taken = 0;
    while taken < count {
        let Some(order) = smallest(zone, wanted) else { break };
        // As large a block as is needed in one piece, or the largest part of it that is.
        let parts = ((count - taken).ilog2() as u8).min(order - wanted);
        let Some(block) = take(pages, zone, wanted + parts)? else { break };
        for part in 0..1 << parts {
            let frame = Frame(block.0 + (part << wanted));
            mark_allocated(pages, frame, wanted)?;
            each(frame);
        }
        taken += 1 << parts;
    }
    Ok(taken)
}

/// Takes the frames `wanted` out of the free block of `order` at `block`; the rest of it stays free.
pub(crate) fn carve(
    pages: &mut Pages<'_>,
    zone: &mut ZoneState,
    block: Frame,
    order: u8,
    wanted: Range<u32>,
) -> Result<(), Error> {
    list::unlink(pages, &mut zone.free_area[usize::from(order)], block)?;
    page_mut(pages, block)?.set_state(FrameState::Body);
    // What stays goes last: with its neighbour allocated, nothing can merge.
    allocate_parts(pages, wanted.clone())?;
    release_parts(pages, zone, block.0..wanted.start)?;
    release_parts(pages, zone, wanted.end..block.0 + (1 << order))
}

/// Keeps the first `frames` frames of an allocated block and releases the rest.
pub(crate) fn trim(
    pages: &mut Pages<'_>,
    zone: &mut ZoneState,
    block: Frame,
    order: u8,
    frames: u32,
) -> Result<(), Error> {
    allocate_parts(pages, block.0..block.0 + frames)?;
    release_parts(pages, zone, block.0 + frames..block.0 + (1 << order))
}

fn allocate_parts(pages: &mut Pages<'_>, frames: Range<u32>) -> Result<(), Error> {
    cut(frames.start.into(), frames.end.into())
        .try_for_each(|(start, order)| mark_allocated(pages, Frame(start as u32), order))
}

fn release_parts(pages: &mut Pages<'_>, zone: &mut ZoneState, frames: Range<u32>) -> Result<(), Error> {
    cut(frames.start.into(), frames.end.into())
        .try_for_each(|(start, order)| release(pages, zone, Frame(start as u32), order, Placement::Usual))
}

/// Makes `frame` the first frame of an allocated block.
#[inline]
pub(crate) fn mark_allocated(pages: &mut Pages<'_>, frame: Frame, order: u8) -> Result<(), Error> {
    let page = page_mut(pages, frame)?;
    page.set_state(FrameState::Allocated);
    page.set_order(order);
    page.refcount = 1;
    Ok(())
}

/// Merges a block of the zone, which is on no list, with its free buddies and puts the result on its list.
///
/// Linux: `__free_one_page` (6.1).
#[inline(always)]
pub(crate) fn release(
    pages: &mut Pages<'_>,
    zone: &mut ZoneState,
    frame: Frame,
    order: u8,
    placement: Placement,
) -> Result<(), Error> {
    let (mut start, mut order) = (frame, order);
    let areas = &mut zone.free_area;
    while order < MAX_ORDER && is_free(pages, start, buddy(start, order), order) {
        let buddy = buddy(start, order);
        list::unlink(pages, &mut areas[usize::from(order)], buddy)?;
        page_mut(pages, start.max(buddy))?.set_state(FrameState::Body);
        start = start.min(buddy);
        order += 1;
    }

    // A block whose buddy is in use, but whose parent's buddy is free, is likely to become part of a still larger
    // one: at the tail it has time for that.
    let likely = placement == Placement::Usual && order + 1 < MAX_ORDER && {
        let parent = Frame(start.0 & !(1 << order));
        is_free(pages, start, buddy(parent, order + 1), order + 1)
    };
    let end = if placement == Placement::Tail || likely { End::Tail } else { End::Head };
    list::push(pages, &mut areas[usize::from(order)], start, order, end)
}

/// Returns the block that a block of this order merges with.
#[inline]
pub(crate) const fn buddy(frame: Frame, order: u8) -> Frame {
    Frame(frame.0 ^ 1 << order)
}

/// Returns whether a free block of this order starts at `other`, in the same zone and node as `frame`.
///
/// Linux: `page_is_buddy` (6.1).
#[inline(always)]
pub(crate) fn is_free(pages: &Pages<'_>, frame: Frame, other: Frame, order: u8) -> bool {
    let (Some(page), Some(other)) = (pages.get(frame), pages.get(other)) else { return false };
    other.state() == FrameState::Free
        && other.order() == order
        && other.zone() == page.zone()
        && other.node() == page.node()
}

/// Returns whether a descriptor is one of the zone's.
#[inline]
pub(crate) fn belongs(page: &Page, zone: &ZoneState) -> bool {
    page.zone() == zone.span.kind && page.node() == zone.span.node
}
