// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures as a reader sees them.

use crate::explain::amount::human;
use crate::explain::model::Lane;

/// Returns a share, 0 to 100; what is there is never shown as nothing.
pub(super) fn percent(share: f64) -> String {
    match share {
        s if s <= 0.0 => "0 %".to_owned(),
        s if s < 0.01 => "< 0.01 %".to_owned(),
        // Cut, not rounded: only the whole is 100 %.
        s => format!("{:.2} %", (s * 100.0).floor() / 100.0),
    }
}

/// Returns a size with its sign, e.g. `+128 MiB`.
pub(super) fn signed(bytes: i64) -> String {
    let sign = match bytes {
        0 => return "0".to_owned(),
        1.. => '+',
        _ => '\u{2212}',
    };
    format!("{sign}{}", human(bytes.unsigned_abs()))
}

/// Returns a range as Linux writes it, with its last byte.
pub(super) fn range(start: u64, end: u64) -> String {
    format!("{start:#x}-{:#x}", end.saturating_sub(1))
}

/// Returns at most `most` characters of a text, the last of them a sign if something is missing.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['\u{2026}']).collect(),
        None => text.to_owned(),
    }
}

/// Returns the name of a lane, and what it shows.
pub(super) const fn lane(lane: Lane) -> (&'static str, &'static str) {
    match lane {
        Lane::Firmware => ("firmware", "the firmware's map as it came"),
        Lane::E820 => ("e820", "the map after the changes of the kernel and the command line"),
        Lane::Memblock => ("memblock", "what was reserved early, and what was not"),
        Lane::Crashkernel => ("crash", "memory set aside for a kernel that saves a crashed one"),
        Lane::Memmap => ("zones", "the zones that the page descriptors describe"),
        Lane::Buddy => ("pages", "what the page allocator was given for programs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!((shortened("äbcd", 4).as_str(), shortened("äbcd", 3).as_str()), ("äbcd", "äb\u{2026}"));
        assert_eq!((signed(-4096).as_str(), signed(0).as_str()), ("\u{2212}4.00 KiB", "0"));
        assert_eq!(
            (percent(0.0).as_str(), percent(1e-9).as_str(), percent(99.996).as_str()),
            ("0 %", "< 0.01 %", "99.99 %")
        );
    }
}
