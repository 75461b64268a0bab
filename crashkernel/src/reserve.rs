// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the command line to the reservation, with the log of it.

use crate::explain::Explain;
use crate::holes::{Holes, Hotplug};
use crate::message::Event;
use crate::place::{place_low, place_main};
use crate::report::Report;
use crate::{Error, LOW_MAX, LookUp, Options, ParseErrorKind, Place, Request, Reservation};
use handoff::{EarlyMemory, Ledger, Log, PhysRange, Region, Rules};

/// Reserves what `crashkernel=` asks for and says so as Linux does; `None` if it asks for nothing.
///
/// On top of Linux's lines: a mistake is marked and what would be right is said; a failed search is explained by what
/// the windows hold, by the owners in `ledger` (an empty ledger will do), and by the size that would have fitted.
///
/// # Errors
/// [`Error`], after the lines that explain it; nothing stays reserved, but for [`Error::stuck`].
///
/// Linux: `reserve_crashkernel` (5.4, 6.1), `arch_reserve_crashkernel` (6.12).
pub fn reserve<M: EarlyMemory, L: Log>(
    command_line: &str,
    rules: Rules,
    memory: &mut M,
    ledger: &Ledger,
    log: &L,
) -> Result<Option<Reservation>, Error> {
    let system_ram = memory.memory_size();
    let options = Options::read(command_line, system_ram, rules);
    let report = Report { command_line, rules, log };
    let explain = |memory| {
        let holes = Holes::new(memory, Hotplug::of(command_line));
        Explain { rules, system_ram, holes, ledger, log }
    };

    report.look_ups(&options);
    let request = match options.request(rules) {
        Ok(Some(request)) => request,
        Ok(None) => {
            report.nothing(&options);
            return Ok(None);
        }
        Err(error) => {
            report.silent(&error);
            if let ParseErrorKind::ExceedsRam { size, .. } = error.kind {
                let place = if error.look_up == LookUp::High { Place::High } else { Place::Anywhere };
                explain(memory).windows(Request { size, place, low_size: options.default_low });
            }
            return Err(error.into());
        }
    };
    report.request(&options, request);

    let placed = place_main(request, rules, memory).and_then(|main| {
        if main.start() >= LOW_MAX {
            report.late_low(&options);
        }
        Ok(Reservation { main, low: place_low(request, main, memory)? })
    });
    match placed {
        Ok(reservation) => {
            success(&reservation, rules, memory, log);
            report.reserved(&options, &reservation);
            Ok(Some(reservation))
        }
        Err(error) => {
            explain(memory).failure(request, error);
            Err(error)
        }
    }
}

/// Writes the two lines of success, low first.
fn success<M: EarlyMemory, L: Log>(reservation: &Reservation, rules: Rules, memory: &M, log: &L) {
    let mib = |range: PhysRange| (range.size() >> 20, range.start() >> 20);
    if let Some(low) = reservation.low {
        let (size_mib, base_mib) = mib(low);
        log.info(match rules {
            Rules::V5_4 => Event::ReservedLow5_4 { size_mib, base_mib, ram_mib: low_ram(memory.memory()) >> 20 },
            Rules::V6_1 => {
                Event::ReservedLow { size_mib, base_mib, limit_mib: memory.memory_size().min(LOW_MAX) >> 20 }
            }
            Rules::V6_12 => Event::ReservedLow6_12 { start: low.start(), end: low.end(), size_mib },
        });
    }

    let main = reservation.main;
    let (size_mib, base_mib) = mib(main);
    log.info(match rules {
        Rules::V5_4 | Rules::V6_1 => Event::Reserved { size_mib, base_mib, ram_mib: memory.memory_size() >> 20 },
        Rules::V6_12 => Event::Reserved6_12 { start: main.start(), end: main.end(), size_mib },
    });
}

/// Returns the bytes of whole pages of memory below 4 GiB. Linux: `memblock_mem_size` (5.4).
fn low_ram(memory: &[Region]) -> u64 {
    let pages = memory.iter().filter_map(|m| PhysRange::capped(m.base, m.size)?.inward());
    pages.filter_map(|m| PhysRange::new(m.start(), m.end().min(LOW_MAX))).map(PhysRange::size).sum()
}
