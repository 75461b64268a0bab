// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs one program until it ends or has to be stopped.

use crate::clock::{self, Clock};
use crate::console::{self, Kind};
use crate::gate::{self, Frame, SPURIOUS_VECTOR, TIMER_VECTOR};
use crate::grants::Grants;
use crate::multiboot::Program;
use crate::paging::{Rights, Who};
use crate::phys;
use crate::pool::Pool;
use crate::program::Loaded;
use core::fmt;
use handoff::abi::{
    EXIT_FAILED, EXIT_HANDOFF, EXIT_PANICKED, GRANT_BASE, STACK_TOP, SYS_EXIT, SYS_GRANT, SYS_LOG, SYS_WINDOW,
    WINDOW_BASE,
};
use handoff::{EXCHANGE_BYTES, PhysRange};
use x86_64::registers::control::Cr2;

/// How a program ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It left a hand-off of that many bytes.
    Handoff(usize),
    /// It left a text of that many bytes that says why it failed.
    Failed(usize),
    /// It left a text of that many bytes that says where it panicked.
    Panicked(usize),
    /// It did what it may not.
    Stopped(Crime),
}

/// What a program was stopped for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crime {
    /// A trap; the address is that of a page fault.
    Trap { vector: u64, error: u64, address: Option<u64> },
    /// It used more time than it has.
    Overrun { budget_ms: u64 },
    /// It asked for memory that it must not have.
    Grant { base: u64, bytes: u64, why: &'static str },
    /// It passed memory to `log` that is not its own, or too much of it.
    Log { address: u64, bytes: u64 },
    /// There is no such system call.
    Syscall { number: u64 },
    /// It says that it left more than fits the output.
    Oversize { bytes: u64 },
    /// It ended with a status that means nothing.
    Status { status: u64 },
}

impl Crime {
    /// Returns the crime as one word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Trap { error, address: Some(address), .. } if overflows(*error, *address) => "stack-overflow",
            Self::Trap { vector, .. } => gate::name(*vector),
            Self::Overrun { .. } => "overrun",
            Self::Grant { .. } => "bad-grant",
            Self::Log { .. } => "bad-log",
            Self::Syscall { .. } => "bad-system-call",
            Self::Oversize { .. } => "oversize-output",
            Self::Status { .. } => "bad-exit",
        }
    }
}

/// Returns whether a page fault is that of a stack that grew too far: nothing is mapped in the 16 MiB below its top.
fn overflows(error: u64, address: u64) -> bool {
    error & 1 == 0 && (STACK_TOP - (1 << 24)..STACK_TOP).contains(&address)
}

impl fmt::Display for Crime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap { error, address: Some(address), .. } if overflows(*error, *address) => {
                write!(f, "its stack overflowed at {address:#x}")
            }
            Self::Trap { error, address: Some(address), .. } => {
                let verb = match (error & 16 != 0, error & 2 != 0) {
                    (true, _) => "execute",
                    (false, true) => "write",
                    (false, false) => "read",
                };
                let whose = if error & 1 != 0 { "which it may not" } else { "which is not its own" };
                write!(f, "it tried to {verb} {address:#x}, {whose}")
            }
            Self::Trap { vector, error, .. } => write!(f, "{} (error {error:#x})", gate::name(*vector)),
            Self::Overrun { budget_ms } => write!(f, "it used up its {budget_ms} ms"),
            Self::Grant { base, bytes, why } => write!(f, "it asked for {bytes:#x} bytes at {base:#x}: {why}"),
            Self::Log { address, bytes } => {
                write!(f, "it logged {bytes:#x} bytes at {address:#x}, which are not its own or too many")
            }
            Self::Syscall { number } => write!(f, "there is no system call {number}"),
            Self::Oversize { bytes } => write!(f, "it claims to have left {bytes} bytes, of {EXCHANGE_BYTES}"),
            Self::Status { status } => write!(f, "it ended with status {status}"),
        }
    }
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) end: End,
    /// Where the program was.
    pub(crate) rip: u64,
    pub(crate) rsp: u64,
    /// The word on top of its stack: where it came from, if it jumped away.
    pub(crate) top_of_stack: Option<u64>,
    /// Ticks of the time-stamp counter.
    pub(crate) ticks: u64,
}

