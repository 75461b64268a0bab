// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of every hand-off. postcard is positional: if one of these tests fails, raise the struct's `VERSION` and only
//! then run the tests with `UPDATE_EXPECT=1`.
#![cfg(feature = "serde")]

use expect_test::{Expect, expect};
use handoff::{
    Account, Affinity, Blocks, Crash, Direction, EXCHANGE_BYTES, Firmware, Frames, FreeArea, Handoff, Image, Ledger,
    MapEntry, MapShare, MemoryKind, MemoryMap, Nid, NodeDistances, Owner, PhysRange, Proof, RawEntry, Region,
    RegionFlags, Run, SECTION_FRAMES, SectionRun, Succession, Waiting, ZoneKind, ZoneSpan, ZoneState, Zones, decode,
    encode,
};

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

fn check<H: Handoff + PartialEq + std::fmt::Debug>(value: &H, expected: &Expect) {
    let mut buffer = [0; EXCHANGE_BYTES];
    let used = encode(value, &mut buffer).unwrap();
    let lines: Vec<String> =
        buffer[..used].chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
    assert_eq!(&decode::<H>(&buffer[..used]).unwrap(), value);
}

fn images() -> [Image; 1] {
    [Image { range: range(0x10_0000, 0x18_0000), owner: Owner::BOOT_IMAGE }]
}

fn affinity() -> [Affinity; 1] {
    [Affinity { range: range(0, 0x800_0000), node: 1, hotplug: true }]
}

fn distances() -> NodeDistances {
    let mut distances = NodeDistances::even(2);
    assert!(distances.set(0, 1, 31));
    distances
}

fn firmware() -> Firmware {
    let mut ledger = Ledger::new();
    ledger.installed = Some(0x800_0000);
    Firmware {
        map: [
            RawEntry { addr: 0, size: 0x9_fc00, kind: MemoryKind::RAM },
            RawEntry { addr: 5, size: 0, kind: MemoryKind(99) },
        ]
        .into_iter()
        .collect(),
        images: images().into_iter().collect(),
        affinity: affinity().into_iter().collect(),
        distances: distances(),
        ledger,
    }
}

fn memory_map() -> MemoryMap {
    let mut ledger = Ledger::new();
    ledger.firmware_ram = 0x800_0000;
    ledger.claim(Owner::BIOS, range(0, 0x1000)).unwrap();
    MemoryMap {
        map: [MapEntry { range: range(0x1000, 0x800_0000), kind: MemoryKind::RAM }].into_iter().collect(),
        max_pfn: 0x8000,
        low_max_pfn: 0x8000,
        images: images().into_iter().collect(),
        affinity: affinity().into_iter().collect(),
        distances: distances(),
        ledger,
    }
}

fn blocks() -> Blocks {
    let mut ledger = memory_map().ledger;
    ledger.claim(Owner::BOOT_IMAGE, range(0x10_0000, 0x18_0000)).unwrap();
    let region = |base, size, flags| Region { base, size, nid: Nid(0), flags };
    Blocks {
        memory: [region(0x1000, 0x7ff_f000, RegionFlags::HOTPLUG)].into_iter().collect(),
        reserved: [region(0x10_0000, 0x8_0000, RegionFlags::NONE), Region::new(0x9000_0000, 0x1000)]
            .into_iter()
            .collect(),
        memory_size: 0x7ff_f000,
        reserved_size: 0x8_1000,
        current_limit: 0x800_0000,
        direction: Direction::BottomUp,
        max_pfn: 0x8000,
        low_max_pfn: 0x8000,
        images: images().into_iter().collect(),
        affinity: affinity().into_iter().collect(),
        distances: distances(),
        ledger,
    }
}

fn crash() -> Crash {
    let mut blocks = blocks();
    let area = range(0x100_0000, 0x200_0000);
    blocks.reserved.insert(1, Region::new(area.start(), area.size())).unwrap();
    blocks.ledger.claim(Owner::CRASH, area).unwrap();
    Crash { blocks, main: Some(area), low: None }
}

