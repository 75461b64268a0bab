// SPDX-License-Identifier: MIT OR Apache-2.0
//! A published boot log of a 16 GiB machine under Linux 5.4.

use handoff::{Lines, Rules};
use memblock::{Memblock, Policy};

const DUMP: &str = "\
MEMBLOCK configuration:
 memory size = 0x00000003fff78c00 reserved size = 0x0000000003c6d144
 memory.cnt  = 0x3
 memory[0x0]\t[0x0000000000001000-0x000000000009efff], 0x000000000009e000 bytes flags: 0x0
 memory[0x1]\t[0x0000000000100000-0x00000000bffd9fff], 0x00000000bfeda000 bytes flags: 0x0
 memory[0x2]\t[0x0000000100000000-0x000000043fffffff], 0x0000000340000000 bytes flags: 0x0
 reserved.cnt  = 0x4
 reserved[0x0]\t[0x0000000000000000-0x0000000000000fff], 0x0000000000001000 bytes flags: 0x0
 reserved[0x1]\t[0x00000000000f5a40-0x00000000000f5b83], 0x0000000000000144 bytes flags: 0x0
 reserved[0x2]\t[0x0000000001000000-0x000000000340cfff], 0x000000000240d000 bytes flags: 0x0
 reserved[0x3]\t[0x0000000034f31000-0x000000003678ffff], 0x000000000185f000 bytes flags: 0x0";

#[test]
fn a_16_gib_machine_under_5_4() {
    let log = Lines::default();
    let policy = Policy { rules: Rules::V5_4, ..Policy::from_command_line("memblock=debug") };
    let mut memblock: Memblock<128, _> = Memblock::with_log(policy, log.clone());
    for (start, end) in [(0x34f3_1000, 0x3679_0000), (0x100_0000, 0x340_d000), (0, 0x1000), (0xf_5a40, 0xf_5b84)] {
        memblock.reserve(start, end - start).unwrap();
    }
    for (start, end) in [(0x1000, 0x9_fc00), (0x10_0000, 0xbffd_a000), (0x1_0000_0000, 0x4_4000_0000)] {
        memblock.add(start, end - start).unwrap();
    }
    memblock.trim_memory(4096).unwrap();
    log.take();
    memblock.dump_all();
    assert_eq!(log.take().join("\n"), DUMP);
    assert_eq!(memblock.phys_mem_size() - memblock.memory_bytes(), 0xc00, "what trimming cut off stays counted");
}

#[test]
fn the_lines_of_memblock_debug() {
    use handoff::{Bounds, Lines, Nid, RegionFlags};
    let log = Lines::default();
    let mut memblock: Memblock<128, _> = Memblock::with_log(Policy::from_command_line("memblock=debug"), log.clone());
    let bounds = Bounds { size: 4096, align: 64, min: 0x1000, max: 0x8000, nid: Nid(3) };
    memblock.add(0x1000, 0xf000).unwrap();
    memblock.add_node(0x1_0000, 0x1000, Nid(1), RegionFlags::HOTPLUG).unwrap();
    memblock.remove(0x1_0000, 0x800).unwrap();
    memblock.reserve(0, 0).unwrap();
    memblock.phys_alloc_range(bounds).unwrap();
    memblock.alloc_try_nid(bounds).unwrap();
    memblock.alloc_try_nid_raw(bounds).unwrap();
    memblock.alloc_exact_nid_raw(Bounds { nid: Nid::NONE, ..bounds }).unwrap();
    memblock.phys_alloc_try_nid(4096, 64, Nid(1)).unwrap();
    memblock.free(0x7000, 0x1000).unwrap();

    let said = log.take();
    let (call, place): (Vec<&str>, Vec<&str>) = said.iter().filter_map(|line| line.rsplit_once(' ')).unzip();
    let reserve = |base: u64| format!("memblock_reserve: [{base:#018x}-{:#018x}]", base + 0xfff);
    let range = "from=0x0000000000001000 max_addr=0x0000000000008000";
    assert_eq!(
        call,
        [
            "memblock_add: [0x0000000000001000-0x000000000000ffff]",
            "memblock_add_node: [0x0000000000010000-0x0000000000010fff] nid=1 flags=1",
            "memblock_remove: [0x0000000000010000-0x00000000000107ff]",
            "memblock_reserve: [0x0000000000000000-0xffffffffffffffff]",
            &format!("memblock_phys_alloc_range: 4096 bytes align=0x40 {range}"),
            &reserve(0x7000),
            &format!("memblock_alloc_try_nid: 4096 bytes align=0x40 nid=3 {range}"),
            &reserve(0x6000),
            &format!("memblock_alloc_try_nid_raw: 4096 bytes align=0x40 nid=3 {range}"),
            &reserve(0x5000),
            &format!("memblock_alloc_exact_nid_raw: 4096 bytes align=0x40 nid=-1 {range}"),
            &reserve(0x4000),
            &reserve(0xf000),
            "memblock_phys_free: [0x0000000000007000-0x0000000000007fff]",
        ]
    );
    // The caller is the one outside this crate, but for the reservation that an allocation makes.
    let inside = place.iter().filter(|p| p.starts_with("memblock/src/alloc.rs:")).count();
    let outside = place.iter().filter(|p| p.starts_with("memblock/tests/golden.rs:")).count();
    assert_eq!((inside, outside), (5, 9), "{place:?}");
}

#[test]
fn the_line_for_freed_ranges_under_5_4() {
    let log = Lines::default();
    let policy = Policy { rules: Rules::V5_4, trace: true, ..Policy::new() };
    let mut memblock: Memblock<8, _> = Memblock::with_log(policy, log.clone());
    memblock.free(0x1000, 0x1000).unwrap();
    assert!(log.take()[0].starts_with("   memblock_free: [0x0000000000001000-0x0000000000001fff] "));
}

#[test]
fn the_dump_of_nothing() {
    for (rules, expected) in [
        (
            Rules::V6_1,
            "MEMBLOCK configuration:
 memory size = 0x0000000000000000 reserved size = 0x0000000000000000
 memory.cnt  = 0x1
 memory[0x0]\t[0x0000000000000000-0xffffffffffffffff], 0x0000000000000000 bytes flags: 0x0
 reserved.cnt  = 0x1
 reserved[0x0]\t[0x0000000000000000-0xffffffffffffffff], 0x0000000000000000 bytes flags: 0x0",
        ),
        (
            Rules::V6_12,
            "MEMBLOCK configuration:
 memory size = 0x0000000000000000 reserved size = 0x0000000000000000
 memory.cnt  = 0x0
 reserved.cnt  = 0x0",
        ),
    ] {
        let log = Lines::default();
        Memblock::<8, _>::with_log(Policy { rules, ..Policy::new() }, log.clone()).dump();
        assert_eq!(log.take().join("\n"), expected);
    }
}