/// Runs a program.
pub(crate) fn run(
    program: &Program,
    loaded: &mut Loaded,
    grants: &mut Grants<'_>,
    clock: &Clock,
    pool: &mut Pool,
) -> Run {
    let start = clock::ticks();
    let deadline = start + clock.tsc_hz / 1000 * program.budget_ms;
    let mut next_grant = GRANT_BASE;
    // As after a call: the ABI wants the stack 8 below a multiple of 16.
    let mut frame = Frame::start(loaded.entry, STACK_TOP - 8);

    let end = loop {
        // SAFETY: the address space was made by `Loaded::new`: the gate for ring 0, and else only what is the program's.
        unsafe { gate::enter(loaded.space.cr3(), &mut frame) };
        let crime = match frame.vector as u8 {
            handoff::abi::SYSCALL_VECTOR => match frame.rax {
                SYS_EXIT => break ended(frame.rdi, frame.rsi),
                SYS_LOG => log(program, loaded, frame.rdi, frame.rsi),
                SYS_GRANT | SYS_WINDOW if !program.may_ask_for_grants => {
                    Err(Crime::Grant { base: frame.rdi, bytes: frame.rsi, why: "image.toml gives it no right to ask" })
                }
                number @ (SYS_GRANT | SYS_WINDOW) => {
                    let (base, bytes) = (frame.rdi, frame.rsi);
                    frame.rax = if number == SYS_GRANT { next_grant } else { WINDOW_BASE.wrapping_add(base) };
                    let granted = grant(loaded, grants, frame.rax, base, bytes, pool);
                    granted.map(|()| next_grant += if number == SYS_GRANT { bytes } else { 0 })
                }
                number => Err(Crime::Syscall { number }),
            },
            TIMER_VECTOR => {
                clock.acknowledge();
                if clock::ticks() > deadline { Err(Crime::Overrun { budget_ms: program.budget_ms }) } else { Ok(()) }
            }
            SPURIOUS_VECTOR => Ok(()), // nothing to do, and nothing to acknowledge
            vector => {
                let address = (vector == 14).then(Cr2::read_raw);
                Err(Crime::Trap { vector: frame.vector, error: frame.error, address })
            }
        };
        if let Err(crime) = crime {
            break End::Stopped(crime);
        }
    };
    let ticks = clock::ticks() - start;
    let word = loaded.readable(frame.rsp, 8).and_then(|bytes| bytes.try_into().ok());
    Run { end, rip: frame.rip, rsp: frame.rsp, top_of_stack: word.map(u64::from_le_bytes), ticks }
}

fn ended(status: u64, bytes: u64) -> End {
    let Some(used) = usize::try_from(bytes).ok().filter(|used| *used <= EXCHANGE_BYTES) else {
        return End::Stopped(Crime::Oversize { bytes });
    };
    match status {
        EXIT_HANDOFF => End::Handoff(used),
        EXIT_FAILED => End::Failed(used),
        EXIT_PANICKED => End::Panicked(used),
        status => End::Stopped(Crime::Status { status }),
    }
}

/// Sends bytes of the program to the debug port, page by page.
fn log(program: &Program, loaded: &mut Loaded, mut address: u64, bytes: u64) -> Result<(), Crime> {
    let crime = |address| Crime::Log { address, bytes };
    // The timer waits while boot sends, so that there must be an end.
    let sendable = address.checked_add(bytes).filter(|_| bytes <= EXCHANGE_BYTES as u64);
    let end = sendable.ok_or(crime(address))?;
    while address < end {
        let part = loaded.readable(address, end - address).ok_or(crime(address))?;
        console::frame(Kind::Defmt, program.stage, part);
        address += part.len() as u64;
    }
    Ok(())
}

/// Maps physical memory for the program at an address where it has nothing.
fn grant(
    loaded: &mut Loaded,
    grants: &mut Grants<'_>,
    at: u64,
    base: u64,
    bytes: u64,
    pool: &mut Pool,
) -> Result<(), Crime> {
    let crime = |why| Crime::Grant { base, bytes, why };
    let range = PhysRange::from_size(base, bytes).filter(|r| r.outward() == *r).ok_or(crime("not whole pages"))?;
    grants.check(range).map_err(crime)?;
    // SAFETY: RAM by the map or by the user, up to whose end everything is mapped, and nobody's, as was just checked; the
    // program, which may get it, is not running.
    if !unsafe { phys::is_there(range) } {
        return Err(crime("there is no memory, whatever the firmware or memmap= says"));
    }
    loaded
        .space
        .map(range, at, Rights::Data, Who::Program, pool)
        .map_err(|_| crime("the boot pool has no frame left for its page tables"))
}
