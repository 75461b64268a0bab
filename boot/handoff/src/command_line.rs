// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel command line: words, numbers, and which Linux to follow.

/// Reads a number as `mem=` and `crashkernel=` do; returns it and how many bytes of `text` it took.
///
/// Digits (`0x` hexadecimal, leading `0` octal, else decimal), then at most one of `K M G T P E` in either case, each
/// 1024-fold. No digits: 0 bytes taken. Wraps silently at 64 bits, as Linux does.
///
/// Linux: `memparse` (6.1).
#[must_use]
pub fn memparse(text: &[u8]) -> (u64, usize) {
    let (number, digits) = strtoull(text);
    let power = text.get(digits).and_then(|c| b"kmgtpe".iter().position(|u| *u == c.to_ascii_lowercase()));
    match power {
        Some(power) => (number << (10 * (power + 1)), digits + 1),
        None => (number, digits),
    }
}

/// Reads a number without a unit; returns it and how many bytes of `text` it took.
///
/// Linux: `simple_strtoull` with base 0 (6.1).
#[must_use]
pub fn strtoull(text: &[u8]) -> (u64, usize) {
    let hex = |c: Option<&u8>| c.is_some_and(u8::is_ascii_hexdigit);
    let (base, prefix) = match text {
        [b'0', b'x' | b'X', ..] if hex(text.get(2)) => (16, 2),
        [b'0', ..] => (8, 0),
        _ => (10, 0),
    };
    let digits = text[prefix..].iter().map_while(|c| char::from(*c).to_digit(base));
    let (number, count) = digits.fold((0u64, prefix), |(number, count), digit| {
        (number.wrapping_mul(u64::from(base)).wrapping_add(u64::from(digit)), count + 1)
    });
    (number, count)
}

/// Returns the parameters of a command line: name, and value if there is a `=`. Stops at the word `--`.
///
/// Quotes keep blanks together and are taken off at both ends of a value.
///
/// Linux: `next_arg` (6.1).
pub fn parameters(command_line: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    words(command_line).take_while(|word| *word != "--").map(|word| match word.split_once('=') {
        Some((name, value)) => (name.trim_start_matches('"'), Some(bare(value))),
        None => (bare(word), None),
    })
}

/// Takes off a quote at either end.
fn bare(text: &str) -> &str {
    let text = text.strip_prefix('"').unwrap_or(text);
    text.strip_suffix('"').unwrap_or(text)
}

/// Returns the blank-separated words of a command line; blanks inside double quotes do not separate.
fn words(command_line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    command_line
        .split(move |c: char| {
            quoted ^= c == '"';
            !quoted && c.is_ascii_whitespace()
        })
        .filter(|word| !word.is_empty())
}

/// Which Linux to decide like, where versions differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Rules {
    /// Linux 5.4.
    V5_4,
    /// Linux 6.1.
    #[default]
    V6_1,
    /// Linux 6.12.
    V6_12,
}

impl Rules {
    /// Returns the rules that `linux=5.4`, `linux=6.1` or `linux=6.12` on the command line select, else those of 6.1.
    ///
    /// # Errors
    /// The value of a `linux=` that is none of these.
    pub fn from_command_line(command_line: &str) -> Result<Self, &str> {
        match parameters(command_line).filter(|(name, _)| *name == "linux").last() {
            None => Ok(Self::default()),
            Some((_, Some("5.4"))) => Ok(Self::V5_4),
            Some((_, Some("6.1"))) => Ok(Self::V6_1),
            Some((_, Some("6.12"))) => Ok(Self::V6_12),
            Some((_, value)) => Err(value.unwrap_or("")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("16", (16, 2)),
            ("0x10", (16, 4)),
            ("010", (8, 3)),
            ("0", (0, 1)),
            ("0xg", (0, 1)),
            ("64K", (64 << 10, 3)),
            ("1g@", (1 << 30, 2)),
            ("2E", (2 << 60, 2)),
            ("16E", (0, 3)),
            ("1Mx", (1 << 20, 2)),
            ("", (0, 0)),
            ("K", (0, 1)),
            ("-1M", (0, 0)),
            ("18446744073709551616", (0, 20)),
        ] {
            assert_eq!(memparse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn parameters_stop_at_two_dashes() {
        let seen: Vec<_> = parameters("a  b=1 c=\"x y\" \"d=e f\" -- mem=0").collect();
        assert_eq!(seen, [("a", None), ("b", Some("1")), ("c", Some("x y")), ("d", Some("e f"))]);
    }

    #[test]
    fn rules() {
        assert_eq!(Rules::from_command_line("quiet"), Ok(Rules::V6_1));
        assert_eq!(Rules::from_command_line("linux=5.4 linux=6.12"), Ok(Rules::V6_12));
        assert_eq!(Rules::from_command_line("linux=7"), Err("7"));
    }
}
