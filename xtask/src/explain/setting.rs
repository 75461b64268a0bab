// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a boot starts from: the firmware's map, what the loader placed, and the command line.

use super::claims::{Claims, last};
use super::facts::Facts;
use super::image::{FIRST_TABLES, gaps};
use super::proc::memory_kind;
use super::share::Share;
use crate::dmesg::{self, Event};
use handoff::{Affinity, FRAME_BYTES, Firmware, Image, MemoryKind, Owner, PhysRange, RawEntry, Rules};
use memmap::SparseModel;

/// All that decides how memory is given out.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) firmware: Firmware,
    pub(super) command_line: String,
    pub(super) rules: Rules,
    /// Ranges that firmware still uses at the start.
    pub(super) boot_services: Vec<PhysRange>,
    /// Whether they are given back.
    pub(super) services_end: bool,
    /// Whether the kernel is built to follow `numa=fake=`, as far as is known.
    pub(super) makes_up_nodes: bool,
    /// Memory that allocations go to first.
    pub(super) mirrored: Vec<PhysRange>,
    /// The sizes of this kernel's tables around the descriptors.
    pub(super) model: SparseModel,
    pub(super) image: Option<PhysRange>,
    pub(super) initrd: Option<PhysRange>,
    /// Of the image, what is freed after the start.
    pub(super) image_freed_bytes: u64,
    /// Bytes of per-CPU areas.
    pub(super) per_cpu_bytes: u64,
    /// Bytes of a page descriptor.
    pub(super) descriptor_bytes: u64,
    /// Whether descriptors are made when a section is first split.
    pub(super) lazy: bool,
}

impl Setting {
    /// Reads the setting of a recorded boot.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(super) fn of(facts: &Facts<'_>, claims: Option<&Claims>) -> Result<Self, String> {
        if facts.firmware.is_empty() {
            return Err("the firmware's map is not in the record".into());
        }
        let mut firmware = Firmware::default();
        for entry in start_map(facts) {
            firmware.map.push(entry).map_err(|_| "the firmware's map has more entries than our crates take")?;
        }
        let image = image(facts, claims);
        let initrd = facts.entries.iter().find_map(|e| match e.event {
            Event::Ramdisk { start, last: end } => last(start, end),
            _ => None,
        });
        let of_share =
            |wanted: Share| claims.into_iter().flat_map(Claims::iter).filter(move |(_, o)| o.share == wanted);
        let left = of_share(Share::Loader).map(|(range, _)| range);
        for range in [image, initrd].into_iter().flatten().chain(left) {
            firmware
                .images
                .push(Image { range, owner: Owner::BOOT_IMAGE })
                .map_err(|_| "the loader left more pieces than our crates take")?;
        }
        for entry in &facts.entries {
            if let Event::Srat { nid, start, last: end, hotplug } = entry.event
                && let Some(range) = last(start, end)
            {
                let affinity = Affinity { range, node: nid, hotplug };
                firmware.affinity.push(affinity).map_err(|_| "there are more ranges of nodes than our crates take")?;
            }
        }
        let freed = facts.freed.iter().filter(|f| f.what.contains("unused") || f.what.starts_with("SMP"));
        Ok(Self {
            firmware,
            command_line: facts.command_line.clone(),
            rules: facts.rules,
            boot_services: of_share(Share::BootServices).map(|(range, _)| range).collect(),
            makes_up_nodes: !facts.command_line.contains("numa=fake=")
                || facts.entries.iter().any(|e| matches!(e.event, Event::EmulatedNode { .. })),
            mirrored: mirrored(facts),
            model: model(facts),
            services_end: facts.freed.iter().any(|f| f.what == "EFI boot services"),
            image,
            initrd,
            image_freed_bytes: freed.map(|f| f.bytes).sum(),
            per_cpu_bytes: per_cpu(facts),
            descriptor_bytes: 64,
            lazy: false,
        })
    }

    /// Returns the setting with RAM added or taken at the top until there is so much of it.
    pub(super) fn with_memory(mut self, bytes: u64) -> Self {
        let map = &mut self.firmware.map;
        let ram =
            |map: &[RawEntry]| map.iter().filter(|e| e.kind.is_ram()).map(|e| e.size).fold(0, u64::saturating_add);
        while let Some(excess) = ram(map).checked_sub(bytes).filter(|excess| *excess > 0) {
            let of_ram = map.iter().enumerate().filter(|(_, e)| e.kind.is_ram());
            let Some((top, _)) = of_ram.max_by_key(|(_, e)| e.addr) else { break };
            if map[top].size > excess {
                map[top].size -= excess;
            } else {
                map.remove(top);
            }
        }
        let missing = bytes.saturating_sub(ram(map));
        if missing > 0 {
            let end = |e: &RawEntry| e.addr.saturating_add(e.size);
            let start = map.iter().filter(|e| e.kind.is_ram()).map(end).max().unwrap_or(0).max(FOUR_GIB);
            // What does not fit below the next reserved range goes above all of them.
            let next = map.iter().map(|e| e.addr).filter(|addr| *addr > start).min();
            let size = next.map_or(missing, |next| missing.min(next - start));
            let above =
                map.iter().map(end).max().unwrap_or(0).max(start).checked_next_multiple_of(1 << 30).unwrap_or(start);
            for (addr, size) in [(start, size), (above, missing - size)].into_iter().filter(|(_, size)| *size > 0) {
                _ = map.push(RawEntry { addr, size, kind: MemoryKind::RAM });
            }
        }
        self
    }
}

