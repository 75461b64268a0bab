// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding and taking the memory.

use crate::holes::{Holes, Hotplug};
use crate::{Error, LOW_MAX, Part, Place, Request};
use handoff::{Bounds, EarlyMemory, PhysRange, Rules};

/// Memory for a crash kernel; it is reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Where the crash kernel lives. Linux: `crashk_res` (6.1).
    pub main: PhysRange,
    /// What it has below 4 GiB if the main area lies above. Linux: `crashk_low_res` (6.1).
    pub low: Option<PhysRange>,
}

impl Reservation {
    /// Returns whether the main area lies above 4 GiB, where some devices cannot reach.
    #[must_use]
    pub const fn is_high(&self) -> bool {
        self.main.start() >= LOW_MAX
    }
}

/// Reserves what `request` asks for, without a word.
///
/// [`reserve`](crate::reserve) does the same from a command line and writes the log.
///
/// # Errors
/// [`Error`]; nothing stays reserved, but for [`Error::stuck`].
///
/// Linux: `reserve_crashkernel` (5.4, 6.1), `reserve_crashkernel_generic` (6.12).
pub fn place<M: EarlyMemory>(request: Request, rules: Rules, memory: &mut M) -> Result<Reservation, Error> {
    let main = place_main(request, rules, memory)?;
    let low = place_low(request, main, memory)?;
    Ok(Reservation { main, low })
}

/// Reserves the main area.
pub(crate) fn place_main<M: EarlyMemory>(request: Request, rules: Rules, memory: &mut M) -> Result<PhysRange, Error> {
    let windows = request.windows(rules);
    let found = windows.iter().find_map(|window| take(*window, memory));

    found.ok_or_else(|| match request.place {
        _ if windows.iter().any(|w| Holes::new(memory, Hotplug::Skipped).fits(*w)) => {
            Error::ArrayFull { part: Part::Main, size: request.size, stuck: None }
        }
        Place::At(base) => Error::InUse { base, size: request.size },
        Place::Anywhere | Place::High => Error::NoArea { size: request.size },
    })
}

/// Reserves the part below 4 GiB that a `main` above needs, or gives `main` back.
pub(crate) fn place_low<M: EarlyMemory>(
    request: Request,
    main: PhysRange,
    memory: &mut M,
) -> Result<Option<PhysRange>, Error> {
    let Some(window) = request.low_window().filter(|_| main.start() >= LOW_MAX) else { return Ok(None) };
    if let Some(low) = take(window, memory) {
        return Ok(Some(low));
    }

    let full = Holes::new(memory, Hotplug::Skipped).fits(window);
    let stuck = (!memory.free(main.start(), main.size())).then_some(main);
    let size = window.size;
    Err(if full { Error::ArrayFull { part: Part::Low, size, stuck } } else { Error::NoLowArea { size, stuck } })
}

fn take<M: EarlyMemory>(window: Bounds, memory: &mut M) -> Option<PhysRange> {
    memory.alloc_range(window).and_then(|base| PhysRange::from_size(base, window.size))
}
