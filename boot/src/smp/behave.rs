// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a CPU must not do, and does not without the feature `misbehave`: see `misbehave.rs`.

pub(crate) fn read(_: &str) {}

pub(crate) fn when_called(_: usize) {}

pub(crate) fn at_work(_: usize) {}

pub(crate) fn keeps(_: usize) -> bool {
    false
}

pub(crate) fn scribbles(_: usize) -> bool {
    false
}
