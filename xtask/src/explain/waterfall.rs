// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what is installed to what Linux manages.

use super::claims::Claims;
use super::facts::{Facts, file};
use super::lost::{losses, of_kind, size};
use super::model::{Evidence, Line, LineKind, Owner, Part};
use super::proc::free_total_mib;
use super::record::{DMI, FREE, LOG};
use super::share::Share;
use super::tally::Tally;
use handoff::PhysRange;

/// Returns the waterfall; empty if the record has no total at all.
pub(super) fn waterfall(facts: &Facts<'_>, claims: Option<&Claims>, tally: &Tally) -> Vec<Line> {
    let memory = facts.memory_ranges();
    let mut lines = Lines::default();

    let installed = facts.modules.iter().map(|m| m.bytes).fold(0, u64::saturating_add);
    if installed > 0 {
        lines.total("Installed", installed, "What the memory modules hold.", modules(facts));
    }
    let ram = size(&of_kind(&facts.firmware, true));
    if ram > 0 {
        if let Some(kept) = installed.checked_sub(ram) {
            let why = "For itself, a graphics unit, or because no address leads there.";
            lines.taken(KEPT, Owner::Firmware, kept, why, reserved(facts));
        }
        let first = facts.firmware.iter().find(|e| e.name == "usable" || e.name == "System RAM");
        lines.total(
            "RAM in the firmware's map",
            ram,
            "What the firmware offers to Linux.",
            quote(first.map(|e| &e.evidence)),
        );
    }
    if let Some((present, evidence)) = facts.present() {
        if ram > 0 {
            let (losses, added) = losses(facts, &memory);
            for loss in losses {
                let line = lines.taken(loss.label, Owner::Lost, loss.bytes, loss.why, loss.evidence);
                if loss.is_asked_for {
                    line.switch = Some("no mem= or memmap= on the command line".into());
                    line.gain_bytes = Some(loss.bytes);
                }
            }
            let by_user = facts.parameter(&["memmap"]);
            if added > 0 && by_user.is_some() {
                lines.returned(
                    "Added by memmap=",
                    Owner::Lost,
                    added,
                    "The user says it is RAM.",
                    quote(by_user.as_ref()),
                );
            }
        }
        lines.total("Memory Linux knows", present, "Whole pages that the kernel keeps books of.", vec![evidence]);
        early(facts, tally, &mut lines);
        handed_over(facts, claims, &memory, present, &mut lines);
    }
    end(facts, claims, &mut lines);
    lines.finish()
}

/// Adds what is taken before the page allocator gets the rest.
fn early(facts: &Facts<'_>, tally: &Tally, lines: &mut Lines) {
    for (share, amount) in &tally.0 {
        let about = share.about();
        let line = lines.taken(about.label, about.owner, amount.bytes, about.why, amount.evidence.clone());
        line.parts = parts(facts, *share, &amount.parts);
        if let Some((switch, all)) = about.switch {
            line.switch = Some(switch.into());
            line.gain_bytes = all.then_some(amount.bytes);
        }
    }
}

fn handed_over(facts: &Facts<'_>, claims: Option<&Claims>, memory: &[PhysRange], present: u64, lines: &mut Lines) {
    if let Some(sum) = &facts.sum {
        let why = "The page allocator starts with it.";
        lines.total("Handed to the page allocator", sum.handed_over, why, vec![sum.evidence.clone()]);
    } else if let Some(claims) = claims {
        let rest = present.saturating_sub(claims.reserved_bytes(memory));
        let computed = Evidence { source: "computed".into(), line: None, text: "known memory - reserved pages".into() };
        lines.total("Handed to the page allocator", rest, "The page allocator starts with it.", vec![computed]);
    }
}

/// Returns the parts of a share; the kernel's are known best from the line that sums memory up.
fn parts(facts: &Facts<'_>, share: Share, parts: &[Part]) -> Vec<Part> {
    let told = facts.sum.as_ref().filter(|_| share == Share::KernelImage);
    match told.and_then(|sum| crate::dmesg::kernel_parts(&sum.evidence.text)) {
        Some(told) => told.into_iter().map(|(label, bytes)| Part { label: label.into(), bytes, count: 1 }).collect(),
        None => parts.to_vec(),
    }
}

