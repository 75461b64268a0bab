// SPDX-License-Identifier: MIT OR Apache-2.0
//! The chain: one stage after the other, each on what the one before left, each checked.

use crate::check::{Known, check};
use crate::clock::Clock;
use crate::console::{self, Frames, Kind, say};
use crate::grants::{Grants, May};
use crate::multiboot::{PROGRAMS, Program};
use crate::phys;
use crate::pool::Pool;
use crate::program::Loaded;
use crate::runner::{self, End, Run};
use core::fmt::{self, Write};
use handoff::{Blocks, Crash, DecodeError, EXCHANGE_BYTES, Frames as FramesHandoff, StageId, Zones, decode, encode};
use heapless::Vec;

/// What the chain leaves.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) zones: Zones,
    /// What was free before the last stage made it the allocator's.
    pub(crate) blocks: Blocks,
    /// Ticks of the time-stamp counter by stage.
    pub(crate) ticks: Vec<(StageId, u64), PROGRAMS>,
    /// What the second kernel did, if there was one.
    pub(crate) proof: Option<handoff::Proof>,
    /// The buffers that hand-offs pass through.
    pub(crate) exchange: [&'static mut [u8]; 2],
}

/// The stage that failed; what there is to say about it has been said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed(pub(crate) StageId);

/// What every stage is run with.
pub(crate) struct Surroundings<'a> {
    pub(crate) known: Known<'a>,
    pub(crate) clock: &'a Clock,
    pub(crate) pool: &'a mut Pool,
}

/// Runs all stages up to the allocator.
///
/// # Errors
/// [`Failed`] names the stage that failed or had to be stopped.
pub(crate) fn run(programs: &[Program], with: &mut Surroundings<'_>) -> Result<Outcome, Failed> {
    let (mut input, mut output) = (exchange_buffer(with.pool)?, exchange_buffer(with.pool)?);
    let mut used = encode(with.known.firmware, output).map_err(|error| complain(StageId::BOOT, error))?;
    let (mut before, mut last) = (0, StageId::BOOT);
    console::handoff(StageId::BOOT, &output[..used]);

    let mut ticks = Vec::new();
    for program in programs.iter().filter(|program| program.stage != StageId::SUCCESSOR) {
        (input, output, before, last) = (output, input, used, program.stage);
        let mark = with.pool.mark();
        let proof = Proof::of(program, &input[..before]).map_err(|error| complain(program.stage, error))?;
        let (left, time) = stage(program, proof.may(), &input[..before], output, with)?;
        with.pool.put_back(mark);
        used = left;
        let _ = ticks.push((program.stage, time)); // there is room for every program
    }

    let zones = decode::<Zones>(&output[..used]).map_err(|error| complain(last, error))?;
    let blocks = decode::<FramesHandoff>(&input[..before]).map_err(|error| complain(last, error))?.blocks;
    Ok(Outcome { zones, blocks, ticks, proof: None, exchange: [input, output] })
}

fn exchange_buffer(pool: &mut Pool) -> Result<&'static mut [u8], Failed> {
    let buffer = pool.take(EXCHANGE_BYTES as u64).map_err(|_| complain(StageId::BOOT, "the boot pool is too small"))?;
    // SAFETY: just taken from the pool and never put back, so nobody else uses it.
    Ok(unsafe { phys::bytes_mut(buffer) })
}

