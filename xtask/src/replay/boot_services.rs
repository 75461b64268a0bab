// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the EFI boot services, which is kept until the firmware's tables have been read.

use super::boot::Boot;
use super::difference::{Found, compare};
use super::early::Machine;
use super::firmware::EfiKind;
use super::report::{Fact, Report};
use crate::dmesg::Event;

const CALLER: &str = "efi_reserve_boot_services+";

/// Returns whether what is kept has been kept by the time of a line, or is on it.
pub(super) fn is_due(event: &Event<'_>) -> bool {
    match event {
        Event::Call(call) => call.caller.starts_with(CALLER),
        Event::Request(request) => request.caller.starts_with("reserve_real_mode+"),
        _ => false,
    }
}

/// Compares what is kept with what follows from the EFI map, if that is known: all that nobody reserved before.
///
/// Linux: `efi_reserve_boot_services` (6.1).
pub(super) fn replay(boot: &Boot<'_>, memory: &Machine, at: usize, report: &mut Report) {
    if boot.firmware.efi.is_empty() || boot.has_parameter("noefi") {
        return;
    }
    let mut memory = Box::new(memory.clone());
    let mut expected = Vec::new();
    for range in &boot.firmware.efi {
        let kept = matches!(range.kind, EfiKind::Usable { boot_services: true, .. });
        if kept && !memory.is_region_reserved(range.start, range.size) {
            _ = memory.reserve(range.start, range.size);
            let last = range.start.wrapping_add(range.size).wrapping_sub(1);
            expected.push(format!("memblock_reserve: [{:#018x}-{last:#018x}]", range.start));
        }
    }
    let of_efi = |e: &Event<'_>| matches!(e, Event::Call(call) if call.caller.starts_with(CALLER));
    let entries = boot.entries();
    let told = (at..entries.len()).filter(|&i| of_efi(&entries[i].event));
    let places: Vec<usize> = told.collect();
    let found: Vec<_> = places.iter().map(|&i| Found::from(&entries[i])).collect();
    let last = places.last().copied().or(at.checked_sub(1)).unwrap_or(0);
    compare(report, Fact::Pairs, &expected, &found, (boot.line_before(at), boot.line_after(last)));
}