fn frames() -> Frames {
    let mut blocks = crash().blocks;
    let descriptors = range(0x7e0_0000, 0x800_0000);
    blocks.reserved.insert(2, Region::new(descriptors.start(), descriptors.size())).unwrap();
    blocks.ledger.claim(Owner::DESCRIPTORS, descriptors).unwrap();
    Frames {
        blocks,
        zones: [
            ZoneSpan { node: 0, kind: ZoneKind::DMA, start_pfn: 1, spanned: 0xfff, present: 0xfff },
            ZoneSpan { node: 0, kind: ZoneKind::DMA32, start_pfn: 0x1000, spanned: 0x7000, present: 0x7000 },
        ]
        .into_iter()
        .collect(),
        sections: [SectionRun { first_section: 0, sections: 1, first_frame: 0 }].into_iter().collect(),
        descriptors: [descriptors].into_iter().collect(),
    }
}

fn zones() -> Zones {
    let frames = frames();
    let tables = range(0x7d0_0000, 0x7d0_a000);
    let mut ledger = frames.blocks.ledger;
    ledger.claim(Owner::FRAME_MAPS, tables).unwrap();
    let reserved = ledger.total(Account::Reserved) / 4096;
    let mut zones = [0, 1].map(|zone| ZoneState { pieces: 1, used_pieces: 1, ..ZoneState::new(frames.zones[zone]) });
    zones[1].managed = 0x7fff - reserved;
    zones[1].free_area[10] = FreeArea { first_map: 0, blocks: 6 };
    zones[1].used_maps = 1;
    zones[1].idle_maps = Waiting { first: 1, count: 1 };
    Zones {
        zones: zones.into_iter().collect(),
        runs: [Run { start_pfn: 0x1000, end_pfn: 0x8000, zone: 1, first_piece: 0 }].into_iter().collect(),
        shares: [
            MapShare { zone: 0, maps: 1, own: None },
            MapShare { zone: 1, maps: 3, own: Some(range(0x100_0000, 0x100_9000)) },
        ]
        .into_iter()
        .collect(),
        tables: [tables].into_iter().collect(),
        sections: frames.sections,
        descriptors: frames.descriptors,
        distances: frames.blocks.distances,
        ledger,
    }
}

