// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applying `mem=` and `memmap=` to a table, and saying what was made of them.

use crate::parse::{Edit, Name, Parsed, Refusal, parse_mem, parse_memmap};
use crate::{Error, Line, Table, range_remove_print, range_update_print};
use handoff::{Log, MemoryKind, PhysRange, RawEntry, parameters};

/// Applies every `mem=` and `memmap=` of a command line, in its order, without sanitizing; returns whether the table is
/// now the user's.
///
/// Each edit prints the line that Linux prints. Whatever is ignored, cut off or without effect is named in a line of its
/// own, with what to write instead.
///
/// Linux: `parse_memopt`, `parse_memmap_opt` (6.1), which say nothing about most of that.
pub fn apply_parameters<const N: usize, L: Log>(table: &mut Table<N>, command_line: &str, log: &L) -> bool {
    let mut user_map = false;
    for (name, value) in parameters(command_line) {
        match (name, value) {
            ("mem", Some(value)) => user_map |= apply(table, Name::Mem, value, parse_mem(value), log),
            ("memmap", Some(value)) => {
                for piece in value.split(',') {
                    user_map |= apply(table, Name::Memmap, piece, parse_memmap(piece), log);
                }
            }
            ("mem", None) => {
                log.warn(Line::Malformed { name });
                log.warn(Line::NoValue { name, instead: Name::Mem.example() });
            }
            ("memmap", None) => log.warn(Line::NoValue { name, instead: Name::Memmap.example() }),
            _ => {}
        }
    }
    user_map
}

impl Name {
    const fn word(self) -> &'static str {
        match self {
            Self::Mem => "mem",
            Self::Memmap => "memmap",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Mem => "mem=4G, say",
            Self::Memmap => "memmap=SIZE$START, say",
        }
    }
}

fn apply<const N: usize, L: Log>(
    table: &mut Table<N>,
    name: Name,
    value: &str,
    parsed: Result<Parsed<'_>, Refusal>,
    log: &L,
) -> bool {
    let Parsed { edit, rest, wrapped, no_start } = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => {
            refuse(name, value, refusal, log);
            return refusal.makes_user_map(name);
        }
    };

    let word = name.word();
    if wrapped {
        log.warn(Line::Wrapped { name: word, value });
    }
    if no_start {
        log.warn(Line::NoStart { value });
    }
    if !rest.is_empty() {
        log.warn(Line::Rest { name: word, value, rest });
    }

    let changed = match edit {
        Edit::Clear => {
            table.clear();
            return true;
        }
        Edit::Limit(from) => {
            if name == Name::Memmap {
                log.info(Line::IsLimit { value });
            }
            range_remove_print(table, from, u64::MAX - from, Some(MemoryKind::RAM), log)
        }
        Edit::Add(entry) => add(table, value, entry, log),
        Edit::Update { start, size, old, new } => range_update_print(table, start, size, old, new, log),
        Edit::Remove { start, size, kind } => range_remove_print(table, start, size, kind, log),
    };
    match changed {
        Ok(0) => log.info(Line::NoEffect { name: word, value }),
        Ok(_) => {}
        Err(why) => log.error(Line::NotApplied { name: word, value, why }),
    }
    true
}

/// Appends an entry, and says where it will lose to a higher type.
fn add<const N: usize, L: Log>(table: &mut Table<N>, value: &str, entry: RawEntry, log: &L) -> Result<u64, Error> {
    for other in table.entries().iter().filter(|e| e.kind > entry.kind) {
        let lost = PhysRange::capped(entry.addr, entry.size)
            .zip(PhysRange::capped(other.addr, other.size))
            .and_then(|(new, old)| new.intersection(old));
        if let Some(lost) = lost {
            log.warn(Line::Outranked { value, start: lost.start(), last: lost.end() - 1, kind: other.kind });
        }
    }
    crate::add_print(table, entry, log).map(|()| entry.size)
}

fn refuse<L: Log>(name: Name, value: &str, refusal: Refusal, log: &L) {
    if refusal == Refusal::NoPentium {
        log.warn(Line::NoPentium);
    }
    if name == Name::Mem {
        log.warn(Line::Malformed { name: name.word() });
    }
    if refusal != Refusal::NoPentium {
        log.warn(Line::Refused { name: name.word(), value, why: refusal.why(), instead: refusal.instead(name) });
    }
}

