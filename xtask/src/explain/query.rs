// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who has an address, and what a word means.

use super::amount::{self, human};
use super::model::{Explanation, Lane, Span, Term};
use super::terminal::{printable, quote, words as owner_words};
use super::terms;
use std::fmt::Write as _;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Query {
    Address(u64),
    Word(String),
}

impl Query {
    /// Reads an address or a word, or says what there is.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(address) = amount::parse(text) {
            return Ok(Self::Address(address));
        }
        let word = text.trim_end_matches('=').to_lowercase();
        if terms::words().any(|known| known == word) {
            return Ok(Self::Word(word));
        }
        let known: Vec<&str> = terms::words().collect();
        Err(format!(
            "`{text}` is no file, no address such as 0x37000000 or 1G, and none of the words {}",
            known.join(", ")
        ))
    }

    /// Returns the answer.
    pub(super) fn answer(&self, explanation: &Explanation) -> String {
        match self {
            Self::Address(address) => address_answer(*address, &explanation.map),
            Self::Word(word) => {
                explanation.terms.iter().find(|term| term.word == *word).map(term_answer).unwrap_or_default()
            }
        }
    }
}

fn address_answer(address: u64, map: &[Span]) -> String {
    let mut text = String::new();
    let spans: Vec<&Span> = map.iter().filter(|span| (span.start..span.end).contains(&address)).collect();
    _ = writeln!(text, "{address:#x} ({})", human(address));
    let Some(best) = spans.iter().max_by_key(|span| rank(span)) else {
        let words =
            if map.is_empty() { "the record has no map of memory" } else { "no memory: no range of any map covers it" };
        _ = writeln!(text, "  {words}");
        return text;
    };
    _ = writeln!(text, "  belongs to: {} - {}", printable(&best.label), owner_words(best.owner));
    for span in spans {
        let node = span.node.map_or_else(String::new, |node| format!(", node {node}"));
        let range = format!("[{:#x}-{:#x}] {}", span.start, span.end - 1, human(span.end - span.start));
        _ = writeln!(text, "  {:<12} {range}{node}: {}", lane(span.lane), printable(&span.label));
        if let Some(evidence) = &span.evidence {
            _ = writeln!(text, "               {}", quote(evidence));
        }
    }
    text
}

/// A reservation says more than the zone it lies in, and that more than a map.
const fn rank(span: &Span) -> u8 {
    use super::model::Owner;
    match (span.lane, span.owner) {
        (Lane::Crashkernel, _) => 6,
        (Lane::Memblock, owner) if !matches!(owner, Owner::All) => 5,
        (Lane::Buddy, _) => 4,
        (Lane::Firmware, Owner::Firmware) => 3,
        (Lane::Memblock, _) => 2,
        (Lane::Memmap, _) => 1,
        _ => 0,
    }
}

const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Firmware => "firmware",
        Lane::E820 => "e820",
        Lane::Memblock => "memblock",
        Lane::Crashkernel => "crashkernel",
        Lane::Memmap => "zone",
        Lane::Buddy => "buddy",
    }
}

fn term_answer(term: &Term) -> String {
    let mut text = format!("{}\n", term.word);
    for line in &term.meaning {
        _ = writeln!(text, "  {line}");
    }
    for evidence in &term.evidence {
        _ = writeln!(text, "  here: {}", quote(evidence));
    }
    if term.evidence.is_empty() {
        text.push_str("  here: no line of the record is about it\n");
    }
    text
}
