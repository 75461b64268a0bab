// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log, read as typed events.
//!
//! Takes what people have: `dmesg` with or without timestamps (`-T`, `-x`, `--raw` too), caller ids, the output of
//! `journalctl -k`, syslog files, their JSON, and serial consoles with carriage returns. Each event keeps the number of its
//! line.

mod details;
mod early;
mod event;
mod kept;
mod line;
mod machine;
#[cfg(test)]
mod recorded;
mod scan;
mod table;

pub(crate) use details::{CrashArea, crash_area, freed, hash_table, kernel_parts, node_memory};

pub(crate) use event::{Array, Call, Edit, Event, Function, Request};
pub(crate) use kept::text;

/// A line of the log that says something about memory.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    /// Number of the line in the file, from 1.
    pub(crate) line: usize,
    /// The kernel's words, as a current kernel writes them and without the name of the caller: what is compared.
    pub(crate) text: String,
    /// What they mean.
    pub(crate) event: Event<'a>,
}

/// A line that looks like one about memory and was not understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unknown<'a> {
    pub(crate) line: usize,
    pub(crate) text: &'a str,
}

/// One boot.
#[derive(Debug, Default)]
pub(crate) struct Log<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
    pub(crate) unknown: Vec<Unknown<'a>>,
    /// Lines of the kernel, understood or not.
    pub(crate) lines: usize,
    /// The number of the last one.
    pub(crate) last_line: usize,
}

/// Splits a log into its boots - a journal or a serial console may hold several - and reads each.
pub(crate) fn parse(text: &str) -> Vec<Log<'_>> {
    let mut boots: Vec<Log<'_>> = Vec::new();
    for line in line::kernel_lines(text) {
        let event = read(line.text);
        if boots.is_empty() || matches!(event, Some(Event::Version(_))) && has_content(boots.last()) {
            boots.push(Log::default());
        }
        let Some(boot) = boots.last_mut() else { continue };
        boot.lines += 1;
        boot.last_line = line.number;
        match event {
            Some(event) => push(boot, line, event),
            None if looks_like_memory(line.text) => {
                boot.unknown.push(Unknown { line: line.number, text: line.text });
            }
            None => {}
        }
    }
    boots
}

/// Returns what a line says.
fn read(text: &str) -> Option<Event<'_>> {
    early::parse(text).or_else(|| table::parse(text)).or_else(|| machine::parse(text))
}

fn has_content(boot: Option<&Log<'_>>) -> bool {
    boot.is_some_and(|boot| !boot.entries.is_empty())
}

fn push<'a>(boot: &mut Log<'a>, line: line::Line<'a>, event: Event<'a>) {
    let text = event::normal(line.text, &event);
    boot.entries.push(Entry { line: line.number, text, event });
    // Old kernels print this line without its end, so the next one stands behind it.
    if let Some(rest) = event::behind_doubled(line.text) {
        match read(rest) {
            Some(event) => push(boot, line::Line { text: rest, ..line }, event),
            None if looks_like_memory(rest) => boot.unknown.push(Unknown { line: line.number, text: rest }),
            None => {}
        }
    }
}

/// Returns whether a line starts like those that early memory, the firmware's map and the nodes print.
fn looks_like_memory(text: &str) -> bool {
    const STARTS: [&str; 18] = [
        "memblock",
        "   memblock_",
        "MEMBLOCK",
        " memory size",
        " memory.",
        " memory[",
        " reserved.",
        " reserved[",
        "e820:",
        "BIOS-",
        "user: [mem",
        "extended: [mem",
        "modified: [mem",
        "reserve setup_data: [mem",
        "last_pfn",
        "NODE_DATA",
        "    NODE_DATA",
        "crashkernel",
    ];
    STARTS.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_memory_and_is_not_understood_is_kept() {
        let log =
            parse("[    0.0] Linux version 6.1\n[    0.0] memblock_reserve: [0x1-0x\n[    0.0] e820: new words\n");
        assert_eq!(log[0].unknown.iter().map(|u| u.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(log[0].entries.len(), 1);
    }

    #[test]
    fn a_console_with_two_boots() {
        let text = "[ 0.0] Linux version 6.1\n[ 0.0] Zone ranges:\n[ 0.0] Linux version 6.12\n";
        assert_eq!(parse(text).len(), 2);
        assert_eq!(parse("").len(), 0);
    }

    #[test]
    fn a_line_behind_one_without_end() {
        let text = "memblock: reserved is doubled to 256 at [0x1000-0x27ff]memblock_reserve: [0x1000-0x2fff] memblock_double_array+0x1/0x2\n";
        let log = parse(text);
        assert_eq!(log[0].entries.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(log[0].entries[1].text, "memblock_reserve: [0x1000-0x2fff]");
    }
}
