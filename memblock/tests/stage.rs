// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage, run on encoded hand-offs.
#![cfg(feature = "serde")]

use handoff::{
    Account, Affinity, Blocks, Handoff, HostMachine, Image, Ledger, MapEntry, MemoryKind, MemoryMap, Nid, Owner,
    PhysRange, RegionFlags, RunError, decode, encode_to_vec,
};
use memblock::{Assemble, Error};
use proptest::prelude::*;

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

/// A map of these entries, with the account that the e820 stage would leave.
fn map(entries: &[(u64, u64, MemoryKind)]) -> MemoryMap {
    let mut map = MemoryMap { ledger: Ledger::new(), ..MemoryMap::default() };
    for &(start, end, kind) in entries {
        map.map.push(MapEntry { range: range(start, end), kind }).unwrap();
        if kind.is_ram() {
            map.ledger.firmware_ram += end - start;
            map.max_pfn = end / 4096;
            map.low_max_pfn = map.max_pfn.min(1 << 20);
        }
    }
    map
}

fn run(command_line: &str, map: &MemoryMap) -> (Result<Blocks, RunError<Error>>, Vec<String>) {
    let mut machine = HostMachine::refusing();
    let output = machine.run::<Assemble>(command_line, &encode_to_vec(map).unwrap());
    (output.map(|bytes| decode(&bytes).unwrap()), machine.lines())
}

/// The map of a 16 GiB QEMU machine.
fn pc_16g() -> MemoryMap {
    let mut input = map(&[
        (0x1000, 0x9_fc00, MemoryKind::RAM),
        (0x10_0000, 0xbffe_0000, MemoryKind::RAM),
        (0x1_0000_0000, 0x4_4000_0000, MemoryKind::RAM),
    ]);
    let images = [(0x100_0000, 0x381_1000, Owner::BOOT_IMAGE), (0xbfe9_a000, 0xbffe_0000, Owner::STAGE_IMAGES)];
    input.images.extend(images.map(|(start, end, owner)| Image { range: range(start, end), owner }));
    input
}

#[test]
fn a_16_gib_pc_says_what_linux_says() {
    let (blocks, lines) = run("memblock=debug", &pc_16g());
    let blocks = blocks.unwrap();
    let without_calls: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.starts_with("memblock_")).collect();
    let expected = "\
MEMBLOCK configuration:
 memory size = 0x00000003fff7ec00 reserved size = 0x0000000002967000
 memory.cnt  = 0x3
 memory[0x0]\t[0x0000000000001000-0x000000000009efff], 0x000000000009e000 bytes flags: 0x0
 memory[0x1]\t[0x0000000000100000-0x00000000bffdffff], 0x00000000bfee0000 bytes flags: 0x0
 memory[0x2]\t[0x0000000100000000-0x000000043fffffff], 0x0000000340000000 bytes flags: 0x0
 reserved.cnt  = 0x3
 reserved[0x0]\t[0x0000000000000000-0x000000000000ffff], 0x0000000000010000 bytes flags: 0x0
 reserved[0x1]\t[0x0000000001000000-0x0000000003810fff], 0x0000000002811000 bytes flags: 0x0
 reserved[0x2]\t[0x00000000bfe9a000-0x00000000bffdffff], 0x0000000000146000 bytes flags: 0x0
