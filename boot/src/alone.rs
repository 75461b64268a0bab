// SPDX-License-Identifier: MIT OR Apache-2.0
//! What boot is without the feature `smp`: the first CPU alone. The same names as in `smp/`, with nothing behind them.

use crate::adopt::Kernel;
use crate::multiboot::Loader;
use core::convert::Infallible;
use core::fmt;
use handoff::{Image, PhysRange};

/// No other processors.
#[derive(Debug)]
pub(crate) struct Crew;

/// Nothing was proved.
#[derive(Debug)]
pub(crate) struct Proof;

/// No name for the only CPU.
pub(crate) struct Here;

impl Crew {
    pub(crate) fn find(_: &Loader, _: &[PhysRange]) -> Self {
        Self
    }

    pub(crate) fn image(&self) -> Option<Image> {
        None
    }

    pub(crate) fn prove(&self, kernel: Kernel) -> Result<(Kernel, Proof), Infallible> {
        Ok((kernel, Proof))
    }
}

impl Proof {
    pub(crate) fn print(&self) {}

    pub(crate) fn figures(&self) {}
}

impl fmt::Display for Here {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Boot runs with interrupts off.
///
/// # Panics
/// Always: nobody can have caused this.
pub(crate) fn tick() {
    panic!("an interrupt while interrupts are off");
}
