// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage of the chain.

use crate::message::Event;
use crate::reserve;
use core::convert::Infallible;
use core::marker::PhantomData;
use handoff::{Blocks, CLAIMS, Crash, EarlyStore, Log, Machine, Owner, Rules, Stage, StageId};

/// The stage that reserves memory for a crash kernel: [`Blocks`] → [`Crash`].
///
/// It never fails: whatever is wrong with `crashkernel=`, the boot goes on without, and the log says why.
#[derive(Debug)]
pub struct Reserve<S>(PhantomData<S>);

impl<S: EarlyStore> Stage for Reserve<S> {
    const ID: StageId = StageId::CRASHKERNEL;
    type In = Blocks;
    type Out = Crash;
    type Error = Infallible;

    fn run<M: Machine>(command_line: &str, mut blocks: Blocks, machine: &mut M) -> Result<Crash, Infallible> {
        let log = machine.log();
        // A `linux=` that nobody knows was already reported by the first stage.
        let rules = Rules::from_command_line(command_line).unwrap_or_default();
        let mut memory = S::restore(&blocks, command_line, log.clone());

        let reserved = reserve(command_line, rules, &mut memory, &blocks.ledger, &log);
        let (main, low) = match reserved {
            Ok(reservation) => (reservation.map(|r| r.main), reservation.and_then(|r| r.low)),
            Err(error) => (error.stuck(), None),
        };
        let mut ledger = blocks.ledger.clone();
        let claims = [(Owner::CRASH, main), (Owner::CRASH_LOW, low)];
        let claimed =
            claims.into_iter().try_for_each(|(owner, area)| area.map_or(Ok(()), |area| ledger.claim(owner, area)));
        if claimed.is_err() {
            log.error(Event::LedgerFull { claims: CLAIMS as u64 });
            return Ok(Crash { blocks, main: None, low: None }); // as it came: what was reserved is forgotten
        }

        S::save(&memory, &mut blocks);
        blocks.ledger = ledger;
        let kept = reserved.ok().flatten();
        Ok(Crash { blocks, main: kept.map(|r| r.main), low: kept.and_then(|r| r.low) })
    }
}
