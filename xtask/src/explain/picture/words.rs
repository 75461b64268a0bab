// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures as a reader sees them.

use crate::explain::model::{Figure, Lane};

/// Returns a size in the largest unit that keeps one digit before the point, e.g. `15.5 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let in_unit = |unit: usize| bytes as f64 / (1_u64 << (10 * unit)) as f64;
    let unit = (0..6).find(|unit| in_unit(*unit) < 1023.5).unwrap_or(6);
    let number = in_unit(unit);
    let digits = usize::from(number.fract() >= 0.05 && number < 99.95 && unit > 0);
    format!("{number:.digits$} {}", UNITS[unit])
}

/// Returns an exact size, its digits in groups of three, e.g. `17 179 869 184`.
pub(super) fn digits(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

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
    format!("{sign}{}", size(bytes.unsigned_abs()))
}

/// Returns a figure of a table.
pub(super) fn figure(figure: &Figure) -> String {
    match figure {
        Figure::Bytes { bytes } => size(*bytes),
        Figure::Range { start, end } => format!("{} ({})", range(*start, *end), size(end.saturating_sub(*start))),
        Figure::None => "none".to_owned(),
    }
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
    fn sizes_are_short() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (16_640_995_328, "15.5 GiB"),
            (134_217_728, "128 MiB"),
            (525_312, "513 KiB"),
            ((1 << 30) - (256 << 10), "1.0 GiB"),
            (1 << 44, "16 TiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(digits(17_179_869_184).replace('\u{202f}', " "), "17 179 869 184");
        assert_eq!(digits(12), "12");
        assert_eq!((shortened("äbcd", 4).as_str(), shortened("äbcd", 3).as_str()), ("äbcd", "äb\u{2026}"));
        assert_eq!((signed(-4096).as_str(), signed(0).as_str()), ("\u{2212}4 KiB", "0"));
        assert_eq!(
            (percent(0.0).as_str(), percent(1e-9).as_str(), percent(99.996).as_str()),
            ("0 %", "< 0.01 %", "99.99 %")
        );
    }
}
