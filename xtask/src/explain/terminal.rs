// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer as text: a sentence and a bar first, then the table, then where each figure comes from.

use super::amount::{grouped, human};
use super::model::{Evidence, Explanation, Figure, Line, LineKind, Owner, SourceState};
use super::palette::{letter, style};
use comfy_table::{Cell, CellAlignment, Table, presets};
use std::fmt::Write as _;

/// Widest text, in columns: longer lines are hard to read.
const WIDEST: usize = 120;
/// Narrowest: below it, lines are broken by the terminal.
const NARROWEST: usize = 40;

/// Returns the answer for a terminal of so many columns; colours are escapes in it.
pub(super) fn text(explanation: &Explanation, columns: usize) -> String {
    let width = columns.clamp(NARROWEST, WIDEST);
    let mut text = String::new();
    let bold = anstyle::Style::new().bold();
    paragraph(&mut text, &format!("{bold}{}{bold:#}", printable(&explanation.title)), width);
    paragraph(&mut text, &explanation.summary, width);
    text.push('\n');
    if !explanation.waterfall.is_empty() {
        bar(&mut text, &explanation.waterfall, width);
        waterfall(&mut text, &explanation.waterfall, width);
    }
    changes(&mut text, explanation);
    evidence(&mut text, &explanation.waterfall, width);
    predictions(&mut text, explanation);
    advice(&mut text, explanation, width);
    sources(&mut text, explanation, width);
    text
}

/// Draws where the first total went: what is managed, then who has the rest, largest first.
fn bar(text: &mut String, lines: &[Line], width: usize) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let mut shares = owners(lines);
    shares.insert(0, (last.owner, last.bytes));
    let whole = shares.iter().map(|(_, bytes)| *bytes).sum::<u64>().max(first.bytes).max(1);
    text.push('[');
    let (mut sum, mut drawn) = (0u64, 0);
    for (owner, bytes) in &shares {
        sum = sum.saturating_add(*bytes);
        let end = (sum as f64 / whole as f64 * (width - 2) as f64).round() as usize;
        if end > drawn {
            let style = style(*owner);
            let piece: String = std::iter::repeat_n(letter(*owner), end - drawn).collect();
            _ = write!(text, "{style}{piece}{style:#}");
            drawn = end;
        }
    }
    _ = writeln!(text, "{}]", ".".repeat((width - 2).saturating_sub(drawn)));
    let known = shares.iter().filter(|(_, bytes)| *bytes as f64 / whole as f64 * (width - 2) as f64 > 0.5);
    let mut column = 0;
    for (owner, bytes) in known {
        let entry = format!("{} {:.1} %", words(*owner), *bytes as f64 * 100.0 / whole as f64);
        let length = entry.chars().count() + 2;
        let gap = match column {
            0 => "",
            _ if column + 3 + length > width => "\n",
            _ => "   ",
        };
        column = if gap == "\n" { length } else { column + gap.len() + length };
        let style = style(*owner);
        _ = write!(text, "{gap}{style}{}{style:#} {entry}", letter(*owner));
    }
    text.push_str("\n\n");
}

/// Returns what each owner keeps, largest first: what was taken less what came back.
pub(super) fn owners(lines: &[Line]) -> Vec<(Owner, u64)> {
    let mut owners: Vec<(Owner, i128)> = Vec::new();
    for line in lines {
        let bytes = match line.kind {
            LineKind::Total => continue,
            LineKind::Taken => i128::from(line.bytes),
            LineKind::Returned => -i128::from(line.bytes),
        };
        match owners.iter_mut().find(|(owner, _)| *owner == line.owner) {
            Some((_, sum)) => *sum += bytes,
            None => owners.push((line.owner, bytes)),
        }
    }
    let mut kept: Vec<_> =
        owners.into_iter().filter_map(|(owner, sum)| Some((owner, u64::try_from(sum).ok()?))).collect();
    kept.retain(|(_, bytes)| *bytes > 0);
    kept.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    kept
}

