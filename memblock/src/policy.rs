// SPDX-License-Identifier: MIT OR Apache-2.0
//! The switches a kernel command line sets.

use handoff::{Nid, Rules, parameters};

/// What memblock does differently on request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Which Linux to decide like.
    pub rules: Rules,
    /// Whether a full array may grow. Linux: `memblock_allow_resize` (6.1).
    pub can_resize: bool,
    /// Whether memory that can be unplugged is left alone: `movable_node`.
    pub movable_node: bool,
    /// Whether mirrored memory may be marked: `kernelcore=mirror`.
    pub kernelcore_mirror: bool,
    /// Whether memory was marked as mirrored, so that every allocation prefers it.
    pub has_mirror: bool,
    /// Whether each change is logged: `memblock=debug`.
    pub trace: bool,
}

impl Policy {
    /// Returns the rules of 6.1 with every switch off.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rules: Rules::V6_1,
            can_resize: false,
            movable_node: false,
            kernelcore_mirror: false,
            has_mirror: false,
            trace: false,
        }
    }

    /// Returns what a command line asks for; an unknown `linux=` counts as none.
    #[must_use]
    pub fn from_command_line(command_line: &str) -> Self {
        let mut policy = Self { rules: Rules::from_command_line(command_line).unwrap_or_default(), ..Self::new() };
        for (name, value) in parameters(command_line) {
            match (name, value) {
                ("memblock", Some(value)) if value.contains("debug") => policy.trace = true,
                ("movable_node", _) => policy.movable_node = true,
                ("kernelcore", Some("mirror")) => policy.kernelcore_mirror = true,
                _ => {}
            }
        }
        policy
    }

    /// Returns the node id that means "reset": the two kernels use different ones.
    #[must_use]
    pub fn no_nid(self) -> Nid {
        if self.rules < Rules::V6_12 { Nid::UNSET } else { Nid::NONE }
    }

    /// Returns whether a request for `nid` restricts the search.
    pub(crate) fn is_wanted(self, nid: Nid) -> bool {
        if self.rules < Rules::V6_12 { nid != Nid::NONE } else { nid.number().is_some() }
    }

    /// Returns whether the dump names `nid`.
    pub(crate) fn is_printed(self, nid: Nid) -> bool {
        if self.rules < Rules::V6_12 { nid != Nid::UNSET } else { nid.number().is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_command_line() {
        let off = Policy::new();
        for (text, expected) in [
            ("quiet", off),
            ("memblock=debug", Policy { trace: true, ..off }),
            ("memblock=nodebugging", Policy { trace: true, ..off }),
            ("memblock", off),
            ("movable_node linux=6.12", Policy { movable_node: true, rules: Rules::V6_12, ..off }),
            ("kernelcore=mirror", Policy { kernelcore_mirror: true, ..off }),
            ("kernelcore=1G linux=9", off),
        ] {
            assert_eq!(Policy::from_command_line(text), expected, "{text}");
        }
    }
}
