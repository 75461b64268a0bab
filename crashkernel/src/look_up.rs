// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the parameter on the command line.

/// What an occurrence starts with.
pub(crate) const NAME: &str = "crashkernel=";

/// One of the three look-ups that Linux makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LookUp {
    /// `crashkernel=SIZE[@BASE]` or with ranges.
    Normal,
    /// `crashkernel=SIZE,high`.
    High,
    /// `crashkernel=SIZE,low`.
    Low,
}

impl LookUp {
    /// All three, in Linux's order.
    pub const ALL: [Self; 3] = [Self::Normal, Self::High, Self::Low];

    /// Returns what an occurrence ends in to belong to this look-up; empty for [`Normal`](Self::Normal).
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::High => ",high",
            Self::Low => ",low",
        }
    }

    /// Returns the look-up that `value`, the text after `crashkernel=`, belongs to.
    fn of(value: &str) -> Self {
        [Self::High, Self::Low].into_iter().find(|which| value.ends_with(which.suffix())).unwrap_or(Self::Normal)
    }
}

/// `crashkernel=` somewhere on a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Occurrence<'a> {
    /// Byte offset of the `c` of `crashkernel=` in the command line.
    pub at: usize,
    /// The value: what follows up to the next blank.
    pub value: &'a str,
}

/// Returns every occurrence that belongs to a look-up, in the order of the command line. Linux uses the last.
///
/// A plain substring search: an occurrence inside another word counts, and so does one after `--`.
///
/// Linux: `get_last_crashkernel` (6.1).
pub fn occurrences(command_line: &str, which: LookUp) -> impl Iterator<Item = Occurrence<'_>> {
    let all = command_line.match_indices(NAME).map(|(at, _)| {
        let value = &command_line[at + NAME.len()..];
        Occurrence { at, value: &value[..value.find(' ').unwrap_or(value.len())] }
    });
    all.filter(move |found| LookUp::of(found.value) == which)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(command_line: &str, which: LookUp) -> Option<&str> {
        occurrences(command_line, which).last().map(|found| found.value)
    }

    #[test]
    fn each_look_up_takes_its_last() {
        let line = "crashkernel=1M quiet crashkernel=2M,high crashkernel=3M,low crashkernel=4M crashkernel=5M,high x";
        assert_eq!(last(line, LookUp::Normal), Some("4M"));
        assert_eq!(last(line, LookUp::High), Some("5M,high"));
        assert_eq!(last(line, LookUp::Low), Some("3M,low"));
        assert_eq!(last("quiet", LookUp::Normal), None);
    }

    #[test]
    fn a_substring_is_enough() {
        assert_eq!(last("xcrashkernel=32M", LookUp::Normal), Some("32M"));
        assert_eq!(last("crashkernel=crashkernel=64M,low", LookUp::Low), Some("64M,low"));
        assert_eq!(last("a -- crashkernel=1M", LookUp::Normal), Some("1M"));
        assert_eq!(last("crashkernel =1M", LookUp::Normal), None);
        assert_eq!(last("crashkernel=", LookUp::Normal), Some(""));
        assert_eq!(last("crashkernel=1M\tquiet", LookUp::Normal), Some("1M\tquiet"), "only a blank ends it");
    }
}
