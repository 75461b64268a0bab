// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many bytes each share has: to the byte from the claims, or as far as a log without `memblock=debug` tells.

use super::claims::{Claims, LOW_BYTES, last};
use super::facts::{Facts, file, gigantic, log};
use super::image::{FIRST_TABLES, gaps};
use super::lost::size;
use super::model::{Evidence, Part};
use super::record::IOMEM;
use super::share::Share;
use crate::dmesg::{self, Entry, Event};
use handoff::{PhysRange, Rules, SECTION_BYTES, parameters, strtoull};
use rangemap::RangeSet;
use std::collections::BTreeMap;

/// What a share has.
#[derive(Clone, Debug, Default)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    pub(super) parts: Vec<Part>,
    pub(super) evidence: Vec<Evidence>,
}

/// The bytes of each share.
#[derive(Debug, Default)]
pub(super) struct Tally(pub(super) BTreeMap<Share, Amount>);

/// Lines quoted for one share.
const QUOTED: usize = 3;
/// Bytes of descriptors for a section of memory.
const SECTION_DESCRIPTORS: u64 = 2 << 20;

impl Tally {
    fn add(&mut self, share: Share, label: &str, bytes: u64, evidence: Option<Evidence>) {
        if bytes == 0 {
            return;
        }
        let amount = self.0.entry(share).or_default();
        amount.bytes = amount.bytes.saturating_add(bytes);
        match amount.parts.iter_mut().find(|part| part.label == label) {
            Some(part) => (part.bytes, part.count) = (part.bytes.saturating_add(bytes), part.count + 1),
            None => amount.parts.push(Part { label: label.to_owned(), bytes, count: 1 }),
        }
        amount.evidence.extend(evidence.filter(|_| amount.evidence.len() < QUOTED));
    }

    /// Returns the bytes of all shares.
    pub(super) fn total(&self) -> u64 {
        self.0.values().map(|amount| amount.bytes).fold(0, u64::saturating_add)
    }

    /// Counts the claims in memory.
    pub(super) fn of_claims(claims: &Claims, memory: &[PhysRange]) -> Self {
        let mut tally = Self::default();
        for (range, origin) in claims.iter() {
            let inside = memory.iter().filter_map(|m| m.intersection(range)).map(PhysRange::size).sum();
            tally.add(origin.share, &origin.label, inside, Some(origin.evidence.clone()));
        }
        let rounding = claims.reserved_bytes(memory).saturating_sub(tally.total());
        tally.add(Share::Rounding, "parts of pages", rounding, None);
        tally.finish()
    }

    /// Counts what the lines of an everyday log and `/proc/iomem` tell.
    pub(super) fn of_lines(facts: &Facts<'_>, memory: &[PhysRange]) -> Self {
        let mut tally = Self::default();
        let inside = |range: PhysRange| memory.iter().filter_map(|m| m.intersection(range)).map(PhysRange::size).sum();
        if let Some(low) = PhysRange::new(0, LOW_BYTES).filter(|_| facts.rules > Rules::V5_4) {
            tally.add(Share::LowMemory, "first pages and BIOS data", inside(low), None);
        }
        for (area, evidence) in &facts.crash {
            let share = if area.is_low { Share::CrashLow } else { Share::Crash };
            tally.add(share, "crash kernel", area.range.size(), Some(evidence.clone()));
        }
        tally.kernel(facts);
        tally.descriptors(facts, memory);
        tally.lines(facts);
        tally.finish()
    }

