// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files beside a log that tell of the page allocator: each figure of them counts.

use crate::{captures, fixture, fixtures, one};
use xtask::{Capture, Fact, Report, Verdict};

type File = fn(&mut Capture) -> &mut Option<Vec<u8>>;

const HANDOVER: (&str, File) = ("handover.json", |c| &mut c.handover);
const PAGES: (&str, File) = ("handover_pages.txt", |c| &mut c.handover_pages);
const PAGEMAP: (&str, File) = ("pagemap_rle.txt", |c| &mut c.pagemap);
const ZONEINFO: (&str, File) = ("zoneinfo.txt", |c| &mut c.zoneinfo);

fn lines(capture: &mut Capture, file: File) -> Vec<String> {
    String::from_utf8_lossy(file(capture).as_ref().unwrap()).lines().map(str::to_owned).collect()
}

/// Replays a capture with another file.
fn with(capture: &Capture, file: File, lines: &[String]) -> Report {
    let mut altered = capture.clone();
    *file(&mut altered) = Some(lines.join("\n").into_bytes());
    one(&altered)
}

/// The report names the line, counted from 1, or one next to it.
fn is_named(report: &Report, file: &str, line: usize, change: &str) {
    let names = report.mismatches().iter().any(|m| m.file == file && m.line.abs_diff(line) <= 1);
    assert!(report.verdict() == Verdict::Different && names, "{file}, line {line}, {change}: {report}");
}

/// Adds one to each number of a line, the digits of which are `is_digit`; yields the number's place and the new line.
fn altered(line: &str, is_digit: fn(&char) -> bool) -> Vec<(usize, String)> {
    let words: Vec<(usize, &str)> = line
        .split([' ', '-', ',', '(', ')', ':', '}'])
        .scan(0, |at, word| {
            let start = *at;
            *at += word.len() + 1;
            Some((start, word))
        })
        .collect();
    let numbers = words.into_iter().filter(|(_, word)| !word.is_empty() && word.chars().all(|c| is_digit(&c)));
    let change = |(at, word): (usize, &str)| {
        let last = match word.chars().last() {
            Some('9') => '0',
            Some('f') => 'e',
            last => char::from(last.unwrap_or('0') as u8 + 1),
        };
        let end = at + word.len();
        (at, format!("{}{last}{}", &line[..end - 1], &line[end..]))
    };
    numbers.map(change).collect()
}

#[test]
fn the_files_are_compared() {
    let captures: Vec<_> = captures(&fixtures()).into_iter().filter(|c| c.handover_pages.is_some()).collect();
    assert!(captures.len() >= 20);
    for capture in captures.iter().filter(|c| c.name != "efi-mirror") {
        let report = one(capture);
        assert_eq!(report.verdict(), Verdict::Equal, "{report}");
        assert!(report.count(Fact::Frames) > 60_000 && report.count(Fact::Zones) > 15, "{report}");
    }
}

#[test]
fn a_state_that_is_another_one() {
    for name in ["pc-128m", "mem-numa", "movablecore-1g"] {
        let mut capture = fixture(name);
        let all = lines(&mut capture, PAGEMAP.1);
        for (i, line) in all.iter().enumerate() {
            let change = |new: Vec<String>, change: &str| {
                let mut altered = all.clone();
                altered.splice(i..=i, new);
                is_named(&with(&capture, PAGEMAP.1, &altered), PAGEMAP.0, i + 1, change);
            };
            change(vec![], "dropped");
            for (at, new) in altered(line, char::is_ascii_hexdigit) {
                change(vec![new], &format!("number at {at}"));
            }
            let (range, state) = line.split_once(' ').unwrap();
            for other in ["ram", "reserved", "nopage", "offline"].into_iter().filter(|other| *other != state) {
                // What was freed since the hand-over may just as well be told as reserved; then the sum is wrong.
                change(vec![format!("{range} {other}")], other);
            }
        }
    }
}

#[test]
fn a_descriptor_that_is_another_one() {
    let mut capture = fixture("pc-128m");
    let all = lines(&mut capture, PAGES.1);
    assert!(all.len() > 60);
    for (i, line) in all.iter().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let flags = u64::from_str_radix(words[1], 16).unwrap();
        let with_flags = |flags: u64| [words[0], &format!("{flags:x}"), words[2], words[3], words[4]].join(" ");
        let mut changes = vec![vec![]];
        changes.extend([1 << 54, 1 << 51, 1 << 12].map(|bit| vec![with_flags(flags ^ bit)]));
        changes.extend(
            altered(words[0], char::is_ascii_hexdigit)
                .into_iter()
                .map(|(_, range)| vec![[&range, words[1], words[2], words[3], words[4]].join(" ")]),
        );
        changes.push(vec![[words[0], words[1], words[2], words[3], "2"].join(" ")]);
        changes.push(vec![[words[0], words[1], words[2], "fffffffe", words[4]].join(" ")]);
        changes.push(vec![[words[0], words[1], "b", words[3], words[4]].join(" ")]);
        changes.push(vec![with_flags(flags ^ (1 << 30))]);
        for new in changes {
            let (mut altered, change) = (all.clone(), format!("{line} -> {new:?}"));
            altered.splice(i..=i, new);
            is_named(&with(&capture, PAGES.1, &altered), PAGES.0, i + 1, &change);
        }
    }
}

