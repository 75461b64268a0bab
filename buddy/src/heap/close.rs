// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a heap.

use super::class::{Class, SIZES};
use super::span::NONE;
use super::{Heap, span_mut};
use crate::{Buddy, Error};

impl<'a, const Z: usize> Heap<'a, Z> {
    /// Gives the empty spans back and returns the page-frame allocator. What is in use stays allocated there.
    ///
    /// # Errors
    /// As [`Buddy::free`] for a span, which only damage can cause.
    pub fn close(mut self) -> Result<Buddy<'a, Z>, Error> {
        for class in (0..SIZES.len() as u8).map(Class) {
            let mut index = self.partial[usize::from(class.0)];
            while index != NONE {
                let span = *span_mut(self.spans, index)?;
                if span.live == 0 {
                    self.remove_span(index, class)?;
                }
                index = span.next;
            }
        }
        Ok(self.buddy)
    }
}
