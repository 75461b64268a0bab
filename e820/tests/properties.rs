// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random tables against a model that knows the type of each byte of a small address space.

use e820::{Error, Table, apply_parameters, ram_lost};
use handoff::{MemoryKind, PhysRange, Quiet, RawEntry, Rules};
use proptest::{collection::vec, prelude::*, sample::select};

/// Bytes of the address space of the model.
const SPACE: u64 = 64;
const PRAM: u32 = 12;
const SOFT_RESERVED: u32 = 0xefff_ffff;

type Row = (u64, u64, u32);

fn kind() -> impl Strategy<Value = u32> {
    select(&[0, 1, 1, 1, 2, 3, 4, 5, 7, PRAM, 99, 128, SOFT_RESERVED][..])
}

fn row() -> impl Strategy<Value = Row> {
    (0..SPACE, 0..SPACE, kind()).prop_map(|(start, size, kind)| (start, size.min(SPACE - start), kind))
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    vec(row(), 0..12)
}

fn table(rows: &[Row]) -> Table<64> {
    Table::from_entries(rows.iter().map(|&(addr, size, kind)| RawEntry { addr, size, kind: MemoryKind(kind) })).unwrap()
}

fn entries(table: &Table<64>) -> Vec<Row> {
    table.entries().iter().map(|e| (e.addr, e.size, e.kind.0)).collect()
}

/// Returns the type of each byte: the highest that covers it, 0 for a hole.
fn bytes(rows: &[Row]) -> Vec<u32> {
    let kinds = |at| rows.iter().filter(move |&&(start, size, _)| start <= at && at < start + size);
    (0..SPACE).map(|at| kinds(at).map(|r| r.2).max().unwrap_or(0)).collect()
}

/// Returns the table that `sanitize` must make: runs of equal bytes, and for two types cut at every edge.
fn model(rows: &[Row]) -> Vec<Row> {
    let is_edge = |at: u64| rows.iter().any(|&(start, size, _)| size > 0 && (start == at || start + size == at));
    let mut runs: Vec<Row> = Vec::new();
    for (at, kind) in (0u64..).zip(bytes(rows)) {
        let cut = matches!(kind, PRAM | SOFT_RESERVED) && is_edge(at);
        match runs.last_mut() {
            Some((start, size, k)) if *k == kind && *start + *size == at && !cut => *size += 1,
            _ => runs.push((at, 1, kind)),
        }
    }
    runs.retain(|r| r.2 != 0);
    runs
}

fn sanitized(rows: &[Row]) -> Table<64> {
    let mut t = table(rows);
    let _ = t.sanitize(); // fewer than 2 entries are as they should be, but for an empty one
    t
}

