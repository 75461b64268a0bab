// SPDX-License-Identifier: MIT OR Apache-2.0
//! What xtask is doing, on standard error: standard output belongs to the guest.

use std::fmt;
use std::io::{IsTerminal as _, stderr};
use std::process::Command;
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

/// Returns a command as one would type it in a shell.
pub(crate) fn shell(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed() {
        let mut command = Command::new("qemu");
        command.args(["-m", "16G", "-append", "it's $1", ""]);
        assert_eq!(shell(&command), r"qemu -m 16G -append 'it'\''s $1' ''");
    }
}
