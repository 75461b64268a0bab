// SPDX-License-Identifier: MIT OR Apache-2.0
//! The allocator and how it comes to life.

use crate::node::Counters;
use crate::pages::{Pages, page};
use crate::sections::Sections;
use crate::zonelist::Zonelist;
use crate::{Error, Watermarks};
use core::fmt;
use handoff::{
    FRAME_BYTES, Frame, FrameState, FreeArea, MAX_ORDER, MAX_ZONES, ORDERS, Page, PhysRange, SectionRun, ZoneSpan,
    ZoneState,
};
use heapless::Vec;
use x86_64::structures::paging::PhysFrame;

/// The page-frame allocator: at most `Z` zones over one array of descriptors.
///
/// # Invariants
/// Every frame of memory is reserved, or not handed over, or in exactly one block. Only the first frame of a block says so
/// ([`FrameState::Free`] or [`FrameState::Allocated`], with the order); the others are [`FrameState::Body`]. A block starts at a multiple
/// of its size and lies in one zone of one node. A free block is on the list of its zone and order; no two free buddies
/// below the largest order are left unmerged. A zone's managed frames are those in its blocks.
/// [`validate`](Self::validate) checks all of it.
///
/// Linux: `struct zone`, `mm/page_alloc.c` (6.1).
pub struct Buddy<'a, const Z: usize = MAX_ZONES> {
    pub(crate) pages: Pages<'a>,
    pub(crate) zones: Vec<ZoneState, Z>,
    pub(crate) zonelist: Zonelist<Z>,
    pub(crate) sections: Sections,
    pub(crate) watermarks: Vec<Watermarks, Z>,
    pub(crate) counters: Vec<Counters, Z>,
    pub(crate) zero: Option<fn(PhysRange)>,
    pub(crate) refused: u64,
}

impl<'a, const Z: usize> Buddy<'a, Z> {
    /// Returns an allocator that has nothing to give yet: [`hand_over`](Self::hand_over) follows.
    ///
    /// `pages` are the descriptors of the sections' frames, one after another; their states are
    /// [`Hole`](FrameState::Hole), [`Reserved`](FrameState::Reserved) or [`Body`](FrameState::Body). There may be fewer than
    /// frames, in multiples of 1024: then the end of the last section is absent.
    ///
    /// # Errors
    /// [`Error::Section`], [`Error::Descriptors`], [`Error::Zone`] or [`Error::Capacity`] if the tables do not fit together.
    pub fn new(pages: &'a mut [Page], sections: &[SectionRun], spans: &[ZoneSpan]) -> Result<Self, Error> {
        let zonelist = Zonelist::new(spans.iter())?;
        let empty = |span: &ZoneSpan| ZoneState { span: *span, managed: 0, free_area: [FreeArea::EMPTY; ORDERS] };
        let sections = Sections::new(sections, pages.len())?;
        Ok(Self::from_tables(pages, spans.iter().map(empty).collect(), zonelist, sections))
    }

    /// Returns the allocator that left these tables and descriptors, in time proportional to the number of zones.
    ///
    /// The descriptors are believed, but wrong ones are found when they are used ([`Error::Corrupt`]);
    /// [`validate`](Self::validate) finds them all at once.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Count`] if a zone has more free frames than it manages, or manages more than
    /// there are.
    pub fn from_parts(pages: &'a mut [Page], sections: &[SectionRun], zones: &[ZoneState]) -> Result<Self, Error> {
        let zonelist = Zonelist::new(zones.iter().map(|zone| &zone.span))?;
        for zone in zones {
            let ZoneSpan { node, kind, present, .. } = zone.span;
            let (kept, counted) =
                if zone.managed > present { (zone.managed, present) } else { (zone.managed, zone.free()) };
            if counted > kept || kept > present {
                return Err(Error::Count { node, kind, what: crate::Counter::Managed, kept, counted });
            }
        }
        let sections = Sections::new(sections, pages.len())?;
        Ok(Self::from_tables(pages, zones.iter().copied().collect(), zonelist, sections))
    }

    fn from_tables(pages: &'a mut [Page], zones: Vec<ZoneState, Z>, zonelist: Zonelist<Z>, sections: Sections) -> Self {
        let watermarks = zones.iter().map(|_| Watermarks::NONE).collect();
        let counters = zones.iter().map(|_| Counters::default()).collect();
        Self { pages: Pages::new(pages), zones, zonelist, sections, watermarks, counters, zero: None, refused: 0 }
    }