/// Returns what a reader calls an owner.
pub(super) const fn words(owner: Owner) -> &'static str {
    match owner {
        Owner::All => "memory",
        Owner::Managed => "managed by Linux",
        Owner::Firmware => "firmware",
        Owner::Lost => "cut off",
        Owner::KernelImage => "kernel image",
        Owner::Initrd => "initial RAM disk",
        Owner::CrashKernel => "crash kernel",
        Owner::PageDescriptors => "page descriptors",
        Owner::PerCpu => "per-CPU areas",
        Owner::HashTables => "hash tables",
        Owner::NodeData => "node data",
        Owner::Swiotlb => "bounce buffers",
        Owner::Cma => "contiguous memory",
        Owner::HugePages => "gigantic pages",
        Owner::Memblock => "other early users",
        Owner::Unexplained => "unexplained",
    }
}

fn waterfall(text: &mut String, lines: &[Line], width: usize) {
    let (percent, exact, bars) = (width >= 64, width >= 80, width >= 100);
    let mut table = plain_table();
    for line in lines {
        let sign = match line.kind {
            LineKind::Total => "= ",
            LineKind::Taken => "  - ",
            LineKind::Returned => "  + ",
        };
        let label = Cell::new(format!("{sign}{}", printable(&line.label)));
        let mut row = vec![label, right(human(line.bytes))];
        if percent {
            row.push(right(format!("{:.2} %", line.percent)));
        }
        if exact {
            row.push(right(grouped(line.bytes)));
        }
        if bars {
            let length = ((line.percent / 100.0 * 20.0).round() as usize).min(20);
            row.push(Cell::new("#".repeat(length)));
        }
        table.add_row(row);
    }
    _ = writeln!(text, "{}\n", trimmed(&table));
}

/// Prints who says so, what a line is for, and what changes it.
fn evidence(text: &mut String, lines: &[Line], width: usize) {
    if lines.is_empty() {
        return;
    }
    _ = writeln!(text, "Where the figures come from:");
    for line in lines.iter().filter(|l| l.bytes > 0) {
        paragraph(text, &format!("  {}: {}", printable(&line.label), printable(&line.why)), width);
        if let Some(evidence) = line.evidence.first() {
            let more = line.evidence.len() - 1;
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            clipped(text, &format!("      {}{more}", quote(evidence)), width);
        }
        for part in line.parts.iter().filter(|p| p.bytes < line.bytes && p.bytes >= 1024).take(6) {
            let times = if part.count > 1 { format!(", {} times", part.count) } else { String::new() };
            clipped(text, &format!("      {:>9}  {}{times}", human(part.bytes), printable(&part.label)), width);
        }
        if let Some(switch) = &line.switch {
            let gain = line.gain_bytes.map_or_else(String::new, |bytes| format!(" (up to {})", human(bytes)));
            clipped(text, &format!("      changed by: {}{gain}", printable(switch)), width);
        }
    }
    text.push('\n');
}

fn changes(text: &mut String, explanation: &Explanation) {
    if explanation.what_if.is_empty() {
        return;
    }
    let mut table = plain_table();
    table.set_header(["What if", "before", "after", "difference"]);
    for row in &explanation.what_if {
        let difference = row.difference.map_or_else(String::new, signed);
        table.add_row([
            Cell::new(format!("  {}", printable(&row.name))),
            right(figure(&row.before)),
            right(figure(&row.after)),
            right(difference),
        ]);
    }
    _ = writeln!(text, "{}\n", trimmed(&table));
}

fn predictions(text: &mut String, explanation: &Explanation) {
    if explanation.predictions.is_empty() {
        return;
    }
    let mut table = plain_table();
    table.set_header(["Computed from the map and the command line alone", "predicted", "actual", "difference"]);
    for row in &explanation.predictions {
        let actual = row.actual.as_ref().map_or_else(|| "not recorded".into(), figure);
        let difference = match (row.equal, row.difference) {
            (Some(true), _) => "equal".into(),
            (_, Some(bytes)) => signed(bytes),
            (Some(false), None) => "differs".into(),
            (None, None) => String::new(),
        };
        table.add_row([
            Cell::new(format!("  {}", printable(&row.name))),
            right(figure(&row.predicted)),
            right(actual),
            right(difference),
        ]);
    }
    _ = writeln!(text, "{}\n", trimmed(&table));
}

