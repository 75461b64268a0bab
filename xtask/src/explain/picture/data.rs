// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the page's script needs to know: the map, as JSON inside the page.

use super::map::Map;
use super::palette::Paint;
use super::runs::BEST_FIRST;
use super::words;
use crate::explain::amount::human;
use crate::explain::model::{Explanation, Lane};
use serde_json::{Value, json};

/// Returns the JSON, safe inside a `script` element. Addresses are text: a script's numbers hold 53 bits only.
pub(super) fn data(explanation: &Explanation, map: &Map<'_>) -> String {
    let spans = explanation.map.iter().map(|span| {
        json!({
            "lane": words::lane(span.lane).0,
            "rank": BEST_FIRST.iter().position(|lane| *lane == span.lane).map_or(Value::Null, Value::from),
            "zone": span.lane == Lane::Memmap,
            "start": hex(span.start),
            "end": hex(span.end),
            "range": words::range(span.start, span.end),
            "size": human(span.end.saturating_sub(span.start)),
            "owner": Paint::of_span(span).words,
            "label": span.label,
            "node": span.node,
            "evidence": span.evidence,
        })
    });
    let stretches = map.scale.stretches.iter().map(|stretch| {
        json!({
            "start": hex(stretch.range.start()),
            "end": hex(stretch.range.end()),
            "size": human(stretch.range.size()),
            "hole": stretch.ground == super::scale::Ground::Hole,
            "top": stretch.top,
            "bottom": stretch.bottom,
        })
    });
    let runs = map.runs.iter().map(|run| {
        json!({
            "top": map.scale.y(run.range.start()),
            "bottom": map.scale.y(run.range.end()),
            "label": run.span.label,
            "bytes": run.range.size() as f64,
            "size": human(run.range.size()),
            "paint": Paint::of_span(run.span).name,
        })
    });
    let data = json!({
        "spans": spans.collect::<Vec<_>>(),
        "stretches": stretches.collect::<Vec<_>>(),
        "runs": runs.collect::<Vec<_>>(),
        "height": map.scale.height(),
    });
    // `<` would let a line of a log end the element; in JSON it stands in strings only.
    data.to_string().replace('<', "\\u003c")
}

fn hex(address: u64) -> String {
    format!("{address:#x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::model::{Owner, Span};

    #[test]
    fn a_line_of_a_log_cannot_end_the_element() {
        let span = Span {
            lane: Lane::Firmware,
            start: 0x1000,
            end: u64::MAX,
            owner: Owner::All,
            label: "</script><script>alert(1)</script><!--".to_owned(),
            node: None,
            evidence: None,
        };
        let explanation = Explanation { map: vec![span], ..Explanation::default() };
        let text = data(&explanation, &Map::new(&explanation, 100.0));
        assert!(!text.contains('<'));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["spans"][0]["label"], explanation.map[0].label);
        assert_eq!(read["spans"][0]["end"], "0xffffffffffffffff");
    }
}