No NUMA configuration found
Faking a node at [mem 0x0000000000000000-0x000000043fffffff]
NODE_DATA(0) allocated [mem 0x43ffd5000-0x43fffffff]
MEMBLOCK configuration:
 memory size = 0x00000003fff7ec00 reserved size = 0x0000000002a82000
 memory.cnt  = 0x3
 memory[0x0]\t[0x0000000000001000-0x000000000009efff], 0x000000000009e000 bytes on node 0 flags: 0x0
 memory[0x1]\t[0x0000000000100000-0x00000000bffdffff], 0x00000000bfee0000 bytes on node 0 flags: 0x0
 memory[0x2]\t[0x0000000100000000-0x000000043fffffff], 0x0000000340000000 bytes on node 0 flags: 0x0
 reserved.cnt  = 0x4
 reserved[0x0]\t[0x0000000000000000-0x00000000000fffff], 0x0000000000100000 bytes on node 0 flags: 0x0
 reserved[0x1]\t[0x0000000001000000-0x0000000003810fff], 0x0000000002811000 bytes on node 0 flags: 0x0
 reserved[0x2]\t[0x00000000bfe9a000-0x00000000bffdffff], 0x0000000000146000 bytes on node 0 flags: 0x0
 reserved[0x3]\t[0x000000043ffd5000-0x000000043fffffff], 0x000000000002b000 bytes flags: 0x0";
    assert_eq!(without_calls.join("\n"), expected);
    assert!(lines.iter().any(|l| l.starts_with("memblock_add: [0x0000000000001000-0x000000000009fbff] ")));

    assert_eq!(blocks.ledger.bytes(Owner::ROUNDING), 0xc00);
    assert_eq!(blocks.ledger.bytes(Owner::LOW_MEMORY), 0x9_e000);
    assert_eq!(blocks.ledger.bytes(Owner::NODE_DATA), 0x2_b000);
    assert_eq!(blocks.current_limit, 0x4_4000_0000);
    assert_eq!(blocks.ledger.total(Account::Reserved), blocks.reserved_bytes());
}

