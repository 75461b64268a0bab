// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comparing what was predicted with what stands in the log, line by line.

use super::report::{Fact, Report};
use crate::dmesg::Entry;

/// A line of the log, as it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

impl<'a> From<&'a Entry<'_>> for Found<'a> {
    fn from(entry: &'a Entry<'_>) -> Self {
        Self { line: entry.line, text: &entry.text }
    }
}

/// A difference: the predicted line and the found one, by their places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The same line.
    Same,
    /// One line in place of another: predicted, found.
    Altered(usize, usize),
    /// A predicted line is missing in front of this found one.
    Missing(usize, usize),
    /// A line is found that was not predicted.
    Unexpected(usize),
}

/// Enters equal lines and differences into the report. `around` are the lines between which all of it stands, to name
/// for what is missing at the beginning or the end. Returns whether all was equal.
pub(super) fn compare(
    report: &mut Report,
    fact: Fact,
    expected: &[String],
    found: &[Found<'_>],
    around: (usize, usize),
) -> bool {
    let mut all_equal = true;
    let mut after = around.0;
    let texts: Vec<&str> = found.iter().map(|f| f.text).collect();
    let mut lines = found.iter().map(|f| f.line);
    for step in steps(expected, &texts) {
        match step {
            Step::Same => report.equal(fact, 1),
            Step::Altered(e, f) => report.wrong(fact, found[f].line, Some(expected[e].clone()), texts[f]),
            Step::Unexpected(f) => report.wrong(fact, found[f].line, None, texts[f]),
            Step::Missing(e, f) => {
                let before = found.get(f).map_or(around.1.max(after), |f| f.line);
                report.missing(fact, after, before, expected[e].as_str());
            }
        }
        all_equal &= step == Step::Same;
        if !matches!(step, Step::Missing(..)) {
            after = lines.next().unwrap_or(after);
        }
    }
    all_equal
}

/// Returns the steps that lead from the predicted lines to the found ones with the fewest differences.
pub(super) fn steps(expected: &[String], found: &[&str]) -> Vec<Step> {
    let head = expected.iter().zip(found).take_while(|(e, f)| e == *f).count();
    let tail = expected[head..].iter().rev().zip(found[head..].iter().rev()).take_while(|(e, f)| e == *f).count();
    let (core_e, core_f) = (&expected[head..expected.len() - tail], &found[head..found.len() - tail]);

    let mut steps = vec![Step::Same; head];
    steps.extend(core_steps(core_e, core_f).into_iter().map(|step| match step {
        Step::Same => Step::Same,
        Step::Altered(e, f) => Step::Altered(e + head, f + head),
        Step::Missing(e, f) => Step::Missing(e + head, f + head),
        Step::Unexpected(f) => Step::Unexpected(f + head),
    }));
    steps.extend(vec![Step::Same; tail]);
    steps
}

/// The largest table that is worth its time.
const CELLS: usize = 4_000_000;

fn core_steps(expected: &[String], found: &[&str]) -> Vec<Step> {
    let (rows, columns) = (expected.len(), found.len());
    // Costs from each place to the end: altered counts as one difference, as do missing and unexpected.
    let width = columns + 1;
    let mut steps = Vec::new();
    let (mut e, mut f) = (0, 0);
    if (rows + 1) * width > CELLS {
        while e < rows && f < columns {
            steps.push(if expected[e] == found[f] { Step::Same } else { Step::Altered(e, f) });
            (e, f) = (e + 1, f + 1);
        }
        steps.extend((e..rows).map(|e| Step::Missing(e, columns)));
        steps.extend((f..columns).map(Step::Unexpected));
        return steps;
    }

    let mut cost = vec![0u32; (rows + 1) * width];
    for e in (0..=rows).rev() {
        for f in (0..=columns).rev() {
            cost[e * width + f] = match (e == rows, f == columns) {
                (true, _) => (columns - f) as u32,
                (_, true) => (rows - e) as u32,
                _ if expected[e] == found[f] => cost[(e + 1) * width + f + 1],
                _ => {
                    let next = [(e + 1) * width + f + 1, (e + 1) * width + f, e * width + f + 1];
                    1 + next.map(|i| cost[i]).into_iter().min().unwrap_or(0)
                }
            };
        }
    }
    while e < rows || f < columns {
        let here = cost[e * width + f];
        let costs = |e: usize, f: usize| e <= rows && f <= columns && cost[e * width + f] + 1 == here;
        if e < rows && f < columns && expected[e] == found[f] {
            steps.push(Step::Same);
            (e, f) = (e + 1, f + 1);
        } else if e < rows && f < columns && costs(e + 1, f + 1) {
            steps.push(Step::Altered(e, f));
            (e, f) = (e + 1, f + 1);
        } else if e < rows && costs(e + 1, f) {
            steps.push(Step::Missing(e, f));
            e += 1;
        } else {
            steps.push(Step::Unexpected(f));
            f += 1;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewest_differences() {
        let of = |expected: &str, found: &str| {
            let expected: Vec<_> = expected.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
            let found: Vec<_> = found.split(' ').filter(|w| !w.is_empty()).collect();
            steps(&expected, &found).into_iter().filter(|s| *s != Step::Same).collect::<Vec<_>>()
        };
        assert_eq!(of("a b c", "a b c"), []);
        assert_eq!(of("a b c", "a x c"), [Step::Altered(1, 1)]);
        assert_eq!(of("a b c", "a c"), [Step::Missing(1, 1)]);
        assert_eq!(of("a b c", "a b"), [Step::Missing(2, 2)]);
        assert_eq!(of("a c", "a b c"), [Step::Unexpected(1)]);
        assert_eq!(of("a b c d", "b c d"), [Step::Missing(0, 0)]);
        assert_eq!(of("", "a"), [Step::Unexpected(0)]);
        assert_eq!(of("a b x c y d", "a q x y d e"), [Step::Altered(1, 1), Step::Missing(3, 3), Step::Unexpected(5)]);
    }
}
