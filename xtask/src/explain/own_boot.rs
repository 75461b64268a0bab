// SPDX-License-Identifier: MIT OR Apache-2.0
//! The explanation of a boot of our own image, from what it recorded.

use super::model::{Evidence, Explanation, Lane, Line, LineKind, Owner, Source, SourceState, Span};
use super::picture;
use crate::recording::Recording;
use crate::{ChainError, HostMachine, run_chain};
use handoff::{
    Account, Blocks, Claim, Crash, FRAME_BYTES, Firmware, Frames, Ledger, MemoryKind, MemoryMap, Nid, PhysRange,
    StageId, Zones,
};

/// An explanation to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pictures {
    /// Waterfall and memory map as an SVG file.
    pub svg: String,
    /// Everything as one HTML page that needs nothing else.
    pub html: String,
}

impl Pictures {
    pub(crate) fn draw(explanation: &Explanation) -> Self {
        Self { svg: picture::svg(explanation), html: picture::html(explanation) }
    }
}

/// Runs all stages in this process on an encoded firmware hand-off and draws where the memory went.
///
/// # Errors
/// [`ChainError`] names the first stage that left no hand-off.
pub fn draw_chain(title: &str, command_line: &str, firmware: &[u8]) -> Result<Pictures, ChainError> {
    let mut machine = HostMachine::default();
    let handoffs = run_chain(command_line, firmware, &mut machine)?;
    Ok(Pictures::draw(&explain(title.to_owned(), &Recording::of_chain(firmware, handoffs, &machine))))
}

/// What a boot left behind, decoded; a stage that failed left nothing.
struct Record<'a> {
    recording: &'a Recording,
    firmware: Option<Firmware>,
    map: Option<MemoryMap>,
    blocks: Option<Blocks>,
    crash: Option<Crash>,
    frames: Option<Frames>,
    zones: Option<Zones>,
}

/// Explains a boot of the machine called `title`.
pub(crate) fn explain(title: String, recording: &Recording) -> Explanation {
    let record = Record {
        recording,
        firmware: recording.handoff(StageId::BOOT),
        map: recording.handoff(StageId::E820),
        blocks: recording.handoff(StageId::MEMBLOCK),
        crash: recording.handoff(StageId::CRASHKERNEL),
        frames: recording.handoff(StageId::MEMMAP),
        zones: recording.handoff(StageId::BUDDY),
    };
    let waterfall = record.waterfall();
    Explanation {
        title,
        summary: summary(&waterfall),
        sources: record.sources(),
        waterfall,
        map: record.spans(),
        ..Explanation::default()
    }
}

fn summary(waterfall: &[Line]) -> String {
    let totals: Vec<_> = waterfall.iter().filter(|line| line.kind == LineKind::Total).collect();
    let (Some(first), Some(last)) = (totals.first(), totals.last()) else {
        return "The image did not come far enough to say anything about memory.".to_owned();
    };
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    format!(
        "{}: {}. {}: {}. The {} between them are below, to the byte.",
        first.label,
        mib(first.bytes),
        last.label,
        mib(last.bytes),
        mib(first.bytes.saturating_sub(last.bytes))
    )
}

