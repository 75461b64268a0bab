// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `mem=` and `memmap=` ask for: the grammar.

use handoff::{MemoryKind, RawEntry, memparse, strtoull};

/// One change to the map. Addresses and sizes are bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// No RAM from this address on.
    Limit(u64),
    /// No entry at all.
    Clear,
    /// One more entry.
    Add(RawEntry),
    /// The parts of one type get another.
    Update {
        /// First address.
        start: u64,
        /// Size in bytes.
        size: u64,
        /// The type to change.
        old: MemoryKind,
        /// The type to give.
        new: MemoryKind,
    },
    /// A range is cut out.
    Remove {
        /// First address.
        start: u64,
        /// Size in bytes.
        size: u64,
        /// The type to cut out, or `None` for any.
        kind: Option<MemoryKind>,
    },
}

/// A value that was understood, and what is odd about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parsed<'a> {
    /// What to do.
    pub edit: Edit,
    /// The text behind it, which Linux ignores.
    pub rest: &'a str,
    /// Whether a number was larger than 64 bits, or a type than 32. What is left of it is used, as in Linux.
    pub wrapped: bool,
    /// Whether the start address is missing. Linux uses 0.
    pub no_start: bool,
}

/// Why a value is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It does not start with a number.
    NoNumber,
    /// `mem=0`.
    Zero,
    /// `mem=nopentium`.
    NoPentium,
    /// Text after a `%` form.
    Junk,
}

impl Refusal {
    /// Returns whether Linux takes the map to be the user's nevertheless, and prints it.
    #[must_use]
    pub const fn makes_user_map(self, name: Name) -> bool {
        match self {
            Self::NoPentium => false,
            Self::NoNumber => matches!(name, Name::Mem),
            Self::Zero | Self::Junk => true,
        }
    }

    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::NoNumber => "it does not start with a size",
            Self::Zero => "it would take away all memory",
            Self::NoPentium => "it is for 32-bit kernels",
            Self::Junk => "there is text behind it",
        }
    }
}

/// The parameter a value belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// `mem=`
    Mem,
    /// `memmap=`
    Memmap,
}

/// Reads the value of `mem=`.
///
/// Linux: `parse_memopt` (6.1).
///
/// # Errors
/// [`Refusal`] if nothing is to be done.
pub fn parse_mem(value: &str) -> Result<Parsed<'_>, Refusal> {
    if value == "nopentium" {
        return Err(Refusal::NoPentium);
    }
    let mut text = Text::new(value);
    match text.size() {
        None => Err(Refusal::NoNumber),
        Some(0) => Err(Refusal::Zero),
        Some(size) => Ok(text.done(Edit::Limit(size))),
    }
}

/// Reads one piece, between commas, of the value of `memmap=`.
///
/// Linux: `parse_memmap_one` (6.1).
///
/// # Errors
/// [`Refusal`] if nothing is to be done.
pub fn parse_memmap(piece: &str) -> Result<Parsed<'_>, Refusal> {
    let mut text = Text::new(piece);
    if let Some(rest) = piece.strip_prefix("exactmap") {
        text.rest = rest;
        return Ok(text.done(Edit::Clear));
    }

    let size = text.size().ok_or(Refusal::NoNumber)?;
    let add = match text.rest.as_bytes().first() {
        Some(b'@') => MemoryKind::RAM,
        Some(b'#') => MemoryKind::ACPI,
        Some(b'$') => MemoryKind::RESERVED,
        Some(b'!') => MemoryKind::PRAM,
        Some(b'%') => return percent(text, size),
        _ => return Ok(text.done(Edit::Limit(size))),
    };
    let addr = text.start();
    Ok(text.done(Edit::Add(RawEntry { addr, size, kind: add })))
}

/// Reads `%START`, `-OLD`, `+NEW`: both change a type, one alone cuts it out or adds it, none cuts out everything.
fn percent(mut text: Text<'_>, size: u64) -> Result<Parsed<'_>, Refusal> {
    let start = text.start();
    let old = text.kind('-');
    let new = text.kind('+');
    if !text.rest.is_empty() {
        return Err(Refusal::Junk);
    }

    Ok(text.done(match (old, new) {
        (Some(old), Some(new)) => Edit::Update { start, size, old, new },
        (None, Some(kind)) => Edit::Add(RawEntry { addr: start, size, kind }),
        (kind, None) => Edit::Remove { start, size, kind },
    }))
}

/// The text still to be read.
struct Text<'a> {
    rest: &'a str,
    wrapped: bool,
    no_start: bool,
}

impl<'a> Text<'a> {
    const fn new(rest: &'a str) -> Self {
        Self { rest, wrapped: false, no_start: false }
    }

    /// Reads a number with its unit. A unit alone, such as the first letter of `memmap=exact`, is a number: 0.
    fn size(&mut self) -> Option<u64> {
        let (number, used) = memparse(self.rest.as_bytes());
        self.wrapped |= exceeds_64_bits(&self.rest[..used]);
        self.rest = &self.rest[used..];
        (used > 0).then_some(number)
    }

    /// Reads the address behind the character at the front.
    fn start(&mut self) -> u64 {
        self.rest = &self.rest[1..];
        self.no_start = !self.rest.starts_with(|c: char| c.is_ascii_digit());
        self.size().unwrap_or(0)
    }

