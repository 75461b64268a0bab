// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table that `memblock=debug` prints.

use crate::message::last;
use crate::{Array, Line, Memblock};
use handoff::{Log, Region};

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Writes both arrays to the log if `memblock=debug` is on. Linux: `memblock_dump_all` (6.1).
    pub fn dump_all(&self) {
        if self.policy.trace {
            self.dump();
        }
    }

    /// Writes both arrays to the log.
    pub fn dump(&self) {
        self.log.info(Line::Configuration);
        self.log.info(Line::Sizes { memory: self.phys_mem_size(), reserved: self.reserved_size() });
        self.dump_array(Array::Memory);
        self.dump_array(Array::Reserved);
    }

    fn dump_array(&self, array: Array) {
        self.log.info(Line::Count { array: array.name(), count: self.count(array) });
        let dummy = [Region::new(0, 0)];
        let regions = match self.list(array) {
            [] => &dummy[..self.count(array)],
            regions => regions,
        };
        for (index, &Region { base, size, nid, flags }) in regions.iter().enumerate() {
            let (array, last, flags) = (array.name(), last(base, size), flags.0);
            self.log.info(if self.policy.is_printed(nid) {
                Line::RegionOnNode { array, index, base, last, size, nid: nid.0, flags }
            } else {
                Line::Region { array, index, base, last, size, flags }
            });
        }
    }
}