impl Record<'_> {
    fn sources(&self) -> Vec<Source> {
        let source = |name: &str, there: bool| Source {
            name: format!("hand-off of {name}"),
            state: if there { SourceState::Found } else { SourceState::Missing },
            detail: if there { "decoded and checked" } else { "the image ended before it was made" }.to_owned(),
            remedy: None,
        };
        vec![
            source("boot", self.firmware.is_some()),
            source("e820", self.map.is_some()),
            source("memblock", self.blocks.is_some()),
            source("crashkernel", self.crash.is_some()),
            source("memmap", self.frames.is_some()),
            source("buddy", self.zones.is_some()),
        ]
    }

    /// Returns memblock's regions as the last stage that has them left them.
    fn last_blocks(&self) -> Option<&Blocks> {
        let frames = self.frames.as_ref().map(|frames| &frames.blocks);
        frames.or(self.crash.as_ref().map(|crash| &crash.blocks)).or(self.blocks.as_ref())
    }

    fn last_ledger(&self) -> Option<&Ledger> {
        let zones = self.zones.as_ref().map(|zones| &zones.ledger);
        let early = self.map.as_ref().map(|map| &map.ledger).or(self.firmware.as_ref().map(|f| &f.ledger));
        zones.or(self.last_blocks().map(|blocks| &blocks.ledger)).or(early)
    }

    /// The lines of the image's closing table.
    fn waterfall(&self) -> Vec<Line> {
        let Some(ledger) = self.last_ledger() else { return Vec::new() };
        let mut lines = Lines { whole: ledger.installed.unwrap_or(ledger.firmware_ram), lines: Vec::new() };
        if let Some(installed) = ledger.installed {
            lines.total("Installed", installed, "What SMBIOS says is in the slots.");
            lines.step(
                "Kept by the firmware",
                installed,
                ledger.firmware_ram,
                Owner::Firmware,
                "In the slots, but not RAM in the firmware's map.",
            );
        }
        lines.total("RAM in the firmware's map", ledger.firmware_ram, "What the firmware offers to the system.");
        lines.step(
            "Called RAM by memmap=",
            ledger.firmware_ram,
            ledger.firmware_ram + ledger.added,
            Owner::All,
            "The command line adds it to the firmware's map.",
        );
        lines.owners(ledger, Account::Lost);
        let Some(blocks) = self.last_blocks() else { return lines.lines };
        lines.total("Memory", blocks.memory_bytes(), "What memblock manages, in whole pages.");
        lines.owners(ledger, Account::Reserved);
        let Some(zones) = &self.zones else { return lines.lines };
        lines.total("Handed to the page allocator", zones.managed_bytes(), "Everything that nobody reserved.");
        let figures = ["managed_bytes", "free_bytes"].map(|name| self.recording.figure(name));
        if let [Some(managed), Some(free)] = figures {
            lines.step(
                "Given back by boot",
                zones.managed_bytes(),
                managed,
                Owner::KernelImage,
                "The stage programs and boot's pool, once all stages have run.",
            );
            lines.step(
                "Boot's page tables",
                managed,
                free,
                Owner::KernelImage,
                "Made of pages of the allocator itself.",
            );
            lines.total("Free", free, "For programs.");
        }
        if let Some(last) = lines.lines.last_mut() {
            last.owner = Owner::Managed;
        }
        lines.lines
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for entry in self.firmware.iter().flat_map(|firmware| &firmware.map) {
            if let Some(range) = PhysRange::capped(entry.addr, entry.size) {
                spans.push(self.span(Lane::Firmware, range, owner_of_kind(entry.kind), entry.kind.to_string()));
            }
        }
        for entry in self.map.iter().flat_map(|map| &map.map) {
            spans.push(self.span(Lane::E820, entry.range, owner_of_kind(entry.kind), entry.kind.to_string()));
        }
        if let Some(blocks) = self.last_blocks() {
            for claim in blocks.ledger.claims().iter().filter(|claim| claim.owner.account() == Account::Reserved) {
                spans.push(self.span(Lane::Memblock, claim.range, owner(claim.owner), claim.owner.words().to_owned()));
            }
            for (range, nid) in unclaimed(blocks, blocks.ledger.claims()) {
                let free = self.span(Lane::Memblock, range, Owner::All, "memory, not reserved".to_owned());
                spans.push(Span { node: nid.number().map(u32::from), ..free });
            }
        }
        for (range, name) in
            self.crash.iter().flat_map(|crash| [(crash.main, "crash kernel"), (crash.low, "crash kernel, low")])
        {
            spans.extend(range.map(|range| self.span(Lane::Crashkernel, range, Owner::CrashKernel, name.to_owned())));
        }
        for zone in self.frames.iter().flat_map(|frames| &frames.zones) {
            let bytes = |frames: u64| frames.saturating_mul(FRAME_BYTES);
            if let Some(range) = PhysRange::capped(bytes(zone.start_pfn), bytes(zone.spanned)) {
                let span = self.span(Lane::Memmap, range, Owner::PageDescriptors, zone.kind.name().to_owned());
                spans.push(Span { node: Some(u32::from(zone.node)), ..span });
            }
        }
        if let (Some(zones), Some(blocks)) = (&self.zones, self.last_blocks()) {
            let claims = self.recording.claims().unwrap_or_else(|| zones.ledger.claims().to_vec());
            for (range, nid) in unclaimed(blocks, &claims) {
                let free = self.span(Lane::Buddy, range, Owner::Managed, "free for programs".to_owned());
                spans.push(Span { node: nid.number().map(u32::from), ..free });
            }
        }
        spans.sort_by_key(|span| (span.lane, span.start));
        spans
    }

    /// Returns a span; a line of the log that speaks of just these bytes is its evidence.
    fn span(&self, lane: Lane, range: PhysRange, owner: Owner, label: String) -> Span {
        let words = format!("{:#018x}-{:#018x}", range.start(), range.end() - 1);
        let said = self.recording.lines().iter().position(|line| line.contains(&words));
        let evidence = said.map(|at| Evidence {
            source: "log of the image".to_owned(),
            line: Some(at + 1),
            text: self.recording.lines()[at].clone(),
        });
        Span { lane, start: range.start(), end: range.end(), owner, label, node: None, evidence }
    }
}

