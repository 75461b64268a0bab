// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask replay`: runs our crates through recorded boots of Linux and compares every decision.
//!
//! What the log shows as asked for - the firmware's map, the command line, calls and requests - is done again; what it
//! shows as decided - maps, addresses, regions, nodes, flags, words - is predicted and compared, line by line. What Linux
//! does in silence is in `infer`. Nothing counts as equal that was not compared, and a log that shows too little to
//! compare is an error of its own.
//!
//! # Limits
//! - What is only asked for cannot be wrong: without the files of a capture, the printed map of the firmware and its
//!   nodes are taken as they stand, as long as what follows from them fits.
//! - The rules are those of 5.4, 6.1 and 6.12, chosen by version. Kernels between them may differ in details, and those of
//!   distributions may have changes of their own.
//! - Of the line that sums memory up, what is present and what is reserved follow; what is available, and the sizes of the
//!   kernel's parts, do not.

mod beside;
mod boot;
mod boot_services;
mod capture;
mod conventions;
mod crash;
mod difference;
mod dump;
mod early;
mod fake_nodes;
mod firmware;
mod frames;
mod free_blocks;
mod freed;
mod infer;
mod memory_map;
mod nodes;
mod pairs;
mod printed;
mod report;
mod settle;
mod table;
mod trace;
mod zoneinfo;

pub(crate) use boot::rules_of;
pub use capture::Capture;
pub(crate) use capture::{member, unpack};
pub(crate) use memory_map::model;
pub(crate) use nodes::made_up;
pub use report::{Fact, Mismatch, Report, Verdict};

use crate::arguments::ReplayArgs;
use crate::dmesg;
use crate::dmesg::{Event, Log};
use anyhow::Result;
use boot::Boot;
use early::Early;
use handoff::{FRAME_BYTES, PhysRange, Region};
use report::Totals;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;
use table::Outcome;

/// Replays everything at the paths, prints what came of it and returns the exit status.
pub(crate) fn run(args: &ReplayArgs) -> Result<u8> {
    let mut totals = Totals::default();
    let mut out = std::io::stdout().lock();
    for report in args.paths.iter().flat_map(|path| reports(path)) {
        totals.add(&report);
        if !args.quiet || report.verdict() != Verdict::Equal {
            print_unless_closed(&mut out, &report)?;
        }
    }
    print_unless_closed(&mut out, &format_args!("{totals}\n"))?;
    Ok(totals.verdict() as u8)
}

