// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which physical memory a stage may be granted: what its input proves to be free or to be its own, and nothing twice.

use crate::check::Known;
use handoff::{Blocks, PhysRange};
use heapless::Vec;

/// Grants of one stage.
const GRANTS: usize = handoff::DESCRIPTOR_BLOCKS;

/// The grants of one stage.
#[derive(Debug)]
pub(crate) struct Grants<'a> {
    may: May<'a>,
    /// What boot placed in memory, no hand-off can make free.
    known: Known<'a>,
    granted: Vec<PhysRange, GRANTS>,
}

/// What the input proves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum May<'a> {
    /// Whatever is memory and not reserved.
    Free(&'a Blocks),
    /// Nothing.
    Nothing,
}

impl<'a> Grants<'a> {
    /// Returns the grants of a stage that has none yet.
    pub(crate) fn new(may: May<'a>, known: Known<'a>) -> Self {
        Self { may, known, granted: Vec::new() }
    }

    /// Notes a grant, if the stage may have it.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&mut self, range: PhysRange) -> Result<(), &'static str> {
        let proved = match self.may {
            May::Free(blocks) => blocks.is_free(range),
            May::Nothing => false,
        };
        if self.known.is_taken(range) {
            Err("it belongs to boot or to another stage")
        } else if !proved {
            Err("its input does not prove that it is free")
        } else if self.granted.iter().any(|other| other.overlaps(range)) {
            Err("it has it already")
        } else {
            self.granted.push(range).map_err(|_| "it has as many grants as a stage can have")
        }
    }

    /// Returns what was granted.
    pub(crate) fn granted(&self) -> &[PhysRange] {
        &self.granted
    }
}
