// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dumps of both arrays.

use super::early::Early;
use super::report::Fact;
use crate::dmesg::{self, Event};
use handoff::{Nid, Region, RegionFlags};
use memblock::{ArrayParts, Memblock, Parts};

impl Early<'_, '_> {
    /// Compares a dump, and goes on with what Linux has.
    pub(super) fn dump(&mut self, i: usize) {
        if self.dumps == 0 {
            _ = self.memory.trim_memory(4096);
        }
        self.trace.take();
        self.memory.dump();

        let entries = self.boot.entries();
        let is_dump =
            |e: &Event<'_>| matches!(e, Event::DumpSizes { .. } | Event::DumpCount | Event::DumpRegion { .. });
        let mut found = vec![i];
        found.extend((i + 1..entries.len()).take_while(|&k| is_dump(&entries[k].event)));
        self.report.equal(Fact::Dumps, 1);
        if !self.settle_all(Fact::DumpLines, &found) {
            self.adopt(&found);
        }
        self.dumps += 1;
        self.after_dump(i);
    }

    /// Takes over the regions of a dump that differs, so that it is not the reason for everything that follows.
    fn adopt(&mut self, found: &[usize]) {
        let entries = self.boot.entries();
        let parts = self.memory.parts();
        let list = |wanted: dmesg::Array, ours: &[Region]| -> Vec<Region> {
            let regions = found.iter().filter_map(|&i| match entries[i].event {
                Event::DumpRegion { array, base, last, nid, flags, .. } if array == wanted => {
                    let size = last.wrapping_sub(base).wrapping_add(1);
                    let same = ours.iter().find(|r| r.base == base).map_or(Nid::UNSET, |r| r.nid);
                    let unset = if same.number().is_some() { self.memory.policy().no_nid() } else { same };
                    Some(Region { base, size, nid: nid.map_or(unset, Nid::from), flags: RegionFlags(flags) })
                }
                _ => None,
            });
            regions.collect()
        };
        let (memory, reserved) =
            (list(dmesg::Array::Memory, parts.memory.regions), list(dmesg::Array::Reserved, parts.reserved.regions));
        let sum = |regions: &[Region]| regions.iter().fold(0u64, |sum, r| sum.wrapping_add(r.size));
        let array = |ours: ArrayParts<'_>, regions: &[Region]| {
            let stale = ours.total_size.wrapping_sub(sum(ours.regions));
            (ours.max.max(regions.len()), sum(regions).wrapping_add(stale), ours.place)
        };
        let (m, r) = (array(parts.memory, &memory), array(parts.reserved, &reserved));
        let adopted = Parts {
            memory: ArrayParts { regions: &memory, max: m.0, total_size: m.1, place: m.2 },
            reserved: ArrayParts { regions: &reserved, max: r.0, total_size: r.1, place: r.2 },
            ..parts
        };
        if let Ok(adopted) = Memblock::from_parts(&adopted, self.trace.clone()) {
            *self.memory = adopted;
        }
    }
}
