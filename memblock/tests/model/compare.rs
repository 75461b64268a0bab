// SPDX-License-Identifier: MIT OR Apache-2.0
//! A memblock against its model.

use super::{CELL, CELLS, Model};
use handoff::{Nid, PhysRange, Region, RegionFlags};
use memblock::{Array, Memblock};

/// Compares everything that can be asked.
pub(crate) fn compare<const N: usize>(memblock: &Memblock<N>, model: &Model) {
    assert_eq!(memblock.memory(), model.regions(Array::Memory));
    assert_eq!(memblock.reserved(), model.regions(Array::Reserved));
    assert_eq!(memblock.phys_mem_size(), model.bytes(Array::Memory) + model.stale);
    assert_eq!(memblock.memory_bytes(), model.bytes(Array::Memory));
    assert_eq!(memblock.reserved_size(), model.bytes(Array::Reserved));

    for wanted in [RegionFlags::NONE, RegionFlags::MIRROR] {
        for nid in [Nid::NONE, Nid(1)] {
            let expected = model.free_regions(nid, wanted);
            let found = memblock.free_ranges(nid, wanted).map(|f| (f.range.start(), f.range.size(), f.nid));
            assert!(found.eq(expected.iter().map(|r| (r.base, r.size, r.nid))), "{expected:x?}");
            let found = memblock.free_ranges(nid, wanted).rev().map(|f| f.range.start());
            assert!(found.eq(expected.iter().rev().map(|r| r.base)), "{expected:x?}");
        }
    }
    let free = model.memory.iter().zip(&model.reserved).filter(|(m, r)| m.is_some() && r.is_none()).count() as u64;
    let last_byte = u64::from(model.end() == u64::MAX && model.memory.last().is_some_and(Option::is_some));
    let last_free = last_byte * u64::from(model.reserved.last().is_some_and(Option::is_none));
    assert_eq!(memblock.free_bytes(), free * CELL - last_free);
}

/// Compares the answers about addresses.
pub(crate) fn compare_queries<const N: usize>(memblock: &Memblock<N>, model: &Model) {
    for (i, address) in (0..CELLS as usize).zip((0..CELLS).map(|i| model.origin + i * CELL)) {
        let memory = model.memory[i];
        assert_eq!(memblock.is_memory(address), memory.is_some());
        assert_eq!(memblock.is_reserved(address), model.reserved[i].is_some());
        let mapped = memory.is_some_and(|(_, flags)| !flags.contains(RegionFlags::NOMAP));
        assert_eq!(memblock.is_map_memory(address), mapped);
        assert_eq!(memblock.is_region_memory(address, CELL), memory.is_some());
        assert_eq!(memblock.is_region_reserved(address, CELL), model.reserved[i].is_some());
        let five: Vec<_> = (i..i + 5).map(|j| model.memory.get(j).copied().flatten()).collect();
        let beyond = i + 5 > CELLS as usize && model.end() != u64::MAX;
        let in_one = memory.is_some() && !beyond && (i..(i + 5).min(CELLS as usize)).all(|j| model.memory[j] == memory);
        assert_eq!(memblock.is_region_memory(address, 5 * CELL), in_one, "{five:?}");
        assert_eq!(memblock.overlaps(Array::Memory, address, 5 * CELL), five.iter().any(Option::is_some));
        let span = memblock.search_pfn_nid(address / 4096).map(|span| span.nid);
        let first = ((address / 4096 * 4096 - model.origin) / CELL) as usize;
        assert_eq!(span, model.memory[first].map(|(nid, _)| nid));
    }
    let regions = model.regions(Array::Memory);
    assert_eq!(memblock.start_of_dram(), regions.first().map_or(0, |r| r.base));
    assert_eq!(memblock.end_of_dram(), regions.last().map_or(0, Region::end));
    let mapped = regions.iter().filter(|r| !r.flags.contains(RegionFlags::NOMAP)).map(|r| r.base);
    assert!(memblock.mem_ranges().map(PhysRange::start).eq(mapped));
    assert!(
        memblock.reserved_ranges().rev().map(PhysRange::start).eq(memblock.reserved().iter().rev().map(|r| r.base))
    );
    for nid in [Nid(0), Nid::UNSET] {
        let frames = |r: &&Region| (r.base.div_ceil(4096), r.end() / 4096);
        let expected = regions.iter().filter(|r| nid == Nid::UNSET || r.nid == nid);
        let expected: Vec<_> = expected.map(|r| frames(&r)).filter(|(start, end)| start < end).collect();
        assert_eq!(memblock.pfn_ranges(nid).map(|r| (r.start, r.end)).collect::<Vec<_>>(), expected);
    }
}

/// Compares what goes to the page allocator: each page that one free region covers, in aligned blocks.
pub(crate) fn compare_pages<const N: usize>(memblock: &Memblock<N>, model: &Model) {
    let (mut memblock, mut model) = (memblock.clone(), model.clone());
    let Ok(blocks) = memblock.free_all(u64::MAX) else { return };
    let mut pages = Vec::new();
    for block in blocks {
        assert!(block.order <= 10 && block.pfn % (1 << block.order) == 0, "{block:?}");
        pages.extend(block.pfn..block.pfn + (1 << block.order));
    }
    let end = model.end();
    model.change(Array::Memory, 0, end, |cell| cell.1 = cell.1.without(RegionFlags::HOTPLUG));
    let free = model.free_regions(Nid::NONE, RegionFlags::NONE);
    let expected: Vec<u64> = free.iter().flat_map(|r| r.base.div_ceil(4096)..r.end() / 4096).collect();
    assert_eq!(pages, expected);
}