    /// Reads a type of 32 bits, of which 0 is none; a larger number loses bits.
    fn kind(&mut self, sign: char) -> Option<MemoryKind> {
        let rest = self.rest.strip_prefix(sign)?;
        let (number, used) = strtoull(rest.as_bytes());
        self.wrapped |= exceeds_64_bits(&rest[..used]) || number > u64::from(u32::MAX);
        self.rest = &rest[used..];
        Some(MemoryKind(number as u32)).filter(|kind| kind.0 != 0)
    }

    const fn done(&self, edit: Edit) -> Parsed<'a> {
        Parsed { edit, rest: self.rest, wrapped: self.wrapped, no_start: self.no_start }
    }
}

/// Returns whether a number that `memparse` took lost bits.
fn exceeds_64_bits(number: &str) -> bool {
    let (radix, digits) = match number.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', digits @ ..] => (8, digits),
        digits => (10, digits),
    };
    let value = digits.iter().map_while(|&c| char::from(c).to_digit(radix));
    let value = value.fold(0u128, |value, digit| value.saturating_mul(radix.into()).saturating_add(digit.into()));
    // What is behind the digits is the unit.
    let unit = digits.last().filter(|c| !char::from(**c).is_digit(radix));
    let power = unit.and_then(|c| b"kmgtpe".iter().position(|u| *u == c.to_ascii_lowercase()));
    let shift = power.map_or(0, |power| 10 * (power + 1));
    value > u128::from(u64::MAX >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(addr: u64, size: u64, kind: u32) -> Edit {
        Edit::Add(RawEntry { addr, size, kind: MemoryKind(kind) })
    }

    #[test]
    fn memmap_forms() {
        let remove = |kind| Edit::Remove { start: 2, size: 1, kind };
        for (piece, edit, rest) in [
            ("exactmap", Edit::Clear, ""),
            ("exactmapx", Edit::Clear, "x"),
            ("1K@2M", entry(2 << 20, 1 << 10, 1), ""),
            ("1#0x2", entry(2, 1, 3), ""),
            ("1$02", entry(2, 1, 2), ""),
            ("1!2", entry(2, 1, 12), ""),
            ("1@2 3", entry(2, 1, 1), " 3"),
            ("1@2KB", entry(2048, 1, 1), "B"),
            ("1%2-3+4", Edit::Update { start: 2, size: 1, old: MemoryKind(3), new: MemoryKind(4) }, ""),
            ("1%2+0xefffffff", entry(2, 1, 0xefff_ffff), ""),
            ("1%2-010", remove(Some(MemoryKind(8))), ""),
            ("1%2", remove(None), ""),
            ("1%2-0+0", remove(None), ""),
            ("1%2-", remove(None), ""),
            ("64M", Edit::Limit(64 << 20), ""),
            ("0", Edit::Limit(0), ""),
            ("64M&1", Edit::Limit(64 << 20), "&1"),
            ("K", Edit::Limit(0), ""),
            ("exact", Edit::Limit(0), "xact"),
            ("K@1M", entry(1 << 20, 0, 1), ""),
        ] {
            assert_eq!(parse_memmap(piece), Ok(Parsed { edit, rest, wrapped: false, no_start: false }), "{piece}");
        }
        for (piece, refusal) in [
            ("", Refusal::NoNumber),
            ("@1M", Refusal::NoNumber),
            ("auto", Refusal::NoNumber),
            ("-1@0", Refusal::NoNumber),
            ("1%2+1-2", Refusal::Junk),
            ("1%2-1+2x", Refusal::Junk),
        ] {
            assert_eq!(parse_memmap(piece), Err(refusal), "{piece}");
        }
    }

    #[test]
    fn mem_forms() {
        for (value, expected) in [
            ("1G", Ok((1 << 30, ""))),
            ("512MB", Ok((512 << 20, "B"))),
            ("1G@2G", Ok((1 << 30, "@2G"))),
            ("0", Err(Refusal::Zero)),
            ("K", Err(Refusal::Zero)),
            ("16E", Err(Refusal::Zero)),
            ("", Err(Refusal::NoNumber)),
            ("all", Err(Refusal::NoNumber)),
            ("nopentium", Err(Refusal::NoPentium)),
        ] {
            let expected = expected.map(|(limit, rest)| Parsed {
                edit: Edit::Limit(limit),
                rest,
                wrapped: false,
                no_start: false,
            });
            assert_eq!(parse_mem(value), expected, "{value}");
        }
    }

    #[test]
    fn doubts() {
        for (piece, wrapped, no_start) in [
            ("17E@0", true, false),
            ("15E@0", false, false),
            ("0xffffffffffffffff@0", false, false),
            ("18446744073709551616@0", true, false),
            ("0x1ffffffffffffffff@0", true, false),
            ("1M@64E", true, false),
            ("1%2+0x100000000", true, false),
            ("1M@", false, true),
            ("1M@x", false, true),
            ("1M@K", false, true),
        ] {
            let seen = parse_memmap(piece).map(|p| (p.wrapped, p.no_start));
            assert_eq!(seen, Ok((wrapped, no_start)), "{piece}");
        }
    }
}
