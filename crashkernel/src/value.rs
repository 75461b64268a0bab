// SPDX-License-Identifier: MIT OR Apache-2.0
//! The grammar of one value.

use crate::look_up::{LookUp, NAME, Occurrence, occurrences};
use crate::{ParseError, ParseErrorKind};
use handoff::{Rules, memparse};

/// System RAM is rounded up to this before ranges are compared with it, from Linux 6.0 on.
const RAM_ROUNDING: u64 = 128 << 20;

/// A value that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// Byte offset in the command line of the occurrence's `crashkernel=`.
    pub occurrence: usize,
    /// Byte offset in the command line of where reading stopped; what follows was not looked at.
    pub end: usize,
    /// Bytes asked for; 0 if that is what was written or no range fits.
    pub size: u64,
    /// Wanted first address; 0 leaves the choice to the reservation.
    pub base: u64,
    /// How the size was given.
    pub form: Form,
}

/// How a size was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As a plain number.
    Size,
    /// By the range that contains system RAM.
    Range,
    /// By ranges, none of which contains system RAM.
    NoRange {
        /// System RAM in bytes as the ranges see it: rounded up to 128 MiB, but for Linux 5.4.
        system_ram: u64,
    },
}

/// Reads the value that a look-up finds; `None` if there is no such occurrence.
///
/// `system_ram` is in bytes (Linux: `memblock_phys_mem_size`) and decides between ranges only.
///
/// # Errors
/// [`ParseError`] with the place of the mistake.
///
/// Linux: `__parse_crashkernel` (6.1).
pub fn look_up(command_line: &str, which: LookUp, system_ram: u64, rules: Rules) -> Result<Option<Value>, ParseError> {
    let Some(found) = occurrences(command_line, which).last() else { return Ok(None) };
    let mut reader = Reader { look_up: which, found, at: 0 };

    let value = match which {
        LookUp::High | LookUp::Low => reader.suffixed(),
        LookUp::Normal if found.value.contains(':') => {
            let rounded = system_ram.checked_next_multiple_of(RAM_ROUNDING).unwrap_or(u64::MAX);
            reader.ranges(if rules == Rules::V5_4 { system_ram } else { rounded })
        }
        LookUp::Normal => reader.simple(),
    };
    value.map(Some)
}

/// Reads a value from left to right.
struct Reader<'a> {
    look_up: LookUp,
    found: Occurrence<'a>,
    /// Bytes of the value read so far.
    at: usize,
}

impl Reader<'_> {
    /// Linux: `parse_crashkernel_simple` (6.1).
    fn simple(&mut self) -> Result<Value, ParseError> {
        let size = self.number(ParseErrorKind::ValueExpected)?;
        let mut base = 0;
        if self.take("@") {
            base = self.number(ParseErrorKind::OffsetExpected).unwrap_or(0); // as Linux: no number, no wish
        } else {
            self.nothing_else()?;
        }
        Ok(self.value(size, base, Form::Size))
    }

    /// Linux: `parse_crashkernel_suffix` (6.1).
    fn suffixed(&mut self) -> Result<Value, ParseError> {
        let size = self.number(ParseErrorKind::ValueExpected)?;
        if !self.take(self.look_up.suffix()) {
            self.nothing_else()?;
        }
        self.nothing_else()?;
        Ok(self.value(size, 0, Form::Size))
    }

    /// Linux: `parse_crashkernel_mem` (6.1).
    fn ranges(&mut self, system_ram: u64) -> Result<Value, ParseError> {
        let size = loop {
            let (start, end, size) = self.range(system_ram)?;
            if (start..end).contains(&system_ram) {
                break size;
            }
            if !self.take(",") {
                return Ok(self.value(0, 0, Form::NoRange { system_ram }));
            }
        };

        let mut base = 0;
        if size > 0
            && let Some(offset) = self.rest().find('@')
        {
            self.at += offset + 1;
            base = self.number(ParseErrorKind::OffsetExpected)?;
        }
        Ok(self.value(size, base, Form::Range))
    }

    /// Reads `START-[END]:SIZE`.
    fn range(&mut self, system_ram: u64) -> Result<(u64, u64, u64), ParseError> {
        let start = self.number(ParseErrorKind::BoundExpected)?;
        if !self.take("-") {
            return Err(self.error(ParseErrorKind::DashExpected));
        }

        let mut end = u64::MAX;
        if !self.take(":") {
            let at = self.at;
            end = self.number(ParseErrorKind::BoundExpected)?;
            if end <= start {
                self.at = at;
                return Err(self.error(ParseErrorKind::EndNotAboveStart { start, end }));
            }
            if !self.take(":") {
                return Err(self.error(ParseErrorKind::ColonExpected));
            }
        }

        let at = self.at;
        let size = self.number(ParseErrorKind::SizeExpected)?;
        if size >= system_ram {
            self.at = at;
            return Err(self.error(ParseErrorKind::SizeTooLarge { size, system_ram }));
        }
        Ok((start, end, size))
    }

    fn number(&mut self, missing: ParseErrorKind) -> Result<u64, ParseError> {
        match memparse(self.rest().as_bytes()) {
            (_, 0) => Err(self.error(missing)),
            (number, taken) => {
                self.at += taken;
                Ok(number)
            }
        }
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        self.at += if there { text.len() } else { 0 };
        there
    }

    fn nothing_else(&self) -> Result<(), ParseError> {
        match self.rest().chars().next() {
            Some(c) => Err(self.error(ParseErrorKind::UnrecognizedChar(c))),
            None => Ok(()),
        }
    }

    fn rest(&self) -> &str {
        &self.found.value[self.at..]
    }

    fn value(&self, size: u64, base: u64, form: Form) -> Value {
        Value { occurrence: self.found.at, end: self.end(), size, base, form }
    }

    fn error(&self, kind: ParseErrorKind) -> ParseError {
        ParseError { look_up: self.look_up, occurrence: self.found.at, at: self.end(), kind }
    }

    fn end(&self) -> usize {
        self.found.at + NAME.len() + self.at
    }
}
