// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors by index: all of them, or a stretch that one lock guards.

use crate::{Error, Fault};
use handoff::{Frame, Page};

/// Descriptors that follow one another, the first of which is that of frame `first`.
pub(crate) struct Pages<'a> {
    first: u32,
    pages: &'a mut [Page],
}

impl<'a> Pages<'a> {
    pub(crate) fn new(pages: &'a mut [Page]) -> Self {
        Self { first: 0, pages }
    }

    /// Cuts off the descriptors from `frame` on.
    #[cfg(feature = "spin")]
    pub(crate) fn split_off(self, frame: Frame) -> (Self, Self) {
        let at = (frame.0.saturating_sub(self.first) as usize).min(self.pages.len());
        let (lower, upper) = self.pages.split_at_mut(at);
        (Self { first: self.first, pages: lower }, Pages { first: self.first + at as u32, pages: upper })
    }

    /// Lends all of it.
    #[cfg(feature = "spin")]
    pub(crate) fn reborrow(&mut self) -> Pages<'_> {
        Pages { first: self.first, pages: self.pages }
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    #[inline]
    pub(crate) fn get(&self, frame: Frame) -> Option<&Page> {
        self.pages.get(frame.0.wrapping_sub(self.first) as usize)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, frame: Frame) -> Option<&mut Page> {
        self.pages.get_mut(frame.0.wrapping_sub(self.first) as usize)
    }
}

#[inline]
pub(crate) fn page<'p>(pages: &'p Pages<'_>, frame: Frame) -> Result<&'p Page, Error> {
    pages.get(frame).ok_or(Error::Corrupt { frame, fault: Fault::Missing })
}

#[inline]
pub(crate) fn page_mut<'p>(pages: &'p mut Pages<'_>, frame: Frame) -> Result<&'p mut Page, Error> {
    pages.get_mut(frame).ok_or(Error::Corrupt { frame, fault: Fault::Missing })
}