fn bytes_of(rows: &[Row], kind: u32) -> u64 {
    rows.iter().filter(|r| r.2 == kind).map(|r| r.1).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sanitize_is_the_model(rows in rows()) {
        let mut t = table(&rows);
        let result = t.sanitize();
        if rows.len() < 2 {
            prop_assert_eq!(result, Err(Error::TooFewEntries { entries: rows.len() }));
            prop_assert_eq!(entries(&t), rows);
        } else {
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(entries(&t), model(&rows));
        }
    }

    #[test]
    fn sanitize_does_not_depend_on_the_order(
        (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        prop_assert_eq!(sanitized(&rows), sanitized(&shuffled));
    }

    #[test]
    fn sanitize_twice_is_once(rows in rows()) {
        let mut t = sanitized(&rows);
        let once = t.clone();
        let _ = t.sanitize();
        prop_assert_eq!(t, once);
    }

    #[test]
    fn sanitize_anywhere_in_64_bits(rows in vec(row(), 2..12), base in select(&[0, 1 << 34, 1 << 52, u64::MAX - SPACE][..])) {
        let moved = |rows: &[Row]| rows.iter().map(|r| (base + r.0, r.1, r.2)).collect::<Vec<_>>();
        prop_assert_eq!(entries(&sanitized(&moved(&rows))), moved(&model(&rows)));
    }

    #[test]
    fn update_moves_exactly_what_it_returns(rows in rows(), start in 0..SPACE, size in 0..SPACE, old in kind(), new in kind()) {
        prop_assume!(old != new);
        let mut t = table(&rows);
        let changed = t.range_update(start, size, MemoryKind(old), MemoryKind(new)).unwrap();
        let after = entries(&t);
        for k in rows.iter().chain(&after).map(|r| r.2) {
            let expected = bytes_of(&rows, k) + if k == new { changed } else { 0 } - if k == old { changed } else { 0 };
            prop_assert_eq!(bytes_of(&after, k), expected, "type {}", k);
        }
    }

    #[test]
    fn remove_takes_exactly_what_it_returns(rows in rows(), start in 0..SPACE, size in 0..SPACE, wanted in prop::option::of(kind())) {
        let mut t = table(&rows);
        let removed = t.range_remove(start, size, wanted.map(MemoryKind)).unwrap();
        let sum = |rows: &[Row]| rows.iter().map(|r| r.1).sum::<u64>();
        prop_assert_eq!(sum(&entries(&t)), sum(&rows) - removed);
        for k in rows.iter().map(|r| r.2).filter(|k| *k != 0 && wanted.is_some_and(|w| w != *k)) {
            prop_assert_eq!(bytes_of(&entries(&t), k), bytes_of(&rows, k));
        }
    }

    #[test]
    fn edits_of_a_sanitized_table_change_those_bytes(
        rows in vec(row(), 2..12), start in 0..SPACE, size in 0..SPACE, old in kind(), new in prop::option::of(kind()),
    ) {
        prop_assume!(old != 0 && Some(old) != new);
        let mut t = sanitized(&rows);
        let expected: Vec<u32> = (0..).zip(bytes(&rows)).map(|(at, k)| match k == old && start <= at && at < start + size {
            true => new.unwrap_or(0),
            false => k,
        }).collect();
        match new {
            Some(new) => t.range_update(start, size, MemoryKind(old), MemoryKind(new)).unwrap(),
            None => t.range_remove(start, size, Some(MemoryKind(old))).unwrap(),
        };
        prop_assert_eq!(bytes(&entries(&t)), expected);
    }

    #[test]
    fn a_table_without_room_is_untouched(rows in vec(row(), 2..6), start in 0..SPACE, size in 0..SPACE) {
        let mut t: Table<6> = Table::from_entries(table(&rows).entries().iter().copied()).unwrap();
        let before = t.clone();
        for edit in 0..3 {
            let result = match edit {
                0 => t.range_update(start, size, MemoryKind::RAM, MemoryKind::RESERVED).map(drop),
                1 => t.range_remove(start, size, None).map(drop),
                _ => t.sanitize(),
            };
            if result.is_err() {
                prop_assert_eq!(&t, &before);
            }
            t = before.clone();
        }
    }

    #[test]
    fn questions_have_the_answers_of_the_bytes(rows in vec(row(), 2..12), start in 0..SPACE, size in 1..SPACE, wanted in prop::option::of(kind())) {
        prop_assume!(wanted != Some(0));
        let t = sanitized(&rows);
        let range = PhysRange::from_size(start, size).unwrap();
        let all = bytes(&rows);
        let is = |at: u64| all.get(at as usize).is_some_and(|&k| wanted.map_or(k != 0, |w| k == w));
        prop_assert_eq!(t.mapped_all(range, wanted.map(MemoryKind)), (start..start + size).all(is));
        prop_assert_eq!(t.mapped_any(range, wanted.map(MemoryKind)), (start..start + size).any(is));
        prop_assert_eq!(t.ram_bytes(), all.iter().filter(|k| matches!(k, 1 | 128)).count() as u64);
    }

    #[test]
    fn lost_ram_is_the_difference(before in vec(row(), 2..12), after in vec(row(), 2..12)) {
        let (b, a) = (sanitized(&before), sanitized(&after));
        let ram = |rows: &[Row]| bytes(rows).iter().map(|k| matches!(k, 1 | 128)).collect::<Vec<_>>();
        let mut lost = vec![false; SPACE as usize];
        for range in ram_lost(&b, &a) {
            lost[range.start() as usize..range.end() as usize].fill(true);
        }
        let expected: Vec<bool> = ram(&before).iter().zip(ram(&after)).map(|(b, a)| *b && !a).collect();
        prop_assert_eq!(lost, expected);
    }

    /// Addresses in units of 4 GiB / 64, so that the space ends at 4 GiB.
    #[test]
    fn gap_and_end_are_those_of_the_bytes(rows in vec(row(), 2..12), limit in 1..SPACE) {
        const UNIT: u64 = (1 << 32) / SPACE;
        let scaled: Vec<Row> = rows.iter().map(|r| (r.0 * UNIT, r.1 * UNIT, r.2)).collect();
        let t = sanitized(&scaled);
        let all = bytes(&rows);

        let ram_ends = (0..limit).filter(|&at| all[at as usize] == 1).map(|at| at + 1).max().unwrap_or(0);
        prop_assert_eq!(t.end_of_ram(limit * UNIT / 4096, Rules::V6_1), ram_ends * UNIT / 4096);

        let mut best = None;
        let first = all.iter().position(|k| *k != 0).unwrap_or(all.len());
        for from in first..all.len() {
            let len = all[from..].iter().take_while(|k| **k == 0).count();
            if len > 0 && best.is_none_or(|(_, l)| len > l) {
                best = Some((from, len));
            }
        }
        let best = best.map(|(from, len)| (from as u64 * UNIT, len as u64 * UNIT));
        prop_assert_eq!(t.pci_gap().map(|g| (g.start(), g.size())), best);
    }

    #[test]
    fn no_text_is_a_panic(text in "(mem|memmap|linux)=[-+0-9xKMGTPEkb@#$!%,\" ]{0,40}", more in "\\PC{0,20}") {
        let mut t = table(&[(0, 60, 1), (60, 4, 2)]);
        apply_parameters(&mut t, &format!("{text} mem={more} memmap={more}"), &Quiet);
    }
}

/// A quadratic sweep takes minutes for this.
#[test]
fn sixty_five_thousand_nested_entries() {
    const N: usize = 1 << 16;
    let nested = || {
        let n = N as u64 / 2;
        let entry = |i: u64| RawEntry { addr: i, size: 2 * (n - i), kind: MemoryKind(1 + i as u32) };
        let mut t: Box<Table<N>> = Box::new(Table::from_entries((0..n).rev().map(entry)).unwrap());
        t.sanitize().unwrap();
        // Each entry is cut by the next one, and shows at both sides of it: the innermost only once.
        assert_eq!(t.entries().len() as u64, 2 * n - 1);
        assert_eq!(t.entries()[n as usize - 1], RawEntry { addr: n - 1, size: 2, kind: MemoryKind(n as u32) });
    };
    let started = std::time::Instant::now();
    std::thread::Builder::new().stack_size(64 << 20).spawn(nested).unwrap().join().unwrap();
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
