// SPDX-License-Identifier: MIT OR Apache-2.0
//! The chain: one stage after the other, each on what the one before left, each checked.

use crate::clock::Clock;
use crate::console::{self, Frames, Kind, say};
use crate::grants::{Grants, May};
use crate::multiboot::{PROGRAMS, Program};
use crate::phys;
use crate::pool::Pool;
use crate::program::Loaded;
use crate::runner::{self, End, Run};
use core::fmt::Write;
use handoff::{
    Blocks, Crash, DecodeError, EXCHANGE_BYTES, Firmware, Frames as FramesHandoff, Handoff, MemoryMap, PhysRange,
    StageId, Zones, decode, encode,
};
use heapless::Vec;

/// What the chain leaves.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) zones: Zones,
    /// Ticks of the time-stamp counter by stage.
    pub(crate) ticks: Vec<(StageId, u64), PROGRAMS>,
}

/// The stage that failed; what there is to say about it has been said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed(pub(crate) StageId);

/// What every stage is run with.
pub(crate) struct Surroundings<'a> {
    pub(crate) command_line: &'a str,
    pub(crate) clock: &'a Clock,
    pub(crate) pool: &'a mut Pool,
    /// What boot placed in memory.
    pub(crate) boot: &'a [PhysRange],
}

/// Runs all stages.
///
/// # Errors
/// [`Failed`] names the stage that failed or had to be stopped.
pub(crate) fn run(firmware: &Firmware, programs: &[Program], mut with: Surroundings<'_>) -> Result<Outcome, Failed> {
    let buffer =
        with.pool.take(EXCHANGE_BYTES as u64).map_err(|_| complain(StageId::BOOT, "the boot pool is too small"))?;
    // SAFETY: just taken from the pool and never put back, so nobody else uses it.
    let buffer = unsafe { phys::bytes_mut(buffer) };
    let mut used = encode(firmware, buffer).map_err(|error| complain(StageId::BOOT, error))?;
    console::handoff(StageId::BOOT, &buffer[..used]);

    let mut ticks = Vec::new();
    for program in programs {
        let mark = with.pool.mark();
        let (left, time) = stage(program, &mut buffer[..], used, &mut with)?;
        with.pool.put_back(mark);
        used = left;
        console::handoff(program.stage, &buffer[..used]);
        let _ = ticks.push((program.stage, time)); // there is room for every program
    }

    let last = programs.last().map_or(StageId::BOOT, |program| program.stage);
    let zones = decode::<Zones>(&buffer[..used]).map_err(|error| complain(last, error))?;
    Ok(Outcome { zones, ticks })
}

/// Runs one stage on the first `used` bytes of the buffer and puts there what it leaves; returns its size and the time.
#[inline(never)] // hand-offs are large: they are to leave the stack at once
fn stage(
    program: &Program,
    buffer: &mut [u8],
    used: usize,
    with: &mut Surroundings<'_>,
) -> Result<(usize, u64), Failed> {
    let input = &buffer[..used];
    let proof = Proof::of(program, input).map_err(|error| complain(program.stage, error))?;
    let mut grants = Grants::new(proof.may(), with.boot);
    let mut loaded = Loaded::new(program, with.clock.tsc_hz, with.command_line, input, with.pool)
        .map_err(|error| complain(program.stage, error))?;

    let run = runner::run(program, &mut loaded, &mut grants, with.clock, with.pool);
    let End::Handoff(bytes) = run.end else { return Err(report(program, &loaded, &run)) };
    let output = loaded.output(bytes).unwrap_or(&[]);
    if let Err(why) = check(program.stage, output, grants.granted(), with.boot) {
        fault(program, &run, "invalid-handoff");
        return Err(match why {
            Why::Bytes(error) => complain(program.stage, error),
            Why::Claim(rule) => complain(program.stage, rule),
        });
    }
    buffer[..bytes].copy_from_slice(output);
    Ok((bytes, run.ticks))
}

/// What a stage's input proves about memory.
#[derive(Default)]
struct Proof {
    blocks: Option<Blocks>,
    descriptors: Vec<PhysRange, { handoff::DESCRIPTOR_BLOCKS }>,
}

impl Proof {
    #[inline(never)] // hand-offs are large: they are to leave the stack at once
    fn of(program: &Program, input: &[u8]) -> Result<Self, DecodeError> {
        let mut proof = Self::default();
        match program.stage {
            _ if !program.may_ask_for_grants => {}
            StageId::MEMMAP => proof.blocks = Some(decode::<Crash>(input)?.blocks),
            StageId::BUDDY => proof.descriptors = decode::<FramesHandoff>(input)?.descriptors,
            _ => {}
        }
        Ok(proof)
    }

    fn may(&self) -> May<'_> {
        self.blocks.as_ref().map_or(May::Only(&self.descriptors), May::Free)
    }
}

/// Why a hand-off is not accepted.
enum Why {
    Bytes(DecodeError),
    Claim(&'static str),
}

/// Checks what a stage left: the bytes, the invariants, and that nothing of boot's became free.
#[inline(never)] // hand-offs are large: they are to leave the stack at once
fn check(stage: StageId, output: &[u8], granted: &[PhysRange], boot: &[PhysRange]) -> Result<(), Why> {
    fn read<H: Handoff>(output: &[u8]) -> Result<H, Why> {
        decode(output).map_err(Why::Bytes)
    }
    let kept = |blocks: &Blocks| {
        let free = boot.iter().any(|image| blocks.free_bytes(*image) > 0);
        if free { Err(Why::Claim("it calls free what belongs to boot or to a stage")) } else { Ok(()) }
    };
    match stage {
        StageId::E820 => read::<MemoryMap>(output).map(|_| ()),
        StageId::MEMBLOCK => kept(&read::<Blocks>(output)?),
        StageId::CRASHKERNEL => kept(&read::<Crash>(output)?.blocks),
        StageId::MEMMAP => {
            let frames = read::<FramesHandoff>(output)?;
            if frames.descriptors != granted {
                return Err(Why::Claim("its descriptors are not what it was granted"));
            }
            kept(&frames.blocks)
        }
        StageId::BUDDY => {
            let zones = read::<Zones>(output)?;
            let owned = |image: &PhysRange| zones.ledger.owner_of(image.start()).is_some();
            if zones.descriptors != granted {
                Err(Why::Claim("its descriptors are not what it was granted"))
            } else if boot.iter().all(owned) {
                Ok(())
            } else {
                Err(Why::Claim("its account forgets what belongs to boot or to a stage"))
            }
        }
        _ => Err(Why::Claim("there is no such stage")),
    }
}

/// Says how a program ended that left no hand-off.
fn report(program: &Program, loaded: &Loaded, run: &Run) -> Failed {
    let text = |bytes| core::str::from_utf8(loaded.output(bytes).unwrap_or(&[])).unwrap_or("(not text)");
    match run.end {
        End::Failed(bytes) => complain(program.stage, text(bytes)),
        End::Panicked(bytes) => {
            fault(program, run, "panic");
            complain(program.stage, text(bytes))
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
        End::Stopped(runner::Crime::Trap { address: Some(address), .. } | runner::Crime::Log { address }) => address,
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

fn complain(stage: StageId, what: impl core::fmt::Display) -> Failed {
    say!("boot: stage {stage} failed: {what}");
    Failed(stage)
}
