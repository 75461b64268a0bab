// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers about free memory.

use crate::Buddy;
use crate::allocator::physical;
use crate::piece::State;
use crate::runs::section_start;
use core::fmt;
use core::ops::AddAssign;
use handoff::{FRAME_BYTES, MAX_ORDER, ORDERS, SECTION_FRAMES, ZoneState};
use x86_64::structures::paging::PhysFrame;

/// How much memory there is and how it is cut up, of a zone or of all. Counts are frames unless they say otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Frames of memory.
    pub present_frames: u64,
    /// Frames the allocator manages: free, allocated, or holding its maps.
    pub managed_frames: u64,
    /// Managed frames that hold frame maps.
    pub map_frames: u64,
    /// Sections that are free as a whole and have no map. Their blocks are among the free ones.
    pub dormant_sections: u64,
    /// Free blocks by order.
    pub free_blocks: [u64; ORDERS],
}

impl From<&ZoneState> for Statistics {
    fn from(zone: &ZoneState) -> Self {
        Self {
            present_frames: zone.span.present,
            managed_frames: zone.managed,
            map_frames: zone.map_frames,
            dormant_sections: zone.dormant.count.into(),
            free_blocks: zone.free_blocks(),
        }
    }
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.present_frames += other.present_frames;
        self.managed_frames += other.managed_frames;
        self.map_frames += other.map_frames;
        self.dormant_sections += other.dormant_sections;
        self.free_blocks.iter_mut().zip(other.free_blocks).for_each(|(blocks, more)| *blocks += more);
    }
}

impl Statistics {
    /// Returns the free frames.
    #[must_use]
    pub fn free_frames(&self) -> u64 {
        (0..).zip(self.free_blocks).map(|(order, blocks): (u32, u64)| blocks << order).sum()
    }

    /// Returns the free bytes.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free_frames() * FRAME_BYTES
    }

    /// Returns the allocated frames.
    #[must_use]
    pub fn allocated_frames(&self) -> u64 {
        self.managed_frames.saturating_sub(self.free_frames()).saturating_sub(self.map_frames)
    }

    /// Returns the largest order there is a free block of.
    #[must_use]
    pub fn largest_free_order(&self) -> Option<u8> {
        (0..=MAX_ORDER).rev().find(|order| self.free_blocks[usize::from(*order)] > 0)
    }

    /// Returns how much of the free memory cannot serve a request of `order`, in thousandths. All of it, 1000, if nothing is
    /// free.
    ///
    /// Linux: `unusable_free_index` (6.1).
    #[must_use]
    pub fn unusable_index(&self, order: u8) -> u32 {
        let free = self.free_frames();
        let usable = self.suitable_blocks(order) << order.min(MAX_ORDER);
        ((free - usable) * 1000).checked_div(free).unwrap_or(1000) as u32
    }

    /// Returns why a request of `order` would fail, in thousandths: near 0 for want of memory, near 1000 because what there is
    /// is fragmented. `None` if it would not fail.
    ///
    /// Linux: `fragmentation_index` (6.1), which prints `None` as -1.000.
    #[must_use]
    pub fn fragmentation_index(&self, order: u8) -> Option<i32> {
        let blocks: u64 = self.free_blocks.iter().sum();
        if order > MAX_ORDER || blocks == 0 {
            return Some(0);
        }
        let wanted = self.free_frames() * 1000 / (1 << order);
        (self.suitable_blocks(order) == 0).then(|| 1000 - ((1000 + wanted) / blocks) as i32)
    }

    /// Returns how many blocks of `order` the free blocks can be cut into.
    fn suitable_blocks(&self, order: u8) -> u64 {
        let larger = (0u8..).zip(self.free_blocks).skip(order.into());
        larger.map(|(free, blocks)| blocks << (free - order)).sum()
    }
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Returns the numbers of all zones together. `Statistics::from(&buddy.zones()[i])` are those of one.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut total = Statistics::default();
        self.zones().iter().for_each(|zone| total += zone.into());
        total
    }

    /// Returns the free blocks of a zone (by its index in [`zones`](Self::zones)) and order, ascending. A dormant section is 32 of the
    /// largest.
    pub fn free_blocks(&self, zone: usize, order: u8) -> impl Iterator<Item = PhysFrame> {
        let parts =
            self.zones.get(zone).into_iter().flat_map(move |own| self.runs.parts(zone).map(move |part| (own, part)));
        parts.flat_map(move |(own, part)| {
            let start = section_start(part.section);
            let (map, dormant) = match own.piece(part.piece, start) {
                Ok(State::Online { map }) => (own.maps.get(map), 0),
                Ok(State::Dormant { .. }) if order == MAX_ORDER => (None, SECTION_FRAMES as u32),
                _ => (None, 0),
            };
            let whole = (0..dormant).step_by(1 << MAX_ORDER);
            let blocks = map.into_iter().flat_map(move |map| map.free_blocks(order)).chain(whole);
            blocks.map(move |frame| physical(start + u64::from(frame)))
        })
    }
}

