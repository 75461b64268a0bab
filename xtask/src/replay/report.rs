// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of a comparison: how much was compared, what differs, what was left out and why.

use std::collections::BTreeMap;
use std::fmt;

/// What was compared, in the order in which it is printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fact {
    /// Lines of the firmware's map: printed maps, edits, ends of RAM, gaps.
    MapLines,
    /// Calls that changed early memory.
    Operations,
    /// Addresses that were asked for, failed requests included.
    Allocations,
    /// Requests that failed, as Linux's did.
    FailedAllocations,
    /// Arrays that grew.
    Doublings,
    /// Dumps of both arrays.
    Dumps,
    /// Lines of dumps.
    DumpLines,
    /// Requests and lines of the crash kernel, predicted from the command line.
    CrashDecisions,
    /// Lines about nodes.
    NodeLines,
    /// Requests for the memory map, predicted.
    MemoryMapRequests,
    /// Lines of the zone report.
    ZoneLines,
    /// Calls that another line of the log, or a rule of the caller, tells too.
    Pairs,
    /// Figures of the Memory line.
    Totals,
    /// Figures of zones and nodes that a file beside the log tells.
    Zones,
    /// Frames whose state, node and zone a file beside the log tells.
    Frames,
    /// Free blocks at the hand-over.
    FreeBlocks,
    /// What is kept free in zones.
    Watermarks,
}

impl Fact {
    const fn words(self) -> &'static str {
        match self {
            Self::MapLines => "map lines",
            Self::Operations => "operations",
            Self::Allocations => "allocations",
            Self::FailedAllocations => "failed ones among them",
            Self::Doublings => "doublings",
            Self::Dumps => "dumps",
            Self::DumpLines => "dump lines",
            Self::CrashDecisions => "crash decisions",
            Self::NodeLines => "node lines",
            Self::MemoryMapRequests => "memory-map requests",
            Self::ZoneLines => "zone lines",
            Self::Pairs => "pairs",
            Self::Totals => "totals",
            Self::Zones => "figures of zones",
            Self::Frames => "frames",
            Self::FreeBlocks => "free blocks",
            Self::Watermarks => "watermarks",
        }
    }
}

/// A line that is not what our crates decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The file beside the log, empty for the log itself.
    pub file: &'static str,
    /// Number of the line in it; for a missing line, of the one it should stand before.
    pub line: usize,
    /// The line it should stand behind; `line` itself if it is there.
    pub after: usize,
    /// What it is about.
    pub what: Fact,
    /// What our crates say; `None` if they say nothing.
    pub expected: Option<String>,
    /// What the log says; `None` if the line is missing.
    pub got: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let say = |text: &Option<String>| text.clone().unwrap_or_else(|| "(nothing)".into());
        let file = if self.file.is_empty() { String::new() } else { format!("{}, ", self.file) };
        match self.got {
            Some(_) => writeln!(f, "  {file}line {}, {}:", self.line, self.what.words())?,
            None => {
                writeln!(f, "  {file}missing between lines {} and {}, {}:", self.after, self.line, self.what.words())?;
            }
        }
        writeln!(f, "    expected  {}", say(&self.expected))?;
        write!(f, "    got       {}", say(&self.got))
    }
}

/// The comparison of one boot.
#[derive(Clone, Debug, Default)]
pub struct Report {
    name: String,
    kernel: String,
    counts: BTreeMap<Fact, usize>,
    mismatches: Vec<Mismatch>,
    skipped: BTreeMap<String, usize>,
    unknown: Vec<(usize, String)>,
    advice: Vec<String>,
    unusable: Option<String>,
}

/// The outcome, and the exit status of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Everything that could be compared is equal, and there was something.
    Equal = 0,
    /// The log does not say what would have to be compared.
    Unusable = 2,
    /// Something differs.
    Different = 1,
}

impl Report {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Returns how much of `fact` was compared.
    #[must_use]
    pub fn count(&self, fact: Fact) -> usize {
        self.counts.get(&fact).copied().unwrap_or(0)
    }