    fn kernel(&mut self, facts: &Facts<'_>) {
        let areas = facts.kernel();
        let start = areas.iter().map(|a| a.range.start()).min();
        if let Some((start, area)) = start.zip(areas.iter().max_by_key(|a| a.range.end())) {
            let evidence = file(IOMEM.name, area.line, &facts.record.iomem);
            self.add(Share::KernelImage, "kernel image", area.range.end() - start, Some(evidence));
            return self.add(Share::KernelImage, "first page tables", FIRST_TABLES, None);
        }
        let parts = facts.sum.as_ref().and_then(|sum| Some((dmesg::kernel_parts(&sum.evidence.text)?, sum)));
        if let Some((parts, sum)) = parts {
            for (name, bytes) in parts {
                self.add(Share::KernelImage, name, bytes, Some(sum.evidence.clone()));
            }
            self.add(
                Share::KernelImage,
                "gaps",
                gaps(facts, parts.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)),
                None,
            );
            self.add(Share::KernelImage, "first page tables", FIRST_TABLES, None);
        }
    }

    fn descriptors(&mut self, facts: &Facts<'_>, memory: &[PhysRange]) {
        let mut sections: Vec<u64> =
            memory.iter().flat_map(|m| m.start() / SECTION_BYTES..m.end().div_ceil(SECTION_BYTES)).collect();
        sections.dedup();
        let mut count = sections.len() as u64;
        if memory.is_empty() {
            // Only sums are known: no hole splits a section.
            count = facts.present().map_or(0, |(bytes, _)| bytes.div_ceil(SECTION_BYTES));
        }
        let text = format!("{count} sections of 128 MiB, 2 MiB each");
        let evidence = Evidence { source: "computed".into(), line: None, text };
        self.add(Share::Descriptors, "struct pages", count.saturating_mul(SECTION_DESCRIPTORS), Some(evidence));
    }

    fn lines(&mut self, facts: &Facts<'_>) {
        let mut units = 0;
        self.forced_swiotlb(facts);
        self.kept_boot_services(facts);
        for entry in &facts.entries {
            let evidence = Some(log(entry));
            match entry.event {
                Event::Ramdisk { start, last: end } => {
                    let bytes = last(start, end).map_or(0, |range| range.outward().size());
                    self.add(Share::Initrd, "initrd", bytes, evidence);
                }
                Event::NodeData { start, last: end, .. } => {
                    self.add(Share::NodeData, "node data", last(start, end).map_or(0, PhysRange::size), evidence);
                }
                Event::IoTlb { start, last: end } => {
                    self.add(Share::Swiotlb, "bounce buffers", end.saturating_sub(start), evidence);
                }
                Event::HashTable { bytes } => {
                    // Later ones come from the page allocator.
                    let early = ["Dentry cache", "Inode-cache", "PV qspinlock", "PID"];
                    let name = dmesg::hash_table(&entry.text).filter(|name| early.contains(name));
                    self.add(Share::HashTables, name.unwrap_or_default(), name.map_or(0, |_| bytes), evidence);
                }
                Event::PerCpu { pages, .. } => units = pages.saturating_mul(handoff::FRAME_BYTES),
                Event::PerCpuUnits(text) => {
                    // Numbers of units stand behind those of groups in brackets.
                    let cpus = text.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).count() as u64;
                    self.add(Share::PerCpu, "units", units.saturating_mul(cpus), evidence);
                }
                Event::LogBuffer { bytes } => {
                    // From 5.10 on there are descriptors of the records as well.
                    let times = if facts.rules > Rules::V5_4 { 9 } else { 2 };
                    self.add(Share::LogBuffer, "text and index", bytes.saturating_mul(times) / 2, evidence);
                }
                Event::FreedBootServices { kib } => {
                    self.add(Share::BootServices, "held until freed", kib.saturating_mul(1024), evidence);
                }
                Event::HugePages { size, .. } => self.add(Share::HugePages, size, gigantic(&entry.event), evidence),
                Event::Cma { mib, .. } => self.add(Share::Cma, "areas", mib.saturating_mul(1 << 20), evidence),
                _ => {}
            }
        }
    }

    /// Where the command line forces bounce buffers, no line tells of them.
    fn forced_swiotlb(&mut self, facts: &Facts<'_>) {
        let value = parameters(&facts.command_line).filter(|(name, _)| *name == "swiotlb").last().and_then(|p| p.1);
        let told = facts.entries.iter().any(|e| matches!(e.event, Event::IoTlb { .. }));
        if let Some(value) = value.filter(|value| !told && value.split(',').any(|word| word == "force")) {
            let bytes = Some(strtoull(value.as_bytes()).0.saturating_mul(2048)).filter(|bytes| *bytes > 0);
            self.add(Share::Swiotlb, "bounce buffers", bytes.unwrap_or(64 << 20), facts.parameter(&["swiotlb"]));
        }
    }

    /// With `efi=debug` the boot services are listed, some lists more than once, and never freed.
    fn kept_boot_services(&mut self, facts: &Facts<'_>) {
        let mut listed = RangeSet::new();
        for entry in &facts.entries {
            match entry.event {
                Event::EfiRange { kind: "Boot Data" | "Boot Code", start, last: end, .. } if start >= LOW_BYTES => {
                    last(start, end).into_iter().for_each(|range| listed.insert(range.start()..range.end()));
                }
                Event::FreedBootServices { .. } => return,
                _ => {}
            }
        }
        let of_list = |e: &&Entry<'_>| matches!(e.event, Event::EfiRange { kind: "Boot Data", .. });
        let evidence = facts.entries.iter().find(of_list).map(log);
        self.add(Share::BootServices, "kept for good", size(&listed), evidence);
    }

    fn finish(mut self) -> Self {
        for amount in self.0.values_mut() {
            amount.parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        }
        self
    }
}
