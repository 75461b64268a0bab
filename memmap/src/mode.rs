// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether descriptors are written at boot or not before somebody needs them.

use handoff::parameters;

/// The most memory whose descriptors are all written at boot unless the command line says otherwise.
const EAGER_BYTES: u64 = 64 << 30;

/// Whether descriptors are written at boot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StructPages {
    /// All of them, as Linux does: 64 bytes for each frame of a present section.
    Eager,
    /// None: the kernel makes those of a section when it needs them. No memory is taken for them.
    Lazy,
}

impl StructPages {
    /// Returns what `struct_pages=` on the command line says, if it is there. The last one counts.
    ///
    /// # Errors
    /// The value of a `struct_pages=` that is neither `eager` nor `lazy`.
    pub fn from_command_line(command_line: &str) -> Result<Option<Self>, &str> {
        match parameters(command_line).filter(|(name, _)| *name == "struct_pages").last() {
            None => Ok(None),
            Some((_, Some("eager"))) => Ok(Some(Self::Eager)),
            Some((_, Some("lazy"))) => Ok(Some(Self::Lazy)),
            Some((_, value)) => Err(value.unwrap_or("")),
        }
    }

    /// Returns what is right for so many bytes of memory: eager up to 64 GiB.
    #[must_use]
    pub const fn default_for(memory_bytes: u64) -> Self {
        if memory_bytes <= EAGER_BYTES { Self::Eager } else { Self::Lazy }
    }

    /// Returns the value of `struct_pages=` that asks for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Lazy => "lazy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        for (command_line, expected) in [
            ("quiet", Ok(None)),
            ("struct_pages=lazy", Ok(Some(StructPages::Lazy))),
            ("struct_pages=lazy struct_pages=eager", Ok(Some(StructPages::Eager))),
            ("struct_pages=lazy struct_pages=later", Err("later")),
            ("struct_pages", Err("")),
            ("-- struct_pages=lazy", Ok(None)),
        ] {
            assert_eq!(StructPages::from_command_line(command_line), expected, "{command_line}");
        }
    }

    #[test]
    fn lazy_above_64_gib() {
        assert_eq!(StructPages::default_for(64 << 30), StructPages::Eager);
        assert_eq!(StructPages::default_for((64 << 30) + 4096), StructPages::Lazy);
    }
}
