// SPDX-License-Identifier: MIT OR Apache-2.0
//! Short forms for the unit tests: an entry is (address, size, type).

use crate::Table;
use core::cell::RefCell;
use handoff::{Level, Log, MemoryKind, Message, RawEntry};
use std::{
    string::{String, ToString},
    vec::Vec,
};

pub(crate) type Row = (u64, u64, u32);

/// A range as (start, end).
pub(crate) type Span = (u64, u64);

pub(crate) fn table<const N: usize>(rows: &[Row]) -> Table<N> {
    Table::from_entries(rows.iter().map(|&(addr, size, kind)| RawEntry { addr, size, kind: MemoryKind(kind) })).unwrap()
}

pub(crate) fn entries<const N: usize>(table: &Table<N>) -> Vec<Row> {
    table.entries().iter().map(|e| (e.addr, e.size, e.kind.0)).collect()
}

/// A log that keeps its lines.
#[derive(Default)]
pub(crate) struct Lines(RefCell<Vec<String>>);

impl Lines {
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Log for &Lines {
    fn line<M: Message>(&self, _: Level, message: M) {
        self.0.borrow_mut().push(message.to_string());
    }
}
