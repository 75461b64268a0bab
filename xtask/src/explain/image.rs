// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's image, as far as everyday lines tell how large it is.

use super::facts::Facts;

/// Bytes right behind the image that the first page tables are made of. Linux: `INIT_PGT_BUF_SIZE` (6.1, with five levels and
/// `RANDOMIZE_MEMORY`).
pub(super) const FIRST_TABLES: u64 = 64 << 10;

/// What a page of the kernel's own mapping covers.
const LARGE_PAGE: u64 = 2 << 20;

/// Returns the bytes of the image between its parts, which have `parts` bytes together. What was freed of the gaps is told.
/// Data that a hypervisor may share ends the image and begins and ends with a large page, so that there the whole fills such
/// pages, too.
pub(super) fn gaps(facts: &Facts<'_>, parts: u64) -> u64 {
    let of = |end: &'static str| {
        facts.freed.iter().filter(move |f| f.what.ends_with(end)).map(|f| f.bytes).fold(0, u64::saturating_add)
    };
    let shared = of("decrypted");
    let told = of(" gap)").saturating_add(shared);
    let whole = parts.saturating_add(told);
    let filled = whole.checked_next_multiple_of(LARGE_PAGE).filter(|_| shared > 0);
    told.saturating_add(filled.map_or(0, |filled| filled - whole))
}