    /// Returns what differs, by line.
    #[must_use]
    pub fn mismatches(&self) -> &[Mismatch] {
        &self.mismatches
    }

    /// Returns the lines that look like memory and were not understood, with their numbers.
    #[must_use]
    pub fn unknown(&self) -> &[(usize, String)] {
        &self.unknown
    }

    /// Returns why the log could not be used, if so.
    #[must_use]
    pub fn unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }

    /// Returns what was left out, with the number of lines.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, usize)> {
        self.skipped.iter().map(|(why, lines)| (why.as_str(), *lines))
    }

    /// Returns the outcome.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.mismatches.is_empty() || !self.unknown.is_empty() {
            Verdict::Different
        } else if self.unusable.is_some() {
            Verdict::Unusable
        } else {
            Verdict::Equal
        }
    }

    pub(super) fn kernel(&mut self, kernel: String) {
        self.kernel = kernel;
    }

    pub(super) fn equal(&mut self, fact: Fact, count: usize) {
        *self.counts.entry(fact).or_default() += count;
    }

    /// Enters a line of the log that is not what our crates say, or that they do not say at all.
    pub(super) fn wrong(&mut self, what: Fact, line: usize, expected: Option<String>, got: impl Into<String>) {
        self.wrong_in("", what, line, expected, got);
    }

    /// Enters a line of a file beside the log that is not what our crates say, or that they do not say at all.
    pub(super) fn wrong_in(
        &mut self,
        file: &'static str,
        what: Fact,
        line: usize,
        expected: Option<String>,
        got: impl Into<String>,
    ) {
        self.mismatch(Mismatch { file, line, after: line, what, expected, got: Some(got.into()) });
    }

    /// Enters a line that is missing between two others.
    pub(super) fn missing(&mut self, what: Fact, after: usize, line: usize, expected: impl Into<String>) {
        self.mismatch(Mismatch { file: "", line, after, what, expected: Some(expected.into()), got: None });
    }

    /// Enters a difference. The first word on a line counts: what follows from it on the same line is no news.
    pub(super) fn mismatch(&mut self, mismatch: Mismatch) {
        let known = |m: &Mismatch| {
            (m.file, m.line) == (mismatch.file, mismatch.line)
                && (m.got == mismatch.got || m.expected == mismatch.expected)
        };
        if !self.mismatches.iter().any(known) {
            self.mismatches.push(mismatch);
        }
    }

    pub(super) fn skip(&mut self, why: impl Into<String>, lines: usize) {
        if lines > 0 {
            *self.skipped.entry(why.into()).or_default() += lines;
        }
    }

    pub(super) fn unknown_line(&mut self, line: usize, text: &str) {
        self.unknown.push((line, text.to_owned()));
    }

    pub(super) fn advise(&mut self, advice: impl Into<String>) {
        self.advice.push(advice.into());
    }

    pub(super) fn cannot_use(&mut self, why: impl Into<String>) {
        self.unusable.get_or_insert(why.into());
    }

    /// Forgets what is missing behind a line: the log ends there.
    pub(super) fn forget_missing_from(&mut self, line: usize) {
        self.mismatches.retain(|m| m.got.is_some() || !m.file.is_empty() || m.line < line);
    }

    /// Forgets what is missing behind the last line; returns whether there was any.
    pub(super) fn is_missing_behind(&mut self, last_line: usize) -> bool {
        let before = self.mismatches.len();
        self.mismatches.retain(|m| m.got.is_some() || !m.file.is_empty() || m.after < last_line);
        self.mismatches.len() < before
    }

    pub(super) fn finish(mut self) -> Self {
        self.mismatches.sort_by_key(|m| (m.file, m.line));
        if self.counts.values().sum::<usize>() == 0 && self.mismatches.is_empty() {
            self.cannot_use("there is nothing in it to compare");
        }
        self
    }

    /// Adds up the counts of many reports.
    pub(super) fn add(&mut self, other: &Self) {
        for (fact, count) in &other.counts {
            self.equal(*fact, *count);
        }
        for (why, lines) in other.skipped() {
            self.skip(why, lines);
        }
    }

    fn facts(&self) -> String {
        let facts = self.counts.iter().filter(|(_, count)| **count > 0);
        facts.map(|(fact, count)| format!("{count} {}", fact.words())).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = if self.kernel.is_empty() { String::new() } else { format!(" ({})", self.kernel) };
        write!(f, "{}{kernel}: ", self.name)?;
        match (self.mismatches.len(), self.unknown.len(), &self.unusable) {
            (0, 0, None) => writeln!(f, "equal")?,
            (0, 0, Some(why)) => writeln!(f, "could not be used: {why}")?,
            (different, unknown, _) => writeln!(f, "{different} mismatches, {unknown} lines not understood")?,
        }
        if let (Some(why), false) = (&self.unusable, self.verdict() == Verdict::Unusable) {
            writeln!(f, "  not all of it could be used: {why}")?;
        }
        if !self.counts.is_empty() {
            writeln!(f, "  compared: {}", self.facts())?;
        }
        for mismatch in &self.mismatches {
            writeln!(f, "{mismatch}")?;
        }
        for (line, text) in &self.unknown {
            writeln!(f, "  line {line}, not understood: {text}")?;
        }
        for (why, lines) in self.skipped() {
            writeln!(f, "  skipped: {lines} lines, {why}")?;
        }
        for advice in &self.advice {
            writeln!(f, "  {advice}")?;
        }
        Ok(())
    }
}

