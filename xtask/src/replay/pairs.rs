// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that the log tells of twice: once as a call, and once in the words of who makes it, or by a rule of his.
//!
//! A call that only frees or reserves has no answer to compare. If it were missing, or another one, that would show only
//! where memory runs short. What else the log says about it shows it at once.

use super::boot::{Boot, is_setup_arch};
use super::difference::{Found, compare};
use super::early::is_allocation;
use super::report::{Fact, Report};
use super::table::Outcome;
use crate::dmesg::{Call, Entry, Event, Function};
use handoff::{FRAME_BYTES, PhysRange, Rules};

/// Compares everything that is told twice.
pub(super) fn check(boot: &Boot<'_>, map: &Outcome, report: &mut Report) {
    let checks: [fn(&Boot<'_>, &Outcome, &mut Report); 10] =
        [first_tables, efi_map, mp_table, probe, first_megabyte, ramdisk, acpi_tables, resources, per_cpu, late_words];
    checks.iter().for_each(|check| check(boot, map, report));
}

fn line(function: &str, base: u64, size: u64) -> String {
    format!("{function}: [{base:#018x}-{:#018x}]", base.wrapping_add(size).wrapping_sub(1))
}

fn reserve(base: u64, size: u64) -> String {
    line("memblock_reserve", base, size)
}

fn free(base: u64, size: u64) -> String {
    line("memblock_phys_free", base, size)
}

/// Compares calls that `belongs` selects between two places of the log.
fn compare_calls(
    boot: &Boot<'_>,
    report: &mut Report,
    (from, to): (usize, usize),
    expected: &[String],
    belongs: impl Fn(&Call<'_>) -> bool,
) {
    let is_call = |e: &&Entry<'_>| matches!(&e.event, Event::Call(call) if belongs(call));
    let found: Vec<_> = boot.entries()[from..to].iter().filter(is_call).map(Found::from).collect();
    let around = (boot.line_before(from), boot.line_after(to.saturating_sub(1)));
    compare(report, Fact::Pairs, expected, &found, around);
}

/// Returns the places between which the first dump, or the hand-over, has not been yet.
fn before_dump(boot: &Boot<'_>) -> (usize, usize) {
    (0, boot.dump(0).unwrap_or(boot.entries().len()))
}

fn early(boot: &Boot<'_>) -> (usize, usize) {
    (0, boot.handover().unwrap_or(boot.entries().len()))
}

/// Returns the place of the first request or dump behind a place.
fn next_request(boot: &Boot<'_>, at: usize) -> usize {
    let entries = &boot.entries()[at + 1..];
    let next = entries.iter().position(|e| matches!(e.event, Event::Request(_) | Event::DumpHeading | Event::SlabUp));
    next.map_or(boot.entries().len(), |next| at + 1 + next)
}

/// The kernel's first tables begin at a page; at one of 2 MiB if the section in front of them has to.
fn first_tables(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let Some(brk) = boot.brk().filter(|_| boot.rules > Rules::V5_4) else { return };
    let decrypted = boot.entries().iter().any(|e| e.text.starts_with("Freeing unused decrypted memory"));
    let align: u64 = if decrypted { 2 << 20 } else { 4096 };
    if brk.start().is_multiple_of(align) {
        return report.equal(Fact::Pairs, 1);
    }
    let told = reserve(brk.start(), brk.size());
    let at = boot.entries().iter().find(|e| e.text == told).map_or(0, |e| e.line);
    report.wrong(Fact::Pairs, at, Some(format!("a multiple of {align:#x}")), told);
}

/// The EFI memory map lies where the loader says.
fn efi_map(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let of_efi = |call: &Call<'_>| call.caller.starts_with("efi_memblock_x86_reserve_range+");
    let is_efi = boot
        .entries()
        .iter()
        .any(|e| matches!(&e.event, Event::Call(call) if of_efi(call)) || e.text.starts_with("efi: "));
    if let Some(map) = boot.firmware.efi_memmap.filter(|_| is_efi && !boot.has_parameter("noefi")) {
        compare_calls(boot, report, before_dump(boot), &[reserve(map.start(), map.size())], of_efi);
    }
}

/// The MP table: its header, which is announced, and a table of whole words.
fn mp_table(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let entries = boot.entries();
    for (at, entry) in entries.iter().enumerate() {
        let Event::MpTable { start, last } = entry.event else { continue };
        let header = reserve(start, last.wrapping_sub(start).wrapping_add(1));
        let calls: Vec<_> = entries[at + 1..]
            .iter()
            .map_while(|e| match e.event {
                Event::Call(call) if call.caller.starts_with("smp_scan_config+") => Some((e, call)),
                _ => None,
            })
            .collect();
        let around = (entry.line, boot.line_after(at + calls.len()));
        let found: Vec<_> = calls.iter().take(1).map(|(e, _)| Found::from(*e)).collect();
        compare(report, Fact::Pairs, &[header], &found, around);
        match calls.get(1) {
            None => report.missing(Fact::Pairs, around.0, around.1, "memblock_reserve: [...] of the MP table"),
            Some((e, table)) if (table.base | table.size()) % 4 != 0 || !(44..1 << 16).contains(&table.size()) => {
                report.wrong(
                    Fact::Pairs,
                    e.line,
                    Some("an MP table of whole words, below 64 KiB".into()),
                    e.text.as_str(),
                );
            }
            Some(_) => report.equal(Fact::Pairs, 1),
        }
    }
}

/// Before memory is mapped from the top, a place for that is looked for and given back.
fn probe(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    for (at, request, answer) in boot.requests() {
        let Some((base, size)) = answer.filter(|_| request.caller.starts_with("init_mem_mapping+")) else { continue };
        let of_probe = |c: &Call<'_>| c.function == Function::Free && c.caller.starts_with("init_mem_mapping+");
        compare_calls(boot, report, (at + 1, next_request(boot, at)), &[free(base, size)], of_probe);
    }
}

/// All of the first megabyte is reserved, once, after the trampoline for other processors has its place in it.
fn first_megabyte(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let entries = boot.entries();
    let trampoline = entries
        .iter()
        .position(|e| matches!(&e.event, Event::Request(r) if r.caller.starts_with("reserve_real_mode+")));
    let Some(from) = trampoline else { return };
    let to = next_request(boot, from);
    if boot.rules > Rules::V5_4 {
        let of_trampoline = |c: &Call<'_>| {
            c.function == Function::Reserve && (is_setup_arch(c.caller) || c.caller.starts_with("reserve_real_mode+"))
        };
        compare_calls(boot, report, (from + 1, to), &[reserve(0, 1 << 20)], of_trampoline);
    }
}

/// The initial RAM disk: where it lies, and where it goes if it lies where nothing is mapped.
fn ramdisk(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let entries = boot.entries();
    let at = |wanted: fn(&Event<'_>) -> bool| entries.iter().position(|e| wanted(&e.event));
    let mem = |start: u64, size: u64| format!("[mem {start:#010x}-{:#010x}]", start.wrapping_add(size).wrapping_sub(1));
    let told = at(|e| matches!(e, Event::Ramdisk { .. }));
    if let Some(place) = boot.firmware.ramdisk {
        let found: Vec<_> = told.map(|at| Found::from(&entries[at])).into_iter().collect();
        let around =
            (boot.dump(0).map_or(0, |d| entries[d].line), boot.dump(1).map_or(boot.log.last_line, |d| entries[d].line));
        compare(report, Fact::Pairs, &[format!("RAMDISK: {}", mem(place.start(), place.size()))], &found, around);
    }

    let moves = at(|e| matches!(e, Event::MoveRamdisk { .. }));
    let new = at(|e| matches!(e, Event::NewRamdisk { .. }));
    if moves.is_none() && new.is_none() {
        return;
    }
    // The disk's size is told by the line that announces it, by the new place and by the move.
    let sizes = [moves, new].into_iter().flatten().filter_map(|at| match entries[at].event {
        Event::MoveRamdisk { from: (start, last), .. } | Event::NewRamdisk { start, last } => {
            Some(last.wrapping_sub(start).wrapping_add(1))
        }
        _ => None,
    });
    let from = boot.firmware.ramdisk.map(PhysRange::start).or(match told.map(|at| entries[at].event) {
        Some(Event::Ramdisk { start, .. }) => Some(start),
        _ => None,
    });
    let first = new.or(moves).unwrap_or(0);
    let request = boot.requests().filter(|(at, ..)| *at < first).last().and_then(|(.., answer)| answer);
    let (Some(from), Some((to, room)), Some(size)) = (from, request, boot.firmware.ramdisk_size.or(sizes.max())) else {
        return;
    };
    let expected = [
        format!("Allocated new RAMDISK: {}", mem(to, size)),
        format!("Move RAMDISK from {} to {}", mem(from, size), mem(to, size)),
        free(from, (from.wrapping_add(size).wrapping_add(FRAME_BYTES - 1) & !(FRAME_BYTES - 1)).wrapping_sub(from)),
    ];
    let rest = &entries[first..(first + 3).min(entries.len())];
    let of_move = |e: &&Entry<'_>| match &e.event {
        Event::NewRamdisk { .. } | Event::MoveRamdisk { .. } => true,
        Event::Call(call) => call.function == Function::Free,
        _ => false,
    };
    let found: Vec<_> = rest.iter().filter(of_move).map(Found::from).collect();
    compare(report, Fact::Pairs, &expected, &found, (boot.line_before(first), boot.line_after(first + 2)));
    report.equal(Fact::Pairs, usize::from(room >= size));
}

/// Each ACPI table is announced before it is reserved.
fn acpi_tables(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let expected: Vec<_> = boot
        .events()
        .filter_map(|e| match *e {
            Event::AcpiTable { start, last } => Some(reserve(start, last.wrapping_sub(start).wrapping_add(1))),
            _ => None,
        })
        .collect();
    compare_calls(boot, report, early(boot), &expected, |c| c.caller.starts_with("acpi_reserve_initial_tables+"));
}

/// Resources and firmware entries are as many as the map has, and there is a record for each hole that hibernation skips.
fn resources(boot: &Boot<'_>, map: &Outcome, report: &mut Report) {
    const RESOURCE_BYTES: usize = 64;
    const NOSAVE_BYTES: usize = 32;
    let mut holes = 0;
    let mut end = None;
    for event in boot.events() {
        if let Event::Nosave { start, last } = *event {
            holes += usize::from(end != Some(start));
            end = last.checked_add(1);
        }
    }
    let late_edits = report.skipped().any(|(why, _)| why.starts_with("edits of the map"));
    let resources = if late_edits { Vec::new() } else { vec![map.entries.len() * RESOURCE_BYTES] };
    for (caller, sizes) in [
        ("e820__reserve_resources+", resources),
        ("firmware_map_add_early+", vec![firmware_entry_bytes(boot); map.firmware_entries]),
        ("register_nosave_region+", vec![NOSAVE_BYTES; holes]),
    ] {
        let of_caller = |e: &&Entry<'_>| matches!(&e.event, Event::Request(r) if r.caller.starts_with(caller));
        let found: Vec<_> = boot.entries().iter().filter(of_caller).map(Found::from).collect();
        let expected: Vec<_> = sizes.iter().map(|size| plain_request(*size)).collect();
        if !found.is_empty() && !expected.is_empty() {
            compare(report, Fact::Pairs, &expected, &found, (0, boot.log.last_line));
        }
    }
}

/// Returns the size of a record of the firmware's map: that of most requests for one.
fn firmware_entry_bytes(boot: &Boot<'_>) -> usize {
    let of_map = boot.requests().filter(|(_, r, _)| r.caller.starts_with("firmware_map_add_early+"));
    let sizes: Vec<_> = of_map.map(|(_, r, _)| r.size).collect();
    sizes.iter().max_by_key(|size| sizes.iter().filter(|s| s == size).count()).map_or(0, |size| *size as usize)
}

fn plain_request(size: usize) -> String {
    format!("memblock_alloc_try_nid: {size} bytes align=0x40 nid=-1 from={:#018x} max_addr={:#018x}", 0, 0)
}

/// Processors there can be. Linux: Debian's `NR_CPUS`.
const MOST_UNITS: u64 = 8192;

/// What per-CPU memory leaves over is given back: the end of each unit, and the lists that laid it out.
fn per_cpu(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let of = |caller: &'static str| {
        move |(_, request, answer): (usize, &crate::dmesg::Request<'_>, _)| {
            if request.caller.starts_with(caller) { answer } else { None }
        }
    };
    let all = |caller| boot.requests().filter_map(of(caller)).collect::<Vec<(u64, u64)>>();
    let (layout, lists, pages) =
        (all("pcpu_build_alloc_info+"), all("pcpu_embed_first_chunk+"), all("pcpu_page_first_chunk+"));
    let embedded = boot.events().find_map(|e| match e {
        Event::PerCpu { pages, unit } => Some((*pages, *unit)),
        _ => None,
    });

    let mut expected = Vec::new();
    match (embedded, pages.is_empty(), lists.is_empty()) {
        (Some((used, unit)), true, false) if unit >= FRAME_BYTES => {
            let mut units =
                boot.events().filter_map(|e| if let Event::PerCpuUnits(words) = e { Some(*words) } else { None });
            let mut taken = units.by_ref().flat_map(units_of);
            for (base, size) in all("pcpu_fc_alloc+") {
                for base in (0..(size / unit).min(MOST_UNITS)).map(|i| base.wrapping_add(i * unit)) {
                    let kept = if taken.next().unwrap_or(true) { used.saturating_mul(FRAME_BYTES) } else { 0 };
                    expected.push(free(base.wrapping_add(kept), unit.saturating_sub(kept)));
                }
            }
            expected.extend(layout.iter().chain(&lists).map(|(base, size)| free(*base, *size)));
        }
        (None, false, true) => expected.extend(pages.iter().chain(&layout).map(|(base, size)| free(*base, *size))),
        _ => return,
    }
    let first = boot.requests().find(|(_, r, _)| r.caller.starts_with("pcpu_")).map_or(0, |(at, ..)| at + 1);
    let window = (first, early(boot).1.max(first));
    compare_calls(boot, report, window, &expected, |c| c.function == Function::Free && c.caller.starts_with("pcpu_"));
}

/// Returns for each unit of `[0] 0 1 - [1] 2` whether a processor has it.
fn units_of(words: &str) -> impl Iterator<Item = bool> {
    words.split_whitespace().filter(|w| !w.starts_with('[')).map(|w| !w.starts_with('-'))
}

/// Hash tables, the DMA buffer and unknown parameters say what they took.
fn late_words(boot: &Boot<'_>, _: &Outcome, report: &mut Report) {
    let entries = &boot.entries()[..early(boot).1];
    let requests: Vec<_> = boot.requests().collect();
    let last_request = |at: usize, callers: &[&str]| {
        requests.iter().rev().find(|(i, r, _)| *i < at && callers.iter().any(|c| r.caller.starts_with(c)))
    };
    for (at, entry) in entries.iter().enumerate() {
        match entry.event {
            Event::HashTable { bytes } => {
                if let Some((_, request, _)) = last_request(at, &["alloc_large_system_hash+"]) {
                    say(report, entry, request.size == bytes, format!("{} bytes, as asked for", request.size));
                }
            }
            Event::IoTlb { start, last } => {
                let told = entries[..at].iter().any(|e| {
                    matches!(&e.event, Event::Call(call) if is_allocation(call) && (call.base, call.last) == (start, last))
                });
                say(report, entry, told, "memory that was asked for".into());
            }
            Event::UnknownParameters { bytes } => {
                let callers = ["start_kernel+", "print_unknown_bootoptions+"];
                let Some((_, request, Some((base, _)))) = last_request(at, &callers) else { continue };
                say(report, entry, request.size == bytes, format!("{} bytes, as asked for", request.size));
                let to = entries.len();
                let belongs =
                    |c: &Call<'_>| c.function == Function::Free && callers.iter().any(|k| c.caller.starts_with(k));
                compare_calls(boot, report, (at, to), &[free(*base, bytes)], belongs);
            }
            Event::EmulatedNode { nid, start, last } => {
                let size = last.wrapping_add(1).wrapping_sub(start) >> 20;
                let expected = format!("Faking node {nid} at [mem {start:#018x}-{last:#018x}] ({size}MB)");
                say(report, entry, entry.text == expected, expected);
            }
            _ => {}
        }
    }
}

fn say(report: &mut Report, entry: &Entry<'_>, equal: bool, expected: String) {
    if equal {
        report.equal(Fact::Pairs, 1);
    } else {
        report.wrong(Fact::Pairs, entry.line, Some(expected), entry.text.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(units_of("[0] 00 01 [1] 02 --").collect::<Vec<_>>(), [true, true, true, false]);
    }
}
