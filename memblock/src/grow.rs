// SPDX-License-Identifier: MIT OR Apache-2.0
//! Room for a larger array, taken from memory as Linux takes it.

use crate::{Array, Error, Line, Memblock};
use handoff::{Bounds, FRAME_BYTES, Log, Nid, PhysRange};

/// Bytes of a region in Linux's arrays.
const REGION_BYTES: u64 = 24;

impl<const N: usize, L: Log> Memblock<N, L> {
    /// Doubles how many regions `array` may hold and reserves the memory that takes, outside `area`.
    ///
    /// Linux: `memblock_double_array` (6.1). Where growing is not allowed, 6.12 panics; here that is an error.
    pub(crate) fn double(&mut self, array: Array, area: PhysRange) -> Result<(), Error> {
        let (from, old) = (self.regions(array).max, self.regions(array).place);
        let full = Error::Full { array, capacity: from };
        if !self.policy.can_resize || from == 0 || from * 2 > N {
            return Err(full);
        }
        let bytes = 2 * from as u64 * REGION_BYTES;
        let size = bytes.next_multiple_of(FRAME_BYTES);
        let Some(new) = self.place_for(array, area, size) else {
            self.log.error(Line::DoubleFailed { array: array.name(), from, to: from * 2 });
            return Err(full);
        };

        let base = new.start();
        self.trace(Line::Doubled { array: array.name(), entries: from * 2, base, last: base + bytes - 1 });
        self.regions_mut(array).max = from * 2;
        self.regions_mut(array).place = Some(new);

        // Only the other array can refuse, and then before anything was freed.
        self.move_array(old, new).inspect_err(|_| {
            self.regions_mut(array).max = from;
            self.regions_mut(array).place = old;
        })
    }

    /// Frees the old place of an array and reserves the new one.
    fn move_array(&mut self, old: Option<PhysRange>, new: PhysRange) -> Result<(), Error> {
        if let Some(old) = old {
            // Freeing may want a larger reserved array. Linux could put that into `new`, which is not reserved yet.
            while self.count(Array::Reserved) + 2 > self.reserved.max {
                self.double(Array::Reserved, new)?;
            }
            self.free(old.start(), old.size())?;
        }
        self.reserve(new.start(), new.size())
    }

    fn place_for(&self, array: Array, area: PhysRange, size: u64) -> Option<PhysRange> {
        let limit = self.current_limit;
        let within = |min, max| {
            let base = self.find_any(Bounds { size, align: FRAME_BYTES, min, max, nid: Nid::NONE })?;
            PhysRange::from_size(base, size)
        };
        match array {
            Array::Memory => within(0, limit),
            // The range that is about to be reserved must stay clear. A maximum of 0 or 1 would mean the limit.
            Array::Reserved => {
                let below = || Some(area.start().min(limit)).filter(|&max| max > 1).and_then(|max| within(0, max));
                within(area.end(), limit).or_else(below)
            }
        }
    }
}
