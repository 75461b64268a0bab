// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables of the page.

use super::terms::{anchor, linked};
use super::words;
use crate::explain::amount::human;
use crate::explain::model::{Evidence, Explanation, Figure, SourceState};
use maud::{Markup, html};

/// Returns the words a figure rests on, and where they stand.
pub(super) fn evidence(evidence: &Evidence) -> Markup {
    html! {
        code class="evidence" {
            @if !evidence.text.is_empty() { (evidence.text) "\n" }
            span class="soft" { (evidence.source) @if let Some(line) = evidence.line { ", line " (line) } }
        }
    }
}

/// Returns the head of a table: names of columns of words, then of columns of figures.
pub(super) fn head(words: &[&str], figures: &[&str]) -> Markup {
    html! {
        thead {
            tr {
                @for name in words { th scope="col" { (name) } }
                @for name in figures { th scope="col" class="right" { (name) } }
            }
        }
    }
}

/// Returns a figure; the addresses of a range stand below its size.
fn figure(figure: &Figure) -> Markup {
    html! {
        @match figure {
            Figure::Bytes { bytes } => (human(*bytes)),
            Figure::Range { start, end } => {
                (human(end.saturating_sub(*start)))
                span class="exact" { (format!("{start:#x}")) "-" wbr; (format!("{:#x}", end.saturating_sub(1))) }
            },
            Figure::None => "none",
        }
    }
}

/// Returns what the user could do, or nothing.
pub(super) fn advice(explanation: &Explanation) -> Markup {
    let terms = &explanation.terms;
    html! {
        @if !explanation.advice.is_empty() {
            section aria-labelledby="advice" {
                h2 id="advice" { "What you could change" }
                ul class="cards" {
                    @for advice in &explanation.advice {
                        li {
                            p { (linked(&advice.finding, terms)) }
                            p {
                                b { (linked(&advice.action, terms)) }
                                @if let Some(gain) = advice.gain_bytes { " Gives back up to " (human(gain)) "." }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns what other settings would change, or nothing.
pub(super) fn what_if(explanation: &Explanation) -> Markup {
    html! {
        @if !explanation.what_if.is_empty() {
            section aria-labelledby="what-if" {
                h2 id="what-if" { "What if" }
                div class="scroll" {
                    table {
                        (head(&["Figure"], &["Now", "Then", "Difference"]))
                        tbody {
                            @for change in &explanation.what_if {
                                tr {
                                    th scope="row" { (linked(&change.name, &explanation.terms)) }
                                    td class="right" { (figure(&change.before)) }
                                    td class="right" { (figure(&change.after)) }
                                    td class="right" { (change.difference.map(words::signed).unwrap_or_default()) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns what our crates predict next to what the machine said, or nothing.
pub(super) fn predictions(explanation: &Explanation) -> Markup {
    html! {
        @if !explanation.predictions.is_empty() {
            section aria-labelledby="predictions" {
                h2 id="predictions" { "Predicted and found" }
                p class="soft" { "From the firmware's map and the command line alone, next to what the machine said." }
                div class="scroll" {
                    table {
                        (head(&["Figure"], &["Predicted", "Found", "Difference"]))
                        tbody {
                            @for row in &explanation.predictions {
                                tr {
                                    th scope="row" { (linked(&row.name, &explanation.terms)) }
                                    td class="right" { (figure(&row.predicted)) }
                                    td class="right" {
                                        @match &row.actual { Some(actual) => (figure(actual)), None => "not recorded" }
                                    }
                                    td class="right" {
                                        @match (row.equal, row.difference) {
                                            (Some(true), _) => span class="state-found" { "equal" },
                                            (_, Some(difference)) => (words::signed(difference)),
                                            (Some(false), None) => span class="state-missing" { "differs" },
                                            (None, None) => "",
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns what was read and what is missing.
pub(super) fn sources(explanation: &Explanation) -> Markup {
    html! {
        @if !explanation.sources.is_empty() {
            @let remedies = explanation.sources.iter().any(|source| source.remedy.is_some());
            section aria-labelledby="sources" {
                h2 id="sources" { "Where this comes from" }
                div class="scroll" {
                    table {
                        (head(&["Record", "State", "What it gave", "To get it"][..if remedies { 4 } else { 3 }], &[]))
                        tbody {
                            @for source in &explanation.sources {
                                tr {
                                    th scope="row" { code { (source.name) } }
                                    @match source.state {
                                        SourceState::Found => td class="state-found" { "found" },
                                        SourceState::Partial => td class="state-partial" { "partly" },
                                        SourceState::Missing => td class="state-missing" { "missing" },
                                    }
                                    td { (source.detail) }
                                    @if remedies { td { @if let Some(remedy) = &source.remedy { code { (remedy) } } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the words and what they mean.
pub(super) fn terms(explanation: &Explanation) -> Markup {
    html! {
        @if !explanation.terms.is_empty() {
            section aria-labelledby="terms" {
                h2 id="terms" { "The words" }
                dl class="terms" {
                    @for term in &explanation.terms {
                        dt id=(anchor(&term.word)) tabindex="-1" { (term.word) }
                        dd {
                            @for line in &term.meaning { (linked(line, &[])) " " }
                            @for said in &term.evidence { (evidence(said)) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the map as a table, for those who cannot see the picture.
pub(super) fn spans(explanation: &Explanation) -> Markup {
    html! {
        details {
            summary { "The map as a table (" (explanation.map.len()) " pieces)" }
            div class="scroll" {
                table {
                    (head(&["Column", "Addresses", "What", "Node"], &["Size"]))
                    tbody {
                        @for span in &explanation.map {
                            tr {
                                td { (words::lane(span.lane).0) }
                                td { code { (words::range(span.start, span.end)) } }
                                td { (span.label) }
                                td { @if let Some(node) = span.node { (node) } }
                                td class="right" { (human(span.end.saturating_sub(span.start))) }
                            }
                        }
                    }
                }
            }
        }
    }
}
