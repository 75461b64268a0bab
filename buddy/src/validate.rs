// SPDX-License-Identifier: MIT OR Apache-2.0
//! The complete consistency check.

use crate::pages::page;
use crate::zone::{buddy, is_free};
use crate::{Buddy, Counter, Error, Fault};
use handoff::{Frame, FrameState, FreeArea, MAX_ORDER, ORDERS, SECTION_FRAMES};
use heapless::Vec;

/// What the descriptors of a zone add up to.
#[derive(Clone, Copy, Default)]
struct Counted {
    present: u64,
    managed: u64,
    free_blocks: [u64; ORDERS],
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Checks every invariant of the allocator against every descriptor. Takes time proportional to the number of frames.
    ///
    /// # Errors
    /// The first contradiction: [`Error::Corrupt`] names the descriptor, [`Error::Count`] the number that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        for (zone, state) in self.zones.iter().enumerate() {
            for (order, area) in (0..).zip(&state.free_area) {
                self.check_list(zone, order, area)?;
            }
        }

        let mut counted: Vec<Counted, Z> = self.zones.iter().map(|_| Counted::default()).collect();
        for run in self.sections.runs() {
            let mut frame = run.first_frame;
            let end = u64::from(frame.0) + u64::from(run.sections) * SECTION_FRAMES;
            let end = end.min(self.pages.len() as u64) as u32;
            while frame.0 < end {
                frame.0 += self.check_frame(frame, &mut counted)?;
            }
        }

        for (zone, counted) in self.zones.iter().zip(counted) {
            let (node, kind) = (zone.span.node, zone.span.kind);
            let blocks = (0..).zip(zone.free_area).zip(counted.free_blocks);
            blocks
                .map(|((order, area), found)| (Counter::Blocks(order), area.blocks, found))
                .chain([(Counter::Managed, zone.managed, counted.managed)])
                .chain([(Counter::Present, zone.span.present, counted.present)])
                .find(|(_, kept, counted)| kept != counted)
                .map_or(Ok(()), |(what, kept, counted)| Err(Error::Count { node, kind, what, kept, counted }))?;
        }
        Ok(())
    }

    /// Walks one free list. A loop is found because a frame in it would have two predecessors.
    fn check_list(&self, zone: usize, order: u8, area: &FreeArea) -> Result<(), Error> {
        let (mut prev, mut frame, mut blocks) = (Frame::NONE, area.head, 0);
        while frame != Frame::NONE {
            let page = page(&self.pages, frame)?;
            if page.state() != FrameState::Free || page.order() != order || self.zonelist.zone_of(page) != Ok(zone) {
                return Err(Error::Corrupt { frame, fault: Fault::NotOnThisList });
            }
            if page.prev != prev {
                return Err(Error::Corrupt { frame, fault: Fault::Links });
            }
            (prev, frame, blocks) = (frame, page.next, blocks + 1);
        }
        if prev != area.tail {
            return Err(Error::Corrupt { frame: area.tail, fault: Fault::Links });
        }
        let span = &self.zones[zone].span;
        if blocks != area.blocks {
            let what = Counter::Blocks(order);
            return Err(Error::Count { node: span.node, kind: span.kind, what, kept: area.blocks, counted: blocks });
        }
        Ok(())
    }

    /// Checks a frame, or a whole block if one starts there; returns the number of frames checked.
    fn check_frame(&self, frame: Frame, counted: &mut [Counted]) -> Result<u32, Error> {
        let corrupt = |frame, fault| Err(Error::Corrupt { frame, fault });
        let first = page(&self.pages, frame)?;
        if first.state() == FrameState::Hole {
            return Ok(1);
        }
        let Ok(zone) = self.zonelist.zone_of(first) else { return corrupt(frame, Fault::Zone) };
        let span = &self.zones[zone].span;
        let pfn = self.sections.pfn(frame);

        let (frames, order) = match first.state() {
            FrameState::Free | FrameState::Allocated if first.order() > MAX_ORDER => {
                return corrupt(frame, Fault::Alignment);
            }
            FrameState::Free | FrameState::Allocated => (1u32 << first.order(), Some(first.order())),
            _ => (1, None),
        };
        if pfn < span.start_pfn || pfn + u64::from(frames) > span.end_pfn() {
            return corrupt(frame, Fault::Zone);
        }
        counted[zone].present += u64::from(frames);
        let Some(order) = order else { return Ok(1) };

        counted[zone].managed += u64::from(frames);
        if !frame.0.is_multiple_of(frames) {
            return corrupt(frame, Fault::Alignment);
        }
        for body in (frame.0 + 1..frame.0 + frames).map(Frame) {
            let page = page(&self.pages, body)?;
            if page.state() != FrameState::Body {
                return corrupt(body, Fault::Overlap);
            }
            if (page.zone(), page.node()) != (first.zone(), first.node()) {
                return corrupt(body, Fault::Zone);
            }
        }
        if first.state() == FrameState::Free {
            counted[zone].free_blocks[usize::from(order)] += 1;
            if order < MAX_ORDER && is_free(&self.pages, frame, buddy(frame, order), order) {
                return corrupt(frame, Fault::Unmerged);
            }
            let area = &self.zones[zone].free_area[usize::from(order)];
            let listed = match first.prev {
                Frame::NONE => area.head == frame,
                prev => page(&self.pages, prev)?.next == frame,
            };
            if !listed {
                return corrupt(frame, Fault::Unlisted);
            }
        }
        Ok(frames)
    }
}