/// The sum of many reports, as the last lines of a run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    sum: Report,
    equal: usize,
    different: usize,
    unusable: usize,
    mismatches: usize,
    unknown: usize,
}

impl Totals {
    pub(super) fn add(&mut self, report: &Report) {
        self.sum.add(report);
        self.mismatches += report.mismatches.len();
        self.unknown += report.unknown.len();
        match report.verdict() {
            Verdict::Equal => self.equal += 1,
            Verdict::Different => self.different += 1,
            Verdict::Unusable => self.unusable += 1,
        }
    }

    /// Returns the exit status: a difference outranks a log that could not be used.
    pub(super) fn verdict(&self) -> Verdict {
        match (self.different, self.unusable, self.equal) {
            (0, 0, 1..) => Verdict::Equal,
            (0, ..) => Verdict::Unusable,
            _ => Verdict::Different,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { equal, different, unusable, mismatches, unknown, .. } = self;
        writeln!(f, "{equal} boots equal, {different} different, {unusable} could not be used")?;
        writeln!(f, "  compared: {}", self.sum.facts())?;
        for (why, lines) in self.sum.skipped() {
            writeln!(f, "  skipped: {lines} lines, {why}")?;
        }
        write!(f, "  mismatches: {mismatches}; lines not understood: {unknown}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mismatch(line: usize) -> Mismatch {
        Mismatch { file: "", line, after: line, what: Fact::Dumps, expected: Some("a".into()), got: Some("b".into()) }
    }

    #[test]
    fn nothing_compared_is_not_equal() {
        assert_eq!(Report::new("x").finish().verdict(), Verdict::Unusable);
        assert_eq!(Totals::default().verdict(), Verdict::Unusable);
    }

    #[test]
    fn a_difference_outranks_an_unusable_log() {
        let mut totals = Totals::default();
        let (mut different, mut unusable, mut equal) = (Report::new("x"), Report::new("y"), Report::new("z"));
        equal.equal(Fact::Dumps, 1);
        totals.add(&equal.finish());
        assert_eq!(totals.verdict(), Verdict::Equal);
        unusable.cannot_use("empty");
        totals.add(&unusable.finish());
        assert_eq!(totals.verdict(), Verdict::Unusable);
        different.mismatch(mismatch(3));
        different.mismatch(mismatch(3));
        assert_eq!(different.mismatches().len(), 1);
        totals.add(&different.finish());
        assert_eq!(totals.verdict(), Verdict::Different);
    }

    #[test]
    fn a_line_not_understood_is_an_error() {
        let mut report = Report::new("x");
        report.equal(Fact::Dumps, 1);
        report.unknown_line(7, "memblock_what");
        assert_eq!(report.finish().verdict(), Verdict::Different);
    }
}
