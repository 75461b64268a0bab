// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log for a host process.

use crate::{Level, Log, Message};
use std::cell::RefCell;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

/// A log that keeps its lines. Copies of it are the same log.
#[derive(Clone, Debug, Default)]
pub struct Lines(Rc<RefCell<Vec<(Level, String)>>>);

impl Lines {
    /// Returns the lines so far. A message of several lines counts as several.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.borrow().iter().map(|(_, line)| line.clone()).collect()
    }

    /// Returns the lines so far and forgets them.
    #[allow(clippy::must_use_candidate, reason = "also to forget what was said so far")]
    pub fn take(&self) -> Vec<String> {
        self.0.take().into_iter().map(|(_, line)| line).collect()
    }

    /// Returns the level of the first line that starts so, or `None` if there is none.
    #[must_use]
    pub fn level_of(&self, start: &str) -> Option<Level> {
        self.0.borrow().iter().find(|(_, line)| line.starts_with(start)).map(|(level, _)| *level)
    }
}

impl Log for Lines {
    fn line<M: Message>(&self, level: Level, message: M) {
        self.0.borrow_mut().extend(message.to_string().lines().map(|line| (level, line.to_string())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_the_lines() {
        let log = Lines::default();
        log.clone().warn("one\ntwo");
        log.info("three");
        assert_eq!(log.all(), ["one", "two", "three"]);
        assert_eq!(
            (log.level_of("tw"), log.level_of("th"), log.level_of("x")),
            (Some(Level::Warn), Some(Level::Info), None)
        );
        assert_eq!(log.take().len(), 3);
        assert!(log.all().is_empty());
    }
}
