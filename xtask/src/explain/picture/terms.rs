// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words that lead to their explanation, and words that are code.

use crate::explain::model::Term;
use maud::{Markup, html};

/// Returns the name of the place where a word is explained.
pub(super) fn anchor(word: &str) -> String {
    let plain = word.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    format!("term-{}", plain.collect::<String>())
}

/// Returns `text`, with what stands between two backticks as code, and with a link at each word that is explained; a pointer
/// that rests on it shows the first line.
pub(super) fn linked(text: &str, terms: &[Term]) -> Markup {
    // Every other piece is code, but for one that no backtick closes.
    let closed = text.matches('`').count();
    html! {
        @for (i, piece) in text.split('`').enumerate() {
            @match i % 2 {
                1 if i < closed => code { (links(piece, terms)) },
                1 => { "`" (links(piece, terms)) },
                _ => (links(piece, terms)),
            }
        }
    }
}

fn links(text: &str, terms: &[Term]) -> Markup {
    let mut rest = text;
    let mut parts = Vec::new();
    while let Some((at, term)) = next_term(rest, terms) {
        let (before, word) = rest.split_at(at);
        let (word, after) = word.split_at(term.word.len());
        parts.push((before, Some((word, term))));
        rest = after;
    }
    parts.push((rest, None));
    html! {
        @for (before, link) in parts {
            (before)
            @if let Some((word, term)) = link {
                a class="term" href={ "#" (anchor(&term.word)) } title=[term.meaning.first()] { (word) }
            }
        }
    }
}

/// Returns the first whole word of `text` that is explained; of several the longest.
fn next_term<'t>(text: &str, terms: &'t [Term]) -> Option<(usize, &'t Term)> {
    let mut before = None;
    for (at, c) in text.char_indices() {
        if !before.is_some_and(in_word) && in_word(c) {
            let here = terms.iter().filter(|term| starts_with_word(&text[at..], &term.word));
            if let Some(term) = here.max_by_key(|term| term.word.len()) {
                return Some((at, term));
            }
        }
        before = Some(c);
    }
    None
}

fn starts_with_word(text: &str, word: &str) -> bool {
    let start = text.get(..word.len());
    !word.is_empty()
        && start.is_some_and(|start| start.eq_ignore_ascii_case(word))
        && !text[word.len()..].starts_with(in_word)
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(word: &str) -> Term {
        Term { word: word.to_owned(), meaning: vec![format!("<{word}> means this.")], evidence: Vec::new() }
    }

    #[test]
    fn whole_words_become_links() {
        let terms = [term("crash kernel"), term("crash"), term("page")];
        let link = |anchor: &str, word: &str, of: &str| {
            format!("<a class=\"term\" href=\"#term-{anchor}\" title=\"&lt;{of}&gt; means this.\">{word}</a>")
        };
        let linked = |text: &str| linked(text, &terms).into_string();
        let expected = format!(
            "The {} &amp; a {}.",
            link("crash-kernel", "Crash kernel", "crash kernel"),
            link("page", "page", "page")
        );
        assert_eq!(linked("The Crash kernel & a page."), expected);
        assert_eq!(linked("homepage pages page_size ü <b>"), "homepage pages page_size ü &lt;b&gt;");
        assert_eq!(linked(""), "");
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        let linked = |text: &str| linked(text, &[term("page")]).into_string();
        let page = "<a class=\"term\" href=\"#term-page\" title=\"&lt;page&gt; means this.\">page</a>";
        assert_eq!(linked("a `page`, `<b>`"), format!("a <code>{page}</code>, <code>&lt;b&gt;</code>"));
        assert_eq!(linked("``a` b"), "<code></code>a` b", "no other closes the third");
    }
}
