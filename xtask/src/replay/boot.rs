// SPDX-License-Identifier: MIT OR Apache-2.0
//! One recorded boot: what is known of it before anything is decided.

use super::capture::Capture;
use super::early::is_allocation;
use super::firmware::Firmware;
use crate::dmesg::{Array, Edit, Entry, Event, Function, Log, Request};
use handoff::{PhysRange, Rules, parameters};

/// A boot to replay.
#[derive(Debug)]
pub(super) struct Boot<'a> {
    pub(super) log: &'a Log<'a>,
    entries: &'a [Entry<'a>],
    pub(super) release: &'a str,
    pub(super) rules: Rules,
    /// The whole command line.
    pub(super) command_line: String,
    /// Whether `memblock=debug` is on it.
    pub(super) debug: bool,
    pub(super) firmware: Firmware,
    /// Places of the dumps.
    dumps: Vec<usize>,
    handover: Option<usize>,
}

impl<'a> Boot<'a> {
    /// Reads what stands at the beginning of a log.
    ///
    /// # Errors
    /// Why nothing can be made of it, in words for the user.
    pub(super) fn new(log: &'a Log<'a>, capture: &Capture) -> Result<Self, String> {
        let entries = whole(&log.entries);
        let events = || entries.iter().map(|e| &e.event);
        let position = |wanted: fn(&Event<'_>) -> bool| entries.iter().position(|e| wanted(&e.event));

        let release = events().find_map(|e| if let Event::Version(release) = e { Some(*release) } else { None });
        let printed = events().find_map(|e| if let Event::CommandLine(line) = e { Some(*line) } else { None });
        let (Some(release), Some(printed)) = (release, printed) else {
            return Err(if entries.is_empty() {
                "nothing in it is a kernel's line about memory".into()
            } else {
                "its beginning is missing: there is no \"Linux version\" or no \"Command line\" in it; take the log right after the boot, or give the kernel log_buf_len=4M".into()
            });
        };
        let command_line = match &capture.command_line {
            Some(whole) if whole.starts_with(printed) => whole.clone(),
            _ => printed.to_owned(),
        };
        let rules = rules_of(release).ok_or_else(|| format!("\"{release}\" is no version of Linux from 4.0 on"))?;
        let mut debug = false;
        for (name, value) in parameters(&command_line) {
            debug |= name == "memblock" && value.is_some_and(|v| v.contains("debug"));
        }
        Ok(Self {
            log,
            entries,
            release,
            rules,
            command_line,
            debug,
            firmware: Firmware::read(capture, entries),
            dumps: (0..entries.len()).filter(|&i| entries[i].event == Event::DumpHeading).collect(),
            handover: position(|e| matches!(e, Event::SlabUp | Event::Memory { .. })),
        })
    }

    pub(super) fn entries(&self) -> &'a [Entry<'a>] {
        self.entries
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &'a Event<'a>> {
        self.entries.iter().map(|e| &e.event)
    }

    /// Returns the place of a dump's heading, counted from 0.
    pub(super) fn dump(&self, n: usize) -> Option<usize> {
        self.dumps.get(n).copied()
    }

    /// Returns the place of the first line after memblock handed everything over.
    pub(super) fn handover(&self) -> Option<usize> {
        self.handover
    }

    /// Returns the nodes that the log names.
    pub(super) fn nodes(&self) -> impl Iterator<Item = u16> {
        self.events().filter_map(|e| match e {
            Event::NodeData { nid, .. } | Event::MemorylessNode { nid } => Some(*nid),
            _ => None,
        })
    }

    /// Returns whether a request is for a new place of the initial RAM disk, which the next line tells.
    pub(super) fn is_for_ramdisk(&self, entry: &Entry<'_>) -> bool {
        let behind = self.entries().iter().skip_while(|e| e.line <= entry.line);
        behind.take(2).any(|e| matches!(e.event, Event::NewRamdisk { .. }))
    }

    /// Returns whether the log ends too early, without the kernel saying why.
    pub(super) fn is_cut_off(&self) -> bool {
        self.handover.is_none() && !self.panicked()
    }

    pub(super) fn last_entry_line(&self) -> usize {
        self.entries().last().map_or(0, |e| e.line)
    }

    /// Returns what a log with `memblock=debug` does not show at all, so that there would be nothing to compare.
    pub(super) fn shows_nothing(&self) -> Option<&'static str> {
        let has = |wanted: fn(&Event<'_>) -> bool| self.events().any(wanted);
        if !self.debug || self.panicked() {
            None
        } else if !has(|e| matches!(e, Event::Request(_))) {
            Some("there is no allocation in it")
        } else if !has(|e| matches!(e, Event::DumpRegion { .. })) {
            Some("there is no dump of memblock in it")
        } else {
            None
        }
    }

    pub(super) fn reached_handover(&self) -> bool {
        self.handover.is_some()
    }

    /// Returns the line of the entry in front of a place, 0 if there is none.
    pub(super) fn line_before(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |at| self.entries()[at].line)
    }

