// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes of memory as a user types them.

use std::fmt;
use std::str::FromStr;

/// A size of memory in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct MemorySize(pub(crate) u64);

impl FromStr for MemorySize {
    type Err = String;

    /// Reads `24M`, `3.5G` or `16T`; without a unit MiB, as QEMU does.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, shift) = match text.char_indices().next_back() {
            Some((i, unit)) if unit.is_ascii_alphabetic() => {
                let power = "KMGT".find(unit.to_ascii_uppercase()).ok_or(format!("`{unit}` is none of K, M, G, T"))?;
                (&text[..i], 10 * (power + 1))
            }
            _ => (text, 20),
        };
        let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
        let bytes = number * (1u64 << shift) as f64;
        // f64 is exact for whole numbers up to 2^53 = 8 PiB, more than any machine can address.
        if !(1.0..=(1u64 << 52) as f64).contains(&bytes) || bytes.fract() != 0.0 || !(bytes as u64).is_multiple_of(4096)
        {
            return Err("expected whole pages of 4 KiB, at most 4096T".to_owned());
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
        let (shift, unit) = units.into_iter().find(|(shift, _)| self.0.is_multiple_of(1 << shift)).unwrap_or((10, 'K'));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("24M", 24 << 20, "24M"),
            ("3.5G", 7 << 29, "3584M"),
            ("16g", 16 << 30, "16G"),
            ("17T", 17 << 40, "17T"),
            ("512", 512 << 20, "512M"),
            ("4100K", 4100 << 10, "4100K"),
        ] {
            let size: MemorySize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for text in ["", "G", "0", "-1G", "1.1G", "4Q", "1e99G", "NaN", "3K"] {
            assert!(text.parse::<MemorySize>().is_err(), "{text}");
        }
    }
}
