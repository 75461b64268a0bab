// SPDX-License-Identifier: MIT OR Apache-2.0
//! State, node and zone of every frame, against the descriptors of a stopped kernel and the states in a running one.

use super::report::{Fact, Report};
use handoff::{FRAME_BYTES, FrameState, Region};
use memmap::{FrameRun, MemoryRange};
use std::collections::BTreeMap;

const HANDOVER_PAGES: &str = "handover_pages.txt";
const PAGEMAP: &str = "pagemap_rle.txt";

/// Frames that a kernel has a descriptor for whenever one of them is memory: 2 MiB of them.
const SUBSECTION_FRAMES: u64 = 512;

/// A line `start-end rest` of a file; numbers are hexadecimal, the end is exclusive.
struct Line<'a> {
    number: usize,
    start: u64,
    end: u64,
    rest: &'a str,
    text: &'a str,
}

/// Returns the lines of a file; one that cannot be read is entered into the report.
fn lines<'a>(file: &'static str, text: &'a str, report: &mut Report) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (i, text) in text.lines().enumerate().filter(|(_, text)| !text.starts_with('#') && !text.is_empty()) {
        let parse = || {
            let (range, rest) = text.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let hex = |word| u64::from_str_radix(word, 16).ok();
            Some(Line { number: i + 1, start: hex(start)?, end: hex(end)?, rest, text })
        };
        match parse().filter(|line| line.start < line.end) {
            Some(line) => lines.push(line),
            None => report.wrong_in(file, Fact::Frames, i + 1, Some("start-end ...".into()), text),
        }
    }
    lines
}

/// What our crates make of the frames.
pub(super) struct Frames<'a> {
    /// In the order of frames.
    pub(super) runs: &'a [FrameRun],
    pub(super) memory: &'a [MemoryRange],
    pub(super) reserved: &'a [Region],
    /// The bit of a descriptor that says that it is reserved.
    pub(super) reserved_bit: u64,
    /// The type that says that it is the first of a free block.
    pub(super) free_type: u32,
    /// The first frame by node whose descriptor is not written yet.
    pub(super) deferred: &'a BTreeMap<u16, u64>,
    /// The frame number after the last section.
    pub(super) end_pfn: u64,
}

