// SPDX-License-Identifier: MIT OR Apache-2.0
//! Colours and patterns: one of each per owner, so that no two owners differ by hue alone.

use crate::explain::model::{Lane, Owner, Span};
use maud::{Markup, html};

/// How the memory of an owner is drawn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paint {
    /// Part of the names of the pattern and the CSS class.
    pub(super) name: &'static str,
    /// What the legend says.
    pub(super) words: &'static str,
    /// On a light and on a dark ground; at least 3:1 against either.
    colours: [&'static str; 2],
    /// Strokes over the colour, in a square of 8 pixels.
    strokes: &'static str,
}

const DIAGONAL: &str = "M-2 2l4-4M0 8l8-8M6 10l4-4";
const BACK: &str = "M-2 6l4 4M0 0l8 8M6-2l4 4";
const CROSS: &str = "M0 8l8-8M0 0l8 8";
const ROWS: &str = "M0 2h8M0 6h8";
const COLUMNS: &str = "M2 0v8M6 0v8";
const GRID: &str = "M0 4h8M4 0v8";
const DOTS: &str = "M1 2h2M5 6h2";
const DASHES: &str = "M0 2h4M4 6h4";
const PLAIN: &str = "";

const fn paint(
    name: &'static str,
    words: &'static str,
    light: &'static str,
    dark: &'static str,
    strokes: &'static str,
) -> Paint {
    Paint { name, words, colours: [light, dark], strokes }
}

/// Every paint there is; the last is for zones, which nobody owns.
const PAINTS: [Paint; 17] = [
    paint("all", "memory", "#3d8fcc", "#56b4e9", PLAIN),
    paint("firmware", "firmware and devices", "#767c86", "#8b93a0", DIAGONAL),
    paint("lost", "lost", "#868c95", "#727a87", CROSS),
    paint("kernel-image", "kernel image", "#d55e00", "#f0762b", ROWS),
    paint("initrd", "initial RAM disk", "#c07a00", "#e69f00", DOTS),
    paint("crash-kernel", "crash kernel", "#b8508f", "#e08fc0", DIAGONAL),
    paint("page-descriptors", "page descriptors", "#3b3fa0", "#8c8cf0", COLUMNS),
    paint("per-cpu", "per-CPU areas", "#877700", "#d9c93a", COLUMNS),
    paint("hash-tables", "hash tables", "#877700", "#d9c93a", GRID),
    paint("node-data", "node data", "#877700", "#d9c93a", DOTS),
    paint("swiotlb", "bounce buffers (swiotlb)", "#00808a", "#3cc0cc", DASHES),
    paint("cma", "contiguous memory (CMA)", "#00808a", "#3cc0cc", ROWS),
    paint("huge-pages", "huge pages", "#7a4a9e", "#b890d8", CROSS),
    paint("memblock", "other early allocations", "#5f7f00", "#a7c93a", BACK),
    paint("managed", "yours: free for programs", "#008561", "#2db88e", PLAIN),
    paint("unexplained", "unexplained", "#222222", "#eeeeee", GRID),
    paint("zone", "zone", "#5f7389", "#5d7086", PLAIN),
];

impl Paint {
    /// Returns the paint of an owner.
    pub(super) fn of(owner: Owner) -> &'static Self {
        &PAINTS[match owner {
            Owner::All => 0,
            Owner::Firmware => 1,
            Owner::Lost => 2,
            Owner::KernelImage => 3,
            Owner::Initrd => 4,
            Owner::CrashKernel => 5,
            Owner::PageDescriptors => 6,
            Owner::PerCpu => 7,
            Owner::HashTables => 8,
            Owner::NodeData => 9,
            Owner::Swiotlb => 10,
            Owner::Cma => 11,
            Owner::HugePages => 12,
            Owner::Memblock => 13,
            Owner::Managed => 14,
            Owner::Unexplained => 15,
        }]
    }

    /// Returns the paint of a span. That of a zone says nothing about who owns it.
    pub(super) fn of_span(span: &Span) -> &'static Self {
        if span.lane == Lane::Memmap { &PAINTS[16] } else { Self::of(span.owner) }
    }

    /// Returns what to put into a `fill` attribute.
    pub(super) fn fill(&self) -> String {
        format!("url(#p-{})", self.name)
    }
}

/// Returns the patterns, for the `defs` of a picture, in the colours for a light ground.
pub(super) fn patterns() -> Markup {
    html! {
        @for paint in &PAINTS {
            pattern id={ "p-" (paint.name) } width="8" height="8" patternUnits="userSpaceOnUse" {
                rect class={ "c-" (paint.name) } width="8" height="8" fill=(paint.colours[0]) {}
                @if !paint.strokes.is_empty() {
                    path class="ink" d=(paint.strokes) fill="none"
                        stroke="#fff" stroke-opacity="0.6" stroke-width="1.3" {}
                }
            }
        }
        pattern id="p-hole" width="12" height="8" patternUnits="userSpaceOnUse" {
            path class="hole" d="M0 6l6-4l6 4" fill="none" stroke="#868c95" stroke-width="1.2" {}
        }
    }
}

/// Returns the colours as rules for a page whose `color-scheme` is light or dark.
pub(super) fn css() -> String {
    PAINTS.iter().map(|p| format!(".c-{}{{fill:light-dark({},{})}}", p.name, p.colours[0], p.colours[1])).collect()
}

/// Returns the rules that a picture of its own needs on a dark ground.
pub(super) fn dark_css() -> String {
    PAINTS.iter().map(|p| format!(".c-{}{{fill:{}}}", p.name, p.colours[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as WCAG 2 defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn every_colour_stands_out_from_its_ground() {
        for paint in &PAINTS {
            for (colour, ground) in paint.colours.iter().zip(["#ffffff", "#14181d"]) {
                let (a, b) = (luminance(colour), luminance(ground));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 3.0, "{} {colour} on {ground}: {contrast:.2}", paint.name);
            }
        }
    }

    #[test]
    fn no_two_owners_look_alike() {
        for (i, a) in PAINTS.iter().enumerate() {
            for b in &PAINTS[i + 1..] {
                assert!(
                    a.name != b.name && (a.colours != b.colours || a.strokes != b.strokes),
                    "{} {}",
                    a.name,
                    b.name
                );
            }
        }
    }
}
