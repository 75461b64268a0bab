// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that leaves a well-formed hand-off that is not true: a test puts it in the place of a stage.
//!
//! `misbehave=KIND` on the command line says which lie it is.
#![no_std]
#![no_main]

use buddy::{FrameMap, HandOver};
use core::convert::Infallible;
use handoff::{
    Affinity, Blocks, Crash, FRAME_BYTES, Firmware, Frames, GrantError, Machine, MapEntry, MemoryKind, MemoryMap,
    Owner, Page, PhysRange, Region, SECTION_BYTES, SECTION_FRAMES, SectionRun, Stage, StageId, Succession, ZoneKind,
    ZoneSpan, ZoneState, Zones,
};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    match kind() {
        "lie-of-ram" | "lie-of-images" | "lie-of-nodes" => rt::run::<MapLiar>(),
        "lie-of-account" | "lie-of-reservation" | "lie-of-crash" => rt::run::<CrashLiar>(),
        "lie-of-place" | "lie-of-own" => rt::run::<FramesLiar>(),
        "lie-of-kept" | "lie-of-managed" | "lie-of-kernel" | "lie-of-tables" => rt::run::<SuccessorLiar>(),
        kind if kind.starts_with("lie-of-") => rt::run::<ZonesLiar>(),
        other => panic!("misbehave={other} is not a lie"),
    }
}

fn kind() -> &'static str {
    handoff::parameters(rt::command_line())
        .filter(|(name, _)| *name == "misbehave")
        .last()
        .and_then(|(_, v)| v)
        .unwrap()
}

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

/// Takes the firmware's map as it is.
struct MapLiar;

impl Stage for MapLiar {
    const ID: StageId = StageId::E820;
    type In = Firmware;
    type Out = MemoryMap;
    type Error = Infallible;

    fn run<M: Machine>(_: &str, firmware: Firmware, _: &mut M) -> Result<MemoryMap, Infallible> {
        let Firmware { map: raw, images, affinity, distances, ledger } = firmware;
        let mut map = MemoryMap { images, affinity, distances, ledger, ..MemoryMap::default() };
        let entry = |start, end, kind| MapEntry { range: range(start, end), kind };
        map.map = raw.iter().map(|e| entry(e.addr, e.addr + e.size, e.kind)).collect();
        match kind() {
            // The registers of the interrupt controllers.
            "lie-of-ram" => {
                let at = map.map.partition_point(|e| e.range.end() <= 0xfec0_0000);
                map.map.insert(at, entry(0xfec0_0000, 0xfef0_0000, MemoryKind::RAM)).unwrap();
            }
            "lie-of-images" => drop(map.images.remove(0)),
            _ => map.affinity.push(Affinity { range: range(0, 1 << 30), node: 1, hotplug: false }).unwrap(),
        }
        let ram = || map.map.iter().filter(|e| e.kind == MemoryKind::RAM);
        map.max_pfn = ram().map(|e| e.range.end() / FRAME_BYTES).max().unwrap();
        map.low_max_pfn = map.max_pfn.min(1 << 20);
        map.ledger.firmware_ram = ram().map(|e| e.range.size()).sum();
        Ok(map)
    }
}

/// Reserves nothing, and changes what was reserved.
struct CrashLiar;

impl Stage for CrashLiar {
    const ID: StageId = StageId::CRASHKERNEL;
    type In = Blocks;
    type Out = Crash;
    type Error = Infallible;

    fn run<M: Machine>(_: &str, mut blocks: Blocks, _: &mut M) -> Result<Crash, Infallible> {
        let image = blocks.images[0].range;
        match kind() {
            "lie-of-account" => {
                forget(&mut blocks, image);
                blocks.ledger.release(image).unwrap();
            }
            // Everything is said to be reserved that was, and as much is: but elsewhere.
            "lie-of-reservation" => {
                reserve_as_much(&mut blocks, image.size());
                forget(&mut blocks, image);
            }
            // An area for the crash kernel that belongs to boot.
            _ => return Ok(Crash { blocks, main: Some(image), low: None }),
        }
        Ok(Crash { blocks, main: None, low: None })
    }
}

/// Takes a range out of what is reserved.
fn forget(blocks: &mut Blocks, gone: PhysRange) {
    let old = core::mem::take(&mut blocks.reserved);
    for region in &old {
        let below = PhysRange::new(region.base, region.end().min(gone.start()));
        let above = PhysRange::new(region.base.max(gone.end()), region.end());
        for part in [below, above].into_iter().flatten() {
            blocks.reserved.push(Region { base: part.start(), size: part.size(), ..*region }).unwrap();
        }
    }
}

/// Reserves free memory; returns where.
fn reserve_as_much(blocks: &mut Blocks, size: u64) -> PhysRange {
    let start = (0..).map(|i| i * (1 << 20)).find(|start| blocks.is_free(range(*start, start + size))).unwrap();
    let at = blocks.reserved.partition_point(|region| region.base < start);
    blocks.reserved.insert(at, Region::new(start, size)).unwrap();
    range(start, start + size)
}

/// Puts the descriptors somewhere, and says something else.
struct FramesLiar;

impl Stage for FramesLiar {
    const ID: StageId = StageId::MEMMAP;
    type In = Crash;
    type Out = Frames;
    type Error = GrantError;

