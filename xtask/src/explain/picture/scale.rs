// SPDX-License-Identifier: MIT OR Apache-2.0
//! The address axis: where on a picture an address lies. Low addresses are on top.
//!
//! RAM gets a height by the cube root of its size, so that a kernel of 40 MiB can be seen beside 16 GiB. What is no RAM
//! gets the same small height however large it is: the axis is broken there.

use handoff::PhysRange;

/// Height of a break, in pixels.
const BREAK: f64 = 20.0;

/// What lies between two boundaries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ground {
    Ram,
    /// Something of the firmware's or of a device.
    Other,
    /// Nothing that anybody knows of.
    Hole,
}

/// A part of the axis between two boundaries, drawn from `top` to `bottom`, in pixels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Stretch {
    pub(super) range: PhysRange,
    pub(super) ground: Ground,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// A rising function from addresses to pixels.
///
/// # Invariants
/// The stretches touch each other, in addresses and in pixels, from the lowest address to the highest.
#[derive(Debug)]
pub(super) struct Scale {
    pub(super) stretches: Vec<Stretch>,
}

impl Scale {
    /// Returns the axis for `spans`, each with whether it is RAM, in about `height` pixels.
    pub(super) fn new(spans: impl Iterator<Item = (PhysRange, bool)>, height: f64) -> Self {
        let grounds = grounds(spans);
        let breaks = grounds.iter().filter(|(_, ground)| *ground != Ground::Ram).count() as f64;
        let each_break = BREAK.min(height / 2.0 / breaks.max(1.0));
        let weight = |range: &PhysRange| (range.size() as f64).cbrt();
        let weights: f64 = grounds.iter().filter(|(_, ground)| *ground == Ground::Ram).map(|(r, _)| weight(r)).sum();
        let each_weight = (height - breaks * each_break) / weights.max(1.0);

        let mut top = 0.0;
        let stretches = grounds.into_iter().map(|(range, ground)| {
            let tall = if ground == Ground::Ram { weight(&range) * each_weight } else { each_break };
            let stretch = Stretch { range, ground, top, bottom: top + tall };
            top = stretch.bottom;
            stretch
        });
        Self { stretches: stretches.collect() }
    }

    /// Returns the height of the whole, in pixels.
    pub(super) fn height(&self) -> f64 {
        self.stretches.last().map_or(0.0, |last| last.bottom)
    }

    /// Returns where `address` lies, in pixels from the top; addresses off the axis lie at its ends.
    pub(super) fn y(&self, address: u64) -> f64 {
        let below = self.stretches.partition_point(|stretch| stretch.range.end() <= address);
        let Some(stretch) = self.stretches.get(below) else { return self.height() };
        let share = address.saturating_sub(stretch.range.start()) as f64 / stretch.range.size() as f64;
        stretch.top + share * (stretch.bottom - stretch.top)
    }
}

/// Cuts the addresses at every start and end of a span; neighbours that are both no RAM become one.
fn grounds(spans: impl Iterator<Item = (PhysRange, bool)>) -> Vec<(PhysRange, Ground)> {
    let mut edges: Vec<(u64, i32, i32)> = spans
        .flat_map(|(range, ram)| {
            let ram = i32::from(ram);
            [(range.start(), 1, ram), (range.end(), -1, -ram)]
        })
        .collect();
    edges.sort_unstable();

    let (mut depth, mut ram_depth) = (0, 0);
    let mut grounds: Vec<(PhysRange, Ground)> = Vec::new();
    for (edge, next) in edges.iter().zip(edges.iter().skip(1)) {
        depth += edge.1;
        ram_depth += edge.2;
        let Some(range) = PhysRange::new(edge.0, next.0) else { continue };
        let ground = match (depth, ram_depth) {
            (_, 1..) => Ground::Ram,
            (1.., _) => Ground::Other,
            _ => Ground::Hole,
        };
        match grounds.last_mut() {
            Some((last, Ground::Other)) if ground == Ground::Other => {
                *last = PhysRange::new(last.start(), range.end()).unwrap_or(*last);
            }
            _ => grounds.push((range, ground)),
        }
    }
    grounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(start, end).unwrap()
    }

    #[test]
    fn a_hole_is_a_break_however_large() {
        let spans = [(range(0, 1000), true), (range(1000, 1064), false), (range(1 << 40, (1 << 40) + 8000), true)];
        let scale = Scale::new(spans.into_iter(), 340.0);
        let drawn: Vec<_> = scale.stretches.iter().map(|s| (s.ground, (s.bottom - s.top).round())).collect();
        assert_eq!(drawn, [(Ground::Ram, 100.0), (Ground::Other, 20.0), (Ground::Hole, 20.0), (Ground::Ram, 200.0)]);
        assert_eq!(scale.y(500).round(), 50.0);
        assert_eq!(scale.y(u64::MAX), scale.height());
        assert_eq!(scale.height().round(), 340.0);
    }

    #[test]
    fn nothing_has_no_height() {
        let scale = Scale::new(std::iter::empty(), 340.0);
        assert_eq!((scale.height(), scale.y(7)), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn addresses_rise(
            spans in prop::collection::vec((any::<u64>(), 1..u64::MAX, any::<bool>()), 1..60),
            mut at in prop::collection::vec(any::<u64>(), 9),
        ) {
            let spans = spans.into_iter().filter_map(|(base, size, ram)| Some((PhysRange::capped(base, size)?, ram)));
            let scale = Scale::new(spans, 900.0);
            at.sort_unstable();
            prop_assert!(at.iter().map(|a| scale.y(*a)).is_sorted());
            for pair in scale.stretches.windows(2) {
                prop_assert!(pair[0].range.end() == pair[1].range.start() && pair[0].bottom == pair[1].top);
            }
            let ram = scale.stretches.iter().any(|stretch| stretch.ground == Ground::Ram);
            prop_assert!(!ram || (scale.height() - 900.0).abs() < 0.01);
        }
    }
}
