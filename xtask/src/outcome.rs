// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a boot ended: QEMU's exit status, told apart and turned into ours.

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

/// How a boot ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The guest said that everything holds.
    Success,
    /// The guest found a check that does not hold.
    FailedCheck,
    /// The guest ended as if all were well, but never said its closing word.
    NoClosingWord,
    /// The guest stopped a stage.
    FailedStage,
    /// The guest reset itself or powered off, which a boot never does by itself: a triple fault.
    Reset,
    /// The loader could not load the image.
    NotLoaded,
    /// The guest was still running when its time was over.
    Timeout(Duration),
    /// QEMU did not accept its arguments.
    QemuRefused,
    /// QEMU ended in another way.
    QemuDied(ExitStatus),
}

/// What the guest writes to the exit device is `(status - 1) / 2`.
const GUEST_SUCCESS: i32 = 33;
const GUEST_FAILED_CHECK: i32 = 35;
const GUEST_FAILED_STAGE: i32 = 37;
/// Written by GRUB's script, see `iso.rs`.
const GUEST_NOT_LOADED: i32 = 39;

impl Outcome {
    pub(crate) fn new(qemu: ExitStatus, closing_word: ClosingWord) -> Self {
        match (qemu.code(), closing_word) {
            (Some(GUEST_SUCCESS), ClosingWord::Seen) => Self::Success,
            (Some(GUEST_SUCCESS), ClosingWord::Missing) => Self::NoClosingWord,
            (Some(GUEST_FAILED_CHECK), _) => Self::FailedCheck,
            (Some(GUEST_FAILED_STAGE), _) => Self::FailedStage,
            (Some(GUEST_NOT_LOADED), _) => Self::NotLoaded,
            (Some(0), _) => Self::Reset,
            (Some(1), _) => Self::QemuRefused,
            _ => Self::QemuDied(qemu),
        }
    }

    /// Returns the exit status of `cargo xtask qemu`; 0 only for success.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::FailedCheck | Self::NoClosingWord => 35,
            Self::Reset => 36,
            Self::FailedStage => 37,
            Self::NotLoaded => 38,
            Self::Timeout(_) => 124,
            Self::QemuRefused | Self::QemuDied(_) => 1,
        }
    }
}

/// Whether the guest said its closing word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClosingWord {
    Seen,
    Missing,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::FailedCheck => f.write_str("a check failed; the last lines above say which"),
            Self::NoClosingWord => f.write_str("a check failed: the guest ended without its closing word"),
            Self::FailedStage => f.write_str("a stage failed and was stopped; the last lines above say which"),
            Self::Reset => f.write_str("the guest reset or powered off: a triple fault, or the firmware gave up"),
            Self::NotLoaded => f.write_str("GRUB could not load the image; too little memory, or a broken program"),
            Self::Timeout(after) => write!(f, "timeout: the guest was still running after {} s", after.as_secs()),
            Self::QemuRefused => f.write_str("QEMU did not start; its message is above"),
            Self::QemuDied(status) => write!(f, "QEMU died: {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn every_way_to_end_has_its_status() {
        use ClosingWord::{Missing, Seen};
        for (code, word, status) in [
            (33, Seen, 0),
            (33, Missing, 35),
            (35, Seen, 35),
            (0, Seen, 36),
            (37, Missing, 37),
            (39, Missing, 38),
            (1, Missing, 1),
            (3, Seen, 1),
        ] {
            let outcome = Outcome::new(ExitStatus::from_raw(code << 8), word);
            assert_eq!(outcome.status(), status, "{code} {word:?}: {outcome}");
        }
        assert_eq!(Outcome::new(ExitStatus::from_raw(9), Seen).status(), 1);
        assert_eq!(Outcome::Timeout(Duration::from_secs(60)).status(), 124);
    }
}
