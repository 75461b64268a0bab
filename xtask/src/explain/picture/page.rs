// SPDX-License-Identifier: MIT OR Apache-2.0
//! One HTML page that needs nothing else: no network, no other file, and no right to ask for any.

use super::bars::{Bars, shares, sign, title};
use super::data::data;
use super::map::{Map, number};
use super::palette::{css, patterns};
use super::terms::linked;
use super::{tables, words};
use crate::explain::amount::{grouped, human};
use crate::explain::model::{Explanation, Line, LineKind, Term};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Height of the map, in pixels.
const MAP: f64 = 760.0;

/// Returns the page.
pub(super) fn page(explanation: &Explanation) -> Markup {
    let style = format!("{STYLE}{}", css());
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(&style),
        hash(SCRIPT)
    );
    let map = Map::new(explanation, MAP);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { "Where the memory went: " (explanation.title) }
                style { (PreEscaped(&style)) }
            }
            body {
                a class="skip" href="#main" { "To the content" }
                svg class="defs" aria-hidden="true" { defs { (patterns()) } }
                (header(explanation))
                main id="main" {
                    div class="columns" {
                        div { (waterfall(explanation)) }
                        div { (search(&map)) (memory_map(explanation, &map)) (tables::sources(explanation)) }
                    }
                    div class="columns" {
                        div { (tables::advice(explanation)) (tables::what_if(explanation)) }
                        div { (tables::predictions(explanation)) }
                    }
                    (tables::terms(explanation))
                }
                footer { p class="soft" { "Made by bootmem. Sizes are binary: 1 GiB is 1024 MiB." } }
                script type="application/json" id="data" { (PreEscaped(data(explanation, &map))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Returns the source of a policy that lets just this text be used.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

fn header(explanation: &Explanation) -> Markup {
    let shares = shares(&explanation.waterfall);
    let whole = shares.iter().map(|(_, bytes)| bytes).sum::<u64>().max(1) as f64;
    let share = |bytes: u64| 100.0 * bytes as f64 / whole;
    let mut left = 0.0;
    let pieces = shares.iter().map(|(paint, bytes)| {
        let from = left;
        left += share(*bytes);
        (paint, *bytes, number(from), number(left - from))
    });
    html! {
        header {
            div class="top" {
                h1 { "Where the memory went" }
                button type="button" id="theme" { "Light / dark" }
            }
            p class="machine" { (explanation.title) }
            p class="summary" { (linked(&explanation.summary, &explanation.terms)) }
            @if !shares.is_empty() {
                svg class="whole" aria-hidden="true" {
                    @for (paint, bytes, from, width) in pieces {
                        rect x={ (from) "%" } width={ (width) "%" } height="46" fill=(paint.fill()) {
                            title { (paint.words) ", " (human(bytes)) }
                        }
                    }
                }
                ul class="legend" aria-label="Who has how much; press to see where on the map" {
                    @for (paint, bytes) in &shares {
                        li {
                            button type="button" aria-pressed="false" data-paint=(paint.name) {
                                svg class="swatch" aria-hidden="true" {
                                    rect width="18" height="18" fill=(paint.fill()) {}
                                }
                                span {
                                    (paint.words) " " b { (human(*bytes)) } " "
                                    span class="soft" { (words::percent(share(*bytes))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn waterfall(explanation: &Explanation) -> Markup {
    let bars = Bars::new(&explanation.waterfall);
    html! {
        section aria-labelledby="waterfall" {
            h2 id="waterfall" { "Step by step" }
            @if bars.bars.is_empty() {
                p { "Nothing is known; see what is missing under " a href="#sources" { "where this comes from" } "." }
            } @else {
                p class="soft" {
                    "From the first line to the last, every byte: in short and in full."
                    @if bars.from > 0 {
                        " The bars start at " (human(bars.from)) ", so that small parts can be seen."
                    }
                }
                table class="waterfall" {
                    (tables::head(&["What"], &["Size", "Share"]))
                    tbody {
                        @for bar in &bars.bars {
                            tr class=[(bar.line.kind == LineKind::Total).then_some("total")] {
                                th scope="row" class="what" {
                                    div class="cells" {
                                        div {
                                            (linked(&bar.line.label, &explanation.terms))
                                            (reason(bar.line, &explanation.terms))
                                        }
                                        div {
                                            svg class="bar" aria-hidden="true" {
                                                title { (title(bar.line)) }
                                                (bars.draw(bar, 16.0))
                                            }
                                            (evidence(bar.line))
                                        }
                                    }
                                }
                                td class="right" {
                                    (sign(bar.line.kind)) (human(bar.line.bytes))
                                    span class="exact" { (grouped(bar.line.bytes)) }
                                }
                                td class="right soft" { (words::percent(bar.line.percent)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What stands below the name of a line.
fn reason(line: &Line, terms: &[Term]) -> Markup {
    html! {
        @if !line.why.is_empty() { p class="why" { (linked(&line.why, terms)) } }
        @if let Some(switch) = &line.switch {
            p class="why switch" {
                "Changed by: " code { (switch) }
                @if let Some(gain) = line.gain_bytes { ", could give back " (human(gain)) }
            }
        }
    }
}

/// What a line rests on, and what it is made of.
fn evidence(line: &Line) -> Markup {
    html! {
        @if !line.evidence.is_empty() || !line.parts.is_empty() {
            details {
                summary { "Evidence" span class="skip" { " for " (line.label) } }
                @for evidence in &line.evidence { (tables::evidence(evidence)) }
                @if !line.parts.is_empty() {
                    ul {
                        @for part in &line.parts {
                            li {
                                code { (part.label) } ": " (human(part.bytes))
                                @if part.count > 1 { " in " (part.count) " pieces" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the search, which is hidden if there is nothing to find.
fn search(map: &Map<'_>) -> Markup {
    html! {
        section aria-labelledby="who" role="search" hidden[map.lanes.is_empty()] {
            h2 id="who" { label for="address" { "Who owns an address?" } }
            form id="search" class="search" {
                input id="address" autocomplete="off" spellcheck="false"
                    placeholder="0x37000000, 922746880, 880M, 1.5G";
                button { "Search" }
            }
            div id="answer" class="answer" aria-live="polite" {
                p class="soft" {
                    "Type a physical address, or press a piece of the map. "
                    "A link to this page with #0x37000000 at its end answers at once."
                }
                noscript { p { "Searching and zooming need JavaScript; the table below the map does not." } }
            }
        }
    }
}

fn memory_map(explanation: &Explanation, map: &Map<'_>) -> Markup {
    let nothing = map.lanes.is_empty();
    html! {
        section aria-labelledby="map-title" {
            h2 id="map-title" { "Which address is whose" }
            @if nothing { p { "The record says nothing about addresses." } }
            div hidden[nothing] {
                p class="soft" {
                    "Low addresses on top, one column for each step of the boot. "
                    "Heights are compressed, and holes cut short."
                }
                div class="tools" {
                    button type="button" id="in" aria-label="Zoom in" { "+" }
                    button type="button" id="out" aria-label="Zoom out" { "\u{2212}" }
                    button type="button" id="whole" { "Whole map" }
                }
                div id="map" class="map" tabindex="0" role="group" aria-describedby="map-keys"
                    aria-label="Memory map; as a table below" {
                    div class="heads" {
                        @for lane in &map.lanes {
                            @let (name, what) = words::lane(*lane);
                            span title=(what) { (linked(name, &explanation.terms)) }
                        }
                    }
                    div id="axis" class="axis" aria-hidden="true" {}
                    div id="lanes" class="lanes" aria-hidden="true" {
                        svg height=(MAP) { (map.columns()) line id="mark" x1="0" x2="100%" y1="-9" y2="-9" {} }
                    }
                    div id="labels" class="labels" aria-hidden="true" {}
                }
                p id="map-keys" class="why" {
                    "In the map: + and \u{2212} zoom, arrows move, 0 shows all; "
                    "the wheel zooms once you have pressed the map, or with Ctrl."
                }
                (tables::spans(explanation))
            }
        }
    }
}
