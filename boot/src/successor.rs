// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second kernel: boot lends it the live allocator, with a block still allocated, and takes it back if all is there.

use crate::adopt::attach;
use crate::chain::{self, Failed, Outcome, Surroundings, complain};
use crate::check::Known;
use crate::grants::May;
use crate::multiboot::Program;
use buddy::Buddy;
use core::fmt::Write;
use handoff::abi::COMMAND_LINE_BYTES;
use handoff::{StageId, Succession, ZoneState, decode, encode};
use heapless::String;

/// The order of the block that the second kernel finds allocated, and may free.
const ORDER: u8 = 1;

/// Lets the second kernel go on with the allocator; returns what it leaves, after the same checks as before.
///
/// # Errors
/// [`Failed`] names the second kernel if it failed, had to be stopped or keeps something back.
#[inline(never)] // the allocator is large
pub(crate) fn lend(
    mut buddy: Buddy<'static>,
    program: &Program,
    outcome: &mut Outcome,
    with: &mut Surroundings<'_>,
) -> Result<Buddy<'static>, Failed> {
    let block = buddy.allocate(ORDER).map_err(|error| complain(StageId::BOOT, error))?;
    // Its tables have not grown, so that nothing else is new.
    outcome.zones.zones = buddy.zones().iter().copied().collect();
    drop(buddy); // from here on the tables are the second kernel's
    let [input, output] = &mut outcome.exchange;
    let used = encode(&outcome.zones, input).map_err(|error| complain(StageId::BOOT, error))?;

    let mut line = String::<COMMAND_LINE_BYTES>::new();
    // What does not fit any more is left out: a second kernel needs no other word.
    let _ = write!(line, "block={:#x},{ORDER} {}", block.start_address(), with.known.command_line);
    let known = Known { command_line: &line, ..with.known };
    let mut with = Surroundings { known, clock: with.clock, pool: with.pool };
    let (left, ticks) = chain::stage(program, May::Free(&outcome.blocks), &input[..used], output, &mut with)?;

    let complain = |what: &dyn core::fmt::Display| complain(program.stage, what);
    let Succession { zones, proof } = decode(&output[..left]).map_err(|error| complain(&error))?;
    let fixed = |zone: &ZoneState| (zone.span, zone.managed, zone.pieces, zone.map_frames);
    if !zones.iter().map(fixed).eq(outcome.zones.zones.iter().map(fixed)) {
        return Err(complain(&"it changed more of the zones than what is free"));
    }
    (outcome.zones.zones, outcome.proof) = (zones, Some(proof));
    let _ = outcome.ticks.push((program.stage, ticks)); // there is room for every program
    attach(outcome).map_err(|error| complain(&error))
}
