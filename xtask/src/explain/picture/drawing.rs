// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture for a document: waterfall and map in one SVG file, readable on light and on dark ground.

use super::bars::{Bars, sign, title};
use super::map::{Map, TEXT, name, number};
use super::palette::{dark_css, patterns};
use super::runs::Run;
use super::words;
use crate::explain::amount::human;
use crate::explain::model::{Explanation, LineKind};
use maud::{Markup, html};

/// Width of the picture, in pixels.
const WIDTH: f64 = 1000.0;
/// Height of a bar with the space below it.
const ROW: f64 = 24.0;

/// How many of the pieces too small for a label are listed.
const LISTED: usize = 29;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1b1f24}.big{font-size:20px;font-weight:600}\
.strong,.strong text{font-weight:600}.soft{fill:#57606a}.zone{fill:#fff;font-size:11px}.right{text-anchor:end}\
.mono text,.list{font:12px ui-monospace,monospace}.list{font-size:11px}line{stroke:#868c95}.rule{stroke:#d0d7de}";

const DARK: &str = "text{fill:#e8eaed}.zone{fill:#fff}.soft{fill:#a3adb8}.rule{stroke:#3a424c}.ground{fill:#14181d}\
.ink,.cut{stroke:#14181d}";

/// Returns the whole picture.
pub(super) fn drawing(explanation: &Explanation) -> Markup {
    let summary = wrapped(&explanation.summary, 130);
    let rows = explanation.waterfall.len() as f64;
    let bars_top = 92.0 + summary.len() as f64 * 18.0;
    let map = Map::new(explanation, (TEXT * explanation.map.len() as f64).clamp(480.0, 900.0));
    let map_top = bars_top + rows * ROW + 60.0;
    let list_top = map_top + map.scale.height() + 90.0;
    let list = list(&map);
    let height = match (map.lanes.is_empty(), list.is_empty()) {
        (true, _) => map_top,
        (_, true) => list_top,
        _ => list_top + list.len().div_ceil(3) as f64 * 18.0 + 30.0,
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(WIDTH) height=(number(height))
            viewBox={ "0 0 " (WIDTH) " " (number(height)) } role="img" aria-labelledby="title summary" {
            title id="title" { "Where the memory went: " (explanation.title) }
            desc id="summary" { (explanation.summary) }
            style { (STYLE) "@media(prefers-color-scheme:dark){" (DARK) (dark_css()) "}" }
            defs { (patterns()) }
            rect class="ground" width="100%" height="100%" fill="#fff" {}
            text class="big" x="20" y="38" { "Where the memory went" }
            text class="soft" x="20" y="60" { (explanation.title) }
            @for (at, line) in summary.iter().enumerate() {
                text x="20" y=(84 + 18 * at) { (line) }
            }
            g transform={ "translate(0 " (bars_top) ")" } { (waterfall(explanation)) }
            @if !map.lanes.is_empty() {
                g transform={ "translate(0 " (number(map_top)) ")" } { (memory_map(&map)) }
            }
            @if !list.is_empty() {
                text class="strong" x="20" y=(number(list_top)) { "Smaller pieces" }
                @for (at, text) in list.iter().enumerate() {
                    @let y = list_top + 22.0 + (at / 3) as f64 * 18.0;
                    text class="list" x=(20 + at % 3 * 322) y=(number(y)) { (text) }
                }
            }
        }
    }
}

/// Returns a line for each of the largest pieces that are too small for a label.
fn list(map: &Map<'_>) -> Vec<String> {
    let mut small = map.small();
    small.sort_by_key(|run| std::cmp::Reverse(run.range.size()));
    let line = |run: &&Run<'_>| words::shortened(&format!("{:#x} {}", run.range.start(), name(run)), 47);
    let mut lines: Vec<_> = small.iter().take(LISTED).map(line).collect();
    if small.len() > LISTED {
        lines.push(format!("and {} smaller ones: see the HTML page", small.len() - LISTED));
    }
    lines
}

/// Returns lines of at most `most` characters, but for a word that is longer.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn waterfall(explanation: &Explanation) -> Markup {
    let bars = Bars::new(&explanation.waterfall);
    html! {
        @for (at, bar) in bars.bars.iter().enumerate() {
            @let total = bar.line.kind == LineKind::Total;
            g class=[total.then_some("strong")] transform={ "translate(0 " (number(at as f64 * ROW)) ")" } {
                title { (title(bar.line)) }
                @if total { line class="rule" x1="20" x2="980" y1="-3.5" y2="-3.5" {} }
                text x=(if total { 20 } else { 34 }) y="14" { (bar.line.label) }
                svg x="350" width="420" height="18" overflow="hidden" { (bars.draw(bar, 18.0)) }
                text class="right" x="880" y="14" { (sign(bar.line.kind)) (human(bar.line.bytes)) }
                text class="right soft" x="980" y="14" { (words::percent(bar.line.percent)) }
            }
        }
        @if bars.from > 0 {
            @let below = explanation.waterfall.len() as f64 * ROW + 14.0;
            text class="soft" x="350" y=(number(below)) { "The bars start at " (human(bars.from)) "." }
        }
    }
}

fn memory_map(map: &Map<'_>) -> Markup {
    let height = number(map.scale.height());
    let lane_width = 560.0 / map.lanes.len() as f64;
    html! {
        text class="big" x="20" y="0" { "Which address is whose" }
        @for (at, lane) in map.lanes.iter().enumerate() {
            @let (name, what) = words::lane(*lane);
            @let middle = 140.0 + (at as f64 + 0.5) * lane_width;
            text class="soft" x=(number(middle)) y="28" text-anchor="middle" { (name) title { (what) } }
        }
        g transform="translate(0 40)" {
            svg class="mono" x="20" width="120" height=(height) overflow="visible" { (map.axis()) }
            svg x="140" width="560" height=(height) overflow="visible" { (map.columns()) }
            svg x="706" width="280" height=(height) overflow="visible" { (map.labels()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrapped("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("extraordinary ü", 5), ["extraordinary", "ü"]);
        assert!(wrapped(" ", 5).is_empty());
    }
}
