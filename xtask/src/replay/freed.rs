// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was given to the page allocator after early memory had been handed over.

use super::boot::Boot;
use super::early::is_allocation;
use super::infer::{is_gigantic_page, is_of_gigantic_pages};
use crate::dmesg::{Event, Function};
use handoff::{FRAME_BYTES, Rules};

/// Returns the KiB that were given to the page allocator between the hand-over and a line; 6.12 prints its sum that late.
pub(super) fn before(boot: &Boot<'_>, at: usize) -> u64 {
    let mut kib = 0u64;
    let mut answered = None;
    for entry in &boot.entries()[..at] {
        match entry.event {
            Event::Freed { kib: freed } => kib = kib.saturating_add(freed),
            // Gigantic pages go to their own allocator.
            Event::Request(request) => {
                answered = Some(request).filter(|r| is_gigantic_page(boot.rules, r.caller));
            }
            Event::Call(call) if call.function == Function::FreeLate => {
                kib = kib.saturating_add(call.size() / 1024);
            }
            Event::Call(call) if is_allocation(&call) => {
                kib = kib.saturating_add(answered.take().map_or(0, |r| r.size / 1024));
            }
            _ => {}
        }
    }
    kib
}

/// Returns the frames that were given to it until the log ends.
pub(super) fn frames(boot: &Boot<'_>) -> u64 {
    let is_told_call_by_call =
        boot.events().any(|e| matches!(e, Event::Call(call) if call.caller.starts_with("efi_free_boot_services")));
    let of_boot_services = boot.events().filter_map(|e| match e {
        Event::FreedBootServices { kib } if !is_told_call_by_call => Some(*kib),
        _ => None,
    });
    let mut kib = of_boot_services.fold(before(boot, boot.entries().len()), u64::saturating_add);
    if boot.rules < Rules::V6_12 {
        // Gigantic pages were handed to their own allocator, frame by frame.
        let pages = boot.requests().filter(|(_, request, _)| is_of_gigantic_pages(request.caller));
        kib = pages.filter_map(|(.., answer)| answer).fold(kib, |kib, (_, size)| kib.saturating_add(size / 1024));
    }
    kib / (FRAME_BYTES / 1024)
}