fn advice(text: &mut String, explanation: &Explanation, width: usize) {
    for advice in &explanation.advice {
        let gain = advice.gain_bytes.map_or_else(String::new, |bytes| format!(" Gives back up to {}.", human(bytes)));
        paragraph(text, &format!("* {} {}{gain}", printable(&advice.finding), printable(&advice.action)), width);
    }
    if !explanation.advice.is_empty() {
        text.push('\n');
    }
}

fn sources(text: &mut String, explanation: &Explanation, width: usize) {
    let missing = explanation.sources.iter().filter(|s| s.state != SourceState::Found);
    for source in missing {
        let state = if source.state == SourceState::Partial { "incomplete" } else { "missing" };
        paragraph(text, &format!("{state}: {} ({})", printable(&source.name), printable(&source.detail)), width);
        if let Some(remedy) = &source.remedy {
            _ = writeln!(text, "    to get it: {remedy}");
        }
    }
    paragraph(text, "More: explain 0x37000000 (who has an address), explain crashkernel (what a word means).", width);
}

fn figure(figure: &Figure) -> String {
    match figure {
        Figure::Bytes { bytes } => human(*bytes),
        Figure::Range { start, end } => format!("{start:#x}-{end:#x}"),
        Figure::None => "none".into(),
    }
}

fn signed(bytes: i64) -> String {
    let sign = if bytes < 0 { "-" } else { "+" };
    if bytes == 0 { "0".into() } else { format!("{sign}{}", human(bytes.unsigned_abs())) }
}

/// Returns evidence in one line: where, and what stands there.
pub(super) fn quote(evidence: &Evidence) -> String {
    let place = evidence.line.map_or_else(String::new, |line| format!(":{line}"));
    format!("{}{place}: {}", evidence.source, printable(&evidence.text))
}

/// Returns a text without what a terminal would act on.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<String> =
        table.lines().map(|line| line.trim_end().strip_prefix(' ').map_or_else(String::new, str::to_owned)).collect();
    lines.join("\n")
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// Writes a text in lines of at most `width` characters; those after the first are indented like it.
fn paragraph(text: &mut String, words: &str, width: usize) {
    let indent = words.len() - words.trim_start().len();
    let hanging = " ".repeat(indent + 2 * usize::from(indent > 0));
    let mut column = 0;
    for word in words.split_whitespace() {
        let length = anstream::adapter::strip_str(word).map(|part| part.chars().count()).sum::<usize>();
        if column == 0 {
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if column + 1 + length > width {
            _ = write!(text, "\n{hanging}");
            column = hanging.len();
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

/// Writes a line, cut where it gets too wide.
fn clipped(text: &mut String, line: &str, width: usize) {
    let is_long = line.chars().count() > width;
    text.extend(line.chars().take(if is_long { width - 3 } else { width }));
    text.push_str(if is_long { "...\n" } else { "\n" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::WhatIf;
    use crate::explain::explain;
    use crate::explain::recorded::fixture;

    /// Only quoted lines to type may be wider than the terminal.
    #[test]
    fn lines_fit_the_terminal() {
        let explanation = explain(&fixture("crash-high-low"), &WhatIf::default());
        for columns in [64, 80, 100, 200] {
            let text = anstream::adapter::strip_str(&text(&explanation, columns)).to_string();
            let tables = text.split("\nComputed from").next().unwrap();
            let widest = tables.lines().map(|line| line.chars().count()).max().unwrap();
            assert!((50..=columns.min(WIDEST)).contains(&widest), "{columns}: {widest}\n{text}");
        }
    }

    /// The first screen, without colours.
    #[test]
    fn the_first_lines_say_it_all() {
        let explanation = explain(&fixture("pc-2g-files"), &WhatIf::default());
        let text = anstream::adapter::strip_str(&text(&explanation, 80)).to_string();
        let first: Vec<&str> = text.lines().take(8).collect();
        assert_eq!(first[1], "Of 2.00 GiB that are installed, Linux manages 1.81 GiB (90.4 %): this is what");
        assert_eq!(first[5], format!("[{}]", "#".repeat(71) + "ccccddk"));
        let legend = "# managed by Linux 90.4 %   c crash kernel 6.2 %   d page descriptors 1.6 %";
        assert_eq!(first[6..], [legend, "k kernel image 1.5 %"]);
    }
}
