// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log that keeps its lines.

use handoff::{Level, Log, Message};
use std::cell::RefCell;
use std::rc::Rc;

/// A log that keeps its lines; copies share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Rc<RefCell<Vec<String>>>);

impl Log for Lines {
    fn line<M: Message>(&self, _: Level, message: M) {
        self.0.borrow_mut().push(message.to_string());
    }
}

impl Lines {
    /// Returns the lines so far.
    #[allow(dead_code, reason = "not every test looks")]
    pub(crate) fn peek(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Returns the lines so far and forgets them.
    #[allow(dead_code, reason = "not every test looks")]
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}