impl Refusal {
    const fn instead(self, name: Name) -> &'static str {
        match self {
            Self::Junk => "memmap=SIZE%START-OLDTYPE+NEWTYPE",
            Self::NoNumber | Self::Zero | Self::NoPentium => name.example(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Lines, Row, entries, table};

    const RAM: &[Row] = &[(0, 100, 1), (100, 10, 2)];

    fn apply_to(rows: &[Row], command_line: &str) -> (bool, std::vec::Vec<Row>, std::vec::Vec<std::string::String>) {
        let lines = Lines::default();
        let mut t: Table<4> = table(rows);
        let user_map = apply_parameters(&mut t, command_line, &&lines);
        (user_map, entries(&t), lines.take())
    }

    #[test]
    fn in_the_order_of_the_command_line() {
        let limit = "e820: remove [mem 0x00000032-0xfffffffffffffffe] usable";
        let (user_map, rows, lines) = apply_to(RAM, "mem=50 quiet memmap=10@60");
        assert_eq!((user_map, &rows[..]), (true, &[(0, 50, 1), (100, 10, 2), (60, 10, 1)][..]));
        assert_eq!(lines, [limit]);
        let (_, rows, lines) = apply_to(RAM, "memmap=10@110 mem=50");
        assert_eq!(rows, [(0, 50, 1), (100, 10, 2), (0, 0, 0)]);
        assert_eq!(lines, [limit]);
        let (_, rows, _) = apply_to(RAM, "memmap=1@0,exactmap,2@0 memmap=3@5");
        assert_eq!(rows, [(0, 2, 1), (5, 3, 1)]);
    }

    #[test]
    fn one_bad_piece_does_not_stop_the_others() {
        let (user_map, rows, lines) = apply_to(RAM, "memmap=x,5$0,,1%0-1+1,5$200x");
        assert!(user_map);
        assert_eq!(rows, [(0, 100, 1), (100, 10, 2), (0, 5, 2), (200, 5, 2)]);
        assert_eq!(
            lines,
            [
                "memmap=x was ignored: it does not start with a size; write memmap=SIZE$START, say",
                "memmap= was ignored: it does not start with a size; write memmap=SIZE$START, say",
                "memmap=1%0-1+1 was ignored: usable cannot be changed into itself",
                "memmap=5$200x: \"x\" at the end was ignored; units are K, M, G, T, P and E, without a B",
            ]
        );
    }

    #[test]
    fn what_is_ignored_is_said() {
        const MALFORMED: &str = "Malformed early option 'mem'";
        let cases: &[(&str, bool, &[&str])] = &[
            ("mem", false, &[MALFORMED, "mem was ignored: it has no value; write mem=4G, say"]),
            ("memmap", false, &["memmap was ignored: it has no value; write memmap=SIZE$START, say"]),
            ("mem=nopentium", false, &["mem=nopentium ignored! (only supported on x86_32)", MALFORMED]),
            ("mem=0", true, &[MALFORMED, "mem=0 was ignored: it would take away all memory; write mem=4G, say"]),
            ("mem=no", true, &[MALFORMED, "mem=no was ignored: it does not start with a size; write mem=4G, say"]),
            (
                "memmap=1%0+0x100000000",
                true,
                &[
                    "memmap=1%0+0x100000000: a number is too large, what is left of it was used; write a smaller one",
                    "e820: remove [mem 0x00000000-0x00000000] ",
                ],
            ),
            (
                "mem=1K",
                true,
                &[
                    "e820: remove [mem 0x00000400-0xfffffffffffffffe] usable",
                    "mem=1K changed nothing: it meets no byte of the map that it could change",
                ],
            ),
            (
                "memmap=20@95",
                true,
                &["memmap=20@95: [mem 0x00000064-0x0000006d] stays reserved, which outranks it; \
                   to change a type write memmap=SIZE%START-OLD+NEW"],
            ),
            (
                "memmap=5%200",
                true,
                &[
                    "e820: remove [mem 0x000000c8-0x000000cc] ",
                    "memmap=5%200 changed nothing: it meets no byte of the map that it could change",
                ],
            ),
            ("nomem=1 mem.x=2 memmap_x=3 -- mem=4", false, &[]),
        ];
        for (command_line, user_map, lines) in cases {
            let (user, _, said) = apply_to(RAM, command_line);
            assert_eq!(user, *user_map, "{command_line}");
            assert_eq!(said, *lines, "{command_line}");
        }
    }

    #[test]
    fn a_full_map_keeps_what_it_has() {
        let (_, rows, lines) = apply_to(RAM, "memmap=1$1,1$2,1$3,1%20-1+2");
        assert_eq!(rows, [(0, 100, 1), (100, 10, 2), (1, 1, 2), (2, 1, 2)]);
        assert_eq!(
            lines,
            [
                "too many entries; ignoring [mem 0x00000003-0x00000003]",
                "memmap=1$3 was ignored: the map has room for 4 entries and needs more",
                "e820: update [mem 0x00000014-0x00000014] usable ==> reserved",
                "too many entries; ignoring [mem 0x00000014-0x00000014]",
                "memmap=1%20-1+2 was ignored: the map has room for 4 entries and needs more",
            ]
        );
    }
}
