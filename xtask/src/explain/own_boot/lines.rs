// SPDX-License-Identifier: MIT OR Apache-2.0
//! The waterfall of a boot of our own image: the lines of its closing table.

use super::{Record, owner};
use crate::explain::model::{Evidence, Line, LineKind, Owner};
use handoff::{Account, Ledger};

/// Returns the lines from what is installed to the last total that the boot came to.
pub(super) fn waterfall(record: &Record<'_>) -> Vec<Line> {
    let Some(ledger) = record.last_ledger() else { return Vec::new() };
    let ram = ledger.firmware_ram;
    let mut lines = Lines { whole: ledger.installed.unwrap_or(ram), lines: Vec::new() };
    if let Some(installed) = ledger.installed {
        lines.total("Installed", installed, "What SMBIOS says is in the slots.");
        lines.step("Kept by the firmware", (installed, ram), Owner::Firmware, "Not RAM in the firmware's map.");
    }
    lines.total("RAM in the firmware's map", ram, "What the firmware offers to the system.");
    let Some(blocks) = record.last_blocks() else { return lines.lines };

    lines.step("Called RAM by memmap=", (ram, ram + ledger.added), Owner::All, "Added on the command line.");
    lines.owners(record, ledger, Account::Lost);
    let memory = blocks.memory_bytes();
    lines.total("Memory", memory, "What memblock manages, in whole pages.");
    lines.owners(record, ledger, Account::Reserved);
    let Some(zones) = &record.zones else {
        let rest = memory.saturating_sub(ledger.total(Account::Reserved));
        lines.total("Not reserved when the boot ended", rest, "The stage buddy left no hand-off.");
        return lines.lines;
    };

    let given = zones.managed_bytes();
    lines.total("Handed to the page allocator", given, "Everything that nobody reserved.");
    let figures = ["managed_bytes", "free_bytes"].map(|name| record.recording.figure(name));
    if let [Some(managed), Some(free)] = figures {
        lines.step("Given back by boot", (given, managed), Owner::KernelImage, "Once all stages have run.");
        lines.step("Boot's page tables", (managed, free), Owner::KernelImage, "Made of pages of the allocator itself.");
        lines.total("Free", free, "For programs.");
    }
    if let Some(last) = lines.lines.last_mut() {
        last.owner = Owner::Managed;
    }
    lines.lines
}

/// A waterfall in the making.
struct Lines {
    whole: u64,
    lines: Vec<Line>,
}

impl Lines {
    fn push(&mut self, kind: LineKind, label: &str, bytes: u64, owner: Owner, why: String, evidence: Vec<Evidence>) {
        self.lines.push(Line {
            kind,
            label: capitalized(label),
            bytes,
            percent: 100.0 * bytes as f64 / self.whole.max(1) as f64,
            owner,
            why,
            evidence,
            switch: (owner == Owner::CrashKernel).then(|| "crashkernel=".to_owned()),
            gain_bytes: (owner == Owner::CrashKernel).then_some(bytes),
            parts: Vec::new(),
        });
    }

    /// Adds a total; what the lines since the last one leave open becomes a line of its own.
    fn total(&mut self, label: &str, bytes: u64, why: &str) {
        let open = self.lines.iter().fold(None, |open: Option<u64>, line| match line.kind {
            LineKind::Total => Some(line.bytes),
            LineKind::Taken => Some(open?.saturating_sub(line.bytes)),
            LineKind::Returned => Some(open?.saturating_add(line.bytes)),
        });
        if let Some(open) = open {
            let why = "The account of the image does not add up here.";
            self.step("Unexplained", (open, bytes), Owner::Unexplained, why);
        }
        self.push(LineKind::Total, label, bytes, Owner::All, why.to_owned(), Vec::new());
    }

    /// Adds the difference between two amounts, if there is one.
    fn step(&mut self, label: &str, (before, after): (u64, u64), owner: Owner, why: &str) {
        let kind = if after < before { LineKind::Taken } else { LineKind::Returned };
        if after != before {
            self.push(kind, label, after.abs_diff(before), owner, why.to_owned(), Vec::new());
        }
    }

    /// Adds a line for each owner of an account.
    fn owners(&mut self, record: &Record<'_>, ledger: &Ledger, account: Account) {
        for who in handoff::Owner::ALL.iter().filter(|who| who.account() == account && ledger.bytes(**who) > 0) {
            let claims = ledger.claims().iter().filter(|claim| claim.owner == *who);
            let evidence = claims.map(|claim| {
                record.evidence(claim.range).unwrap_or_else(|| Evidence {
                    source: "account of the image".to_owned(),
                    line: None,
                    text: claim.range.to_string(),
                })
            });
            let why = format!("By the stage {}.", who.taken_by());
            let evidence = evidence.collect();
            self.push(LineKind::Taken, who.words(), ledger.bytes(*who), owner(*who), why, evidence);
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