    fn run<M: Machine>(_: &str, Crash { mut blocks, .. }: Crash, machine: &mut M) -> Result<Frames, GrantError> {
        let sections = blocks.memory.last().unwrap().end().div_ceil(SECTION_BYTES) as u32;
        let bytes = u64::from(sections) * SECTION_FRAMES * size_of::<Page>() as u64;
        let own = reserve_as_much(&mut blocks, bytes);
        machine.memory(&[own])?;

        let mut said = own;
        if kind() == "lie-of-place" {
            blocks.ledger.claim(Owner::DESCRIPTORS, own).unwrap();
            said = range(own.start() + FRAME_BYTES, own.end() + FRAME_BYTES);
        } else {
            let other = reserve_as_much(&mut blocks, bytes);
            forget(&mut blocks, own);
            blocks.ledger.claim(Owner::DESCRIPTORS, other).unwrap();
        }
        let present = blocks.memory_bytes() / FRAME_BYTES;
        let spanned = u64::from(sections) * SECTION_FRAMES;
        let mut frames = Frames { blocks, ..Frames::default() };
        frames.zones.push(ZoneSpan { node: 0, kind: ZoneKind::DMA32, start_pfn: 0, spanned, present }).unwrap();
        frames.sections.push(SectionRun { first_section: 0, sections, first_frame: 0 }).unwrap();
        frames.descriptors.push(said).unwrap();
        Ok(frames)
    }
}

/// A machine that remembers where the tables are.
struct Remembering<'a, M> {
    machine: &'a mut M,
    tables: *mut [u8],
}

impl<M: Machine> Machine for Remembering<'_, M> {
    type Log = M::Log;

    fn log(&self) -> M::Log {
        self.machine.log()
    }

    fn memory(&mut self, ranges: &[PhysRange]) -> Result<&mut [u8], GrantError> {
        let tables = self.machine.memory(ranges)?;
        self.tables = tables;
        Ok(tables)
    }
}

/// Does its work, and then changes what it says or what is in the tables.
struct ZonesLiar;

impl Stage for ZonesLiar {
    const ID: StageId = StageId::BUDDY;
    type In = Frames;
    type Out = Zones;
    type Error = buddy::Error;

    fn run<M: Machine>(command_line: &str, input: Frames, machine: &mut M) -> Result<Zones, buddy::Error> {
        let image = input.blocks.images[0].range;
        let mut machine = Remembering { machine, tables: &mut [] };
        let mut zones = HandOver::<memblock::Store>::run(command_line, input, &mut machine)?;
        // SAFETY: the stage has ended, so this is the only reference to the tables.
        let tables = unsafe { &mut *machine.tables };
        // The pieces fill one page; the neighbours on rings are the last words of a map but for its padding.
        let map = &mut tables[FRAME_BYTES as usize..][..size_of::<FrameMap>()];
        match kind() {
            "lie-of-cycle" => map[8736..8824].fill(1),
            "lie-of-link" => zones.zones[0].free_area[10].first_map = 1000,
            "lie-of-block" => map[8192..8704].fill(0),
            "lie-of-zone" => zones.zones[0].span.spanned += 1,
            "lie-of-section" => zones.sections[0].first_section += 1,
            "lie-of-ledger" => zones.ledger.firmware_ram += FRAME_BYTES,
            "lie-of-owner" => {
                zones.ledger.release(image).unwrap();
                zones.ledger.claim(Owner::BOOT_POOL, image).unwrap();
            }
            // Frames of boot take the place of free ones: all sums stay as they are.
            "lie-of-frame" => {
                let mut buddy = buddy::Buddy::attach(tables, &zones)?;
                swap(&mut buddy, image)?;
                let after = buddy.detach(&zones, zones.ledger.clone())?;
                let spans = zones.zones.iter().map(|zone| zone.span);
                let states = after.zones.iter().zip(spans).map(|(zone, span)| ZoneState { span, ..*zone });
                zones = Zones { zones: states.collect(), runs: zones.runs.clone(), ..after };
            }
            other => panic!("misbehave={other} is not a lie"),
        }
        Ok(zones)
    }
}

/// Makes the first frame of boot free, and a free one boot's.
fn swap(buddy: &mut buddy::Buddy<'_>, image: PhysRange) -> Result<(), buddy::Error> {
    let theirs = buddy.free_ranges(0).last().unwrap();
    buddy.free_reserved(range(image.start(), image.start() + FRAME_BYTES))?;
    buddy.remove_range(range(theirs.end() - FRAME_BYTES, theirs.end()))
}

/// Does not give back what it was lent.
struct SuccessorLiar;

impl Stage for SuccessorLiar {
    const ID: StageId = StageId::SUCCESSOR;
    type In = Zones;
    type Out = Succession;
    type Error = buddy::Error;

    fn run<M: Machine>(_: &str, input: Zones, machine: &mut M) -> Result<Succession, buddy::Error> {
        let tables = machine.memory(&input.tables)?;
        let mut buddy = buddy::Buddy::attach(&mut *tables, &input)?;
        if kind() == "lie-of-kernel" {
            swap(&mut buddy, range(0x10_0000, 0x20_0000))?;
        }
        let states =
            buddy.zones().into_iter().zip(&input.zones).map(|(zone, before)| ZoneState { span: before.span, ..zone });
        let mut after = Succession { zones: states.collect(), ..Succession::default() };
        drop(buddy);
        match kind() {
            "lie-of-managed" => after.zones[0].managed += 1,
            "lie-of-tables" => tables[FRAME_BYTES as usize..].fill(1),
            _ => {} // the block of the first kernel stays allocated
        }
        Ok(after)
    }
}
