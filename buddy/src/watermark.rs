// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much of each zone is kept for whom.

use crate::{Buddy, Priority};
use handoff::{ZoneKind, ZoneState};
use heapless::Vec;

/// The zone types a zone can be kept from, DMA to Movable.
const KINDS: usize = 4;

/// How much of a zone is kept for whom, in frames.
///
/// Linux: `_watermark` and `lowmem_reserve` of `struct zone` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watermarks {
    /// Below this only urgent requests are served.
    pub min: u64,
    /// Below this the next zone is tried first. Linux wakes `kswapd`.
    pub low: u64,
    /// Above this Linux's `kswapd` rests.
    pub high: u64,
    /// Above this Linux lets slower memory's pages move in.
    pub promo: u64,
    /// What is kept, in addition, from requests that could use a zone of this type, by [`ZoneKind`]: they should
    /// take from there. 0 for the zone's own type and lower ones.
    pub lowmem_reserve: [u64; KINDS],
}

/// What sets the [`Watermarks`].
///
/// Linux: the files of these names in `/proc/sys/vm` (6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatermarkPolicy {
    /// Memory to keep free.
    pub min_free: MinFree,
    /// Distance between the marks, in ten-thousandths of the zone; at least a quarter of `min`.
    pub scale_factor: u32,
    /// A zone keeps one frame from the higher zones' requests for so many frames of these, by [`ZoneKind`]; 0: none.
    pub lowmem_reserve_ratio: [u32; KINDS],
}

/// How much memory to keep free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinFree {
    /// What Linux computes: four times the square root of the kilobytes there are.
    SquareRoot,
    /// That, and with 512 MiB or more at least what makes huge pages likely to be found. Linux: the default, by
    /// `set_recommended_min_free_kbytes` (6.1).
    ForHugePages,
    /// So many kilobytes. Linux: `min_free_kbytes` (6.1).
    Kilobytes(u64),
}

impl Default for WatermarkPolicy {
    fn default() -> Self {
        Self { min_free: MinFree::ForHugePages, scale_factor: 10, lowmem_reserve_ratio: [256, 256, 32, 0] }
    }
}

impl Watermarks {
    /// Marks that keep nothing from anybody.
    pub const NONE: Self = Self { min: 0, low: 0, high: 0, promo: 0, lowmem_reserve: [0; KINDS] };

    /// Returns whether a zone with `free` frames may give `frames` to a request that could use zones up to `highest`.
    ///
    /// That there is a large enough block is another question. Linux: `__zone_watermark_ok` (6.1).
    #[must_use]
    pub fn allow(&self, free: u64, frames: u64, highest: ZoneKind, mark: u64) -> bool {
        let reserve = self.lowmem_reserve[usize::from(highest.0).min(KINDS - 1)];
        let rest = free.saturating_sub(frames.saturating_sub(1));
        rest > mark.saturating_add(reserve)
    }

    /// Returns whether a mark keeps nothing from requests that could use zones up to `highest`.
    #[inline]
    pub(crate) fn keep_nothing(&self, mark: u64, highest: ZoneKind) -> bool {
        mark == 0 && self.lowmem_reserve[usize::from(highest.0).min(KINDS - 1)] == 0
    }

    /// Returns the mark a request of this priority must not go below, or `None` if it may take everything.
    ///
    /// Linux: `ALLOC_HIGH`, `ALLOC_NO_WATERMARKS` (6.1).
    #[must_use]
    pub const fn mark(&self, priority: Priority) -> Option<u64> {
        match priority {
            Priority::Usual => Some(self.min),
            Priority::High => Some(self.min - self.min / 2),
            Priority::Emergency => None,
        }
    }

    /// Returns the marks of zones that manage what they manage now.
    ///
    /// Linux: `__setup_per_zone_wmarks`, `setup_per_zone_lowmem_reserve` (6.1).
    pub(crate) fn compute<const Z: usize>(zones: &[ZoneState], policy: &WatermarkPolicy) -> Vec<Self, Z> {
        let min_free = |kilobytes: u64| marks::<Z>(zones, kilobytes / 4, policy);
        match policy.min_free {
            MinFree::Kilobytes(kilobytes) => min_free(kilobytes),
            MinFree::SquareRoot => min_free(square_root(zones)),
            MinFree::ForHugePages => {
                let usual = square_root(zones);
                let first = min_free(usual);
                match for_huge_pages(zones, &first) {
                    more if more > usual => min_free(more),
                    _ => first,
                }
            }
        }
    }
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Computes the watermarks anew, from what each zone manages now. Before the first call nothing is kept free.
    ///
    /// Call it again after memory came or went. Linux: `init_per_zone_wmark_min` (6.1).
    pub fn set_watermarks(&mut self, policy: &WatermarkPolicy) {
        self.watermarks = Watermarks::compute(&self.states, policy);
        self.find_first_zone();
    }