#[test]
fn quiet_without_memblock_debug() {
    let (_, lines) = run("", &pc_16g());
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn nodes_from_the_firmware() {
    let mut input = map(&[(0x1000, 0x9_fc00, MemoryKind::RAM), (0x10_0000, 0x4000_0000, MemoryKind::RAM)]);
    for (start, end, node) in
        [(0, 0xa_0000, 0), (0x10_0000, 0x2000_0000, 0), (0x2000_0000, 0x4000_0000, 1), (1 << 40, 1 << 41, 1)]
    {
        let entry = Affinity { range: range(start, end), node, hotplug: node == 1 };
        input.affinity.push(entry).unwrap();
    }
    let (blocks, lines) = run("movable_node", &input);
    let blocks = blocks.unwrap();
    assert_eq!(
        lines,
        [
            "memblock: node 1: [mem 0x0000010000000000-0x000001ffffffffff] holds no memory, ignored",
            "NUMA: Node 0 [mem 0x00000000-0x0009ffff] + [mem 0x00100000-0x1fffffff] -> [mem 0x00000000-0x1fffffff]",
            "NODE_DATA(0) allocated [mem 0x1ffd5000-0x1fffffff]",
            // Node 1 can be unplugged, so even its own bookkeeping lies elsewhere.
            "NODE_DATA(1) allocated [mem 0x1ffaa000-0x1ffd4fff]",
            "    NODE_DATA(1) on node 0",
        ]
    );
    let nodes: Vec<_> = blocks.memory.iter().map(|r| (r.nid, r.flags)).collect();
    assert_eq!(nodes, [(Nid(0), RegionFlags::NONE), (Nid(0), RegionFlags::NONE), (Nid(1), RegionFlags::HOTPLUG)]);
}

#[test]
fn nodes_that_overlap_or_do_not_cover_are_not_used() {
    let memory = map(&[(0x10_0000, 0x4000_0000, MemoryKind::RAM)]);
    for (ranges, said) in [
        (
            vec![(0, 0x2000_0000, 0), (0x1000_0000, 0x4000_0000, 1)],
            "node 0 [mem 0x00000000-0x1fffffff] overlaps with node 1 [mem 0x10000000-0x3fffffff]",
        ),
        (vec![(0, 0x2000_0000, 0)], "NUMA: nodes only cover 511MB of your 1023MB e820 RAM. Not used."),
        (
            vec![(0, 0x4000_0000, 1024)],
            "memblock: node 1024 of [mem 0x0000000000000000-0x000000003fffffff] is above 1023: all nodes are ignored",
        ),
    ] {
        let mut input = memory.clone();
        let affinity = |&(start, end, node): &_| Affinity { range: range(start, end), node, hotplug: false };
        input.affinity.extend(ranges.iter().map(affinity));
        let (blocks, lines) = run("", &input);
        assert_eq!(lines[..2], [said, "No NUMA configuration found"]);
        assert!(blocks.unwrap().memory.iter().all(|r| r.nid == Nid(0)));
    }
}

#[test]
fn up_to_1_mib_may_lack_a_node() {
    let memory = map(&[(0x10_0000, 0x4000_0000, MemoryKind::RAM)]);
    for (command_line, missing, said) in [
        ("linux=6.1", 0xf_f000, None),
        ("linux=6.1", 0x10_0000, Some("NUMA: nodes only cover 1022MB of your 1023MB e820 RAM. Not used.")),
        ("linux=6.12", 0x10_0000, None),
        ("linux=6.12", 0x10_1000, Some("NUMA: no nodes coverage for 1MB of 1023MB RAM")),
    ] {
        let mut input = memory.clone();
        let affinity = Affinity { range: range(0, 0x4000_0000 - missing), node: 3, hotplug: false };
        input.affinity.push(affinity).unwrap();
        let (blocks, lines) = run(command_line, &input);
        assert_eq!(lines.first().map(String::as_str).filter(|l| l.starts_with("NUMA")), said);
        assert_eq!(blocks.unwrap().memory[0].nid, Nid(if said.is_none() { 3 } else { 0 }), "{command_line}");
    }
}

#[test]
fn a_node_named_twice_is_one_node() {
    let mut input = map(&[(0x10_0000, 0x4000_0000, MemoryKind::RAM)]);
    for (start, end) in [(0, 0x3000_0000), (0x2000_0000, 0x4000_0000)] {
        input.affinity.push(Affinity { range: range(start, end), node: 0, hotplug: false }).unwrap();
    }
    let (_, lines) = run("", &input);
    assert_eq!(
        lines[..2],
        [
            "Warning: node 0 [mem 0x00000000-0x2fffffff] overlaps with itself [mem 0x20000000-0x3fffffff]",
            "NUMA: Node 0 [mem 0x00000000-0x2fffffff] + [mem 0x20000000-0x3fffffff] -> [mem 0x00000000-0x3fffffff]",
        ]
    );
}

#[test]
fn entries_without_a_whole_page_are_lost_to_rounding() {
    let ram = MemoryKind::RAM;
    let (blocks, _) =
        run("", &map(&[(0x10_0001, 0x10_0fff, ram), (0x10_2800, 0x10_3800, ram), (0x20_0800, 0x40_0000, ram)]));
    let blocks = blocks.unwrap();
    assert_eq!(blocks.ledger.bytes(Owner::ROUNDING), 0xffe + 0x1000 + 0x800);
    assert_eq!((blocks.memory.len(), blocks.memory_bytes()), (1, 0x1f_f000));
}

#[test]
fn numa_off() {
    let mut input = map(&[(0x10_0000, 0x4000_0000, MemoryKind::RAM)]);
    input.affinity.push(Affinity { range: range(0, 0x4000_0000), node: 1, hotplug: false }).unwrap();
    let (_, lines) = run("numa=off", &input);
    assert_eq!(lines[..2], ["NUMA turned off", "Faking a node at [mem 0x0000000000000000-0x000000003fffffff]"]);
}

#[test]
fn node_data_is_smaller_in_6_12() {
    let (blocks, _) = run("linux=6.12", &pc_16g());
    assert_eq!(blocks.unwrap().ledger.bytes(Owner::NODE_DATA), 0x2_a980);
}

#[test]
fn what_lies_outside_memory_is_reported_and_kept() {
    let mut input =
        map(&[(0x10_0000, 0x400_0000, MemoryKind::RAM), (0x400_0000, 0x500_0000, MemoryKind::SOFT_RESERVED)]);
    input.images.push(Image { range: range(0x3ff_f000, 0x400_0800), owner: Owner::BOOT_INFO }).unwrap();
    let (blocks, lines) = run("", &input);
    let blocks = blocks.unwrap();
    assert_eq!(
        lines[0],
        "memblock: boot information [mem 0x0000000003fff000-0x00000000040007ff]: 2048 bytes of it are not in memory; \
         reserved all the same"
    );
    assert_eq!(blocks.ledger.bytes(Owner::BOOT_INFO), 0x1000);
    assert!(blocks.reserved.iter().any(|r| r.end() == 0x500_0000));
    assert_eq!(blocks.validate(), Ok(()));
}

#[test]
fn too_little_memory_is_an_error_with_numbers() {
    let (result, _) = run("", &map(&[(0x1000, 0x9_f000, MemoryKind::RAM), (0x10_0000, 0x12_0000, MemoryKind::RAM)]));
    let Err(RunError::Stage(error)) = result else { panic!("{result:?}") };
    assert_eq!(
        error.to_string(),
        "node 0 needs 172 KiB in one piece; of 760 KiB memory 128 KiB are free, the largest piece has 128 KiB: \
         give the machine more memory, or less to load"
    );
    let (result, _) = run("", &map(&[(0x1001, 0x1fff, MemoryKind::RAM)]));
    assert_eq!(result.unwrap_err(), RunError::Stage(Error::NoMemory));
}

/// A map whose entries, images and nodes lie anywhere, aligned to nothing.
fn any_map() -> impl Strategy<Value = MemoryMap> {
    let kinds = [MemoryKind::RAM, MemoryKind::RESERVED_KERN, MemoryKind::SOFT_RESERVED, MemoryKind::RESERVED];
    let cuts = prop::collection::btree_set(prop_oneof![0..1u64 << 22, 0..1u64 << 34, any::<u64>()], 2..24);
    let place = || (0..1u64 << 22, 1..1u64 << 20, any::<u8>());
    let places = || prop::collection::vec(place(), 0..8);
    (cuts, prop::collection::vec(prop::sample::select(kinds.to_vec()), 24), places(), places(), any::<bool>()).prop_map(
        |(cuts, kinds, images, nodes, far)| {
            let cuts: Vec<u64> = cuts.into_iter().collect();
            let entries: Vec<_> = cuts.windows(2).zip(kinds).map(|(cut, kind)| (cut[0], cut[1], kind)).collect();
            let mut input = map(&entries);
            let place =
                |start: u64, size: u64| range(start << (10 * u32::from(far)), (start + size) << (10 * u32::from(far)));
            let image = |(start, size, owner)| Image { range: place(start, size), owner: Owner(17 + owner % 4) };
            input.images.extend(images.into_iter().map(image));
            let node = |(start, size, node): (u64, u64, u8)| Affinity {
                range: place(start, size),
                node: u16::from(node % 3),
                hotplug: node > 128,
            };
            input.affinity.extend(nodes.into_iter().map(node));
            input
        },
    )
}

proptest! {
    #[test]
    fn any_map_is_assembled_or_refused_with_a_reason(input in any_map(), newest in any::<bool>()) {
        let command_line = if newest { "linux=6.12 movable_node" } else { "" };
        match run(command_line, &input).0 {
            // `run` has decoded it, so the account adds up; what is memory is what the map calls RAM, in whole pages.
            Ok(blocks) => {
                // Only a node's border may lie within a page.
                let border = |at: u64| blocks.memory.iter().any(|r| r.base == at) && blocks.memory.iter().any(|r| r.end() == at);
                let ends = blocks.memory.iter().flat_map(|r| [r.base, r.end()]);
                prop_assert!(ends.into_iter().all(|at| at % 4096 == 0 || border(at)));
                let reserved = || blocks.reserved.iter().map(|r| range(r.base, r.end()));
                for image in &blocks.images {
                    let kept: u64 = reserved().filter_map(|r| r.intersection(image.range)).map(PhysRange::size).sum();
                    prop_assert_eq!(kept, image.range.size());
                }
            }
            Err(RunError::Stage(Error::NoMemory | Error::NodeData { .. })) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
