// SPDX-License-Identifier: MIT OR Apache-2.0
//! What xtask is doing, on standard error: standard output belongs to the guest.

use std::fmt;
use std::io::{IsTerminal as _, stderr};
use std::time::Instant;

/// Says what is done now, in cargo's manner: coloured on a terminal, a plain line elsewhere.
pub(crate) fn step(verb: &str, what: impl fmt::Display) {
    if stderr().is_terminal() {
        eprintln!("\x1b[1;32m{verb:>12}\x1b[0m {what}");
    } else {
        eprintln!("{verb:>12} {what}");
    }
}

/// Says what was left out and why; nothing is skipped silently.
pub(crate) fn skipped(what: &str, why: &str) {
    step("Skipped", format_args!("{what}: {why}"));
}

/// Runs `work` and says how long it took.
pub(crate) fn timed<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    step("Running", what);
    let start = Instant::now();
    let result = work();
    let verb = if result.is_ok() { "Finished" } else { "Failed" };
    step(verb, format_args!("{what} in {:.1} s", start.elapsed().as_secs_f64()));
    result
}
