// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage on plain early memory: what it leaves is valid, adds up, and what it takes was free.
#![cfg(feature = "serde")]

mod early;

use early::Early;
use early::store::Plain;
use handoff::{
    Account, Blocks, Bounds, Crash, EarlyMemory, EarlyStore, FrameState, Frames, Handoff, HostMachine, Log, Machine,
    Nid, Owner, PhysRange, Region, Stage, decode, encode_to_vec,
};
use memmap::{Cost, Error, Initialize, Layout, SparseModel};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

/// A hand-off with these regions; what is reserved belongs to the low 1 MiB, the first of it to the node.
fn crash(memory: &[Region], reserved: &[Region]) -> Crash {
    let early = Early::new(memory.to_vec(), reserved);
    let mut blocks = Blocks {
        memory: memory.iter().copied().collect(),
        reserved: early.reserved.iter().copied().collect(),
        current_limit: memory.last().map_or(0, Region::end),
        max_pfn: memory.last().map_or(0, |r| r.end() / 4096),
        ..Blocks::default()
    };
    blocks.ledger.firmware_ram = blocks.memory_bytes();
    for memory in memory.iter().map(|r| PhysRange::from_size(r.base, r.size).unwrap()) {
        for taken in early.reserved.iter().filter_map(|r| PhysRange::from_size(r.base, r.size)?.intersection(memory)) {
            let owner = if blocks.ledger.claims().is_empty() { Owner::NODE_DATA } else { Owner::LOW_MEMORY };
            blocks.ledger.claim(owner, taken).unwrap();
        }
    }
    let crash = Crash { blocks, ..Crash::default() };
    assert_eq!(crash.validate(), Ok(()));
    crash
}

fn run(input: Crash, host: &mut HostMachine) -> Result<Frames, Error> {
    Initialize::<Plain>::run("", input, host)
}

fn on_node(node: i32, start_mib: u64, end_mib: u64) -> Region {
    Region { nid: Nid(node), ..Region::new(start_mib * MIB, (end_mib - start_mib) * MIB) }
}

