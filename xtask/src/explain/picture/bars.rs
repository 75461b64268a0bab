// SPDX-License-Identifier: MIT OR Apache-2.0
//! The waterfall as bars: from where to where each line reaches.

use super::map::number;
use super::palette::Paint;
use super::words;
use crate::explain::amount::{grouped, human};
use crate::explain::model::{Line, LineKind, Owner};
use maud::{Markup, html};

/// A line of the waterfall and the part of the axis it covers, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar<'a> {
    pub(super) line: &'a Line,
    from: u64,
    to: u64,
}

/// The bars of a waterfall.
#[derive(Debug)]
pub(super) struct Bars<'a> {
    pub(super) bars: Vec<Bar<'a>>,
    /// Where the axis starts, in bytes: not at 0 if the parts that go would be too thin to see.
    pub(super) from: u64,
    to: u64,
}

impl<'a> Bars<'a> {
    /// Returns the bars of `lines`.
    pub(super) fn new(lines: &'a [Line]) -> Self {
        let mut level = 0_u64;
        let bars: Vec<_> = lines
            .iter()
            .map(|line| {
                let before = level;
                let (from, to) = match line.kind {
                    LineKind::Total => (0, line.bytes),
                    LineKind::Taken => (before.saturating_sub(line.bytes), before),
                    LineKind::Returned => (before, before.saturating_add(line.bytes)),
                };
                level = if line.kind == LineKind::Taken { from } else { to };
                Bar { line, from, to }
            })
            .collect();
        let to = bars.iter().map(|bar| bar.to).max().unwrap_or(0);
        let lowest = bars.iter().map(|bar| if bar.line.kind == LineKind::Total { bar.to } else { bar.from }).min();
        let changes = to - lowest.unwrap_or(0);
        let from = if changes < to / 3 { to.saturating_sub(changes.max(to / 1000) / 4 * 5) } else { 0 };
        Self { bars, from, to }
    }

    /// Returns the bar as rectangles of a picture 100 % wide and `height` pixels high.
    pub(super) fn draw(&self, bar: &Bar<'_>, height: f64) -> Markup {
        let share = |bytes: u64| {
            let width = (self.to - self.from).max(1) as f64;
            100.0 * bytes.saturating_sub(self.from) as f64 / width
        };
        let (from, to) = (share(bar.from), share(bar.to));
        // Wide enough to be seen, and inside the picture.
        let width = (to - from).max(0.8);
        let left = number(from.min(100.0 - width));
        let step = number((height + 2.0) / 4.0);
        let fill = Paint::of(bar.line.owner).fill();
        html! {
            rect x={ (left) "%" } width={ (number(width)) "%" } height=(height) fill=(fill) {}
            @if bar.from < self.from {
                @let zigzag = format!("M10-1l4 {step}l-4 {step}l4 {step}l-4 {step}");
                path class="cut" d=(zigzag) fill="none" stroke="#fff" stroke-width="3" {}
            }
        }
    }
}

/// Returns the whole as one bar: what is left and who has the rest, each with its bytes, largest first.
pub(super) fn shares(lines: &[Line]) -> Vec<(&'static Paint, u64)> {
    let mut shares: Vec<(&'static Paint, u64)> = Vec::new();
    let mut add = |owner: Owner, bytes: u64| {
        let paint = Paint::of(owner);
        match shares.iter_mut().find(|(other, _)| *other == paint) {
            Some((_, sum)) => *sum += bytes,
            None => shares.push((paint, bytes)),
        }
    };
    for line in lines.iter().filter(|line| line.kind == LineKind::Taken) {
        add(line.owner, line.bytes);
    }
    if let Some(rest) = lines.last() {
        add(rest.owner, rest.bytes);
    }
    // What comes back was counted where it was taken.
    for line in lines.iter().filter(|line| line.kind == LineKind::Returned) {
        let paint = Paint::of(line.owner);
        if let Some((_, sum)) = shares.iter_mut().find(|(other, _)| *other == paint) {
            *sum = sum.saturating_sub(line.bytes);
        }
    }
    shares.retain(|(_, bytes)| *bytes > 0);
    shares.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    shares
}

/// Returns the sign that stands before the bytes of a line.
pub(super) fn sign(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Total => "",
        LineKind::Taken => "\u{2212} ",
        LineKind::Returned => "+ ",
    }
}

/// Returns what a pointer that rests on a bar shows.
pub(super) fn title(line: &Line) -> String {
    format!("{}: {} bytes ({}), {}", line.label, grouped(line.bytes), human(line.bytes), words::percent(line.percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: LineKind, bytes: u64, owner: Owner) -> Line {
        Line {
            kind,
            label: String::new(),
            bytes,
            percent: 0.0,
            owner,
            why: String::new(),
            evidence: Vec::new(),
            switch: None,
            gain_bytes: None,
            parts: Vec::new(),
        }
    }

    fn lines() -> Vec<Line> {
        vec![
            line(LineKind::Total, 1000, Owner::All),
            line(LineKind::Taken, 30, Owner::Firmware),
            line(LineKind::Taken, 90, Owner::KernelImage),
            line(LineKind::Total, 880, Owner::All),
            line(LineKind::Returned, 20, Owner::KernelImage),
            line(LineKind::Total, 900, Owner::Managed),
        ]
    }

    #[test]
    fn bars_hang_below_each_other() {
        let lines = lines();
        let bars = Bars::new(&lines);
        let ends: Vec<_> = bars.bars.iter().map(|bar| (bar.from, bar.to)).collect();
        assert_eq!(ends, [(0, 1000), (970, 1000), (880, 970), (0, 880), (880, 900), (0, 900)]);
        assert_eq!((bars.from, bars.to), (850, 1000));
    }

    #[test]
    fn an_axis_that_shows_everything_starts_at_zero() {
        let lines = [
            line(LineKind::Total, 1000, Owner::All),
            line(LineKind::Taken, 600, Owner::Lost),
            line(LineKind::Total, 400, Owner::Managed),
        ];
        assert_eq!(Bars::new(&lines).from, 0);
        assert_eq!(Bars::new(&[]).from, 0);
    }

    #[test]
    fn the_shares_are_the_whole() {
        let shares = shares(&lines());
        let named: Vec<_> = shares.iter().map(|(paint, bytes)| (paint.name, *bytes)).collect();
        assert_eq!(named, [("managed", 900), ("kernel-image", 70), ("firmware", 30)]);
    }
}