    /// Returns the watermarks, in the order of [`zones`](Self::zones).
    #[must_use]
    pub fn watermarks(&self) -> &[Watermarks] {
        &self.watermarks
    }
}

fn managed<'z>(zones: impl Iterator<Item = &'z ZoneState>) -> u64 {
    zones.fold(0, |sum, zone| sum.saturating_add(zone.managed))
}

/// Returns the zones that a request of the kernel itself may use.
fn normal(zones: &[ZoneState]) -> impl Iterator<Item = &ZoneState> {
    zones.iter().filter(|zone| zone.span.kind <= ZoneKind::NORMAL)
}

/// Returns `min_free_kbytes`. Linux: `calculate_min_free_kbytes` (6.1).
fn square_root(zones: &[ZoneState]) -> u64 {
    let kilobytes = managed(normal(zones)).saturating_mul(4);
    kilobytes.saturating_mul(16).isqrt().clamp(128, 256 << 10)
}

/// Returns the kilobytes that keep some page blocks free of each kind of content, or 0 with too little memory.
///
/// Linux: `set_recommended_min_free_kbytes`, and the limit of `hugepage_init` (6.1).
fn for_huge_pages(zones: &[ZoneState], marks: &[Watermarks]) -> u64 {
    /// Frames of a huge page.
    const HUGE: u64 = 512;
    /// Two for the allocator to work with, and kinds of content (3) times kinds of content that replace them.
    const PER_ZONE: u64 = 2 + 3 * 3;

    if managed(zones.iter()) < (512 << 20) / handoff::FRAME_BYTES {
        return 0;
    }
    let populated = normal(zones).filter(|zone| zone.managed > 0).count() as u64;
    let above_high = zones.iter().zip(marks).filter(|(zone, _)| zone.span.kind <= ZoneKind::NORMAL);
    let available: u64 =
        above_high.map(|(zone, marks)| zone.managed.saturating_sub(marks.high)).fold(0, u64::saturating_add);
    (HUGE * PER_ZONE * populated).min(available / 20) * 4
}

fn marks<const Z: usize>(zones: &[ZoneState], pages_min: u64, policy: &WatermarkPolicy) -> Vec<Watermarks, Z> {
    let total = managed(zones.iter()).max(1);
    let part = |of: u64, numerator: u64, denominator: u64| {
        (u128::from(of) * u128::from(numerator) / u128::from(denominator)).try_into().unwrap_or(u64::MAX)
    };
    let of_zone = |zone: &ZoneState| {
        let min: u64 = part(pages_min, zone.managed, total);
        let gap = (min / 4).max(part(zone.managed, policy.scale_factor.into(), 10_000));
        let above = |gaps: u64| min.saturating_add(gap.saturating_mul(gaps));
        let lowmem_reserve = reserve(zones, zone, policy);
        Watermarks { min, low: above(1), high: above(2), promo: above(3), lowmem_reserve }
    };
    zones.iter().map(of_zone).collect()
}