    /// Returns the line of the entry behind a place, the last line if there is none.
    pub(super) fn line_after(&self, at: usize) -> usize {
        self.entries().get(at + 1).map_or(self.log.last_line, |e| e.line)
    }

    /// Returns each request with its place and what it was answered: address and size.
    pub(super) fn requests(&self) -> impl Iterator<Item = (usize, &'a Request<'a>, Option<(u64, u64)>)> {
        let entries = self.entries();
        entries.iter().enumerate().filter_map(|(at, entry)| {
            let Event::Request(request) = &entry.event else { return None };
            let next = entries[at + 1..].iter().find(|e| matches!(e.event, Event::Request(_) | Event::Call(_)));
            let answer = next.and_then(|e| match e.event {
                Event::Call(call) if is_allocation(&call) => Some((call.base, call.size())),
                _ => None,
            });
            Some((at, request, answer))
        })
    }

    /// Returns whether the kernel says itself why the log ends.
    pub(super) fn panicked(&self) -> bool {
        self.events().any(|e| matches!(e, Event::Panic(_)))
    }

    /// Returns whether there is a line that Linux prints behind the sum of memory, from 6.8 on.
    pub(super) fn goes_on_behind_memory(&self) -> bool {
        self.entries().iter().any(|e| match e.event {
            Event::Freed { .. } => !e.text.contains("SMP alternatives"),
            Event::RamBuffer { .. } => true,
            _ => false,
        })
    }

    pub(super) fn has_parameter(&self, wanted: &str) -> bool {
        parameters(&self.command_line).any(|(name, _)| name == wanted)
    }

    /// Returns whether one of the values of a parameter, between commas, is `wanted`.
    pub(super) fn has_parameter_value(&self, wanted: &str, value: &str) -> bool {
        parameters(&self.command_line)
            .filter(|(name, _)| *name == wanted)
            .any(|(_, values)| values.is_some_and(|v| v.split(',').any(|v| v == value)))
    }

    /// Returns whether the kernel was built to hibernate, so that it tells what that leaves out.
    pub(super) fn has_hibernation(&self) -> bool {
        self.events().any(|e| match e {
            Event::Nosave { .. } => true,
            Event::Request(request) => request.caller.starts_with("register_nosave_region+"),
            _ => false,
        })
    }

    /// Returns whether the log leaves out of hibernation exactly what these lines say.
    pub(super) fn tells_nosave(&self, lines: &[String]) -> bool {
        let told = self.entries().iter().filter(|e| matches!(e.event, Event::Nosave { .. })).map(|e| &e.text);
        told.eq(lines)
    }

    /// Returns whether the kernel tells of requests for physical memory; old ones tell of the answers only.
    pub(super) fn tells_searches(&self) -> bool {
        let told = |e: &Event<'_>| matches!(e, Event::Request(r) if r.function == "memblock_phys_alloc_range");
        self.rules > Rules::V5_4 || self.events().any(told)
    }

