// SPDX-License-Identifier: MIT OR Apache-2.0
//! What our crates predict, next to what the machine reported; and what other settings would change.

use super::claims::Claims;
use super::compute::{Computed, Zone};
use super::facts::Facts;
use super::model::{Change, Figure, Prediction};
use super::proc::frames;
use super::share::Share;
use super::waterfall::MEM_TOTAL;
use handoff::PhysRange;

/// Compares what was computed with the record.
pub(super) fn predictions(facts: &Facts<'_>, claims: Option<&Claims>, computed: &Computed) -> Vec<Prediction> {
    let actual = |is_low| facts.crash.iter().find(|(area, _)| area.is_low == is_low).map(|(area, _)| area.range);
    let knows_crash = facts.handover.is_some() || !facts.areas.is_empty();
    let mut rows = Vec::new();
    for (name, predicted, actual) in [
        (Share::Crash.about().label, computed.crash, actual(false)),
        (Share::CrashLow.about().label, computed.crash_low, actual(true)),
    ] {
        if predicted.is_some() || actual.is_some() {
            rows.push(row(name.into(), range(predicted), knows_crash.then(|| range(actual))));
        }
    }
    for zone in &computed.zones {
        let (node, name) = (u32::from(zone.span.node), zone.span.kind.name());
        let reported = facts.zones.iter().find(|z| z.node == node && z.name == name);
        for (what, predicted, actual) in [
            ("spanned", zone.span.spanned, reported.map(|z| z.spanned)),
            ("present", zone.span.present, reported.map(|z| z.present)),
            ("managed", zone.managed, reported.map(|z| z.managed)),
        ] {
            let actual = actual.map(|count| Figure::Bytes { bytes: frames(count) });
            rows.push(row(
                format!("Node {node}, zone {name}: {what}"),
                Figure::Bytes { bytes: frames(predicted) },
                actual,
            ));
        }
    }
    let descriptors = claims.map(|claims| {
        claims.iter().filter(|(_, o)| o.share == Share::Descriptors).map(|(range, _)| range.size()).sum()
    });
    let bytes = |bytes| Figure::Bytes { bytes };
    rows.push(row(Share::Descriptors.about().label.into(), bytes(computed.descriptor_bytes), descriptors.map(bytes)));
    let total = facts.mem_total.as_ref().map(|(total, _)| bytes(*total));
    rows.push(row(MEM_TOTAL.into(), bytes(computed.managed_bytes), total));
    rows
}

/// Compares two settings.
pub(super) fn changes(before: &Computed, after: &Computed) -> Vec<Change> {
    let ram = |c: &Computed| c.map.ledger.firmware_ram;
    let of_kind = |c: &Computed, name: &str, figure: fn(&Zone) -> u64| -> u64 {
        c.zones.iter().filter(|z| z.span.kind.name() == name).map(figure).map(frames).sum()
    };
    let mut rows = vec![
        change("RAM in the firmware's map", bytes(ram(before)), bytes(ram(after))),
        change("Crash kernel", range(before.crash), range(after.crash)),
        change("Crash kernel, low part", range(before.crash_low), range(after.crash_low)),
        change("Crash kernel, together", bytes(crash_bytes(before)), bytes(crash_bytes(after))),
        change("Page descriptors", bytes(before.descriptor_bytes), bytes(after.descriptor_bytes)),
    ];
    for name in ["DMA", "DMA32", "Normal"] {
        let managed = |c: &Computed| of_kind(c, name, |z| z.managed);
        rows.push(change(&format!("Zone {name}: managed"), bytes(managed(before)), bytes(managed(after))));
    }
    rows.push(change(MEM_TOTAL, bytes(before.managed_bytes), bytes(after.managed_bytes)));
    rows.retain(|row| row.before != row.after || row.name == MEM_TOTAL);
    rows
}

pub(super) fn crash_bytes(computed: &Computed) -> u64 {
    [computed.crash, computed.crash_low].into_iter().flatten().map(PhysRange::size).sum()
}

fn bytes(bytes: u64) -> Figure {
    Figure::Bytes { bytes }
}

fn range(range: Option<PhysRange>) -> Figure {
    range.map_or(Figure::None, |r| Figure::Range { start: r.start(), end: r.end() })
}

fn row(name: String, predicted: Figure, actual: Option<Figure>) -> Prediction {
    let difference = actual.as_ref().and_then(|actual| difference(actual, &predicted));
    let equal = actual.as_ref().map(|actual| *actual == predicted);
    Prediction { name, predicted, actual, difference, equal }
}

fn change(name: &str, before: Figure, after: Figure) -> Change {
    Change { name: name.to_owned(), difference: difference(&before, &after), before, after }
}

/// Returns the second figure minus the first.
fn difference(before: &Figure, after: &Figure) -> Option<i64> {
    let (Figure::Bytes { bytes: before }, Figure::Bytes { bytes: after }) = (before, after) else { return None };
    i64::try_from(i128::from(*after) - i128::from(*before)).ok()
}
