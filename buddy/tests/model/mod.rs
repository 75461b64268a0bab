// SPDX-License-Identifier: MIT OR Apache-2.0
//! The allocator beside a naive model of it: one entry per frame, every question answered by looking at all of them.
//!
//! [`run`] takes any list of operations, so a property test and a fuzz target can share it.
#![allow(dead_code, unreachable_pub, reason = "shared by test files")]

use crate::layout::{Layout, frame, frames, pfn};
use buddy::{Buddy, Error, Node, Request};
use handoff::{FRAME_BYTES, ZoneKind};
use std::collections::BTreeMap;
use std::ops::Range;

/// Frames of the little machine.
const FRAMES: u64 = 7 * 1024;
/// Zones in the order of the table; neither borders nor holes are multiples of a block.
const ZONES: [(u16, ZoneKind, Range<u64>); 4] = [
    (0, ZoneKind::DMA, 1..1024),
    (0, ZoneKind::DMA32, 1024..2605),
    (1, ZoneKind::DMA32, 2605..3700),
    (1, ZoneKind::NORMAL, 3700..FRAMES),
];
const MEMORY: [(u16, Range<u64>); 4] = [(0, 1..0x9f), (0, 0x100..2605), (1, 2605..3001), (1, 3100..FRAMES)];
const RESERVED: [Range<u64>; 4] = [0..3, 700..777, 2600..2610, 4000..4090];

/// What is at a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cell {
    Hole,
    Reserved,
    Free,
    Used,
}

/// A step. Numbers may be anything; they are wrapped to what the machine has.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Allocate {
        order: u8,
        zone: u8,
        node: u8,
    },
    Exact {
        frames: u16,
        order: u8,
    },
    Take {
        start: u16,
        frames: u16,
    },
    Giant {
        zone: u8,
    },
    /// Frees the n-th allocation.
    Free {
        which: u16,
    },
    /// Frees any frame with any order.
    Wild {
        pfn: u16,
        order: u8,
    },
    FreeReserved {
        start: u16,
        frames: u16,
    },
}

/// Reads operations from bytes, four each, as a fuzzer offers them.
pub fn decode(bytes: &[u8]) -> Vec<Op> {
    let op = |quad: &[u8]| {
        let (kind, a, b, c) = (quad[0], quad[1], quad[2], quad[3]);
        let wide = u16::from_le_bytes([b, c]);
        match kind % 16 {
            0..=4 => Op::Allocate { order: a % 12, zone: b, node: c },
            5 => Op::Exact { frames: wide % 1030, order: a % 12 },
            6 => Op::Take { start: wide, frames: u16::from(a) },
            7..=12 => Op::Free { which: wide },
            13 => Op::Wild { pfn: wide, order: a % 12 },
            14 => Op::Giant { zone: b },
            _ => Op::FreeReserved { start: wide, frames: u16::from(a) },
        }
    };
    bytes.chunks_exact(4).map(op).collect()
}

struct Model {
    cells: Vec<Cell>,
    /// Blocks of [`Buddy::allocate`]: first frame and order.
    blocks: BTreeMap<u64, u8>,
    /// Ranges for [`Buddy::free_exact`].
    ranges: Vec<Range<u64>>,
}

impl Model {
    fn new() -> Self {
        let mut cells = vec![Cell::Hole; FRAMES as usize];
        MEMORY.iter().for_each(|(_, range)| cells[range.start as usize..range.end as usize].fill(Cell::Free));
        for cell in RESERVED.iter().flat_map(Clone::clone).map(|pfn| pfn as usize) {
            if cells[cell] == Cell::Free {
                cells[cell] = Cell::Reserved;
            }
        }
        Self { cells, blocks: BTreeMap::new(), ranges: Vec::new() }
    }

    fn all(&self, range: Range<u64>, wanted: Cell) -> bool {
        range.end <= FRAMES && range.clone().all(|pfn| self.cells[pfn as usize] == wanted)
    }

    fn fill(&mut self, range: Range<u64>, cell: Cell) {
        self.cells[range.start as usize..range.end as usize].fill(cell);
    }

    fn count(&self, range: &Range<u64>, cell: Cell) -> u64 {
        self.cells[range.start as usize..range.end as usize].iter().filter(|c| **c == cell).count() as u64
    }

