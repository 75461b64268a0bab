// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run of pages cut into objects of one size.

use super::class::Class;

/// The end of a list of spans.
pub(crate) const NONE: u32 = u32::MAX;

/// A run of pages cut into objects of one size, or one large object: where it is, and what of it is in use. 96 bytes.
///
/// The table of spans is the caller's: [`Span::EMPTY`] as often as there may be spans at a time.
///
/// Go: `mspan` (1.22); `TCMalloc`: `Span`.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// One bit per object, set if it is in use.
    pub(crate) used: [u64; 8],
    /// First address.
    pub(crate) start: u64,
    pub(crate) next: u32,
    pub(crate) prev: u32,
    /// The first entry of those whose address belongs to this place in the table, and the next one of those that share a
    /// place with this entry.
    pub(crate) bucket: u32,
    pub(crate) chain: u32,
    /// Objects in use; for a large object, which has no class, its frames.
    pub(crate) live: u16,
    pub(crate) class: Option<Class>,
}

impl Span {
    /// An entry of the table that is not in use.
    pub const EMPTY: Self =
        Self { used: [0; 8], start: 0, next: NONE, prev: NONE, bucket: NONE, chain: NONE, live: 0, class: None };

    /// Starts to use an entry.
    pub(crate) fn start(&mut self, start: u64, live: u16, class: Option<Class>) {
        *self = Self { start, live, class, bucket: self.bucket, ..Self::EMPTY };
    }

    /// Takes the lowest object that is not in use, and returns its address.
    pub(crate) fn take(&mut self) -> Option<u64> {
        let class = self.class?;
        let (word, bits) = self.used.iter_mut().enumerate().find(|(_, bits)| **bits != u64::MAX)?;
        let object = word as u64 * 64 + u64::from(bits.trailing_ones());
        if object >= class.objects().into() {
            return None;
        }
        *bits |= 1 << (object % 64);
        self.live += 1;
        Some(self.start + object * class.size())
    }

    /// Gives an object back; returns whether one in use starts at this address.
    pub(crate) fn give(&mut self, address: u64) -> bool {
        let Some((class, offset)) = self.class.zip(address.checked_sub(self.start)) else { return false };
        let object = offset / class.size();
        let bit = 1 << (object % 64);
        match self.used.get_mut((object / 64) as usize) {
            Some(bits) if offset.is_multiple_of(class.size()) && *bits & bit != 0 => {
                *bits &= !bit;
                self.live -= 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.class.is_some_and(|class| self.live == class.objects())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_once() {
        for class in (0..24).map(Class) {
            let mut span = Span::EMPTY;
            span.start(0x8000, 0, Some(class));
            for i in 0..u64::from(class.objects()) {
                assert_eq!(span.take(), Some(0x8000 + i * class.size()));
            }
            assert!(span.is_full() && span.take().is_none());
            assert!(span.give(0x8000 + class.size()) && !span.give(0x8000 + class.size()), "a second time");
            assert!(!span.give(0x8001) && !span.give(0x7ff0) && !span.give(0x8000 + (64 << 10)));
            assert_eq!(span.take(), Some(0x8000 + class.size()));
        }
        assert!(Span::EMPTY.class.is_none() && !{ Span::EMPTY }.give(0));
    }
}