/// A waterfall in the making.
struct Lines {
    whole: u64,
    lines: Vec<Line>,
}

impl Lines {
    fn push(&mut self, kind: LineKind, label: &str, bytes: u64, owner: Owner, why: &str) {
        self.lines.push(Line {
            kind,
            label: label.to_owned(),
            bytes,
            percent: 100.0 * bytes as f64 / self.whole.max(1) as f64,
            owner,
            why: why.to_owned(),
            evidence: Vec::new(),
            switch: None,
            gain_bytes: None,
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
            self.step("Unexplained", open, bytes, Owner::Unexplained, "The account of the image does not add up here.");
        }
        self.push(LineKind::Total, label, bytes, Owner::All, why);
    }

    /// Adds the difference between two amounts, if there is one.
    fn step(&mut self, label: &str, before: u64, after: u64, owner: Owner, why: &str) {
        if after < before {
            self.push(LineKind::Taken, label, before - after, owner, why);
        } else if before < after {
            self.push(LineKind::Returned, label, after - before, owner, why);
        }
    }

    fn owners(&mut self, ledger: &Ledger, account: Account) {
        for who in handoff::Owner::ALL.iter().filter(|who| who.account() == account) {
            let (bytes, count) = (ledger.bytes(*who), ledger.claims().iter().filter(|c| c.owner == *who).count());
            if bytes > 0 {
                let why = format!(
                    "Taken by the stage {}, in {count} {}.",
                    who.taken_by(),
                    if count == 1 { "piece" } else { "pieces" }
                );
                self.push(LineKind::Taken, who.words(), bytes, owner(*who), &why);
            }
        }
        if account == Account::Reserved {
            for line in self.lines.iter_mut().filter(|line| line.owner == Owner::CrashKernel) {
                line.switch = Some("crashkernel=".to_owned());
                line.gain_bytes = Some(line.bytes);
            }
        }
    }
}

/// Returns the parts of memory that no claim covers, with their node.
fn unclaimed(blocks: &Blocks, claims: &[Claim]) -> Vec<(PhysRange, Nid)> {
    let mut free = Vec::new();
    for region in &blocks.memory {
        let end = region.end();
        let mut from = region.base;
        for claim in claims.iter().filter(|claim| claim.range.end() > region.base && claim.range.start() < end) {
            free.extend(PhysRange::new(from, claim.range.start()).map(|range| (range, region.nid)));
            from = from.max(claim.range.end());
        }
        free.extend(PhysRange::new(from, end).map(|range| (range, region.nid)));
    }
    free
}

fn owner_of_kind(kind: MemoryKind) -> Owner {
    if kind.is_ram() { Owner::All } else { Owner::Firmware }
}

/// Returns who that is for a reader who knows Linux.
fn owner(owner: handoff::Owner) -> Owner {
    use handoff::Owner as Who;
    match owner {
        Who::BIOS | Who::LIMIT | Who::ROUNDING | Who::UNREACHABLE => Owner::Lost,
        Who::BOOT_IMAGE | Who::STAGE_IMAGES | Who::BOOT_INFO | Who::BOOT_POOL => Owner::KernelImage,
        Who::NODE_DATA => Owner::NodeData,
        Who::CRASH | Who::CRASH_LOW => Owner::CrashKernel,
        Who::SECTIONS | Who::DESCRIPTORS | Who::DESCRIPTOR_TABLES => Owner::PageDescriptors,
        Who::SOFT_RESERVED | Who::NOT_MAPPED => Owner::Firmware,
        _ => Owner::Memblock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::{EXCHANGE_BYTES, Image, RawEntry, encode};

    /// What a PC of 6 GiB records, its stages run in this process.
    fn recording() -> Recording {
        let mut firmware = Firmware::default();
        for (addr, end, kind) in [
            (0, 0x9_fc00, MemoryKind::RAM),
            (0x9_fc00, 0xa_0000, MemoryKind::RESERVED),
            (0x10_0000, 0xbffe_0000, MemoryKind::RAM),
            (0xbffe_0000, 0xc000_0000, MemoryKind::RESERVED),
            (0x1_0000_0000, 0x1_c000_0000, MemoryKind::RAM),
            (0xfd_0000_0000, 0x100_0000_0000, MemoryKind::RESERVED),
        ] {
            firmware.map.push(RawEntry { addr, size: end - addr, kind }).unwrap();
            firmware.ledger.firmware_ram += if kind == MemoryKind::RAM { end - addr } else { 0 };
        }
        let image = PhysRange::new(0x10_0000, 0x18_0000).unwrap();
        firmware.images.push(Image { range: image, owner: handoff::Owner::BOOT_IMAGE }).unwrap();
        firmware.ledger.installed = Some(6 << 30);

        let mut encoded = vec![0; EXCHANGE_BYTES];
        let used = encode(&firmware, &mut encoded).unwrap();
        encoded.truncate(used);
        let mut machine = HostMachine::default();
        let handoffs =
            run_chain("crashkernel=256M,high crashkernel=64M,low memblock=debug", &encoded, &mut machine).unwrap();
        Recording::of_chain(&encoded, handoffs, &machine)
    }

    #[test]
    fn the_lines_add_up_and_end_with_what_is_free() {
        let mut recording = recording();
        recording.figures("managed_bytes=6004330496\nfree_bytes=6004301824\n");
        let explanation = explain("a PC".to_owned(), &recording);
        let mut level = 0;
        for line in &explanation.waterfall {
            match line.kind {
                LineKind::Total if level == 0 => level = line.bytes,
                LineKind::Total => assert_eq!(level, line.bytes, "{}", line.label),
                LineKind::Taken => level -= line.bytes,
                LineKind::Returned => level += line.bytes,
            }
        }
        assert_eq!(level, 6_004_301_824);
        assert!(explanation.waterfall.iter().all(|line| line.owner != Owner::Unexplained));
        let crash: u64 = explanation.waterfall.iter().filter(|l| l.owner == Owner::CrashKernel).map(|l| l.bytes).sum();
        assert_eq!(crash, 320 << 20);
        assert!(explanation.summary.starts_with("Installed: 6144 MiB. Free: 5726 MiB."), "{}", explanation.summary);
    }

    #[test]
    fn every_lane_is_drawn_and_quotes_the_log() {
        let map = explain(String::new(), &recording()).map;
        for lane in [Lane::Firmware, Lane::E820, Lane::Memblock, Lane::Crashkernel, Lane::Memmap, Lane::Buddy] {
            let spans: Vec<_> = map.iter().filter(|span| span.lane == lane).collect();
            assert!(spans.is_sorted_by(|a, b| a.end <= b.start) && !spans.is_empty(), "{lane:?}: {spans:?}");
        }
        let quoted = |lane, start| {
            let span = map.iter().find(|span| span.lane == lane && span.start == start).unwrap();
            span.evidence.clone().unwrap().text
        };
        assert!(
            quoted(Lane::Firmware, 0x10_0000).contains("BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable")
        );
        assert!(quoted(Lane::Crashkernel, 0xbb00_0000).contains("memblock_reserve"));
        let buddy: u64 = map.iter().filter(|s| s.lane == Lane::Buddy).map(|s| s.end - s.start).sum();
        assert_eq!(buddy, 6_004_330_496);
    }

    #[test]
    fn a_boot_that_failed_early_explains_what_it_left() {
        let nothing = explain(String::new(), &Recording::default());
        assert!(nothing.waterfall.is_empty() && nothing.map.is_empty());
        assert!(nothing.sources.iter().all(|source| source.state == SourceState::Missing));

        let mut early = recording();
        for stage in [StageId::MEMBLOCK, StageId::CRASHKERNEL, StageId::MEMMAP, StageId::BUDDY] {
            early.end(stage); // no bytes came, so there is no hand-off
        }
        let early = explain(String::new(), &early);
        assert_eq!(
            early.waterfall.last().map(|line| line.label.as_str()),
            Some("first page and 640K-1M, left to the BIOS")
        );
        assert!(early.map.iter().all(|span| span.lane <= Lane::E820));
    }
}
