// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edits that print the line Linux prints for them, before they are made.

use crate::{Error, Line, Map, Table};
use handoff::{Log, MemoryKind, RawEntry};

/// Appends an entry; says so if there is no room.
///
/// Linux: `e820__range_add` (6.1).
///
/// # Errors
/// [`Error::TooManyEntries`].
pub fn add_print<const N: usize, L: Log>(table: &mut Table<N>, entry: RawEntry, log: &L) -> Result<(), Error> {
    table.add(entry).inspect_err(|_| {
        log.error(Line::TooManyEntries { start: entry.addr, last: last(entry.addr, entry.size) });
    })
}

/// Prints and does [`Table::range_update`].
///
/// # Errors
/// Those of [`Table::range_update`].
pub fn range_update_print<const N: usize, L: Log>(
    table: &mut Table<N>,
    start: u64,
    size_bytes: u64,
    old: MemoryKind,
    new: MemoryKind,
    log: &L,
) -> Result<u64, Error> {
    let last = last(start, size_bytes);
    if old != new {
        log.info(Line::Update { start, last, old, new });
    }
    table.range_update(start, size_bytes, old, new).inspect_err(|error| no_room(*error, start, last, log))
}

/// Prints and does [`Table::range_remove`].
///
/// # Errors
/// Those of [`Table::range_remove`].
pub fn range_remove_print<const N: usize, L: Log>(
    table: &mut Table<N>,
    start: u64,
    size_bytes: u64,
    kind: Option<MemoryKind>,
    log: &L,
) -> Result<u64, Error> {
    let last = last(start, size_bytes);
    log.info(match kind {
        Some(kind) => Line::Remove { start, last, kind },
        None => Line::RemoveAny { start, last },
    });
    table.range_remove(start, size_bytes, kind).inspect_err(|error| no_room(*error, start, last, log))
}

/// Sanitizes the table and prints it, unless it is one that Linux leaves alone.
///
/// Linux: `e820__update_table_print` (6.1).
///
/// # Errors
/// [`Error::TooManyEntries`].
pub fn sanitize_print<const N: usize, L: Log>(table: &mut Table<N>, map: Map, log: &L) -> Result<(), Error> {
    if sanitize_if_linux_would(table)? {
        map.print(table, log);
    }
    Ok(())
}

/// Sanitizes the table; returns whether it was changed, as most callers in Linux do not care why not.
pub(crate) fn sanitize_if_linux_would<const N: usize>(table: &mut Table<N>) -> Result<bool, Error> {
    match table.sanitize() {
        Ok(()) => Ok(true),
        Err(Error::TooFewEntries { .. } | Error::Wraps { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn no_room<L: Log>(error: Error, start: u64, last: u64, log: &L) {
    if matches!(error, Error::TooManyEntries { .. }) {
        log.error(Line::TooManyEntries { start, last });
    }
}

/// Returns the last address as Linux prints it: the size is cut at the last address, and 0 bytes end before they start.
const fn last(start: u64, size_bytes: u64) -> u64 {
    start.saturating_add(size_bytes).wrapping_sub(1)
}
