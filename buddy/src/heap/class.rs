// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes of objects.

use core::alloc::Layout;

/// The sizes there are, in bytes: four per power of two, so that at most a fifth of an object is unused, but for the smallest.
pub(crate) const SIZES: [u16; 24] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792,
    2048,
];

/// A size of objects, by its place in [`SIZES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class(pub(crate) u8);

impl Class {
    /// Returns the class of the smallest objects that are as large and as aligned as wanted; `None` if a page is what is
    /// wanted.
    ///
    /// Objects lie side by side from the start of a page, so each is aligned to what its size is a multiple of.
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        let first = SIZES.partition_point(|size| usize::from(*size) < layout.size());
        let fits = |size: &u16| usize::from(*size).is_multiple_of(layout.align());
        let place = SIZES.iter().skip(first).position(fits)?;
        Some(Self((first + place) as u8))
    }

    /// Returns the bytes of an object.
    pub(crate) fn size(self) -> u64 {
        SIZES.get(usize::from(self.0)).copied().map_or(u64::MAX, u64::from)
    }

    /// Returns the order of a span's block: 8, 16 or 32 KiB.
    pub(crate) fn order(self) -> u8 {
        match self.size() {
            0..=256 => 1,
            257..=1024 => 2,
            _ => 3,
        }
    }

    /// Returns the objects of a span, at most 512.
    pub(crate) fn objects(self) -> u16 {
        ((handoff::FRAME_BYTES << self.order()) / self.size()) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_aligned() {
        for (size, align, object) in [
            (1, 1, Some(16)),
            (16, 16, Some(16)),
            (17, 8, Some(32)),
            (17, 32, Some(32)),
            (33, 32, Some(64)),
            (65, 64, Some(128)),
            (129, 1, Some(160)),
            (1, 2048, Some(2048)),
            (2048, 1, Some(2048)),
            (2049, 1, None),
            (1, 4096, None),
        ] {
            let class = Class::of(Layout::from_size_align(size, align).unwrap());
            assert_eq!(class.map(Class::size), object, "{size} {align}");
        }
    }

    #[test]
    fn a_span_wastes_little_and_fits_the_bitmap() {
        for class in (0..SIZES.len() as u8).map(Class) {
            let bytes = handoff::FRAME_BYTES << class.order();
            let tail = bytes - u64::from(class.objects()) * class.size();
            assert!(class.objects() <= 512 && tail * 16 <= bytes, "{class:?}: {tail} of {bytes}");
        }
    }
}