impl Frames<'_> {
    fn deferred(&self, node: u16) -> u64 {
        self.deferred.get(&node).copied().unwrap_or(u64::MAX)
    }

    /// Compares with the descriptors of the kernel when it had handed over early memory, at which `heads` were the first
    /// frames of free blocks, each with its order.
    pub(super) fn compare_descriptors(&self, text: &str, heads: &BTreeMap<u64, u64>, report: &mut Report) {
        let (mut later, mut last) = (0, 0);
        let mut runs = self.runs.iter().copied().peekable();
        for line in lines(HANDOVER_PAGES, text, report) {
            last = line.number;
            let mut at = line.start;
            let mut wrong = runs.peek().is_none_or(|run| run.start_pfn != at).then(|| match runs.peek() {
                Some(run) => format!("{:x}-...", run.start_pfn),
                None => "no more frames".into(),
            });
            // Behind a line that begins elsewhere, what follows is compared from there.
            while runs.next_if(|run| run.end_pfn <= at).is_some() {}
            while let Some(run) = runs.peek_mut().filter(|run| run.start_pfn < line.end) {
                let from = run.start_pfn.max(at);
                let head = heads.get(&from).copied().filter(|_| run.state == FrameState::Body);
                let next = heads.range(from + 1..).next().map_or(u64::MAX, |(pfn, _)| *pfn);
                let to = run.end_pfn.min(line.end).min(if head.is_some() { from + 1 } else { next });
                let shown = to.min(self.deferred(run.node)).max(from);
                if from < shown && !self.is_rewritten(run, from, to) {
                    let expected = self.descriptor(run, head);
                    match expected == line.rest {
                        true => report.equal(Fact::Frames, (shown - from) as usize),
                        false => {
                            _ = wrong
                                .get_or_insert(format!("{from:x}-{shown:x} {expected} ({})", self.words(&expected)));
                        }
                    }
                } else {
                    later += 1;
                }
                at = to;
                run.start_pfn = to;
                if run.start_pfn == run.end_pfn {
                    runs.next();
                }
                if at == line.end {
                    break;
                }
            }
            if at < line.end {
                wrong.get_or_insert(format!("no descriptor from {at:x} on"));
            }
            if let Some(expected) = wrong {
                let got = format!("{} ({})", line.text, self.words(line.rest));
                report.wrong_in(HANDOVER_PAGES, Fact::Frames, line.number, Some(expected), got);
            }
        }
        if let Some(run) = runs.next() {
            let words = self.words(&self.descriptor(&run, None));
            let expected = format!("{:x}-{:x} ({words})", run.start_pfn, run.end_pfn);
            report.wrong_in(HANDOVER_PAGES, Fact::Frames, last, Some(expected), "the end of the file");
        }
        report.skip("descriptors that Linux writes later, in threads", later);
    }

    /// Where Linux defers, it writes the descriptors of reserved frames anew, and takes those that are no memory for
    /// frames of the first node.
    fn is_rewritten(&self, run: &FrameRun, from: u64, to: u64) -> bool {
        let touches = |r: &Region| r.base < to * FRAME_BYTES && from * FRAME_BYTES < r.end();
        let first_node = self.memory.iter().map(MemoryRange::node).min().unwrap_or(0);
        run.state == FrameState::Hole && from >= self.deferred(first_node) && self.reserved.iter().any(touches)
    }

    /// Returns flags, private field, type and references of a descriptor; `head` is the order of the free block it starts.
    fn descriptor(&self, run: &FrameRun, head: Option<u64>) -> String {
        /// No processor used the frame last.
        const NO_CPU: u64 = 0x7_ffff_c000_0000;
        const NO_TYPE: u32 = u32::MAX;
        let is_reserved = run.state != FrameState::Body;
        let place = u64::from(run.node) << 54 | u64::from(run.zone.0) << 51 | NO_CPU;
        let flags = if is_reserved { place | self.reserved_bit } else { place };
        let kind = if head.is_some() { self.free_type } else { NO_TYPE };
        // Nobody holds a frame that is free, and the kernel itself one that is not.
        format!("{flags:x} {:x} {kind:x} {}", head.unwrap_or(0), u8::from(is_reserved))
    }

    /// Reads the fields of a descriptor.
    fn words(&self, rest: &str) -> String {
        let mut fields = rest.split(' ');
        let Some(flags) = fields.next().and_then(|word| u64::from_str_radix(word, 16).ok()) else {
            return "not understood".into();
        };
        let zones = ["DMA", "DMA32", "Normal", "Movable", "Device"];
        let zone = zones.get((flags >> 51 & 7) as usize).copied().unwrap_or("none");
        let reserved = if flags & self.reserved_bit == 0 { "" } else { ", reserved" };
        format!("node {}, zone {zone}{reserved}, {} references", flags >> 54, fields.nth(2).unwrap_or("no"))
    }

    /// Compares with the states after the boot: what was reserved at the hand-over may have been freed since, and
    /// `freed_later` frames were.
    pub(super) fn compare_states(&self, text: &str, freed_later: u64, report: &mut Report) -> Vec<(u64, u64)> {
        let ours = self.states();
        let (mut at, mut freed) = (0, Vec::new());
        // By line: the frames in it that were freed, those that were not, and its text.
        let mut by_line = Vec::new();
        for line in lines(PAGEMAP, text, report) {
            let mut wrong = (line.start != at).then(|| format!("{at:x}-..."));
            let (before, mut kept) = (frames(&freed), 0);
            at = line.end;
            let first = ours.partition_point(|&(_, end, _)| end <= line.start);
            for &(start, end, state) in ours[first..].iter().take_while(|(start, ..)| *start < line.end) {
                let (start, end) = (start.max(line.start), end.min(line.end));
                match (state, line.rest) {
                    (ours, told) if ours == told => {
                        report.equal(Fact::Frames, (end - start) as usize);
                        kept += if ours == "reserved" { end - start } else { 0 };
                    }
                    ("reserved", "ram") => freed.push((start, end)),
                    _ => _ = wrong.get_or_insert(format!("{start:x}-{end:x} {state}")),
                }
            }
            if let Some(expected) = wrong {
                report.wrong_in(PAGEMAP, Fact::Frames, line.number, Some(expected), line.text);
            }
            by_line.push((line.number, frames(&freed) - before, kept, line.text));
        }
        let &(last, .., last_text) = by_line.last().unwrap_or(&(0, 0, 0, ""));
        if at != self.end_pfn {
            report.wrong_in(PAGEMAP, Fact::Frames, last, Some(format!("frames up to {:x}", self.end_pfn)), last_text);
        }

        let total = frames(&freed);
        if freed_later == total {
            report.equal(Fact::Frames, total as usize);
        } else {
            // A line with just so many frames too many or too few may be the one.
            let (more, less) = (total.saturating_sub(freed_later), freed_later.saturating_sub(total));
            let is_odd = |freed: u64, kept: u64| if more > 0 { freed == more } else { kept == less };
            by_line.retain(|&(.., freed, kept, _)| is_odd(freed, kept));
            let expected = format!("{freed_later} frames freed after the hand-over in all, not {total}");
            for (line, .., got) in if by_line.is_empty() { vec![(last, 0, 0, last_text)] } else { by_line } {
                report.wrong_in(PAGEMAP, Fact::Frames, line, Some(expected.clone()), got);
            }
        }
        freed
    }

    /// Returns start, end and state of all frames, from 0 on.
    fn states(&self) -> Vec<(u64, u64, &'static str)> {
        let mut states: Vec<(u64, u64, &'static str)> = Vec::new();
        let mut put = |start: u64, end: u64, state| {
            let at = states.last().map_or(0, |last| last.1);
            if start < end {
                let pieces = [(at, start, "nopage"), (start.max(at), end, state)];
                states.extend(pieces.into_iter().filter(|(start, end, _)| start < end));
            }
        };
        for run in self.runs {
            match run.state {
                FrameState::Body => put(run.start_pfn, run.end_pfn, "ram"),
                FrameState::Hole => {
                    for range in self.memory {
                        let start = range.start_pfn / SUBSECTION_FRAMES * SUBSECTION_FRAMES;
                        let end = range.end_pfn.next_multiple_of(SUBSECTION_FRAMES);
                        put(run.start_pfn.max(start), run.end_pfn.min(end), "reserved");
                    }
                }
                _ => put(run.start_pfn, run.end_pfn, "reserved"),
            }
        }
        let at = states.last().map_or(0, |last| last.1);
        states.extend(Some((at, self.end_pfn, "nopage")).filter(|_| at < self.end_pfn));
        states
    }
}

fn frames(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(start, end)| end - start).sum()
}
