// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that comes and goes while the allocator runs.

use crate::exact::whole_frames;
use crate::pages::page_mut;
use crate::{Buddy, Error, HandedOver};
use handoff::{FrameState, Page, PhysRange, ZoneKind};

impl<const Z: usize> Buddy<'_, Z> {
    /// Adds memory where there was none: a range of frames whose descriptors exist and say [`Hole`](FrameState::Hole).
    ///
    /// It becomes part of the zone `kind` of `node`, which must be in the table and grows as far as it has to. The watermarks
    /// stay until [`set_watermarks`](Self::set_watermarks). Takes time proportional to the number of frames. Linux:
    /// `online_pages` (6.1).
    ///
    /// # Errors
    /// [`Error::Zone`] if there is no such zone; [`Error::NotHole`], [`Error::Foreign`] for the first frame that is not
    /// a hole with a descriptor; [`Error::NotFrames`]. Nothing was added.
    pub fn add_range(&mut self, range: PhysRange, node: u16, kind: ZoneKind) -> Result<HandedOver, Error> {
        let (start, end) = whole_frames(range)?;
        let found = self.zones.iter().position(|zone| (zone.span.node, zone.span.kind) == (node, kind));
        let zone = found.ok_or(Error::Zone { node, kind })?;
        for pfn in start..end {
            let frame = self.sections.frame(pfn)?;
            if page_mut(&mut self.pages, frame)?.state() != FrameState::Hole {
                return Err(Error::NotHole { pfn });
            }
        }

        for pfn in start..end {
            let frame = self.sections.frame(pfn)?;
            *page_mut(&mut self.pages, frame)? = Page::new(kind, node, FrameState::Body);
        }
        let span = &mut self.zones[zone].span;
        let (first, last) = (span.start_pfn.min(start), span.end_pfn().max(end));
        (span.start_pfn, span.spanned) = (first, last - first);
        span.present += end - start;
        self.hand_over_range(range)
    }

    /// Removes memory, all of which must be free: the frames become holes.
    ///
    /// The zone spans what it spanned; Linux lets it shrink. The watermarks stay until
    /// [`set_watermarks`](Self::set_watermarks). Takes time proportional to the number of frames. Linux: `offline_pages` (6.1), which
    /// also moves what is in use.
    ///
    /// # Errors
    /// As [`take_range`](Self::take_range): the first frame that is not free. Nothing was removed.
    pub fn remove_range(&mut self, range: PhysRange) -> Result<(), Error> {
        self.take_range(range)?;
        let (start, end) = whole_frames(range)?;
        for pfn in start..end {
            let frame = self.sections.frame(pfn)?;
            let page = page_mut(&mut self.pages, frame)?;
            let zone = self.zonelist.zone_of(page)?;
            page.set_state(FrameState::Hole);
            page.set_order(0);
            let state = &mut self.zones[zone];
            state.span.present -= 1;
            state.managed -= 1;
        }
        Ok(())
    }
}
