// SPDX-License-Identifier: MIT OR Apache-2.0
//! All CPUs, feature `smp`: the others are started, and together they prove the adopted allocator and the heap over it.
//! Without the feature `alone.rs` stands here, and the image has a smaller boot program.

mod command;
mod heap;
#[cfg_attr(not(feature = "misbehave"), path = "behave.rs")]
mod misbehave;
mod processors;
mod proof;
mod team;
mod unmap;
mod workload;

pub(crate) use processors::Processors;
pub(crate) use proof::{Defect, Proof};
pub(crate) use team::{Here, tick};

use crate::adopt::Kernel;
use crate::console::say;
use crate::map::lowest_place;
use crate::multiboot::Loader;
use handoff::{FRAME_BYTES, Image, Owner, PhysRange};
use processors::PROCESSORS;

/// The processors, and the page in which those start that do not run yet.
#[derive(Debug)]
pub(crate) struct Crew {
    processors: Processors,
    page: Option<PhysRange>,
}

impl Crew {
    /// Returns the processors of the machine, and a page for the others to start in: RAM that nobody has, above what BIOSes
    /// write to and below the video memory.
    pub(crate) fn find(loader: &Loader, taken: &[PhysRange]) -> Self {
        misbehave::read(&loader.command_line);
        let processors = loader.acpi().map(Processors::read).unwrap_or_default();
        if processors.left_out > 0 {
            say!("boot: {} processors stay off: more than {PROCESSORS} cannot take part", processors.left_out);
        }
        let page = PhysRange::new(64 << 10, 640 << 10)
            .filter(|_| processors.enabled.len() > 1)
            .and_then(|within| lowest_place(FRAME_BYTES, within, &loader.map, taken));
        if processors.enabled.len() > 1 && page.is_none() {
            say!("boot: the other processors stay off: no free page below 640 KiB in which they could start");
        }
        Self { processors, page }
    }

    /// Returns what boot puts into memory for them.
    pub(crate) fn image(&self) -> Option<Image> {
        self.page.map(|range| Image { range, owner: Owner::TRAMPOLINE })
    }

    /// Lets all processors prove the allocator at once.
    ///
    /// # Errors
    /// The first [`Defect`].
    pub(crate) fn prove(&self, kernel: Kernel) -> Result<(Kernel, Proof), Defect> {
        proof::run(kernel, &self.processors, self.page)
    }
}