/// Adds what comes back, and the end.
fn end(facts: &Facts<'_>, claims: Option<&Claims>, lines: &mut Lines) {
    if lines.has("Handed to the page allocator") {
        for freed in &facts.freed {
            let (label, owner, why) = match freed.what.as_str() {
                "initrd" => {
                    ("Initial RAM disk, unpacked", Owner::Initrd, "Its files are copied to memory of their own.")
                }
                "EFI boot services" => ("EFI boot services, ended", Owner::Firmware, "The firmware needs it no more."),
                what if what.contains("unused") || what.starts_with("SMP") => (
                    "Parts of the kernel for the start only",
                    Owner::KernelImage,
                    "Code, data and gaps that nothing needs any more.",
                ),
                _ => ("Other memory given back", Owner::Memblock, "Freed after the start."),
            };
            lines.returned(label, owner, freed.bytes, why, vec![freed.evidence.clone()]);
        }
        let gigantic: Vec<&Line> = lines.0.iter().filter(|l| l.owner == Owner::HugePages).collect();
        if let Some(bytes) = gigantic.first().map(|l| l.bytes) {
            let why = "MemTotal counts them, though only who asks for gigantic pages can use them.";
            lines.returned("Gigantic pages, counted again", Owner::HugePages, bytes, why, Vec::new());
        }
        let cma = lines.0.iter().filter(|l| l.owner == Owner::Cma && l.kind == LineKind::Taken).map(|l| l.bytes).sum();
        lines.returned("Contiguous memory, lent out", Owner::Cma, cma, "Movable pages may use it.", Vec::new());
    }
    let Some((bytes, evidence)) = &facts.mem_total else {
        if claims.is_some() || lines.has("Handed to the page allocator") {
            let sum = u64::try_from(lines.balance().max(0)).unwrap_or(u64::MAX);
            let text = "handed over + given back; the record has no /proc/meminfo".into();
            let computed = Evidence { source: "computed".into(), line: None, text };
            lines.total(MEM_TOTAL, sum, "What programs and the kernel share.", vec![computed]);
        }
        return;
    };
    let mut evidence = vec![evidence.clone()];
    evidence.extend(free_total_mib(&facts.record.free).map(|(_, line)| file(FREE.name, line, &facts.record.free)));
    lines.total(MEM_TOTAL, *bytes, "What programs and the kernel share; the total of free.", evidence);
}

/// The name of what is installed and not offered.
pub(super) const KEPT: &str = "Kept by the firmware";
/// The name of the last total.
pub(super) const MEM_TOTAL: &str = "Managed (MemTotal)";

fn quote(evidence: Option<&Evidence>) -> Vec<Evidence> {
    evidence.cloned().into_iter().collect()
}

fn modules(facts: &Facts<'_>) -> Vec<Evidence> {
    let module = |m: &super::smbios::Module| Evidence {
        source: DMI.name.into(),
        line: None,
        text: format!("{}: {} MiB", m.slot, m.bytes >> 20),
    };
    facts.modules.iter().map(module).collect()
}

/// Returns the first entries of the firmware's map that are no RAM.
fn reserved(facts: &Facts<'_>) -> Vec<Evidence> {
    let rest = facts.firmware.iter().filter(|e| !super::proc::memory_kind(&e.name).is_ram());
    rest.take(3).map(|e| e.evidence.clone()).filter(|e| e.source == LOG.name || !e.text.is_empty()).collect()
}

/// Lines that add up.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn push(&mut self, kind: LineKind, label: &str, owner: Owner, bytes: u64, why: &str) -> &mut Line {
        let line = Line {
            kind,
            label: label.to_owned(),
            bytes,
            percent: 0.0,
            owner,
            why: why.to_owned(),
            evidence: Vec::new(),
            switch: None,
            gain_bytes: None,
            parts: Vec::new(),
        };
        self.0.push_mut(line)
    }

    fn taken(&mut self, label: &str, owner: Owner, bytes: u64, why: &str, evidence: Vec<Evidence>) -> &mut Line {
        let line = self.push(LineKind::Taken, label, owner, bytes, why);
        line.evidence = evidence;
        line
    }

    /// Adds to the line of this label, or starts it.
    fn returned(&mut self, label: &str, owner: Owner, bytes: u64, why: &str, evidence: Vec<Evidence>) {
        let same = self.0.iter_mut().rfind(|l| l.kind == LineKind::Returned && l.label == label);
        if let Some(line) = same {
            line.bytes = line.bytes.saturating_add(bytes);
            line.evidence.extend(evidence);
        } else {
            self.push(LineKind::Returned, label, owner, bytes, why).evidence = evidence;
        }
    }

    /// Adds a total, and in front of it what the lines before do not explain.
    fn total(&mut self, label: &str, bytes: u64, why: &str, evidence: Vec<Evidence>) {
        if !self.0.is_empty() {
            let why = "No line of the record says where it went or came from.";
            let excess = i128::from(bytes) - self.balance();
            let kind = if excess < 0 { LineKind::Taken } else { LineKind::Returned };
            let excess = u64::try_from(excess.unsigned_abs()).unwrap_or(u64::MAX);
            self.push(kind, "Unexplained", Owner::Unexplained, excess, why);
        }
        let owner = if label == MEM_TOTAL { Owner::Managed } else { Owner::All };
        self.push(LineKind::Total, label, owner, bytes, why).evidence = evidence;
    }

    fn has(&self, label: &str) -> bool {
        self.0.iter().any(|line| line.label == label)
    }

    /// Returns what is left of the last total; less than nothing if what was taken is not all out of it.
    fn balance(&self) -> i128 {
        self.0.iter().fold(0i128, |sum, line| match line.kind {
            LineKind::Total => line.bytes.into(),
            LineKind::Taken => sum - i128::from(line.bytes),
            LineKind::Returned => sum + i128::from(line.bytes),
        })
    }

    fn finish(mut self) -> Vec<Line> {
        self.0.retain(|line| line.kind == LineKind::Total || line.bytes > 0);
        let whole = self.0.first().map_or(1, |line| line.bytes.max(1)) as f64;
        for line in &mut self.0 {
            line.percent = line.bytes as f64 * 100.0 / whole;
        }
        self.0
    }
}