    pub(super) fn is_amd(&self) -> bool {
        self.events().any(|e| matches!(e, Event::Processor { amd: true }))
    }

    /// Returns whether another line says that the edit on this line will be made.
    pub(super) fn is_announced(&self, line: usize) -> bool {
        let at = self.entries().iter().position(|e| e.line == line);
        let Some(Event::Edit(Edit::Remove { start, last, .. })) = at.map(|at| self.entries()[at].event) else {
            return false;
        };
        self.events().any(|e| *e == Event::EfiRemoves { start, last })
    }

    /// Returns where the kernel lies. The log shows it twice: reserved without a word, and the part behind it with one.
    pub(super) fn kernel_image(&self) -> Option<PhysRange> {
        // Where it is not RAM, the kernel names all of it.
        if let Some(at) = self.entries().iter().position(|e| e.event == Event::KernelNotRam)
            && let Some(Event::Edit(Edit::Remove { start, last, kind: None })) =
                self.entries().get(at + 1).map(|e| e.event)
        {
            return PhysRange::new(start, last.checked_add(1)?);
        }
        let brk = self.brk()?;
        let dump = self.dump(0)?;
        self.entries()[dump..].iter().find_map(|e| match e.event {
            Event::DumpRegion { array: Array::Reserved, base, last, .. }
                if base <= brk.start() && brk.end() - 1 <= last =>
            {
                PhysRange::new(base, brk.end())
            }
            _ => None,
        })
    }

    /// Returns what the kernel reserved for its first tables, right behind its image.
    pub(super) fn brk(&self) -> Option<PhysRange> {
        let before = &self.entries()[..self.dump(0)?];
        before.iter().find_map(|e| match e.event {
            Event::Call(call) if call.function == Function::Reserve && is_setup_arch(call.caller) => {
                PhysRange::new(call.base, call.last.checked_add(1)?)
            }
            _ => None,
        })
    }
}

/// Returns the entries without a dump or a request at the end, the rest of which the log does not have.
fn whole<'a>(entries: &'a [Entry<'a>]) -> &'a [Entry<'a>] {
    let in_dump = |e: &Entry<'_>| {
        matches!(e.event, Event::DumpHeading | Event::DumpSizes { .. } | Event::DumpCount | Event::DumpRegion { .. })
    };
    let end = match entries.last() {
        Some(last) if in_dump(last) => entries.iter().rposition(|e| e.event == Event::DumpHeading),
        Some(Entry { event: Event::Request(_), .. }) => Some(entries.len() - 1),
        _ => None,
    };
    &entries[..end.unwrap_or(entries.len())]
}

pub(super) fn is_setup_arch(caller: &str) -> bool {
    caller.starts_with("setup_arch+") || caller.starts_with("reserve_brk+")
}

/// Returns the rules that a version decides by.
pub(crate) fn rules_of(release: &str) -> Option<Rules> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    match (numbers.next()?, numbers.next()?) {
        (0..4, _) => None,
        // 5.13 reserves low memory before it reads the command line, and looks for the crash kernel's memory in one call.
        version if version < (5, 13) => Some(Rules::V5_4),
        // 6.8 has the crash kernel's code for all architectures.
        version if version < (6, 8) => Some(Rules::V6_1),
        _ => Some(Rules::V6_12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (release, rules) in [
            ("6.1.0-56-cloud-amd64", Some(Rules::V6_1)),
            ("6.12.117+deb12-amd64", Some(Rules::V6_12)),
            ("5.4.0", Some(Rules::V5_4)),
            ("5.14.0-427.el9.x86_64", Some(Rules::V6_1)),
            ("7.0-rc1", Some(Rules::V6_12)),
            ("2.6.32", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(rules_of(release), rules, "{release}");
        }
    }
}