/// Checks everything that must hold of a result, whatever went in.
fn check(input: &Crash, output: &Frames, host: &mut HostMachine) {
    assert_eq!(output.validate(), Ok(()));
    let layout = Layout::new(&input.blocks.memory, 0).unwrap();
    let cost = Cost::of(&layout, &SparseModel::default());
    let ledger = &output.blocks.ledger;
    assert_eq!(ledger.bytes(Owner::DESCRIPTORS), cost.descriptors);
    assert_eq!(ledger.bytes(Owner::SECTIONS), cost.sections);
    assert!(ledger.bytes(Owner::DESCRIPTOR_TABLES) >= cost.tables);
    assert!(ledger.bytes(Owner::DESCRIPTOR_TABLES) <= cost.tables + cost.descriptors / 512);
    let taken =
        [Owner::DESCRIPTORS, Owner::SECTIONS, Owner::DESCRIPTOR_TABLES].map(|o| ledger.bytes(o)).iter().sum::<u64>();
    assert_eq!(ledger.total(Account::Reserved), input.blocks.reserved_bytes() + taken, "only free memory was taken");

    let pages = host.descriptors(&output.descriptors).unwrap();
    assert_eq!(pages.len() as u64, layout.frames());
    let reserved = pages.iter().filter(|p| p.state() == FrameState::Reserved).count() as u64;
    let holes = pages.iter().filter(|p| p.state() == FrameState::Hole).count() as u64;
    assert_eq!(holes, layout.unavailable().map(|u| u.frames).sum::<u64>());
    assert!(reserved * 4096 >= ledger.total(Account::Reserved));
    for block in &output.descriptors {
        assert!(input.blocks.is_free(*block), "{block:?} was free");
        for pfn in [block.start() / 4096, (block.end() - 1) / 4096] {
            let run = output.sections.iter().rev().find(|s| u64::from(s.first_section) <= pfn >> 15).unwrap();
            let index = run.first_frame + pfn - (u64::from(run.first_section) << 15);
            let state = pages[index as usize].state();
            assert_eq!(state, FrameState::Reserved, "descriptors are kept from the allocator");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Up to 6 regions of 1 to 200 pieces of 64 KiB with gaps, on two nodes, and up to 30 reservations of any bytes.
    #[test]
    fn a_result_is_valid_and_an_error_is_true(
        memory in prop::collection::vec((0..40u64, 1..900u64, 0..2i32), 1..6),
        reserved in prop::collection::vec((0..u64::MAX, 1..9 * MIB), 0..30),
    ) {
        let (mut at, mut regions) = (1 << 16, vec![]);
        for (gap, size, node) in memory {
            regions.push(Region { nid: Nid(node), ..Region::new(at + (gap << 16), size << 16) });
            at += (gap + size) << 16;
        }
        let reserved: Vec<_> = reserved.into_iter().map(|(base, size)| Region::new(base % at, size.min(at - base % at))).collect();
        let input = crash(&regions, &reserved);
        let mut host = HostMachine::default();
        match run(input.clone(), &mut host) {
            Ok(output) => check(&input, &output, &mut host),
            Err(Error::OutOfMemory { owner, needed, free, largest_hole }) => {
                // All free frames would not do; where memory is cut, part of a frame is left over.
                let rest = 2 * 4096 * (2 + regions.len() + input.blocks.reserved.len()) as u64;
                let lacking = if owner == Owner::DESCRIPTORS { free } else { largest_hole };
                prop_assert!(largest_hole <= free && lacking < needed + rest, "{owner} {needed} {largest_hole} {free}");
            }
            Err(error) => prop_assert!(matches!(error, Error::Blocks { .. }), "{error}"),
        }
    }
}

#[test]
fn on_the_same_bytes_as_in_the_image() {
    let input = crash(&[on_node(0, 1, 256)], &[Region::new(0, 2 * MIB)]);
    let mut host = HostMachine::default();
    let output = host.run::<Initialize<Plain>>("", &encode_to_vec(&input).unwrap()).unwrap();
    let frames: Frames = decode(&output).unwrap();
    check(&input, &frames, &mut host);
    assert_eq!(frames.descriptors, [PhysRange::from_size(250 * MIB, 4 * MIB).unwrap()]);
    assert_eq!(host.lines().last().unwrap(), "On node 0, zone DMA: 256 pages in unavailable ranges");
}

#[test]
fn descriptors_in_pieces_fuse_by_rising_address() {
    // A node without room for its descriptors: blocks of 2 MiB come from the other, each below the one before.
    let memory = [on_node(0, 0, 512), on_node(1, 512, 1024)];
    let input = crash(&memory, &[Region::new(0, MIB), Region::new(513 * MIB, 511 * MIB)]);
    let mut host = HostMachine::default();
    let output = run(input.clone(), &mut host).unwrap();
    check(&input, &output, &mut host);
    let sizes: Vec<_> = output.descriptors.iter().map(|b| b.size() / MIB).collect();
    assert_eq!(sizes, [8, 8], "one buffer, and four blocks that fused");
    assert!(output.descriptors[1].end() <= output.descriptors[0].start());
}

#[test]
fn fragmented_memory_takes_smaller_pieces_and_a_page_table() {
    // One frame is taken out of each MiB: no aligned 2 MiB are left.
    let taken: Vec<_> = (0..64).map(|i| Region::new(i * MIB + 0x8_0000, 4096)).collect();
    let input = crash(&[on_node(0, 0, 64)], &taken);
    let mut host = HostMachine::default();
    let output = run(input.clone(), &mut host).unwrap();
    check(&input, &output, &mut host);
    assert_eq!(output.blocks.ledger.bytes(Owner::DESCRIPTOR_TABLES), 3 * 4096);
    let sizes: Vec<_> = output.descriptors.iter().map(|b| b.size() / 1024).collect();
    assert_eq!(sizes.iter().sum::<u64>(), 2048);
    assert!(sizes.iter().all(|kib| *kib >= 512), "{sizes:?}");
}

#[test]
fn too_many_pieces_are_an_error_not_a_loss() {
    // 16 KiB are free between each two reserved frames, and nothing else: not 2 MiB in 64 pieces.
    let taken = (0..100).map(|i| Region::new(32 * MIB + i * 0x5000, 4096));
    let rest = [Region::new(0, 32 * MIB), Region::new(32 * MIB + 100 * 0x5000, 32 * MIB - 100 * 0x5000)];
    let reserved: Vec<_> = taken.chain(rest).collect();
    let error = run(crash(&[on_node(0, 0, 64)], &reserved), &mut HostMachine::default()).unwrap_err();
    assert_eq!(error, Error::Blocks { capacity: 64 });
}

#[test]
fn tables_without_a_place_are_an_error() {
    let taken = (0..60).map(|i| Region::new(32 * MIB + i * 0x3000, 4096));
    let rest = [Region::new(0, 32 * MIB), Region::new(32 * MIB + 60 * 0x3000, 32 * MIB - 60 * 0x3000)];
    let reserved: Vec<_> = taken.chain(rest).collect();
    let error = run(crash(&[on_node(0, 0, 64)], &reserved), &mut HostMachine::default()).unwrap_err();
    let expected = Error::OutOfMemory { owner: Owner::SECTIONS, needed: 16384, largest_hole: 8192, free: 60 * 8192 };
    assert_eq!(error, expected);
}

#[test]
fn not_enough_memory_says_how_much_is_needed() {
    let input = crash(&[on_node(0, 0, 3)], &[Region::new(0, MIB + MIB / 2)]);
    let error = run(input, &mut HostMachine::default()).unwrap_err();
    let Error::OutOfMemory { owner, needed, largest_hole, free } = error else { panic!("{error}") };
    assert_eq!((owner, needed), (Owner::DESCRIPTORS, 2 * MIB));
    let left = MIB + MIB / 2 - 16384 - 4096;
    assert_eq!((largest_hole, free), (left - 64, left - 56));
    assert!(
        error.to_string().starts_with("no room for page descriptors: 2097152 bytes needed, 1552328 free"),
        "{error}"
    );
}

#[test]
fn refusals_reach_the_caller() {
    let input = || crash(&[on_node(0, 0, 64)], &[]);
    let mut host = HostMachine::refusing();
    let error = run(input(), &mut host).unwrap_err();
    assert_eq!(error, Error::NotGranted { range: PhysRange::from_size(60 * MIB, 2 * MIB).unwrap() });

    let mut ragged = input();
    ragged.blocks.memory[0].size -= 1;
    let error = run(ragged, &mut HostMachine::default()).unwrap_err();
    assert_eq!(error, Error::Unaligned { base: 0, size: 64 * MIB - 1 });
    assert_eq!(run(Crash::default(), &mut HostMachine::default()), Err(Error::NoMemory));
}

#[test]
fn memory_above_46_bits_is_refused() {
    let memory = [on_node(0, 0, 64), Region { nid: Nid(0), ..Region::new(1 << 46, 4096) }];
    let error = run(crash(&memory, &[]), &mut HostMachine::default()).unwrap_err();
    assert_eq!(error, Error::Beyond { end: (1 << 46) + 4096, limit: 1 << 46 });
    assert!(error.to_string().ends_with("limit it with mem=65536G"), "{error}");
}

#[test]
fn movable_zones_and_nodes_without_memory_are_named() {
    let mut input = crash(&[on_node(0, 0, 64)], &[]);
    input.blocks.distances = handoff::NodeDistances::even(2);
    let mut host = HostMachine::default();
    let output = Initialize::<Plain>::run("kernelcore=20M", input, &mut host).unwrap();
    let zones: Vec<_> = output.zones.iter().map(|zone| (zone.kind.name(), zone.present >> 8)).collect();
    assert_eq!(zones, [("DMA", 16), ("DMA32", 4), ("Movable", 44)]);
    let lines = host.lines();
    assert!(lines.contains(&"  Node 0: 0x0000000001400000".to_string()), "{lines:?}");
    assert!(lines.contains(&"Initmem setup node 1 as memoryless".to_string()));
}

#[test]
fn lazily_no_memory_is_taken_and_nothing_is_written() {
    let memory = [on_node(0, 0, 4096), on_node(1, 4096, 16 << 10)];
    let reserved = [Region::new(0, MIB)];
    let mut host = HostMachine::refusing();
    let input = crash(&memory, &reserved);
    let output = Initialize::<Plain>::run("struct_pages=lazy", input.clone(), &mut host).unwrap();
    assert_eq!(output.validate(), Ok(()));
    assert!(output.descriptors.is_empty());
    assert_eq!(output.blocks, input.blocks);
    let eager = Initialize::<Plain>::run("struct_pages=eager", input, &mut HostMachine::default()).unwrap();
    assert_eq!((output.zones, output.sections), (eager.zones, eager.sections));
    let last = host.lines().pop().unwrap();
    let bytes = eager.descriptors.iter().map(|range| range.size()).sum::<u64>();
    assert!(last.contains(&format!("would take {bytes} bytes")), "{last}");
}

#[test]
fn lazy_is_for_much_memory_and_an_unknown_word_changes_nothing() {
    let is_lazy = |gib: u64, command_line: &str| {
        let mut host = HostMachine::refusing();
        let memory = [on_node(0, 0, gib << 10)];
        let result = Initialize::<Plain>::run(command_line, crash(&memory, &[Region::new(0, MIB)]), &mut host);
        (result.is_ok(), host.lines().into_iter().find(|line| line.contains("struct_pages=later")))
    };
    assert!(!is_lazy(64, "").0);
    assert!(is_lazy(65, "").0);
    assert!(!is_lazy(65, "struct_pages=eager").0);
    let (lazy, complaint) = is_lazy(65, "struct_pages=later");
    assert!(lazy);
    assert_eq!(complaint.unwrap(), "memmap: struct_pages=later is neither eager nor lazy: taken as lazy");
}

/// Plain memory whose region array, a frame at 32 MiB, moved to two frames at 16 MiB meanwhile.
struct Moved;

impl EarlyStore for Moved {
    type Memory<L: Log> = Early;

    fn restore<L: Log>(blocks: &Blocks, command_line: &str, log: L) -> Early {
        Plain::restore(blocks, command_line, log)
    }

    fn save<L: Log>(memory: &Early, blocks: &mut Blocks) {
        let mut memory = memory.clone();
        assert!(memory.free(32 * MIB, 4096));
        let bounds = Bounds { size: 8192, align: 4096, min: 16 * MIB, max: 16 * MIB + 8192, nid: Nid::NONE };
        assert_eq!(memory.alloc_range(bounds), Some(16 * MIB));
        Plain::save::<L>(&memory, blocks);
    }
}

#[test]
fn region_arrays_that_moved_are_in_the_account() {
    let mut input = crash(&[on_node(0, 0, 64)], &[]);
    let old = PhysRange::from_size(32 * MIB, 4096).unwrap();
    input.blocks.reserved.push(Region::new(old.start(), old.size())).unwrap();
    input.blocks.ledger.claim(Owner::REGION_ARRAYS, old).unwrap();
    let output = Initialize::<Moved>::run("", input, &mut HostMachine::default()).unwrap();
    assert_eq!(output.validate(), Ok(()));
    assert_eq!(output.blocks.ledger.bytes(Owner::REGION_ARRAYS), 8192);
    assert_eq!(output.blocks.ledger.owner_of(old.start()), None);
}
