// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records that are damaged, foreign or made to do harm.

use super::model::{Explanation, SourceState};
use super::record::Record;
use super::recorded::{adds_up, fixture};
use super::{explain, picture, terminal};
use crate::arguments::WhatIf;
use proptest::prelude::*;

/// Explains a record, checks what must hold for any, and draws it in every form.
fn checked(record: &Record) -> Explanation {
    let explanation = explain(record, &WhatIf::default());
    assert!(adds_up(&explanation.waterfall), "{:#?}", explanation.waterfall);
    let lanes = explanation.map.is_sorted_by(|a, b| a.lane < b.lane || a.lane == b.lane && a.end <= b.start);
    assert!(lanes, "{:#?}", explanation.map);
    let answered = !explanation.waterfall.is_empty() || explanation.sources.iter().any(|s| s.remedy.is_some());
    assert!(answered, "neither an answer nor what to type: {:#?}", explanation.sources);

    let text = terminal::text(&explanation, 80);
    assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\u{1b}'), "{text:?}");
    assert!(!picture::svg(&explanation).is_empty() && !picture::html(&explanation).is_empty());
    explanation
}

#[test]
fn what_is_no_log_says_what_to_type() {
    for (bytes, why) in [
        (&b""[..], "It is empty"),
        (b"  \n\n", "empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "no text"),
        (b"[    0.000000] Booting Linux on physical CPU 0x0\n[    0.000000] Machine model: Raspberry Pi\n", "no PC"),
        (b"Dear diary\nnothing about memory\n", "No line"),
    ] {
        let explanation = checked(&Record::from_log("it", bytes.to_vec()));
        assert!(explanation.summary.contains(why), "{}", explanation.summary);
        assert!(explanation.waterfall.is_empty());
        let log = &explanation.sources[0];
        assert_eq!((log.state, log.remedy.is_some()), (SourceState::Missing, true));
    }
}

/// What is left of a log whose oldest lines were overwritten, and of one that ends anywhere, even within a line.
#[test]
fn logs_without_beginning_or_end() {
    let whole = fixture("pc-2g-plain");
    for at in (0..whole.dmesg.len()).step_by(whole.dmesg.len() / 97) {
        checked(&Record { dmesg: whole.dmesg[at..].to_vec(), ..whole.clone() });
        checked(&Record { dmesg: whole.dmesg[..at].to_vec(), ..whole.clone() });
    }
    let late = Record { dmesg: whole.dmesg[whole.dmesg.len() / 2..].to_vec(), ..Record::default() };
    assert_eq!(checked(&late).sources[0].state, SourceState::Partial);
}

/// The same machine without a log: from the files that need no root.
#[test]
fn the_files_of_proc_alone() {
    let whole = fixture("pc-2g-files");
    let explanation = checked(&Record { dmesg: Vec::new(), ..whole.clone() });
    assert_eq!(explanation.waterfall.last().unwrap().bytes, 1_896_208 << 10);
    assert!(explanation.map.iter().any(|span| span.label == "Crash kernel"));
    for (missing, record) in [
        ("iomem", Record { iomem: String::new(), ..whole.clone() }),
        ("zoneinfo", Record { zoneinfo: String::new(), ..whole.clone() }),
        ("meminfo", Record { meminfo: String::new(), ..whole.clone() }),
        ("firmware_map", Record { firmware_map: String::new(), dmi: Vec::new(), ..whole }),
    ] {
        assert_eq!(checked(&record).waterfall.last().unwrap().bytes, 1_896_208 << 10, "without {missing}");
    }
}

/// What a byte of a file may turn into: digits and signs of numbers, line ends, and anything.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![proptest::sample::select(b"0f9x-[]: \n=,".to_vec()), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_records_are_explained_as_far_as_they_go(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), byte()), 1..60),
        file in 0..6,
        names in proptest::sample::select(vec!["pc-2g-plain", "crash-high-low", "uefi-q35-2g-debug", "pc-2g-files", "numa4-dist"]),
    ) {
        let mut record = fixture(names);
        let change = |text: &mut Vec<u8>| {
            for (at, byte) in damage.iter().filter(|_| !text.is_empty()).collect::<Vec<_>>() {
                let at = at.index(text.len());
                text[at] = *byte;
            }
        };
        let of_text = |text: &mut String| {
            let mut bytes = std::mem::take(text).into_bytes();
            change(&mut bytes);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        };
        match file {
            0 => of_text(&mut record.iomem),
            1 => of_text(&mut record.zoneinfo),
            2 => of_text(&mut record.meminfo),
            3 => of_text(&mut record.firmware_map),
            4 => change(&mut record.dmi),
            _ => change(&mut record.dmesg),
        }
        checked(&record);
    }

    #[test]
    fn lines_in_any_order_are_explained_as_far_as_they_go(seed in any::<u64>(), keep in 1..20u64) {
        let record = fixture("crash-high-low");
        let text = String::from_utf8_lossy(&record.dmesg).into_owned();
        let mut lines: Vec<&str> = text.lines().collect();
        let mut state = seed | 1;
        let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
        lines.retain(|_| next() % 20 < keep);
        for i in (1..lines.len()).rev() {
            lines.swap(i, next() as usize % (i + 1));
        }
        checked(&Record { dmesg: lines.join("\n").into_bytes(), ..record });
    }
}