/// The text of `/proc/buddyinfo`: per zone, the number of free blocks of each order.
#[derive(Clone, Copy, Debug)]
pub struct BuddyInfo<'z>(pub &'z [ZoneState]);

impl fmt::Display for BuddyInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for zone in self.0 {
            write!(f, "Node {}, zone {:>8} ", zone.span.node, zone.span.kind)?;
            zone.free_blocks().iter().try_for_each(|blocks| write!(f, "{blocks:6} "))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The lines of `/proc/zoneinfo` that a page allocator alone can fill in.
#[derive(Clone, Copy, Debug)]
pub struct ZoneInfo<'z>(pub &'z [ZoneState]);

impl fmt::Display for ZoneInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for zone in self.0 {
            writeln!(f, "Node {}, zone {:>8}", zone.span.node, zone.span.kind)?;
            writeln!(f, "  pages free     {}", zone.free())?;
            writeln!(f, "        spanned  {}", zone.span.spanned)?;
            writeln!(f, "        present  {}", zone.span.present)?;
            writeln!(f, "        managed  {}", zone.managed)?;
            writeln!(f, "  start_pfn:           {}", zone.span.start_pfn)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::{FreeArea, ZoneKind, ZoneSpan};
    use std::string::ToString;

    fn zone(kind: ZoneKind, blocks: [u64; ORDERS]) -> ZoneState {
        let span = ZoneSpan { node: 0, kind, start_pfn: 1, spanned: 4095, present: 3998 };
        let free_area = blocks.map(|blocks| FreeArea { blocks, ..FreeArea::EMPTY });
        ZoneState { managed: 3840, free_area, ..ZoneState::new(span) }
    }

    #[test]
    fn prints_buddyinfo_and_zoneinfo_as_linux_does() {
        let zones = [
            zone(ZoneKind::DMA, [0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 3]),
            zone(ZoneKind::DMA32, [1, 2, 1, 2, 2, 1, 1, 2, 1, 2, 482]),
        ];
        assert_eq!(
            BuddyInfo(&zones).to_string(),
            "Node 0, zone      DMA      0      0      0      0      0      0      0      1      0      1      3 \n\
             Node 0, zone    DMA32      1      2      1      2      2      1      1      2      1      2    482 \n"
        );
        assert_eq!(
            ZoneInfo(&zones[..1]).to_string(),
            "Node 0, zone      DMA\n  pages free     3712\n        spanned  4095\n        present  3998\n        \
             managed  3840\n  start_pfn:           1\n"
        );
    }

    #[test]
    fn sums_and_indexes() {
        let mut total = Statistics::from(&zone(ZoneKind::DMA, [3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!((total.free_frames(), total.free_bytes(), total.allocated_frames()), (7, 28672, 3833));
        assert_eq!(total.largest_free_order(), Some(2));
        // Of 7 frames, 4 serve an order of 1 or 2; all serve order 0; none serves order 3.
        assert_eq!([0, 1, 2, 3, 10].map(|order| total.unusable_index(order)), [0, 428, 428, 1000, 1000]);
        // 4 blocks; order 3 needs 8 of 7 frames: 1000 - (1000 + 7000 / 8) / 4.
        assert_eq!([0, 2, 3, 11].map(|order| total.fragmentation_index(order)), [None, None, Some(532), Some(0)]);
        total += total;
        assert_eq!((total.free_frames(), total.present_frames, total.managed_frames), (14, 7996, 7680));
        let nothing = Statistics::default();
        assert_eq!((nothing.largest_free_order(), nothing.unusable_index(0)), (None, 1000));
        assert_eq!(nothing.fragmentation_index(0), Some(0));
    }
}