/// RAM that does not fit below it goes above.
const FOUR_GIB: u64 = 4 << 30;

/// Returns the map that the command line is applied to. What MTRRs take away is the firmware's doing, too.
fn start_map(facts: &Facts<'_>) -> Vec<RawEntry> {
    let entry = |named: &super::facts::Named| RawEntry {
        addr: named.range.start(),
        size: named.range.size(),
        kind: named
            .name
            .strip_prefix("type ")
            .and_then(|n| n.parse().ok())
            .map_or(memory_kind(&named.name), MemoryKind),
    };
    let maps = super::facts::maps(&facts.entries);
    let trimmed =
        maps.iter().rfind(|(who, _)| *who == "modified").filter(|_| maps.iter().all(|(who, _)| *who != "user"));
    trimmed.map_or(&facts.firmware, |(_, map)| map).iter().map(entry).collect()
}

fn image(facts: &Facts<'_>, claims: Option<&Claims>) -> Option<PhysRange> {
    let claimed = claims.into_iter().flat_map(Claims::iter).filter(|(_, o)| o.share == Share::KernelImage);
    let areas = facts.kernel();
    let start = areas.iter().map(|a| a.range.start()).min();
    let end = areas.iter().map(|a| a.range.end()).max();
    claimed
        .map(|(range, _)| range)
        .max_by_key(|range| range.size())
        .or_else(|| PhysRange::new(start?, end?.checked_next_multiple_of(FRAME_BYTES)?.checked_add(FIRST_TABLES)?))
        .or_else(|| usual_image(facts))
}

fn mirrored(facts: &Facts<'_>) -> Vec<PhysRange> {
    let range = |event: &Event<'_>| match *event {
        Event::EfiRange { mirrored: true, start, last: end, .. } => last(start, end),
        _ => None,
    };
    facts.entries.iter().filter_map(|e| range(&e.event)).collect()
}

/// Returns the sizes that the first table of the descriptors tells of, else those of a usual kernel.
fn model(facts: &Facts<'_>) -> SparseModel {
    let first = facts.entries.iter().find_map(|e| match e.event {
        Event::Request(r) if super::facts::function(r.caller) == "sparse_init" => Some(r.size),
        _ => None,
    });
    first.and_then(|size| crate::replay::model(facts.rules, size)).unwrap_or_else(|| SparseModel::of(facts.rules))
}

fn per_cpu(facts: &Facts<'_>) -> u64 {
    let of = |event: &Event<'_>| match *event {
        Event::PerCpu { pages, .. } => Some(pages.saturating_mul(FRAME_BYTES)),
        _ => None,
    };
    let unit = facts.entries.iter().find_map(|e| of(&e.event)).unwrap_or(256 << 10);
    let units = facts.entries.iter().filter_map(|e| match e.event {
        Event::PerCpuUnits(text) => Some(text.split_whitespace().filter(|w| w.parse::<u64>().is_ok()).count() as u64),
        _ => None,
    });
    unit.saturating_mul(units.sum::<u64>().max(1))
}

/// Returns where the kernel's image would lie without a word of it: at 16 MiB, with the sizes that the log tells.
fn usual_image(facts: &Facts<'_>) -> Option<PhysRange> {
    let parts = dmesg::kernel_parts(&facts.sum.as_ref()?.evidence.text)?;
    let bytes = parts.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
    let whole = bytes.saturating_add(gaps(facts, bytes)).checked_next_multiple_of(FRAME_BYTES)?;
    PhysRange::from_size(16 << 20, whole.checked_add(FIRST_TABLES)?)
}
