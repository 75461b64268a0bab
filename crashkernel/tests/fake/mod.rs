// SPDX-License-Identifier: MIT OR Apache-2.0
//! Early memory for tests, and what to look for in a log: the plainest code that does what the contract says.
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod any;
pub(crate) mod model;

use handoff::{Bounds, EarlyMemory, Lines, PhysRange, Region, RegionFlags};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// Early memory. Every search is noted with its result.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) memory: Vec<Region>,
    pub(crate) reserved: Vec<Region>,
    pub(crate) memory_size: u64,
    /// Entries the reserved array has.
    pub(crate) capacity: usize,
    /// Regions with one of these flags are not searched.
    pub(crate) skip: RegionFlags,
    /// Whether mirrored memory is taken first.
    pub(crate) mirror: bool,
    pub(crate) asked: Vec<(Bounds, Option<u64>)>,
}

impl Fake {
    /// Memory and reservations from `(start, end)` pairs.
    pub(crate) fn new(memory: &[(u64, u64)], reserved: &[(u64, u64)]) -> Self {
        let regions = |list: &[(u64, u64)]| list.iter().map(|(a, b)| Region::new(*a, b - a)).collect::<Vec<_>>();
        Self::from_regions(regions(memory), regions(reserved))
    }

    pub(crate) fn from_regions(memory: Vec<Region>, reserved: Vec<Region>) -> Self {
        Self {
            memory_size: memory.iter().map(|m| m.size).sum(),
            memory,
            reserved,
            capacity: usize::MAX,
            skip: RegionFlags::NOMAP,
            mirror: false,
            asked: Vec::new(),
        }
    }

    /// A PC of QEMU with 16 GiB: 3 GiB below 4 GiB, one node.
    pub(crate) fn pc_16g() -> Self {
        Self::new(
            &[(0x1000, 0x9f000), (0x10_0000, 0xbffe_0000), (0x1_0000_0000, 0x4_4000_0000)],
            &[(0, 0x10_0000), (0x4_3ffd_5000, 0x4_4000_0000)],
        )
    }

    /// A PC of QEMU with 2 GiB, a kernel at 16 MiB.
    pub(crate) fn pc_2g() -> Self {
        Self::new(
            &[(0x1000, 0x9f000), (0x10_0000, 0x7ffe_0000)],
            &[(0, 0x10_0000), (0x100_0000, 0x381_1000), (0x7ffb_5000, 0x7ffe_0000)],
        )
    }

    pub(crate) fn is_reserved(&self, range: PhysRange) -> bool {
        self.reserved.iter().any(|r| r.base <= range.start() && range.end() <= r.end())
    }

    fn find(&self, bounds: Bounds, wanted: RegionFlags) -> Option<u64> {
        let searched = self.memory.iter().rev().filter(|m| m.flags.without(self.skip) == m.flags);
        searched.filter(|m| m.flags.contains(wanted)).find_map(|m| {
            let lowest = m.base.max(bounds.min).max(4096);
            let mut top = m.end().min(bounds.max);
            loop {
                let base = top.checked_sub(bounds.size)? & !(bounds.align - 1);
                if base < lowest {
                    return None;
                }
                match self.reserved.iter().find(|r| r.base < base + bounds.size && base < r.end()) {
                    Some(taken) => top = taken.base,
                    None => return Some(base),
                }
            }
        })
    }
}

impl EarlyMemory for Fake {
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64> {
        let mirrored = self.mirror.then(|| self.find(bounds, RegionFlags::MIRROR)).flatten();
        let found =
            mirrored.or_else(|| self.find(bounds, RegionFlags::NONE)).filter(|_| self.reserved.len() < self.capacity);
        self.asked.push((bounds, found));
        self.reserved.extend(found.map(|base| Region::new(base, bounds.size)));
        self.reserved.sort_by_key(|r| r.base);
        found
    }

    fn alloc_try_nid(&mut self, _: Bounds) -> Option<u64> {
        unreachable!("crashkernel does not care for nodes")
    }

    fn alloc_exact_nid(&mut self, _: Bounds) -> Option<u64> {
        unreachable!("crashkernel does not care for nodes")
    }

    fn free(&mut self, base: u64, size: u64) -> bool {
        // As Linux: two spare entries are wanted, whether they are needed or not.
        let room = self.reserved.len().saturating_add(2) <= self.capacity;
        if room {
            self.reserved.retain(|r| (r.base, r.size) != (base, size));
        }
        room
    }

    fn memory(&self) -> &[Region] {
        &self.memory
    }

    fn reserved(&self) -> &[Region] {
        &self.reserved
    }

    fn memory_size(&self) -> u64 {
        self.memory_size
    }
}

/// All lines as one text.
pub(crate) fn text(log: &Lines) -> String {
    log.all().iter().map(|line| format!("{line}\n")).collect()
}

/// The lines that Linux prints too.
pub(crate) fn linux(log: &Lines) -> Vec<String> {
    log.all().into_iter().filter(|line| is_linux(line)).collect()
}

fn is_linux(line: &str) -> bool {
    let starts = [
        "Reserving ",
        "crashkernel reserved: ",
        "crashkernel low memory reserved: ",
        "crashkernel reservation failed",
        "crashkernel size resulted",
        "cannot allocate crashkernel",
        "Cannot reserve ",
        "Memory value expected",
        "crahskernel: ",
        "reserve_crashkernel",
        "crashkernel: unrecognized char: ",
    ];
    let whole = [
        "crashkernel: memory value expected",
        "crashkernel: Memory value expected",
        "crashkernel: '-' expected",
        "crashkernel: ':' expected",
        "crashkernel: end <= start",
        "crashkernel: invalid size",
    ];
    starts.iter().any(|start| line.starts_with(start)) || whole.contains(&line)
}
