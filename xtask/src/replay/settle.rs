// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparing our lines with those of the log, call by call.

use super::difference::{Found, compare};
use super::early::{Early, is_allocation, is_grown, is_growth, is_memblock};
use super::report::{Fact, Report};
use crate::dmesg::{Call, Event};
use memblock::Error;

impl Early<'_, '_> {
    /// Goes on with Linux's answer where ours is another one, so that one difference is one difference.
    pub(super) fn follow(&mut self, ours: Option<u64>, size: u64, found: &[usize]) {
        let entries = self.boot.entries();
        let linux = found.iter().find_map(|&i| match entries[i].event {
            Event::Call(call) if is_allocation(&call) => Some((call.base, call.size())),
            _ => None,
        });
        if ours == linux.map(|(base, _)| base) {
            return;
        }
        let lines = self.trace.take();
        if let Some(ours) = ours {
            _ = self.memory.free(ours, size);
        }
        if let Some((base, size)) = linux {
            _ = self.memory.reserve(base, size);
        }
        self.trace.take();
        self.trace.put(lines);
    }

    /// Returns the lines behind `i` that follow from it: an address for a request of that size, arrays that grow.
    pub(super) fn consequences(&self, i: usize, size: Option<u64>) -> Vec<usize> {
        let entries = self.boot.entries();
        let mut answered = size.is_none();
        let mut found = Vec::new();
        for (k, entry) in entries.iter().enumerate().skip(i + 1) {
            match entry.event {
                _ if self.used[k] => {}
                Event::Doubled { .. } | Event::DoubleFailed | Event::NotMirrored => found.push(k),
                Event::Call(call) if is_growth(call.caller) => found.push(k),
                Event::Call(call) if !answered && is_allocation(&call) && !self.is_of_a_node(k, &call, size) => {
                    answered = true;
                    found.push(k);
                }
                ref event if is_memblock(event) || matches!(event, Event::NodeData { .. } | Event::SlabUp) => break,
                _ => {}
            }
        }
        found
    }

    /// Returns whether an address belongs to the bookkeeping of a node, which the next line names, and not to the request
    /// before it.
    pub(super) fn is_of_a_node(&self, k: usize, call: &Call<'_>, size: Option<u64>) -> bool {
        let rest = &self.boot.entries()[k + 1..];
        let next = rest.iter().find(|e| !matches!(e.event, Event::Doubled { .. }) && !is_grown(&e.event));
        size != Some(call.size()) && next.is_some_and(|e| matches!(e.event, Event::NodeData { .. }))
    }

    /// Compares our lines so far with the line `i` and those that follow from it.
    pub(super) fn settle(&mut self, fact: Fact, i: usize, found: Vec<usize>) {
        let mut all = vec![i];
        all.extend(found);
        self.settle_all(fact, &all);
    }

    pub(super) fn settle_all(&mut self, fact: Fact, found: &[usize]) -> bool {
        let mut expected = self.trace.take();
        if !self.boot.tells_searches() {
            expected.retain(|line| !line.starts_with("memblock_phys_alloc_range: "));
        }
        let entries = self.boot.entries();
        found.iter().for_each(|&i| self.used[i] = true);
        self.drop_rate_limited(&mut expected, found);

        let around = match (found.first(), found.last()) {
            (Some(&first), Some(&last)) => (self.boot.line_before(first), self.boot.line_after(last)),
            _ => (0, self.boot.log.last_line),
        };
        let doublings = expected.iter().filter(|l| l.starts_with("memblock: ")).count();
        let lines: Vec<_> = found.iter().map(|&i| Found::from(&entries[i])).collect();
        let mut scratch = Report::default();
        let equal = compare(&mut scratch, fact, &expected, &lines, around);
        scratch.mismatches().iter().for_each(|m| self.report.mismatch(m.clone()));
        if fact == Fact::DumpLines {
            self.report.equal(fact, scratch.count(fact));
        }
        self.report.equal(Fact::Doublings, doublings);
        equal
    }

    /// Linux says at most ten times from one place that there is no mirrored memory left; there are two such places.
    pub(super) fn drop_rate_limited(&mut self, expected: &mut Vec<String>, found: &[usize]) {
        const LIMIT: usize = 10;
        let said = |line: &String| line.starts_with("Could not allocate ");
        let told = found.iter().filter(|&&i| self.boot.entries()[i].event == Event::NotMirrored).count();
        let ours = expected.iter().filter(|l| said(l)).count();
        if ours > told && self.silence.not_mirrored >= LIMIT {
            let mut said_so_far = 0;
            expected.retain(|l| {
                said_so_far += usize::from(said(l));
                !said(l) || said_so_far <= told
            });
        }
        self.silence.not_mirrored += ours;
    }

    pub(super) fn unexpected(&mut self, i: usize) {
        let entry = &self.boot.entries()[i];
        self.used[i] = true;
        self.report.wrong(Fact::Operations, entry.line, None, entry.text.as_str());
    }

    /// Names what Linux did and our crate could not.
    pub(super) fn complain(&mut self, i: usize, done: Result<(), Error>) {
        let entry = &self.boot.entries()[i];
        // A failure to grow is a line of its own, and compared as such.
        let told = self.boot.entries().get(i + 1).is_some_and(|e| e.event == Event::DoubleFailed);
        if let Err(error) = done.or_else(|e| if told { Ok(()) } else { Err(e) }) {
            self.report.wrong(Fact::Operations, entry.line, Some(error.to_string()), entry.text.as_str());
        }
    }
}
