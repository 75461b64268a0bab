// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a line from left to right.

/// The text still to be read. Every function takes something off its front, or nothing and returns `None`.
pub(super) struct Scan<'a>(pub(super) &'a str);

impl<'a> Scan<'a> {
    /// Starts behind `start`.
    pub(super) fn after(text: &'a str, start: &str) -> Option<Self> {
        text.strip_prefix(start).map(Self)
    }

    pub(super) fn lit(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Takes a hexadecimal number with its `0x`.
    pub(super) fn hex(&mut self) -> Option<u64> {
        let mut rest = Scan(self.0);
        rest.lit("0x")?;
        let number = rest.bare_hex()?;
        self.0 = rest.0;
        Some(number)
    }

    pub(super) fn bare_hex(&mut self) -> Option<u64> {
        u64::from_str_radix(self.take(char::is_ascii_hexdigit)?, 16).ok()
    }

    pub(super) fn dec(&mut self) -> Option<u64> {
        self.take(char::is_ascii_digit)?.parse().ok()
    }

    /// Takes a decimal number that may be negative.
    pub(super) fn int(&mut self) -> Option<i32> {
        let negative = self.lit("-").is_some();
        let number = i32::try_from(self.dec()?).ok()?;
        Some(if negative { -number } else { number })
    }

    /// Takes `[mem 0x…-0x…]`: first and last address.
    pub(super) fn mem(&mut self) -> Option<(u64, u64)> {
        self.lit("[mem ")?;
        self.span()
    }

    /// Takes `0x…-0x…]`.
    pub(super) fn span(&mut self) -> Option<(u64, u64)> {
        let start = self.hex()?;
        self.lit("-")?;
        let last = self.hex()?;
        self.lit("]")?;
        Some((start, last))
    }

    /// Takes what stands before `end`, and `end`.
    pub(super) fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, rest) = self.0.split_once(end)?;
        self.0 = rest;
        Some(before)
    }

    /// Takes all that is left, which must be one word.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let word = std::mem::take(&mut self.0).trim_end();
        (!word.is_empty() && !word.contains(' ')).then_some(word)
    }

    /// Succeeds if nothing but blanks is left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.trim_end().is_empty().then_some(())
    }

    fn take(&mut self, belongs: impl Fn(&char) -> bool) -> Option<&'a str> {
        let count = self.0.find(|c| !belongs(&c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        (count > 0).then_some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans() {
        let mut scan = Scan("[mem 0x0-0xfff] x=-1 64K");
        assert_eq!(scan.mem(), Some((0, 0xfff)));
        assert_eq!(scan.until("x="), Some(" "));
        assert_eq!(scan.int(), Some(-1));
        assert_eq!(scan.hex(), None);
        assert_eq!(scan.0, " 64K", "what cannot be taken stays");
        assert_eq!(scan.word(), None);
        assert_eq!(Scan("0x10000000000000000").hex(), None, "65 bits");
    }
}