/// Prints something. Who reads may stop reading, such as `head`; the exit status says the same all the same.
fn print_unless_closed(out: &mut impl Write, text: &impl Display) -> Result<()> {
    match write!(out, "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Returns the reports of everything at a path; a path that cannot be read is a report too.
fn reports(path: &Path) -> Vec<Report> {
    let cannot_read = |path: &Path, error| unusable(path.display().to_string(), format!("{error:#}"));
    match Capture::find(path) {
        Ok(found) => found
            .iter()
            .flat_map(|path| {
                Capture::read(path).map_or_else(|e| vec![cannot_read(path, e)], |capture| replay(&capture))
            })
            .collect(),
        Err(error) => vec![cannot_read(path, error)],
    }
}

fn unusable(name: String, why: String) -> Report {
    let mut report = Report::new(name);
    report.cannot_use(why);
    report
}

/// Replays every boot in a capture.
#[must_use]
pub fn replay(capture: &Capture) -> Vec<Report> {
    let text = dmesg::text(&capture.dmesg);
    // Half a line at the end may say something else than the whole one.
    let whole = text.rfind('\n').map_or(&text[..], |end| &text[..=end]);
    let logs = dmesg::parse(whole);
    if let Some(why) = not_a_log(&text, &logs) {
        return vec![unusable(capture.name.clone(), why)];
    }
    let several = logs.len() > 1;
    let numbered = |i: usize| if several { format!("{}, boot {}", capture.name, i + 1) } else { capture.name.clone() };
    logs.iter().enumerate().map(|(i, log)| replay_boot(numbered(i), capture, log)).collect()
}

/// Returns why a file is no log of a PC's kernel at all.
fn not_a_log(text: &str, logs: &[Log<'_>]) -> Option<String> {
    let has_memory = logs.iter().any(|log| log.entries.iter().any(|e| !matches!(e.event, Event::Version(_))));
    if has_memory {
        return None;
    }
    Some(if text.trim().is_empty() {
        "it is empty".into()
    } else if text.contains('\0') {
        "it is not text".into()
    } else if text.contains("Booting Linux on physical CPU") || text.contains("Machine model:") {
        "it is the log of a machine that has no e820 map; only x86 has one".into()
    } else {
        "it has no line of a kernel's log about memory; a whole log begins with \"Linux version\"".into()
    })
}

fn replay_boot(name: String, capture: &Capture, log: &Log<'_>) -> Report {
    let mut report = Report::new(name);
    for unknown in &log.unknown {
        report.unknown_line(unknown.line, unknown.text);
    }
    let boot = match Boot::new(log, capture) {
        Ok(boot) => boot,
        Err(why) => {
            report.cannot_use(why);
            return report.finish();
        }
    };
    report.kernel(format!("Linux {}", boot.release));
    if let Some(missing) = boot.shows_nothing() {
        report.cannot_use(format!("memblock=debug is on its command line, but {missing}: it is cut off or was filtered (log_buf_len=4M keeps more)"));
        return report.finish();
    }

    let map = table::replay(&boot, &mut report);
    nodes::check_srat(&boot, &mut report);
    if boot.debug {
        replay_memory(capture, &boot, &map, &mut report);
    } else if !map.at_setup.is_empty() {
        replay_without_debug(&boot, &map, &mut report);
    }
    if !boot.reached_handover() {
        report.forget_missing_from(boot.last_entry_line());
    } else if report.is_missing_behind(log.last_line) {
        report.cannot_use("it ends within lines that belong together: it is cut off (what is there was compared)");
    }
    if boot.is_cut_off() {
        report.cannot_use(
            "it ends before memory is handed over to the page allocator: it is cut off (what is there was compared)",
        );
    }
    report.finish()
}

/// Replays a log with every call of memblock in it.
fn replay_memory(capture: &Capture, boot: &Boot<'_>, map: &Outcome, report: &mut Report) {
    if map.panicked {
        return; // so did Linux, and the lines up to there were compared
    }
    pairs::check(boot, map, report);
    conventions::check(boot, map, &table::memory_of(&map.at_setup), report);
    let mut early = Early::new(boot, map, report);
    early.run();
    let (memory, pages, reserved) =
        (std::mem::take(&mut early.at_zones), early.pages, std::mem::take(&mut early.reserved));
    memory_map::replay_zones(boot, &memory, map.max_pfn, report);
    compare_totals(boot, &memory, pages, report);
    if pages.is_some() {
        beside::compare(capture, boot, map.max_pfn, (&memory, &reserved), report);
    }
}

/// Replays a log of a machine in daily use.
fn replay_without_debug(boot: &Boot<'_>, map: &Outcome, report: &mut Report) {
    let ranges = table::memory_of(&map.at_setup);
    let policy = memblock::Policy { rules: boot.rules, ..memblock::Policy::from_command_line(&boot.command_line) };
    let mut memory = Box::new(early::Machine::with_log(policy, trace::Trace::default()));
    for range in &ranges {
        _ = memory.add(range.start(), range.size());
    }
    for range in boot.firmware.efi.iter().filter(|r| r.mirrored) {
        _ = memory.mark_mirror(range.start, range.size);
    }
    if boot.events().any(|e| matches!(e, Event::NodeData { .. })) {
        // What is surely reserved keeps its node from being unplugged.
        _ = memory.reserve(0, 1 << 20);
        for event in boot.events() {
            match *event {
                Event::Ramdisk { start, last } => _ = memory.reserve(start, last.wrapping_sub(start).wrapping_add(1)),
                Event::Srat { start, last, hotplug: true, .. } => {
                    _ = memory.mark_hotplug(start, last.wrapping_sub(start).wrapping_add(1));
                }
                _ => {}
            }
        }
        let plan = nodes::plan(boot, &memory, map.max_pfn, report);
        _ = nodes::register(&mut memory, &plan.blocks);
    }
    let total = map.at_setup.iter().filter(|e| e.kind.is_ram()).map(|e| e.size).fold(0, u64::saturating_add);
    crash::replay_lines(boot, &ranges, total, report);
    if boot.firmware.efi.is_empty() && boot.has_parameter_value("kernelcore", "mirror") {
        let zones = boot.events().filter(|e| matches!(e, Event::Zone)).count();
        report.skip("the zone report: which memory is mirrored is not known without efi=debug", zones);
    } else {
        memory_map::replay_zones(boot, memory.memory(), map.max_pfn, report);
    }
    compare_totals(boot, memory.memory(), None, report);
    report.advise("the kernel was booted without memblock=debug: add it (and log_buf_len=4M) to its command line to have every reservation and every address compared as well");
}

/// Compares the figures of the line that sums memory up, as far as they follow.
fn compare_totals(boot: &Boot<'_>, memory: &[Region], pages: Option<u64>, report: &mut Report) {
    let Some((at, entry)) = boot.entries().iter().enumerate().find(|(_, e)| matches!(e.event, Event::Memory { .. }))
    else {
        if boot.reached_handover() && !boot.panicked() {
            let at = boot.entries().iter().position(|e| e.event == Event::SlabUp);
            let before_6_8 = boot.rules < handoff::Rules::V6_12;
            if !before_6_8 && !boot.goes_on_behind_memory() {
                return report
                    .cannot_use("it ends before memory is summed up: it is cut off (what is there was compared)");
            }
            let line = at.filter(|_| before_6_8).map_or(boot.log.last_line, |at| boot.entries()[at].line);
            report.missing(Fact::Totals, at.map_or(0, |at| boot.line_before(at)), line, "Memory: ...K/...K available");
        }
        return;
    };
    let Event::Memory { present, reserved, cma, .. } = entry.event else { return };
    let mut check = |what: &str, expected: u64, got: Option<u64>| {
        if got == Some(expected) {
            report.equal(Fact::Totals, 1);
        } else {
            report.wrong(Fact::Totals, entry.line, Some(format!("{expected}K {what}")), entry.text.as_str());
        }
    };
    let frames = memory.iter().filter_map(|r| PhysRange::capped(r.base, r.size)?.inward());
    check("present", frames.map(PhysRange::size).fold(0, u64::saturating_add) / 1024, Some(present));
    if let Some(pages) = pages {
        let handed = present.checked_sub(reserved).and_then(|left| left.checked_sub(cma));
        let later = if boot.rules >= handoff::Rules::V6_12 { freed::before(boot, at) } else { 0 };
        check("handed over (present - reserved)", (pages * FRAME_BYTES / 1024).saturating_add(later), handed);
    }
}
