// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the three look-ups together ask for.

use crate::look_up::NAME;
use crate::{LookUp, ParseError, ParseErrorKind, Value, default_low_size, look_up};
use handoff::{Bounds, Nid, Rules};
use heapless::Vec;

/// Where memory that every device can reach ends. Linux: `CRASH_ADDR_LOW_MAX` (6.1).
pub const LOW_MAX: u64 = 4 << 30;
/// Where the search ends. Linux: `CRASH_ADDR_HIGH_MAX` (6.1).
pub const HIGH_MAX: u64 = 64 << 40;
/// Alignment of an area whose place is found. Linux: `CRASH_ALIGN` (6.1).
pub const ALIGN: u64 = 16 << 20;
/// Alignment of a wanted place in 5.4 and 6.1; 6.12 takes [`ALIGN`] for both.
const FIXED_ALIGN: u64 = 1 << 20;

/// What the three look-ups gave, each by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// `crashkernel=SIZE[@BASE]` or with ranges.
    pub normal: Result<Option<Value>, ParseError>,
    /// `crashkernel=SIZE,high`.
    pub high: Result<Option<Value>, ParseError>,
    /// `crashkernel=SIZE,low`.
    pub low: Result<Option<Value>, ParseError>,
    /// What `,low` is when it is not given, in bytes.
    pub default_low: u64,
    /// System RAM in bytes.
    pub system_ram: u64,
}

/// A wish for memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Bytes, never 0.
    pub size: u64,
    /// Where.
    pub place: Place,
    /// Bytes to take below 4 GiB if the area is found above; 0 for none.
    pub low_size: u64,
}

/// Where the memory is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Below 4 GiB, else above.
    Anywhere,
    /// As high as possible.
    High,
    /// At this address or not at all.
    At(u64),
}

/// Reads `crashkernel=` and returns what it asks for; `None` if it asks for nothing.
///
/// `system_ram` is in bytes, Linux's `memblock_phys_mem_size`. A mistake that Linux goes on after - in 6.1 in the plain
/// form when a `,high` follows, or in `,low` - is not an error here; [`Options`] shows it.
///
/// # Errors
/// The [`ParseError`] because of which nothing is reserved.
///
/// Linux: `parse_crashkernel` (6.12), the head of `reserve_crashkernel` (5.4, 6.1).
pub fn parse(command_line: &str, system_ram: u64, rules: Rules) -> Result<Option<Request>, ParseError> {
    Options::read(command_line, system_ram, rules).request(rules)
}

impl Options {
    /// Does the three look-ups. `system_ram` is in bytes.
    #[must_use]
    pub fn read(command_line: &str, system_ram: u64, rules: Rules) -> Self {
        let look_up = |which| look_up(command_line, which, system_ram, rules);
        Self {
            normal: look_up(LookUp::Normal),
            high: look_up(LookUp::High),
            low: look_up(LookUp::Low),
            default_low: default_low_size(command_line, rules),
            system_ram,
        }
    }

    /// Returns what they ask for together; `None` for nothing.
    ///
    /// # Errors
    /// The [`ParseError`] because of which nothing is reserved.
    pub fn request(&self, rules: Rules) -> Result<Option<Request>, ParseError> {
        if rules >= Rules::V6_12 { self.request_6_12() } else { self.request_6_1() }
    }

    /// The plain form, unless it is absent, wrong or 0; then `,high`. A wrong `,low` counts as absent.
    fn request_6_1(&self) -> Result<Option<Request>, ParseError> {
        let low_size = self.low.ok().flatten().map_or(self.default_low, |low| low.size);
        let wanted = |value: &Value| value.size > 0;

        if let Some(normal) = self.normal.ok().flatten().filter(wanted) {
            return Ok(Some(Request { size: normal.size, place: Place::of(normal), low_size }));
        }
        match self.high?.filter(wanted) {
            Some(high) => Ok(Some(Request { size: high.size, place: Place::High, low_size })),
            None => self.normal.map(|_| None),
        }
    }

    /// The plain form; only where there is none, `,high`. Mistakes are final, and so is a size above all of memory.
    fn request_6_12(&self) -> Result<Option<Request>, ParseError> {
        let (value, place, low_size) = match (self.normal?, self.high) {
            (Some(normal), _) if normal.base != 0 => (normal, Place::of(normal), 0),
            (Some(normal), _) => (normal, Place::Anywhere, self.default_low),
            (None, Ok(Some(high))) if high.size > 0 => {
                (high, Place::High, self.low?.map_or(self.default_low, |low| low.size))
            }
            (None, high) => return high.map(|_| None),
        };
        if value.size >= self.system_ram {
            let kind = ParseErrorKind::ExceedsRam { size: value.size, system_ram: self.system_ram };
            let look_up = if place == Place::High { LookUp::High } else { LookUp::Normal };
            let at = value.occurrence + NAME.len();
            return Err(ParseError { look_up, occurrence: value.occurrence, at, kind });
        }
        Ok((value.size > 0).then_some(Request { size: value.size, place, low_size }))
    }
}

impl Place {
    fn of(normal: Value) -> Self {
        if normal.base == 0 { Self::Anywhere } else { Self::At(normal.base) }
    }
}

impl Request {
    /// Returns where the main area is looked for, in this order.
    ///
    /// Linux: `reserve_crashkernel` (5.4, 6.1), `reserve_crashkernel_generic` (6.12).
    #[must_use]
    pub fn windows(&self, rules: Rules) -> Vec<Bounds, 2> {
        let window = |min, max, align| Bounds { size: self.size, align, min, max, nid: Nid::NONE };
        let new = rules >= Rules::V6_12;
        let (low, high) = if new {
            (window(0, LOW_MAX, ALIGN), window(LOW_MAX, HIGH_MAX, ALIGN))
        } else {
            (window(ALIGN, LOW_MAX, ALIGN), window(ALIGN, HIGH_MAX, ALIGN))
        };

        match self.place {
            Place::Anywhere => Vec::from_array([low, high]),
            Place::High if new => Vec::from_array([high, low]),
            Place::High => Vec::from_iter([high]),
            Place::At(base) => {
                let align = if new { ALIGN } else { FIXED_ALIGN };
                Vec::from_iter([window(base, base.wrapping_add(self.size), align)])
            }
        }
    }

    /// Returns where the part below 4 GiB is looked for; `None` if none is wanted.
    #[must_use]
    pub fn low_window(&self) -> Option<Bounds> {
        let bounds = Bounds { size: self.low_size, align: ALIGN, min: 0, max: LOW_MAX, nid: Nid::NONE };
        (self.low_size > 0).then_some(bounds)
    }
}