#[test]
fn firmware_bytes() {
    check(
        &firmware(),
        &expect![[r#"
            42544d4d020000002a000000020080f827010500630180804080802011010080
            8080400101040a1f140a01808080400000001cac3214
        "#]],
    );
}

#[test]
fn memory_map_bytes() {
    check(
        &memory_map(),
        &expect![[r#"
            42544d4d020001003200000001802080e0ff3f01808002808002018080408080
            20110100808080400101040a1f140a0080808040000100802001b44dfb50
        "#]],
    );
}

#[test]
fn blocks_bytes() {
    check(
        &blocks(),
        &expect![[r#"
            42544d4d020002005900000001802080e0ff3f00010280804080802000008080
            808009802080100080e0ff3f80a0208080804001808002808002018080408080
            20110100808080400101040a1f140a0080808040000200802001808040808020
            112fc4120b
        "#]],
    );
}

#[test]
fn crash_bytes() {
    check(
        &crash(),
        &expect![[r#"
            42544d4d020003007700000001802080e0ff3f00010380804080802000008080
            8008808080088010008080808009802080100080e0ff3f80a020808080400180
            800280800201808040808020110100808080400101040a1f140a008080804000
            0300802001808040808020118080800880808008170180808008808080080046
            9fa50f
        "#]],
    );
}

#[test]
fn frames_bytes() {
    check(
        &frames(),
        &expect![[r#"
            42544d4d02000400a000000001802080e0ff3f00010480804080802000008080
            8008808080088010008080803f808080018010008080808009802080100080e0
            ff3f80a020808080400180800280800201808040808020110100808080400101
            040a1f140a008080804000040080200180804080802011808080088080800817
            8080803f808080011902000001ff1fff1f0001802080e00180e0010100010001
            8080803f80808001fdf93ede
        "#]],
    );
}

#[test]
fn zones_bytes() {
    assert_eq!(SECTION_FRAMES, 0x8000);
    check(
        &zones(),
        &expect![[r#"
            42544d4d030005001201000002000001ff1fff1f00ffffffff0f00ffffffff0f
            00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ff
            ffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00000101
            00ffffffff0f000001802080e00180e001f5da01ffffffff0f00ffffffff0f00
            ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffff
            ffff0f00ffffffff0f00ffffffff0f000006ffffffff0f000001010101010180
            208080020100020001000103018080800880a002018080c03e80c00201000100
            018080803f80808001040a1f140a008080804000050080200180804080802011
            8080800880808008178080c03e80c0021f8080803f808080011947ed10e4
        "#]],
    );
}

#[test]
fn succession_bytes() {
    let proof = Proof {
        blocks: 1,
        refused: 2,
        frames: 3,
        top: 0x7ff_f000,
        heap_bytes: 5,
        heap_overhead_bytes: 6,
        heap_objects: 7,
    };
    check(
        &Succession { zones: zones().zones, proof },
        &expect![[r#"
        42544d4d01000600c000000002000001ff1fff1f00ffffffff0f00ffffffff0f
        00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ff
        ffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00000101
        00ffffffff0f000001802080e00180e001f5da01ffffffff0f00ffffffff0f00
        ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffffffff0f00ffff
        ffff0f00ffffffff0f00ffffffff0f000006ffffffff0f000001010101010102
        0380e0ff3f050607403e6595
    "#]],
    );
}

/// Each way in which a value can break an invariant keeps it from being written.
#[test]
fn broken_invariants_are_refused() {
    fn refused<H: Handoff + std::fmt::Debug>(value: &H, rule: &str) {
        let error = encode(value, &mut [0; EXCHANGE_BYTES]).unwrap_err();
        assert_eq!(error, handoff::EncodeError::Invalid { rule: value.validate().unwrap_err() });
        assert!(error.to_string().contains(rule), "{error}");
    }
    let mut value = memory_map();
    value.map.push(value.map[0]).unwrap();
    refused(&value, "the map is sorted and disjoint");
    let mut value = memory_map();
    value.low_max_pfn += 1;
    refused(&value, "RAM below 4 GiB ends");
    let mut value = memory_map();
    (value.max_pfn, value.low_max_pfn) = (0x9000, 0x9000);
    refused(&value, "RAM ends where the map says");

    let mut value = blocks();
    value.memory.push(value.memory[0]).unwrap();
    refused(&value, "memory regions are sorted");
    let mut value = blocks();
    value.reserved.push(value.reserved[0]).unwrap();
    refused(&value, "reserved regions are sorted");
    let mut value = blocks();
    value.reserved[0].size += 1;
    refused(&value, "every reserved byte of memory has an owner");
    let mut value = blocks();
    value.ledger.firmware_ram += 1;
    refused(&value, "RAM of the map is memory or was lost");

    let mut value = crash();
    value.low = Some(range(0x300_0000, 0x400_0000));
    refused(&value, "crash kernel's areas are reserved");

    let mut value = frames();
    value.zones[0].present += 1;
    refused(&value, "a zone has frames");
    let mut value = frames();
    value.zones[1].present -= 1;
    refused(&value, "every frame of memory is present in one zone");
    let mut value = frames();
    value.sections[0].sections = 2;
    refused(&value, "one descriptor for each frame");
    let mut value = frames();
    value.sections[0].first_frame = 1;
    refused(&value, "descriptors of section runs lie one after another");

    let mut value = zones();
    value.runs[0].zone = 2;
    refused(&value, "runs are sorted, disjoint, not empty and of a zone");
    let mut value = zones();
    value.shares[0].zone = 2;
    refused(&value, "frame maps belong to a zone");
    let mut value = zones();
    value.zones[1].free_area[10].blocks = 1000;
    refused(&value, "free frames are managed");
    let mut value = zones();
    value.zones[1].managed -= 1;
    refused(&value, "reserved by a named owner or managed");

    let mut value = Succession { zones: zones().zones, ..Succession::default() };
    value.zones[1].free_area[10].blocks = 1000;
    refused(&value, "free frames are managed");
}