    /// Returns the zones of a request in the order in which they must be tried.
    fn candidates(order: u8, zone: u8, node: u8) -> (Request, Vec<usize>) {
        let kind = ZoneKind(zone % 4);
        let node = match node % 8 {
            0..=2 => Node::Any,
            n @ 3..=5 => Node::Preferred(u16::from(n) - 3),
            n => Node::Bind(u16::from(n) - 6),
        };
        let nodes = match node {
            Node::Preferred(1) => vec![1, 0],
            Node::Any | Node::Preferred(_) => vec![0, 1],
            Node::Bind(only) => vec![only],
        };
        let of = |n: u16| (0..4).rev().filter(move |z| ZONES[*z].0 == n && ZONES[*z].1 <= kind);
        (Request::order(order).zone(kind).node(node), nodes.into_iter().flat_map(of).collect())
    }

    /// Returns whether a zone has a free, aligned run of 2^order frames.
    fn has(&self, zone: usize, order: u8) -> bool {
        let span = &ZONES[zone].2;
        let size = 1 << order;
        let mut start = span.start.next_multiple_of(size);
        while start + size <= span.end {
            if self.all(start..start + size, Cell::Free) {
                return true;
            }
            start += size;
        }
        false
    }

    /// Checks what an allocation returned against what the model has.
    fn allocated(&mut self, order: u8, size: u64, candidates: &[usize], result: Result<u64, Error>) -> Option<u64> {
        let expected = candidates.iter().find(|zone| self.has(**zone, order));
        match (result, expected) {
            (Ok(start), Some(zone)) => {
                assert_eq!(start % (1 << order), 0, "natural alignment");
                assert!(ZONES[*zone].2.contains(&start), "{start} is not in the first zone that can serve");
                assert!(self.all(start..start + size, Cell::Free), "{start} was not free");
                self.fill(start..start + size, Cell::Used);
                Some(start)
            }
            (Err(Error::OutOfMemory { order: asked, largest, free }), None) => {
                assert_eq!(asked, order);
                assert_eq!(free, candidates.iter().map(|z| self.count(&ZONES[*z].2, Cell::Free)).sum::<u64>());
                assert_eq!(largest, (0..=10).rev().find(|o| candidates.iter().any(|z| self.has(*z, *o))));
                None
            }
            (Err(Error::Order { .. }), None) if order > 10 => None,
            (result, expected) => panic!("{result:?}, the model finds {expected:?}"),
        }
    }

    fn step(&mut self, op: Op, buddy: &mut Buddy<'_, 4>) {
        match op {
            Op::Allocate { order, zone, node } => {
                let (request, candidates) = Self::candidates(order, zone, node);
                let candidates = if order > 10 { vec![] } else { candidates };
                let result = buddy.allocate_with(request).map(pfn);
                if let Some(start) = self.allocated(order, 1 << order, &candidates, result) {
                    self.blocks.insert(start, order);
                }
            }
            Op::Giant { zone } => {
                let (request, candidates) = Self::candidates(11, zone, 0);
                let result = buddy.allocate_giant(request).map(pfn);
                if let Some(start) = self.allocated(11, 2048, &candidates, result) {
                    self.ranges.push(start..start + 2048);
                }
            }
            Op::Exact { frames, order } => {
                let frames = u64::from(frames);
                let result = buddy.allocate_exact(frames, Request::order(order));
                if frames == 0 || frames > 1024 {
                    return assert_eq!(result, Err(Error::FrameCount { frames }));
                }
                let order = order.max((0..).find(|order| frames <= 1 << order).unwrap());
                let candidates = if order > 10 { vec![] } else { Self::candidates(order, 2, 0).1 };
                let start = result.map(|range| {
                    assert_eq!(range.size(), frames * FRAME_BYTES);
                    range.start() / FRAME_BYTES
                });
                if let Some(start) = self.allocated(order, frames, &candidates, start) {
                    self.ranges.push(start..start + frames);
                }
            }
            Op::Take { start, frames: count } => {
                let start = u64::from(start) % (FRAMES + 10);
                let range = start..start + u64::from(count) + 1;
                let result = buddy.take_range(frames(range.clone()));
                assert_eq!(result.is_ok(), self.all(range.clone(), Cell::Free), "{range:?}: {result:?}");
                if result.is_ok() {
                    self.fill(range.clone(), Cell::Used);
                    self.ranges.push(range);
                }
            }
            Op::Free { which } => self.free(which.into(), buddy),
            Op::Wild { pfn, order } => {
                let pfn = u64::from(pfn) % (FRAMES + 10);
                let result = buddy.free(frame(pfn), order);
                // The blocks that make up a range may be freed one by one, but then the range is not whole any more.
                let owner = self.ranges.iter().position(|range| range.contains(&pfn));
                match (result, self.blocks.get(&pfn), owner) {
                    (Ok(()), Some(allocated), _) => {
                        assert_eq!(*allocated, order);
                        self.blocks.remove(&pfn);
                        self.fill(pfn..pfn + (1 << order), Cell::Free);
                    }
                    (Ok(()), None, Some(owner)) => {
                        let range = self.ranges.swap_remove(owner);
                        assert!(pfn + (1 << order) <= range.end);
                        self.fill(pfn..pfn + (1 << order), Cell::Free);
                        self.ranges.extend(
                            [range.start..pfn, pfn + (1 << order)..range.end].into_iter().filter(|r| !r.is_empty()),
                        );
                    }
                    (Ok(()), None, None) => panic!("freed what nobody allocated: {pfn}"),
                    (Err(_), allocated, _) => assert_ne!(allocated, Some(&order), "{pfn}: {result:?}"),
                }
            }
            Op::FreeReserved { start, frames: count } => {
                let start = u64::from(start) % FRAMES;
                let range = start..start + u64::from(count % 32) + 1;
                let result = buddy.free_reserved(frames(range.clone()));
                assert_eq!(result.is_ok(), self.all(range.clone(), Cell::Reserved), "{range:?}: {result:?}");
                if let Ok(given) = result {
                    assert_eq!(given.frames, range.end - range.start);
                    self.fill(range, Cell::Free);
                }
            }
        }
    }

