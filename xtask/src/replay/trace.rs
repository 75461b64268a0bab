// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of our crates, kept to be compared.

use handoff::{Level, Log, Message};
use std::cell::RefCell;
use std::rc::Rc;

/// A log that keeps its lines; copies share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Rc<RefCell<Vec<String>>>);

impl Log for Trace {
    fn line<M: Message>(&self, _: Level, message: M) {
        self.0.borrow_mut().push(bare(&message.to_string()));
    }
}

impl Trace {
    /// Puts lines back in front of what comes.
    pub(super) fn put(&self, lines: Vec<String>) {
        self.0.borrow_mut().splice(0..0, lines);
    }

    /// Returns the lines so far and forgets them.
    pub(super) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Returns the line without the caller, which is a symbol in Linux and a place in a file here.
fn bare(line: &str) -> String {
    let call = line.starts_with("memblock_") || line.starts_with("   memblock_free: ");
    let line = line.trim_end();
    match line.rsplit_once(' ') {
        Some((call, _)) if line.starts_with("   memblock_free: ") => {
            call.replacen("   memblock_free", "memblock_phys_free", 1)
        }
        Some((before, _)) if call => before.to_owned(),
        _ => line.to_owned(),
    }
}
