// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory map: addresses from top to bottom, one lane per stage, whose each piece is at the right.

use super::palette::Paint;
use super::runs::{Run, runs};
use super::scale::{Ground, Scale};
use super::words;
use crate::explain::amount::human;
use crate::explain::model::{Explanation, Lane, Owner, Span};
use maud::{Markup, html};

/// Height of a line of text, in pixels.
pub(super) const TEXT: f64 = 14.0;

/// What fits at the right of a picture.
const LABEL_CHARACTERS: usize = 40;

/// A map that knows where everything lies.
#[derive(Debug)]
pub(super) struct Map<'a> {
    pub(super) scale: Scale,
    /// The lanes that hold something.
    pub(super) lanes: Vec<Lane>,
    pub(super) runs: Vec<Run<'a>>,
    spans: &'a [Span],
}

impl<'a> Map<'a> {
    /// Returns the map of an explanation in about `height` pixels.
    pub(super) fn new(explanation: &'a Explanation, height: f64) -> Self {
        let spans = &explanation.map;
        let mut lanes: Vec<_> = spans.iter().map(|span| span.lane).collect();
        lanes.sort();
        lanes.dedup();
        // A zone spans holes too, so it says nothing about what is there.
        let known = spans.iter().filter(|span| span.lane != Lane::Memmap);
        let ranges = known.filter_map(|s| Some((handoff::PhysRange::new(s.start, s.end)?, is_ram(s))));
        Self { scale: Scale::new(ranges, height), lanes, runs: runs(spans), spans }
    }

    /// Returns the addresses: at the largest stretches first, as many as fit.
    pub(super) fn axis(&self) -> Markup {
        let mut by_height: Vec<_> = self.scale.stretches.iter().collect();
        by_height.sort_by(|a, b| (b.bottom - b.top).total_cmp(&(a.bottom - a.top)));
        let mut placed: Vec<(f64, u64)> = Vec::new();
        let last = self.scale.stretches.last().map(|last| (last.bottom, last.range.end()));
        for (y, address) in last.into_iter().chain(by_height.iter().map(|s| (s.top, s.range.start()))) {
            if placed.iter().all(|(other, _)| (other - y).abs() >= TEXT) {
                placed.push((y, address));
            }
        }
        html! {
            @for (y, address) in placed {
                text x="100%" y=(number(y)) dx="-8" dy="0.32em" text-anchor="end" { (format!("{address:#x}")) }
                line x1="100%" x2="100%" y1=(number(y)) y2=(number(y)) transform="translate(-5)" {}
            }
        }
    }

    /// Returns the spans, each lane in its column, and the breaks of the axis.
    pub(super) fn columns(&self) -> Markup {
        let width = 100.0 / self.lanes.len().max(1) as f64;
        html! {
            @for hole in self.scale.stretches.iter().filter(|s| s.ground == Ground::Hole) {
                rect width="100%" y=(number(hole.top)) height=(number(hole.bottom - hole.top)) fill="url(#p-hole)" {
                    title { "Hole: no memory, " (human(hole.range.size())) }
                }
            }
            @for (at, span) in self.spans.iter().enumerate() {
                @let lane = self.lanes.iter().position(|lane| *lane == span.lane).unwrap_or(0);
                @let left = lane as f64 * width;
                @let (top, bottom) = (self.scale.y(span.start), self.scale.y(span.end));
                @let paint = Paint::of_span(span);
                rect data-span=(at) data-owner=(paint.name) fill=(paint.fill())
                    x={ (number(left + 0.6)) "%" } width={ (number(width - 1.2)) "%" }
                    y=(number(top)) height=(number((bottom - top).max(0.75))) {
                    title { (title(span)) }
                }
                @if span.lane == Lane::Memmap && bottom - top > 60.0 {
                    text data-span=(at) class="zone" x={ (number(left + width / 2.0)) "%" } y=(number(top + 8.0))
                        writing-mode="vertical-rl" dominant-baseline="central" { (span.label) }
                }
            }
        }
    }

    /// Returns who owns what, for every piece tall enough, and what lies between them in one line each.
    pub(super) fn labels(&self) -> Markup {
        html! {
            @for label in self.entries() {
                text x="12" y=(number(f64::midpoint(label.top, label.bottom))) dy="0.32em" {
                    (words::shortened(&label.text, LABEL_CHARACTERS))
                }
                rect width="5" y=(number(label.top + 1.0)) height=(number(label.bottom - label.top - 2.0))
                    fill=(label.paint.fill()) {}
            }
        }
    }

    /// Returns the runs too small for a label of their own.
    pub(super) fn small(&self) -> Vec<&Run<'a>> {
        let tall = |run: &Run<'_>| self.scale.y(run.range.end()) - self.scale.y(run.range.start());
        self.runs.iter().filter(|run| tall(run) < TEXT).collect()
    }

    fn entries(&self) -> Vec<Label> {
        let holes = self.scale.stretches.iter().filter(|s| s.ground == Ground::Hole);
        let mut entries: Vec<Label> = holes
            .map(|hole| Label {
                top: hole.top,
                bottom: hole.bottom,
                paint: Paint::of(Owner::Lost),
                text: format!("{} hole", human(hole.range.size())),
            })
            .collect();
        let mut small: Vec<&Run<'_>> = Vec::new();
        for run in &self.runs {
            let (top, bottom) = (self.scale.y(run.range.start()), self.scale.y(run.range.end()));
            if bottom - top >= TEXT {
                entries.extend(self.together(&small));
                small.clear();
                entries.push(Label { top, bottom, paint: Paint::of_span(run.span), text: name(run) });
            } else {
                small.push(run);
            }
        }
        entries.extend(self.together(&small));
        entries
    }

    /// Returns one label for runs that are too small for one each; none if all of them are.
    fn together(&self, small: &[&Run<'_>]) -> Option<Label> {
        let (first, last) = (small.first()?, small.last()?);
        let (top, bottom) = (self.scale.y(first.range.start()), self.scale.y(last.range.end()));
        let largest = small.iter().max_by_key(|run| run.range.size())?;
        let bytes = small.iter().map(|run| run.range.size()).sum();
        let text = match small {
            [one] => name(one),
            more => format!("{} in {} small pieces", human(bytes), more.len()),
        };
        (bottom - top >= TEXT - 2.0).then(|| Label { top, bottom, paint: Paint::of_span(largest.span), text })
    }
}

struct Label {
    top: f64,
    bottom: f64,
    paint: &'static Paint,
    text: String,
}

/// Returns the size and the name of a run.
pub(super) fn name(run: &Run<'_>) -> String {
    format!("{} {}", human(run.range.size()), run.span.label)
}

/// Returns whether a span is RAM: then the axis shows its size.
fn is_ram(span: &Span) -> bool {
    !matches!(span.owner, Owner::Firmware | Owner::Lost)
}

/// Returns what a pointer that rests on the span shows.
fn title(span: &Span) -> String {
    let node = span.node.map(|node| format!(", node {node}")).unwrap_or_default();
    let bytes = span.end.saturating_sub(span.start);
    format!("{}{node}\n{}, {}", span.label, words::range(span.start, span.end), human(bytes))
}

/// Returns a coordinate without digits that nobody can see, even on the map at its largest.
pub(super) fn number(pixels: f64) -> String {
    let text = format!("{pixels:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
