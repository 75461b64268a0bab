// SPDX-License-Identifier: MIT OR Apache-2.0
//! The explanation as pictures: one SVG file, or one HTML page that needs nothing else.

mod bars;
mod data;
mod drawing;
mod map;
mod page;
mod palette;
mod runs;
mod scale;
mod tables;
mod terms;
mod words;

use super::model::Explanation;

/// Returns the waterfall and the memory map as an SVG file.
pub(crate) fn svg(explanation: &Explanation) -> String {
    printable(drawing::drawing(explanation).into_string())
}

/// Returns everything as one HTML page.
pub(crate) fn html(explanation: &Explanation) -> String {
    printable(page::page(explanation).into_string())
}

/// Replaces what no XML document may hold: a log may hold anything.
fn printable(text: String) -> String {
    let forbidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(forbidden) { text.replace(forbidden, "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::model::{
        Advice, Change, Evidence, Figure, Lane, Line, LineKind, Owner, Part, Prediction, Source, SourceState, Span,
        Term,
    };
    use super::*;

    /// An explanation whose every text is `text`.
    fn saying(text: &str) -> Explanation {
        let said = || text.to_owned();
        let evidence = || Evidence { source: said(), line: Some(7), text: said() };
        let line = |kind, bytes, owner| Line {
            kind,
            label: said(),
            bytes,
            percent: 1.0,
            owner,
            why: said(),
            evidence: vec![evidence()],
            switch: Some(said()),
            gain_bytes: Some(1),
            parts: vec![Part { label: said(), bytes: 1, count: 2 }],
        };
        let span = |lane, start, end, owner| Span {
            lane,
            start,
            end,
            owner,
            label: said(),
            node: Some(1),
            evidence: Some(evidence()),
        };
        Explanation {
            title: said(),
            summary: said(),
            sources: vec![Source { name: said(), state: SourceState::Partial, detail: said(), remedy: Some(said()) }],
            waterfall: vec![
                line(LineKind::Total, 1 << 30, Owner::All),
                line(LineKind::Taken, 1 << 20, Owner::CrashKernel),
                line(LineKind::Total, (1 << 30) - (1 << 20), Owner::Managed),
            ],
            map: vec![
                span(Lane::Firmware, 0, 1 << 30, Owner::All),
                span(Lane::Firmware, 1 << 40, u64::MAX, Owner::Firmware),
                span(Lane::Memblock, 64, 128, Owner::CrashKernel),
                span(Lane::Memmap, 0, 1 << 30, Owner::PageDescriptors),
            ],
            predictions: vec![Prediction {
                name: said(),
                predicted: Figure::Bytes { bytes: 1 },
                actual: None,
                difference: None,
                equal: None,
            }],
            what_if: vec![Change {
                name: said(),
                before: Figure::None,
                after: Figure::Range { start: 0, end: 1 },
                difference: Some(-1),
            }],
            advice: vec![Advice { finding: said(), action: said(), gain_bytes: Some(1) }],
            terms: vec![Term { word: said(), meaning: vec![said()], evidence: vec![evidence()] }],
        }
    }

    const HOSTILE: &str = "\u{1b}[31m</script></title></style>--><script>alert(1)</script>\"'&\0\u{ffff}]]>";

    #[test]
    fn the_picture_is_xml_whatever_the_log_says() {
        for explanation in [saying(HOSTILE), saying("calm"), Explanation::default()] {
            let text = svg(&explanation);
            let picture = roxmltree::Document::parse(&text).unwrap();
            let names: Vec<_> = picture.descendants().map(|node| node.tag_name().name().to_owned()).collect();
            assert!(names.iter().all(|name| name != "script"), "a text became an element");
            assert_eq!(picture.root_element().tag_name().namespace(), Some("http://www.w3.org/2000/svg"));
        }
    }

    #[test]
    fn the_page_has_two_scripts_whatever_the_log_says() {
        for explanation in [saying(HOSTILE), saying("calm"), Explanation::default()] {
            let page = html(&explanation);
            for name in ["script", "style", "title"] {
                let opened = page.matches(&format!("<{name}")).count();
                assert_eq!(opened, page.matches(&format!("</{name}")).count(), "{name}");
            }
            assert_eq!(page.matches("<script").count(), 2);
            assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
        }
    }

    #[test]
    fn the_page_asks_for_nothing() {
        let page = html(&saying("calm"));
        for attribute in [" src=", "@import", " style=", " onclick=", "href=\"http"] {
            assert!(!page.contains(attribute), "{attribute}");
        }
        assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    }
}