    /// Frees an allocation as it has to be, after some tries as it must not be.
    fn free(&mut self, which: usize, buddy: &mut Buddy<'_, 4>) {
        let count = self.blocks.len() + self.ranges.len();
        if count == 0 {
            return;
        }
        if let Some((start, order)) = self.blocks.iter().nth(which % count).map(|(start, order)| (*start, *order)) {
            for wrong in (0..=11).filter(|wrong| *wrong != order) {
                assert!(buddy.free(frame(start), wrong).is_err(), "{start}: {order} freed as {wrong}");
            }
            assert_eq!(buddy.free(frame(start), order), Ok(()));
            let again = buddy.free(frame(start), order);
            assert!(matches!(again, Err(Error::AlreadyFree { pfn, .. }) if pfn == start), "{again:?}");
            self.blocks.remove(&start);
            self.fill(start..start + (1 << order), Cell::Free);
        } else {
            let range = self.ranges.swap_remove(which % count - self.blocks.len());
            assert_eq!(buddy.free_exact(frames(range.clone())), Ok(()));
            assert!(buddy.free_exact(frames(range.clone())).is_err());
            self.fill(range, Cell::Free);
        }
    }

    /// Checks that the allocator and the model agree about every frame.
    fn compare(&self, buddy: &Buddy<'_, 4>) {
        assert_eq!(buddy.validate(), Ok(()));
        let mut free = vec![false; FRAMES as usize];
        for (zone, state) in buddy.zones().iter().enumerate() {
            for order in 0..=10 {
                for start in buddy.free_blocks(zone, order).map(pfn) {
                    free[start as usize..][..1 << order].fill(true);
                }
            }
            let (span, count) = (&ZONES[zone].2, |cell| self.count(&ZONES[zone].2, cell));
            assert_eq!(state.span.start_pfn, span.start);
            assert_eq!(state.free(), count(Cell::Free), "nothing leaks");
            assert_eq!(state.managed, count(Cell::Free) + count(Cell::Used), "managed = free + allocated");
            assert_eq!(state.span.present, state.managed + count(Cell::Reserved), "present = managed + reserved");
        }
        assert!(free.iter().zip(&self.cells).all(|(free, cell)| *free == (*cell == Cell::Free)));
    }
}

/// Runs operations on the allocator and on the model, and compares them after each one.
pub fn run(ops: &[Op]) {
    let mut layout = Layout::new(&ZONES, &MEMORY, &RESERVED);
    let mut model = Model::new();
    let buddy = layout.started::<4>();
    assert_eq!(buddy.statistics().free_frames(), model.count(&(0..FRAMES), Cell::Free));
    model.compare(&buddy);

    let (mut zones, runs) = (buddy.zones().to_vec(), buddy.runs().to_vec());
    let shares: Vec<_> = buddy.shares().collect();
    drop(buddy);
    for op in ops {
        let mut buddy = Buddy::<4>::from_parts(&mut layout.pieces, &mut layout.maps, &zones, &runs, &shares).unwrap();
        model.step(*op, &mut buddy);
        model.compare(&buddy);
        zones = buddy.zones().to_vec();
    }
}