#[test]
fn a_figure_of_a_zone_that_is_another_one() {
    for name in ["numa2-fake4", "kernelcore-512m", "pc-2g-c612"] {
        let mut capture = fixture(name);
        let all = lines(&mut capture, ZONEINFO.1);
        let told = ["spanned", "present", "managed", "start_pfn:"];
        for (i, line) in all.iter().enumerate() {
            if told.contains(&line.split_whitespace().next().unwrap_or_default()) {
                let mut altered_lines = all.clone();
                altered_lines[i] = altered(line, char::is_ascii_digit).remove(0).1;
                is_named(&with(&capture, ZONEINFO.1, &altered_lines), ZONEINFO.0, i + 1, &altered_lines[i]);
            }
        }
    }
}

/// Places of numbers in a text; digits in a name, such as DMA32, are none.
fn numbers(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match found.last_mut().filter(|last| last.end == at) {
            Some(last) => last.end = at + 1,
            None => found.push(at..at + 1),
        }
    }
    found.retain(|number| number.start == 0 || !bytes[number.start - 1].is_ascii_alphabetic());
    found
}

/// Each number of the state of the allocator: limits, zones, free blocks, their lists, what their neighbourhood is for.
#[test]
fn a_number_of_the_allocator_that_is_another_one() {
    for (name, each) in [("pc-128m", 1), ("numa2-4g-c612", 5), ("numa2-fake4", 7), ("e820-ext", 11)] {
        let mut capture = fixture(name);
        let all = lines(&mut capture, HANDOVER.1);
        let places = numbers(&all[0]);
        assert!(places.len() > 100, "{name}");
        for place in places.iter().step_by(each) {
            let number: u64 = all[0][place.clone()].parse().unwrap();
            for other in [number + 1, number.wrapping_sub(1)].map(|other| other.to_string()) {
                let new = format!("{}{other}{}", &all[0][..place.start], &all[0][place.end..]);
                let change = format!("{name}: {} -> {other}", &all[0][place.start.saturating_sub(40)..place.end]);
                is_named(&with(&capture, HANDOVER.1, &[new]), HANDOVER.0, 1, &change);
            }
        }
    }
}

#[test]
fn a_list_in_another_order() {
    let mut capture = fixture("pc-128m");
    let all = lines(&mut capture, HANDOVER.1);
    let swapped = all[0].replace("[1024,2048,3072]", "[2048,1024,3072]");
    assert_ne!(swapped, all[0]);
    is_named(&with(&capture, HANDOVER.1, &[swapped]), HANDOVER.0, 1, "order");
}

#[test]
fn a_watermark_that_is_another_one() {
    for name in ["pc-128m", "numa2-4g-c612", "movablecore-1g"] {
        let mut capture = fixture(name);
        let all = lines(&mut capture, ZONEINFO.1);
        let mut changes = 0;
        for (i, line) in all.iter().enumerate() {
            let told = ["min", "low", "high", "protection:"];
            if !told.contains(&line.split_whitespace().next().unwrap_or_default()) {
                continue;
            }
            // The last of the reserves is for zone Device, which nobody has.
            let figures = altered(line, char::is_ascii_digit);
            let known = if line.contains("protection") { figures.len() - 1 } else { figures.len() };
            for (_, new) in figures.into_iter().take(known) {
                let mut altered_lines = all.clone();
                altered_lines[i] = new;
                let report = with(&capture, ZONEINFO.1, &altered_lines);
                if report.verdict() == Verdict::Different {
                    is_named(&report, ZONEINFO.0, i + 1, line);
                    changes += 1;
                } else {
                    // A zone without pages has no marks that mean anything.
                    let start = all[..i].iter().rposition(|l| l.starts_with("Node ")).unwrap();
                    let managed = all[start..].iter().find(|l| l.trim_start().starts_with("managed")).unwrap();
                    assert!(managed.ends_with(" 0"), "{name}, line {}: {line}", i + 1);
                }
            }
        }
        assert!(changes > 10, "{name}: {changes}");
    }
}

#[test]
fn a_file_that_is_damaged() {
    let capture = fixture("pc-128m");
    for (name, file) in [HANDOVER, PAGES, PAGEMAP, ZONEINFO] {
        for bytes in [&b""[..], b"\0\xff", b"{\"nodes\":3}", b"ffffffffffffffff-0 ram\n1-2"] {
            let mut capture = capture.clone();
            *file(&mut capture) = Some(bytes.to_vec());
            assert_eq!(one(&capture).verdict(), Verdict::Different, "{name}: {bytes:?}");
        }
    }
}
