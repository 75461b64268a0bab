// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an allocation found no room.

use crate::{Array, Memblock};
use core::fmt;
use handoff::{Bounds, Log, Nid, PhysRange, Region};

/// Why a request found no room: what its window holds. `Display` is one line for a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure<'a> {
    /// What was asked for.
    pub bounds: Bounds,
    /// Where it might have lain; `None` if the window is empty.
    pub window: Option<PhysRange>,
    /// Bytes of memory in the window.
    pub memory_bytes: u64,
    /// Bytes of it that an allocation may use: free, on the wanted node, not skipped for a flag.
    pub free_bytes: u64,
    /// How many pieces they are in.
    pub holes: usize,
    /// The largest of those pieces.
    pub largest_hole: Option<PhysRange>,
    /// The reservations that touch the window.
    pub reserved: &'a [Region],
}

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Returns what stands in the way of a request.
    #[must_use]
    pub fn explain_failure(&self, bounds: Bounds) -> Failure<'_> {
        let (start, end) = self.window(bounds);
        let holes = || {
            let gaps = self.gaps(start, end, bounds.nid, self.preferred_flags());
            gaps.filter_map(|gap| PhysRange::new(gap.start, gap.end))
        };
        let memory = self.within(Array::Memory, start, end).iter();
        Failure {
            bounds,
            window: PhysRange::new(start, end),
            memory_bytes: memory.map(|m| m.end().min(end) - m.base.max(start)).sum(),
            free_bytes: holes().map(PhysRange::size).sum(),
            holes: holes().count(),
            largest_hole: holes().max_by_key(|hole| hole.size()),
            reserved: self.within(Array::Reserved, start, end),
        }
    }
}

impl Failure<'_> {
    /// Returns the reservation that takes most of the window.
    #[must_use]
    pub fn largest_reservation(&self) -> Option<&Region> {
        self.reserved.iter().max_by_key(|r| r.size)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { size, align, nid, .. } = self.bounds;
        write!(f, "{size:#x} bytes aligned to {align:#x} do not fit")?;
        if nid != Nid::NONE {
            write!(f, " on node {}", nid.0)?;
        }
        match self.window {
            Some(window) => write!(f, " into {window}: {} KiB memory", self.memory_bytes >> 10)?,
            None => return f.write_str(": the window is empty"),
        }
        match self.largest_hole {
            Some(hole) => write!(
                f,
                ", {} KiB free in {} pieces, the largest of {} KiB at {:#x}",
                self.free_bytes >> 10,
                self.holes,
                hole.size() >> 10,
                hole.start()
            )?,
            None => f.write_str(", none of it free")?,
        }
        match self.largest_reservation() {
            Some(region) => write!(f, "; {} reservations, the largest {region}", self.reserved.len()),
            None => f.write_str("; nothing is reserved there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_the_largest_hole_and_the_largest_reservation() {
        let mut memblock: Memblock = Memblock::new();
        memblock.add(0x10_0000, 0x10_0000).unwrap();
        memblock.reserve(0x14_0000, 0x8_0000).unwrap();
        memblock.reserve(0x10_0000, 0x1000).unwrap();
        let bounds = Bounds { size: 0x8_0000, align: 4096, min: 0, max: 0, nid: Nid::NONE };

        let failure = memblock.explain_failure(bounds);
        assert_eq!(failure.largest_hole, PhysRange::new(0x1c_0000, 0x20_0000));
        assert_eq!((failure.memory_bytes, failure.free_bytes, failure.holes), (0x10_0000, 0x7_f000, 2));
        assert_eq!(
            failure.to_string(),
            "0x80000 bytes aligned to 0x1000 do not fit into [mem 0x0000000000001000-0xfffffffffffffffe]: 1024 KiB \
             memory, 508 KiB free in 2 pieces, the largest of 256 KiB at 0x1c0000; 2 reservations, the largest \
             [0x0000000000140000-0x00000000001bffff]"
        );

        let nowhere = memblock.explain_failure(Bounds { min: 0x1000, max: 0x10_0000, ..bounds });
        assert_eq!((nowhere.memory_bytes, nowhere.largest_hole, nowhere.reserved.len()), (0, None, 0));
        assert!(memblock.explain_failure(Bounds { max: 2, ..bounds }).to_string().ends_with("the window is empty"));
    }
}
