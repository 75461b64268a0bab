// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log in which one line is another one, or missing, is not equal; and the place is named.

use crate::{captures, fixture, fixtures, lines_of, one, with_log};
use std::path::Path;
use xtask::{Capture, Report, Verdict};

/// A line that says what Linux decided, or what it was asked. Told by what it looks like, not by our parser.
fn is_relevant(text: &str) -> bool {
    const WORDS: [&str; 18] = [
        "memblock_",
        "MEMBLOCK",
        "memblock: ",
        "last_pfn",
        "nosave memory",
        "available for PCI",
        "crashkernel",
        "NODE_DATA",
        "Zone ranges",
        "Movable zone",
        "Early memory",
        "Initmem",
        "unavailable ranges",
        "K reserved",
        "SRAT: Node",
        "NUMA: Node",
        "Faking a node",
        "physical RAM map",
    ];
    const STARTS: [&str; 10] = [
        "e820: ",
        "BIOS-e820: ",
        "user: ",
        "modified: ",
        "extended: ",
        "reserve setup_data: ",
        " memory",
        " reserved",
        "  node ",
        "  DMA",
    ];
    let other = text.contains("ommand line") || text.contains("mirrored memory");
    !other && (WORDS.iter().any(|w| text.contains(w)) || STARTS.iter().any(|s| text.starts_with(s)))
}

/// One change to one line: what is altered, and the new line, none if it is dropped.
struct Mutation {
    what: String,
    line: Option<String>,
}

/// Drops the line, or alters the first, a middle or the last digit of one of its numbers.
fn mutations(line: &str) -> Vec<Mutation> {
    let mut all = vec![Mutation { what: "dropped".into(), line: None }];
    let start = line.find("] ").map_or(0, |at| at + 2);
    // The caller's offset belongs to one build of the kernel.
    let end = line.rfind(' ').filter(|at| line[*at..].contains("+0x")).unwrap_or(line.len());
    let bytes = line.as_bytes();
    let (mut at, mut number) = (start, 0);
    while at < end {
        let hex = bytes[at..].starts_with(b"0x");
        let from = if hex { at + 2 } else { at };
        let is_digit = |b: &u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        let to = from + bytes[from..end].iter().take_while(|b| is_digit(b)).count();
        // Digits in a name, such as e820, are no number.
        if to == from || !hex && at > 0 && bytes[at - 1].is_ascii_alphabetic() {
            at = to.max(at + 1);
            continue;
        }
        let mut digits = vec![from, (from + to) / 2, to - 1];
        digits.dedup();
        for digit in digits {
            let mut altered = bytes.to_vec();
            altered[digit] = match bytes[digit] {
                b'9' if !hex => b'0',
                b'9' => b'a',
                b'f' => b'0',
                digit => digit + 1,
            };
            let what = format!("number {number}, digit {}", digit - from);
            all.push(Mutation { what, line: String::from_utf8(altered).ok() });
        }
        (at, number) = (to, number + 1);
    }
    all
}

/// What no other line tells and nothing follows from.
fn is_untold(text: &str, what: &str) -> bool {
    // Of the sum, only what is present and what is reserved follow; the sizes of the kernel's parts do not.
    let sum = text.starts_with("Memory: ") && !what.starts_with("dropped");
    let told_sum = ["number 1,", "number 7,", "number 8,"].iter().any(|n| what.starts_with(n));
    // On which node a processor lies.
    let processor = text.contains(" pcpu_fc_alloc+") && what.starts_with("number 2,");
    sum && !told_sum || processor
}

/// What shows only later, in a dump: calls that reserve, of which nothing else tells.
fn shows_later(text: &str) -> bool {
    const CALLERS: [&str; 4] =
        [" setup_arch+", " efi_memattr_init+", " efi_reserve_boot_services+", " smp_scan_config+"];
    CALLERS.iter().any(|caller| text.contains(caller)) || text.starts_with("memblock_phys_free")
}

/// Returns whether the report names line `at`, counted from 1, or the place where it was, or its words.
fn names(report: &Report, at: usize, dropped: Option<&str>) -> bool {
    let near = |line: usize| line.abs_diff(at) <= 1;
    let between = |after: usize, before: usize| after < at && at <= before + usize::from(dropped.is_none());
    // Of several equal lines, any may be the one that is missing.
    let is_it = |expected: Option<&str>| expected.zip(dropped).is_some_and(|(e, d)| d.starts_with(e));
    report.unknown().iter().any(|(line, _)| near(*line))
        || report
            .mismatches()
            .iter()
            .filter(|m| m.file.is_empty())
            .any(|m| near(m.line) || m.got.is_none() && (between(m.after, m.line) || is_it(m.expected.as_deref())))
}

