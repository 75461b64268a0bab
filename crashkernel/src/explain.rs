// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why no memory was found: what there is, who has it, what would have fitted.

use crate::holes::Holes;
use crate::message::{Bytes, Event, Owned};
use crate::{Error, Part, Place, Request};
use core::cmp::Reverse;
use handoff::{Account, Bounds, Ledger, Log, Owner, PhysRange, Rules};
use heapless::Vec;

/// What an explanation is made from.
pub(crate) struct Explain<'a, L> {
    pub(crate) rules: Rules,
    pub(crate) system_ram: u64,
    pub(crate) holes: Holes<'a>,
    pub(crate) ledger: &'a Ledger,
    pub(crate) log: &'a L,
}

impl<L: Log> Explain<'_, L> {
    /// Writes Linux's line for `error` and then the explanation.
    pub(crate) fn failure(&self, request: Request, error: Error) {
        match error {
            Error::NoArea { size } => {
                self.no_suitable_area(size);
                self.windows(request);
            }
            Error::InUse { base, size } => {
                self.in_use();
                self.taken_place(request, base, size);
            }
            Error::NoLowArea { size, .. } => {
                self.cannot_reserve_low(size);
                self.low_window(request);
            }
            Error::ArrayFull { part, size, .. } => {
                self.array_full(request, part, size);
                self.log.warn(Event::ArrayFull);
            }
            Error::Value(_) => {}
        }
        if let Some(range) = error.stuck() {
            self.log.warn(Event::Stuck { range });
        }
    }

    fn no_suitable_area(&self, size: u64) {
        if self.rules < Rules::V6_12 {
            self.log.info(Event::NoSuitableArea);
        } else {
            self.log.warn(Event::CannotAllocate { size });
        }
    }

    fn cannot_reserve_low(&self, size: u64) {
        if self.rules < Rules::V6_12 {
            self.log.error(Event::CannotReserveLow { size_mib: size >> 20 });
        } else {
            self.log.error(Event::CannotAllocateLow { size });
        }
    }

    /// 5.4 searches and reserves in two steps and says which failed; later ones do not know.
    fn array_full(&self, request: Request, part: Part, size: u64) {
        match (self.rules, part, request.place) {
            (Rules::V5_4, Part::Main, _) => self.log.error(Event::ErrorReserving),
            (Rules::V5_4, Part::Low, _) => self.log.error(Event::ErrorReservingLow),
            (_, Part::Main, Place::At(_)) => self.in_use(),
            (_, Part::Main, _) => self.no_suitable_area(size),
            (_, Part::Low, _) => self.cannot_reserve_low(size),
        }
    }

    fn in_use(&self) {
        if self.rules < Rules::V6_12 {
            self.log.info(Event::InUse);
        } else {
            self.log.warn(Event::InUse);
        }
    }

    /// Says what there is in each window that is tried, and what would have fitted.
    pub(crate) fn windows(&self, request: Request) {
        let mut seen = None;
        for bounds in request.windows(self.rules) {
            seen = self.window(bounds, seen);
        }
        self.would_fit(request);
    }

    /// Says which size would have fitted; where the low part keeps it small, also with a smaller low part.
    fn would_fit(&self, request: Request) {
        let largest = |request| self.holes.largest_request(request, self.rules, self.system_ram);
        let suffix = if request.place == Place::High { ",high" } else { "" };
        let size_mib = largest(request);
        let low_mib = request.low_window().and_then(|w| self.holes.largest(w)).map_or(0, |(_, room)| room.size() >> 20);
        let high_mib = largest(Request { place: Place::High, low_size: low_mib << 20, ..request });

        if high_mib > size_mib {
            self.log.warn(Event::BothWouldFit { size_mib: high_mib, low_mib });
        }
        match size_mib {
            0 if high_mib == 0 => self.log.warn(Event::NothingFits),
            0 => {}
            _ => self.log.warn(Event::WouldFit { size_mib, suffix }),
        }
    }

    fn low_window(&self, request: Request) {
        let Some(bounds) = request.low_window() else { return };
        self.window(bounds, None);
        match self.holes.largest(bounds).map_or(0, |(_, room)| room.size() >> 20) {
            0 => self.log.warn(Event::Hint {
                text: "not even 1M fits there; crashkernel=SIZE,high crashkernel=0,low does without",
            }),
            size_mib if self.rules < Rules::V6_12 => self.log.warn(Event::LowWouldFit { size_mib }),
            size_mib => self.log.warn(Event::LowWouldFit6_12 { size_mib }),
        }
    }

    /// Says what is in a window, unless it holds just the memory of the one before, `seen`.
    fn window(&self, bounds: Bounds, seen: Option<u64>) -> Option<u64> {
        let window = PhysRange::new(bounds.min, bounds.max)?;
        let (memory, free) = (self.holes.memory_bytes(window), self.holes.free_bytes(window));
        self.log.warn(Event::NoRoom { window, memory: Bytes(memory), free: Bytes(free) });
        if seen == Some(memory) {
            return seen;
        }

        match self.holes.largest(bounds) {
            Some((hole, room)) => {
                let (room, align) = (Bytes(room.size()), Bytes(bounds.align));
                self.log.warn(Event::LargestHole { hole, room, align });
            }
            None => self.log.warn(Event::NoHole),
        }
        self.occupants(window, memory - free);
        Some(memory)
    }

    fn taken_place(&self, request: Request, base: u64, size: u64) {
        let Some(window) = PhysRange::capped(base, size) else { return };
        let (memory, free) = (self.holes.memory_bytes(window), self.holes.free_bytes(window));
        let align = request.windows(self.rules).first().map_or(1, |bounds| bounds.align);
        let aligned = base.is_multiple_of(align);

        if !aligned {
            self.log.warn(Event::Misaligned { base, align: Bytes(align) });
        }
        if memory < size {
            self.log.warn(Event::NotMemory { window, missing: Bytes(size - memory) });
        }
        self.occupants(window, memory - free);
        if aligned && free == size {
            self.log.warn(Event::Seam { window });
        }

        match self.holes.free_from(base) >> 20 {
            size_mib if aligned && size_mib > 0 => self.log.warn(Event::WouldFitAt { size_mib, base }),
            _ => {}
        }
        let anywhere = Request { place: Place::Anywhere, ..request };
        if self.holes.succeeds(anywhere, self.rules) {
            self.log.warn(Event::Hint { text: "without @BASE a place of that size would be found" });
        }
    }

    /// Says who has the `taken` bytes of `window`, largest first.
    fn occupants(&self, window: PhysRange, taken: u64) {
        let claims = self.ledger.claims().iter().filter(|c| c.owner.account() == Account::Reserved);
        let bytes = |owner| {
            let owned = claims.clone().filter(|c| c.owner == owner).filter_map(|c| c.range.intersection(window));
            owned.map(PhysRange::size).sum::<u64>()
        };
        let owners = (0..=u8::MAX).map(|number| (bytes(Owner(number)), Some(Owner(number))));
        let mut shares: Vec<_, 257> = owners.collect();
        let known = shares.iter().map(|(bytes, _)| bytes).sum();
        shares.extend([(taken.saturating_sub(known), None)]);
        shares.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));

        for (bytes, owner) in shares.into_iter().take_while(|(bytes, _)| *bytes > 0) {
            self.log.warn(Event::Occupied { bytes: Bytes(bytes), owner: Owned(owner) });
        }
    }
}
