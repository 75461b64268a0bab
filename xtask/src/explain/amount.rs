// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes and addresses, as people write and read them.

use handoff::memparse;

/// Returns a size with three digits and a unit: `1.81 GiB`.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    // What would be rounded to 1024 has the next unit.
    while size >= 1023.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = if unit == 0 || size >= 99.95 { 0 } else { 2 - usize::from(size >= 9.995) };
    format!("{size:.digits$} {}", UNITS[unit])
}

/// Returns a number with a blank between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Reads a size or an address: decimal or hexadecimal with `0x`, with a unit such as `M` or `GiB`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let number = text.trim();
    let number = number.strip_suffix("iB").or_else(|| number.strip_suffix('B')).unwrap_or(number);
    // A leading zero does not make it octal, as it would on the command line of the kernel.
    let is_hexadecimal = number.starts_with("0x") || number.starts_with("0X");
    let number = if is_hexadecimal { number } else { number.trim_start_matches('0') };
    if number.is_empty() {
        return text.starts_with('0').then_some(0);
    }
    let (value, used) = memparse(number.as_bytes());
    let digits = number.trim_end_matches(|c: char| "kmgtpeKMGTPE".contains(c) && !is_hexadecimal);
    let fits = digits.parse::<u64>().is_ok_and(|n| n == 0 || value / n > 0 && value % n == 0) || is_hexadecimal;
    (used == number.len() && used > 0 && fits).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.00 KiB"),
            (10 << 20, "10.0 MiB"),
            (128 << 20, "128 MiB"),
            ((1 << 30) - 1, "1.00 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(grouped(123), "123");
    }

    #[test]
    fn addresses() {
        for (text, value) in [
            ("0x37000000", Some(0x3700_0000)),
            ("1G", Some(1 << 30)),
            ("64GiB", Some(64 << 30)),
            ("0100", Some(100)),
            ("0", Some(0)),
            ("0x", None),
            ("", None),
            ("crashkernel", None),
            ("12x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
    }
}