/// Runs one stage on `input` and puts what it leaves in `output`; returns its size and the time.
///
/// # Errors
/// [`Failed`], if it did or had to be stopped.
#[inline(never)] // hand-offs are large: they are to leave the stack at once
pub(crate) fn stage(
    program: &Program,
    may: May<'_>,
    input: &[u8],
    output: &mut [u8],
    with: &mut Surroundings<'_>,
) -> Result<(usize, u64), Failed> {
    let mut grants = Grants::new(may, with.known);
    let mut loaded = Loaded::new(program, with.clock.tsc_hz, with.known.command_line, input, with.pool)
        .map_err(|error| complain(program.stage, error))?;

    let run = runner::run(program, &mut loaded, &mut grants, with.clock, with.pool);
    let End::Handoff(bytes) = run.end else { return Err(report(program, &loaded, &run)) };
    let left = loaded.output(bytes).unwrap_or(&[]);
    if let Err(why) = check(program.stage, input, left, grants.granted(), with.known) {
        fault(program, &run, "invalid-handoff");
        return Err(complain(program.stage, why));
    }
    output[..bytes].copy_from_slice(left);
    console::handoff(program.stage, left);
    Ok((bytes, run.ticks))
}

/// What a stage's input proves about memory.
#[derive(Default)]
struct Proof(Option<Blocks>);

impl Proof {
    #[inline(never)] // hand-offs are large: they are to leave the stack at once
    fn of(program: &Program, input: &[u8]) -> Result<Self, DecodeError> {
        let mut proof = Self::default();
        match program.stage {
            _ if !program.may_ask_for_grants => {}
            StageId::MEMMAP => proof.0 = Some(decode::<Crash>(input)?.blocks),
            StageId::BUDDY => proof.0 = Some(decode::<FramesHandoff>(input)?.blocks),
            _ => {}
        }
        Ok(proof)
    }

    fn may(&self) -> May<'_> {
        self.0.as_ref().map_or(May::Nothing, May::Free)
    }
}

/// Says how a program ended that left no hand-off.
fn report(program: &Program, loaded: &Loaded, run: &Run) -> Failed {
    let text = |bytes| loaded.output(bytes).unwrap_or(&[]);
    match run.end {
        End::Failed(bytes) => quote(program.stage, text(bytes)),
        End::Panicked(bytes) => {
            fault(program, run, "panic");
            quote(program.stage, text(bytes))
        }
        End::Stopped(crime) => {
            fault(program, run, crime.word());
            complain(program.stage, format_args!("{crime}; it was at {:#x}", run.rip))
        }
        End::Handoff(_) => Failed(program.stage),
    }
}

/// Tells the host where a program was, so that it can name function and line.
fn fault(program: &Program, run: &Run, kind: &str) {
    let address = match run.end {
        End::Stopped(runner::Crime::Trap { address: Some(address), .. } | runner::Crime::Log { address, .. }) => {
            address
        }
        End::Stopped(runner::Crime::Grant { base, .. }) => base,
        _ => 0,
    };
    let _ = write!(
        Frames(Kind::Fault, program.stage),
        "stage={} kind={kind} rip={:#x} rsp={:#x} return={:#x} address={address:#x}",
        program.stage.0,
        run.rip,
        run.rsp,
        run.top_of_stack.unwrap_or(0)
    );
}

/// Says why a stage failed in its own words, which nobody shall take for boot's: line by line, nothing but text.
fn quote(stage: StageId, text: &[u8]) -> Failed {
    const SHOWN: usize = 2048; // a serial line needs 0.2 s for that
    let (text, rest) = text.split_at(text.len().min(SHOWN));
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.for_each(|line| _ = complain(stage, Plain(line)));
    match (text, rest) {
        ([], _) => complain(stage, "it does not say why"),
        (_, []) => Failed(stage),
        _ => complain(stage, format_args!("{} more bytes are not shown", rest.len())),
    }
}

/// Bytes as text; `.` is what is none, or controls a terminal.
struct Plain<'a>(&'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                f.write_char(if c.is_control() { '.' } else { c })?;
            }
            if !chunk.invalid().is_empty() {
                f.write_char('.')?;
            }
        }
        Ok(())
    }
}

/// Says why a stage failed.
pub(crate) fn complain(stage: StageId, what: impl fmt::Display) -> Failed {
    say!("boot: stage {stage} failed: {what}");
    Failed(stage)
}
