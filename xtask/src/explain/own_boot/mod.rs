// SPDX-License-Identifier: MIT OR Apache-2.0
//! The explanation of a boot of our own image, from what it recorded.

mod lines;
mod spans;

use super::amount::human;
use super::model::{Evidence, Explanation, Line, LineKind, Owner, Source, SourceState};
use super::{picture, terms};
use crate::recording::Recording;
use crate::{ChainError, run_chain};
use handoff::{Blocks, Crash, Firmware, Frames, HostMachine, Ledger, MemoryMap, PhysRange, StageId, Zones};

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
    let waterfall = lines::waterfall(&record);
    Explanation {
        title,
        summary: summary(&waterfall),
        sources: record.sources(),
        waterfall,
        map: spans::spans(&record),
        terms: terms::meanings(),
        ..Explanation::default()
    }
}

fn summary(waterfall: &[Line]) -> String {
    let totals: Vec<_> = waterfall.iter().filter(|line| line.kind == LineKind::Total).collect();
    let (Some(first), Some(last)) = (totals.first(), totals.last()) else {
        return "The image did not come far enough to say anything about memory.".to_owned();
    };
    let between = human(first.bytes.saturating_sub(last.bytes));
    let (from, to) = (human(first.bytes), human(last.bytes));
    format!(
        "{}: {from}. {}: {to}. Where the {between} between them went is below, to the byte.",
        first.label, last.label
    )
}

impl Record<'_> {
    fn sources(&self) -> Vec<Source> {
        let source = |name: &str, there: bool| {
            let why = || self.recording.fault_of(name).unwrap_or("the image ended before it was made".to_owned());
            Source {
                name: format!("hand-off of {name}"),
                state: if there { SourceState::Found } else { SourceState::Missing },
                detail: if there { "decoded and checked".to_owned() } else { why() },
                remedy: None,
            }
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

    /// Returns the line of the log that speaks of just these bytes.
    fn evidence(&self, range: PhysRange) -> Option<Evidence> {
        let words = format!("{:#018x}-{:#018x}", range.start(), range.end() - 1);
        let (at, text) = self.recording.lines().iter().enumerate().find(|(_, line)| line.contains(&words))?;
        Some(Evidence { source: "log of the image".to_owned(), line: Some(at + 1), text: text.clone() })
    }
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
#[path = "../../../tests/pc/mod.rs"]
mod pc;
#[cfg(test)]
mod tests {
    use super::super::model::Lane;
    use super::*;
    use handoff::encode_to_vec;

    /// What a PC of 6 GiB records, its stages run in this process.
    fn recording() -> Recording {
        let firmware = encode_to_vec(&pc::firmware(6)).unwrap();
        let mut machine = HostMachine::default();
        let handoffs =
            run_chain("crashkernel=256M,high crashkernel=64M,low memblock=debug", &firmware, &mut machine).unwrap();
        Recording::of_chain(&firmware, handoffs, &machine)
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
        assert!(explanation.summary.starts_with("Installed: 6.00 GiB. Free: 5.59 GiB."), "{}", explanation.summary);
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
        assert_eq!(buddy, 6_003_847_168);
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
        assert_eq!(early.waterfall.last().map(|line| line.label.as_str()), Some("RAM in the firmware's map"));
        assert!(early.map.iter().all(|span| span.lane <= Lane::E820));

        let mut late = recording();
        late.end(StageId::BUDDY);
        let late = explain(String::new(), &late);
        let last = late.waterfall.last().unwrap();
        assert_eq!((last.label.as_str(), last.bytes), ("Not reserved when the boot ended", 6_004_331_904));
    }
}