/// Mutates line `at`, counted from 0; returns what is wrong with the report, if anything is.
fn unnoticed(capture: &Capture, lines: &[String], at: usize, mutation: &Mutation) -> Option<String> {
    let text = text_of(&lines[at]);
    if is_untold(text, &mutation.what) {
        return None;
    }
    let mut altered = lines.to_vec();
    match &mutation.line {
        Some(line) => altered[at].clone_from(line),
        None => _ = altered.remove(at),
    }
    let report = one(&with_log(capture, &altered));
    let dropped = mutation.line.is_none().then_some(text);
    let noticed = report.verdict() != Verdict::Equal;
    let named = report.unusable().is_some() || names(&report, at + 1, dropped) || shows_later(text);
    (!noticed || !named).then(|| {
        let line = mutation.line.as_ref().unwrap_or(&lines[at]);
        format!("{}, line {}, {}: {line:?}\n{report}", capture.name, at + 1, mutation.what)
    })
}

fn is_noticed(capture: &Capture, lines: &[String], at: usize, mutation: &Mutation) {
    if let Some(wrong) = unnoticed(capture, lines, at, mutation) {
        panic!("{wrong}");
    }
}

fn text_of(line: &str) -> &str {
    line.split_once("] ").map_or(line, |(_, text)| text)
}

/// Every relevant line with each of its mutations.
fn every_mutation(capture: &Capture) -> Vec<(usize, Mutation)> {
    let lines = lines_of(capture);
    let relevant =
        lines.iter().enumerate().filter(|(_, line)| is_relevant(line.split_once("] ").map_or(line, |(_, t)| t)));
    relevant.flat_map(|(at, line)| mutations(line).into_iter().map(move |m| (at, m))).collect()
}

/// A few mutations of each capture, different ones for each.
fn sample(captures: &[Capture], each: usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for capture in captures {
        let (lines, all) = (lines_of(capture), every_mutation(capture));
        for _ in 0..each {
            let (at, mutation) = &all[next(all.len())];
            is_noticed(capture, &lines, *at, mutation);
        }
    }
    captures.len() * each
}

#[test]
fn changes_to_every_fixture() {
    assert!(sample(&captures(&fixtures()), 12) > 700);
}

#[test]
fn every_line_missing() {
    for name in ["pc-128m", "crash612-high-low", "srat-overlap-same"] {
        let capture = fixture(name);
        let lines = lines_of(&capture);
        let all = every_mutation(&capture);
        let dropped: Vec<_> = all.iter().filter(|(_, m)| m.line.is_none()).collect();
        assert!(dropped.len() > 150, "{name}");
        dropped.iter().for_each(|(at, mutation)| is_noticed(&capture, &lines, *at, mutation));
    }
}

#[test]
fn every_number_of_every_kind_of_line() {
    let capture = fixture("numa2-4g-c612");
    let lines = lines_of(&capture);
    let mut seen = std::collections::BTreeSet::new();
    for (at, mutation) in every_mutation(&capture) {
        let words: String =
            lines[at].split_once("] ").map_or("", |(_, t)| t).chars().filter(char::is_ascii_alphabetic).collect();
        let kind: String = words.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
        if seen.insert((kind, mutation.what.clone())) {
            is_noticed(&capture, &lines, at, &mutation);
        }
    }
    assert!(seen.len() > 400, "{}", seen.len());
}

/// Every mutation of every capture: minutes. `cargo test --release -p xtask --test replay -- --ignored`
#[test]
#[ignore = "takes minutes"]
fn everything() {
    let folder = std::env::var_os("BOOTMEM_ORACLE").map_or_else(fixtures, |f| Path::new(&f).to_owned());
    let mut wrong = Vec::new();
    for capture in captures(&folder) {
        let lines = lines_of(&capture);
        let all = every_mutation(&capture);
        wrong.extend(all.iter().filter_map(|(at, mutation)| unnoticed(&capture, &lines, *at, mutation)));
        println!("{}: {} changes", capture.name, all.len());
    }
    assert!(wrong.is_empty(), "{} unnoticed:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn changes_to_the_collection() {
    if let Some(folder) = std::env::var_os("BOOTMEM_ORACLE") {
        println!("{} changes", sample(&captures(Path::new(&folder)), 10));
    }
}
