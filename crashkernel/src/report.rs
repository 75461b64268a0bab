// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said about the parameter itself: Linux's lines, the mistake with a mark under it, and what Linux is silent
//! about.

use crate::look_up::occurrences;
use crate::message::{Bytes, Event};
use crate::{Form, LookUp, Options, ParseError, ParseErrorKind as Kind, Place, Request, Reservation, Value};
use handoff::{FRAME_BYTES, Log, Rules};

/// Columns shown before a mark, at most.
const BEFORE: usize = 48;
/// Columns shown after it.
const AFTER: usize = 24;
const BLANKS: &str = "                                                "; // BEFORE of them

/// Says things about one command line.
pub(crate) struct Report<'a, L> {
    pub(crate) command_line: &'a str,
    pub(crate) rules: Rules,
    pub(crate) log: &'a L,
}

impl<L: Log> Report<'_, L> {
    /// Reports on the look-ups that Linux makes before it searches, in its order.
    pub(crate) fn look_ups(&self, options: &Options) {
        self.look_up(LookUp::Normal, &options.normal);
        if matches!(options.normal, Ok(Some(value)) if value.form != Form::Size && value.size == 0) {
            self.log.info(Event::ZeroBytes);
        }

        if self.rules >= Rules::V6_12 {
            if options.normal == Ok(None) {
                self.look_up(LookUp::High, &options.high);
                if matches!(options.high, Ok(Some(high)) if high.size > 0) {
                    self.look_up(LookUp::Low, &options.low);
                }
            }
        } else if !matches!(options.normal, Ok(Some(normal)) if normal.size > 0) {
            self.look_up(LookUp::High, &options.high);
        }
    }

    /// Reports on `,low` where 6.1 reads it: when the main area lies above 4 GiB.
    pub(crate) fn late_low(&self, options: &Options) {
        if self.rules < Rules::V6_12 {
            self.look_up(LookUp::Low, &options.low);
            if options.low.is_err() {
                self.hint("the default is taken instead");
            }
        }
    }

    fn look_up(&self, which: LookUp, found: &Result<Option<Value>, ParseError>) {
        if let Err(error) = found {
            self.mistake(error);
        }
        let mut all = occurrences(self.command_line, which);
        let Some(last) = all.by_ref().last() else { return };
        let count = occurrences(self.command_line, which).count() as u64 - 1;
        if count > 0 {
            self.log.warn(Event::Earlier { count, last: last.value });
        }
        let before = &self.command_line[..last.at];
        let word = before.rfind(|c: char| c.is_ascii_whitespace()).map_or(0, |blank| blank + 1);
        if word < last.at {
            self.mark(word, last.at);
            self.hint("found inside another word, which counts");
        }
    }

    /// Writes Linux's line for a mistake, marks it and says what would be right.
    pub(crate) fn mistake(&self, error: &ParseError) {
        if let Some(event) = linux_line(error.kind, self.rules) {
            self.log.warn(event);
        }
        self.mark(error.occurrence, error.at);
        self.log.warn(match error.kind {
            Kind::EndNotAboveStart { start, .. } => Event::RaiseEnd { start: Bytes(start) },
            Kind::SizeTooLarge { size, system_ram } | Kind::ExceedsRam { size, system_ram } => {
                Event::LowerSize { size: Bytes(size), system_ram: Bytes(system_ram) }
            }
            _ => Event::Hint { text: self.remedy(error) },
        });
    }

    /// Reports a mistake about which Linux is silent: the others were reported by their look-up.
    pub(crate) fn silent(&self, error: &ParseError) {
        if linux_line(error.kind, self.rules).is_none() {
            self.mistake(error);
        }
    }

    fn remedy(&self, error: &ParseError) -> &'static str {
        let rest = &self.command_line[error.at..];
        match (error.kind, error.look_up) {
            (Kind::ValueExpected, _) if rest.starts_with("auto") => {
                "`auto` is a distribution's word that the kernel does not know; name a size such as 256M"
            }
            (Kind::ValueExpected, _) => "a size is expected here, such as 256M",
            (Kind::UnrecognizedChar('-'), LookUp::Normal) => "a range needs its size: START-END:SIZE, as in 1G-2G:64M",
            (Kind::UnrecognizedChar(','), LookUp::Normal) => {
                "the suffixes are `,high` and `,low`, and ranges need a `:SIZE` each"
            }
            (Kind::UnrecognizedChar(_), LookUp::Normal) => {
                "after the size only K, M, G, T, P or E, then `@BASE`, `,high` or `,low` may follow"
            }
            (Kind::UnrecognizedChar('@'), _) => "`,high` and `,low` find their place themselves: leave `@BASE` out",
            (Kind::UnrecognizedChar('-'), _) => "`,high` and `,low` take one size, not ranges",
            (Kind::UnrecognizedChar(_), _) => "only `,high` or `,low` may follow the size, once",
            (Kind::BoundExpected, _) => "a range is START-END:SIZE or START-:SIZE, with numbers such as 512M or 2G",
            (Kind::DashExpected, _) => "after the start of a range a `-` is expected, as in 1G-2G:64M",
            (Kind::ColonExpected, _) => "after a range `:SIZE` is expected, as in 1G-2G:64M",
            (Kind::SizeExpected, _) => "the size for this range is expected here, such as 128M",
            (Kind::OffsetExpected, _) => "an address is expected here, such as 16M; or leave the `@` out",
            (Kind::EndNotAboveStart { .. } | Kind::SizeTooLarge { .. } | Kind::ExceedsRam { .. }, _) => "",
        }
    }

    /// Writes the word from `start` on with a mark under the byte `at`; of a long one, the part around it.
    fn mark(&self, start: usize, at: usize) {
        let (before, after) = self.command_line[start..].split_at(at - start);
        let cut = before.char_indices().rev().nth(BEFORE - 1).map_or(0, |(index, _)| index);
        let before = &before[cut..];

        let after = &after[..after.find(' ').unwrap_or(after.len())];
        let shown = after.char_indices().nth(AFTER).map_or(after.len(), |(index, _)| index);
        self.log.warn(Event::Written { text: &self.command_line[at - before.len()..at + shown] });
        self.log.warn(Event::Caret { blanks: &BLANKS[..before.chars().count()] });
    }

    /// Says why nothing is reserved where Linux is silent.
    pub(crate) fn nothing(&self, options: &Options) {
        match (options.normal, options.high, options.low) {
            (Ok(Some(Value { form: Form::NoRange { system_ram }, .. })), ..) => {
                self.log.warn(Event::NoRange { system_ram: Bytes(system_ram) });
            }
            (Ok(Some(_)), ..) | (_, Ok(Some(_)), _) => self.hint("a size of 0 reserves nothing"),
            (_, _, Ok(Some(_)) | Err(_)) => {
                self.hint("`,low` alone reserves nothing; it goes with crashkernel=SIZE,high");
            }
            _ => {}
        }
    }

    /// Says what of the parameter will not count, before the search.
    pub(crate) fn request(&self, options: &Options, request: Request) {
        let normal = options.normal.ok().flatten().filter(|_| request.place != Place::High);
        if let Some(value) = normal {
            let read = self.command_line[..value.end].ends_with('@');
            let rest = &self.command_line[value.end..];
            if read || rest.starts_with('@') {
                self.hint("no number after `@`: a place will be found");
            } else if value.form == Form::Size && !rest.is_empty() && !rest.starts_with(' ') {
                self.mark(value.occurrence, value.end);
                self.hint("ignored from here on");
            }
            if options.high != Ok(None) {
                self.hint("`,high` is not used: the plain crashkernel= goes before it");
            }
            if self.rules >= Rules::V6_12 && options.low != Ok(None) {
                self.hint("`,low` is not used: it goes with crashkernel=SIZE,high");
            }
        }
        for size in [request.size, request.low_size] {
            if !size.is_multiple_of(FRAME_BYTES) {
                self.log.warn(Event::PartialPage { size });
            }
        }
    }

    /// Says what did not count after all.
    pub(crate) fn reserved(&self, options: &Options, reservation: &Reservation) {
        let asked = self.rules < Rules::V6_12 || options.normal == Ok(None);
        if asked && options.low != Ok(None) && !reservation.is_high() {
            self.hint("`,low` is not used: the area lies below 4 GiB already");
        }
    }

    fn hint(&self, text: &str) {
        self.log.warn(Event::Hint { text });
    }
}

/// Returns the line that Linux prints for a mistake.
fn linux_line(kind: Kind, rules: Rules) -> Option<Event<'static>> {
    Some(match kind {
        Kind::ValueExpected => Event::ValueExpected,
        Kind::UnrecognizedChar(c) => Event::UnrecognizedChar { c },
        Kind::BoundExpected => Event::BoundExpected,
        Kind::DashExpected => Event::DashExpected,
        Kind::EndNotAboveStart { .. } => Event::EndNotAboveStart,
        Kind::ColonExpected => Event::ColonExpected,
        Kind::SizeExpected if rules >= Rules::V6_12 => Event::BoundExpected,
        Kind::SizeExpected => Event::SizeExpected,
        Kind::SizeTooLarge { .. } => Event::SizeTooLarge,
        Kind::OffsetExpected if rules >= Rules::V6_12 => Event::OffsetExpected6_12,
        Kind::OffsetExpected => Event::OffsetExpected,
        Kind::ExceedsRam { .. } => return None,
    })
}