fn reserve(zones: &[ZoneState], zone: &ZoneState, policy: &WatermarkPolicy) -> [u64; KINDS] {
    let mut reserve = [0; KINDS];
    let ratio = policy.lowmem_reserve_ratio.get(usize::from(zone.span.kind.0)).copied().unwrap_or(0);
    if ratio == 0 || zone.managed == 0 {
        return reserve;
    }
    for (kind, frames) in (0..).map(ZoneKind).zip(&mut reserve) {
        let above = zones.iter().filter(|other| {
            other.span.node == zone.span.node && zone.span.kind < other.span.kind && other.span.kind <= kind
        });
        *frames = managed(above) / u64::from(ratio);
    }
    reserve
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::ZoneSpan;

    fn zone(node: u16, kind: ZoneKind, managed: u64) -> ZoneState {
        let span = ZoneSpan { node, kind, start_pfn: 0, spanned: managed, present: managed };
        ZoneState { managed, ..ZoneState::new(span) }
    }

    fn marks(zones: &[ZoneState], min_free: MinFree) -> std::vec::Vec<(u64, u64, u64, u64)> {
        let policy = WatermarkPolicy { min_free, ..WatermarkPolicy::default() };
        Watermarks::compute::<8>(zones, &policy).iter().map(|w| (w.min, w.low, w.high, w.promo)).collect()
    }

    #[test]
    fn min_low_high_promo() {
        let one = [zone(0, ZoneKind::DMA, 10_000)];
        // isqrt(16 * 40,000 kB) = 800 kB.
        assert_eq!(marks(&one, MinFree::SquareRoot), [(200, 250, 300, 350)]);
        assert_eq!(marks(&one, MinFree::ForHugePages), [(200, 250, 300, 350)], "too little memory for huge pages");
        assert_eq!(marks(&one, MinFree::Kilobytes(40)), [(10, 20, 30, 40)], "the gap is 0.1 % at least");
        assert_eq!(marks(&[], MinFree::ForHugePages), []);
        let most = [zone(0, ZoneKind::NORMAL, u64::MAX), zone(1, ZoneKind::NORMAL, u64::MAX)];
        assert_eq!(marks(&most, MinFree::ForHugePages).len(), 2, "nothing overflows");
        assert_eq!(marks(&most, MinFree::Kilobytes(u64::MAX)).len(), 2);
    }

    #[test]
    fn huge_pages_want_more() {
        // 5632 frames, or 5 % of what is above the high watermark.
        assert_eq!(marks(&[zone(0, ZoneKind::NORMAL, 1 << 20)], MinFree::ForHugePages)[0].0, 5632);
        let small = [zone(0, ZoneKind::NORMAL, 1 << 16), zone(1, ZoneKind::NORMAL, 1 << 16)];
        let high = marks(&small, MinFree::SquareRoot)[0].2 * 2;
        assert_eq!(marks(&small, MinFree::ForHugePages)[0].0, ((1 << 17) - high) / 20 / 2);
        // An empty zone counts for nothing.
        let two = [zone(0, ZoneKind::NORMAL, 1 << 20), zone(0, ZoneKind::DMA, 0)];
        assert_eq!(marks(&two, MinFree::ForHugePages)[0].0, 5632);
    }

    #[test]
    fn low_zones_are_kept_from_requests_for_high_ones() {
        let zones = [
            zone(0, ZoneKind::DMA, 1000),
            zone(0, ZoneKind::DMA32, 2560),
            zone(0, ZoneKind::NORMAL, 25_600),
            zone(0, ZoneKind::MOVABLE, 3200),
            zone(1, ZoneKind::NORMAL, 1 << 20),
        ];
        let marks = Watermarks::compute::<8>(&zones, &WatermarkPolicy::default());
        let reserves: std::vec::Vec<_> = marks.iter().map(|w| w.lowmem_reserve).collect();
        assert_eq!(reserves, [[0, 10, 110, 122], [0, 0, 100, 112], [0, 0, 0, 100], [0; 4], [0; 4]]);
        let empty = [zone(0, ZoneKind::DMA, 0), zone(0, ZoneKind::NORMAL, 25_600)];
        assert_eq!(Watermarks::compute::<2>(&empty, &WatermarkPolicy::default())[0].lowmem_reserve, [0; 4]);
    }

    #[test]
    fn who_may_take_how_much() {
        let w = Watermarks { min: 100, lowmem_reserve: [0, 0, 50, 60], ..Watermarks::NONE };
        for (free, frames, highest, mark, allowed) in [
            (101, 1, ZoneKind::DMA, 100, true),
            (100, 1, ZoneKind::DMA, 100, false),
            (151, 1, ZoneKind::NORMAL, 100, true),
            (150, 1, ZoneKind::NORMAL, 100, false),
            (104, 4, ZoneKind::DMA, 100, true),
            (103, 4, ZoneKind::DMA, 100, false),
            (161, 1, ZoneKind(200), 100, true),
            (2, 512, ZoneKind::DMA, 0, false),
            (u64::MAX, 1024, ZoneKind::NORMAL, u64::MAX, false),
        ] {
            assert_eq!(w.allow(free, frames, highest, mark), allowed, "{free} {frames} {highest} {mark}");
        }
        let marks = [Priority::Usual, Priority::High, Priority::Emergency].map(|priority| w.mark(priority));
        assert_eq!(marks, [Some(100), Some(50), None]);
    }
}