    /// Returns the zones with their free lists: with the sections and the descriptors the whole state.
    #[must_use]
    pub fn zones(&self) -> &[ZoneState] {
        &self.zones
    }

    /// Returns the present sections.
    #[must_use]
    pub fn sections(&self) -> &[SectionRun] {
        self.sections.runs()
    }

    /// Returns the descriptor of a frame, or `None` if it lies in no present section.
    #[must_use]
    pub fn page(&self, frame: PhysFrame) -> Option<&Page> {
        self.pages.get(self.sections.frame(pfn(frame)).ok()?)
    }

    /// Returns the part of a frame's descriptor that belongs to the kernel, or `None` if it lies in no present section.
    #[must_use]
    pub fn private_mut(&mut self, frame: PhysFrame) -> Option<&mut [u64; 5]> {
        let index = self.sections.frame(pfn(frame)).ok()?;
        self.pages.get_mut(index).map(|page| &mut page.private)
    }

    /// Returns the frame that a descriptor describes.
    pub(crate) fn physical(&self, frame: Frame) -> PhysFrame {
        self.sections.physical(frame)
    }

    /// Returns the block that a frame lies in - its first frame, whether it is free, its order - if it lies in one.
    pub(crate) fn block_of(&self, frame: Frame) -> Option<(Frame, FrameState, u8)> {
        block_of(&self.pages, frame)
    }

    /// Returns why a frame is not one that can be taken or given: what it is instead.
    pub(crate) fn why_not(&self, frame: Frame) -> Error {
        why_not(&self.pages, &self.sections, frame)
    }
}

/// Returns the block that a frame lies in - its first frame, whether it is free, its order - if it lies in one.
pub(crate) fn block_of(pages: &Pages<'_>, frame: Frame) -> Option<(Frame, FrameState, u8)> {
    (0..=MAX_ORDER).find_map(|order| {
        let start = Frame(frame.0 & !((1 << order) - 1));
        let page = page(pages, start).ok()?;
        let is_block = matches!(page.state(), FrameState::Free | FrameState::Allocated);
        (is_block && page.order() >= order).then(|| (start, page.state(), page.order()))
    })
}

/// Returns why a frame is not one that can be taken or given: what it is instead.
#[cold]
pub(crate) fn why_not(pages: &Pages<'_>, sections: &Sections, frame: Frame) -> Error {
    let pfn = sections.pfn(frame);
    match (page(pages, frame).map(Page::state), block_of(pages, frame)) {
        (Err(error), _) => error,
        (Ok(FrameState::Hole), _) => Error::Hole { pfn },
        (Ok(FrameState::Reserved), _) => Error::Reserved { pfn },
        (_, Some((start, FrameState::Free, order))) => Error::AlreadyFree { pfn, block: sections.pfn(start), order },
        (_, Some((start, _, order))) => Error::InUse { pfn, block: sections.pfn(start), order },
        (_, None) => Error::NotHandedOver { pfn },
    }
}

/// Shows the tables; the descriptors are too many.
impl<const Z: usize> fmt::Debug for Buddy<'_, Z> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buddy")
            .field("descriptors", &self.pages.len())
            .field("sections", &self.sections.runs())
            .field("zones", &self.zones)
            .finish_non_exhaustive()
    }
}

/// Returns the number of a frame.
pub(crate) fn pfn(frame: PhysFrame) -> u64 {
    frame.start_address().as_u64() / FRAME_BYTES
}

/// Cuts `[start, end)` into the largest blocks that start at a multiple of their size, in ascending order.
///
/// Linux: `__free_pages_memory` (6.1).
pub(crate) fn cut(mut start: u64, end: u64) -> impl Iterator<Item = (u64, u8)> {
    core::iter::from_fn(move || {
        let order = (end.checked_sub(start)?.checked_ilog2()?).min(start.trailing_zeros()).min(MAX_ORDER.into()) as u8;
        let block = (start, order);
        start += 1 << order;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_linux_does() {
        let blocks: std::vec::Vec<_> = cut(1, 0x9f).collect();
        assert_eq!(
            blocks,
            [
                (1, 0),
                (2, 1),
                (4, 2),
                (8, 3),
                (16, 4),
                (32, 5),
                (64, 6),
                (128, 4),
                (144, 3),
                (152, 2),
                (156, 1),
                (158, 0)
            ]
        );
        assert_eq!(cut(0, 2049).collect::<std::vec::Vec<_>>(), [(0, 10), (1024, 10), (2048, 0)]);
        assert_eq!(cut(7, 7).count(), 0);
        assert_eq!(cut(8, 7).count(), 0);
    }
}
