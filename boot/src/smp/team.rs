// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other CPUs: called all at once, put to one piece of work together with the first, and stopped for good.

use super::command::Command;
use super::misbehave;
use super::processors::{PROCESSORS, Processor};
use crate::apic::{Apic, EOI};
use crate::console::say;
use crate::cpu::Cpu;
use crate::paging::{AddressSpace, MapError, Rights, Who};
use crate::{clock, gate, phys};
use buddy::Buddy;
use core::fmt;
use core::hint::spin_loop;
use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use handoff::{FRAME_BYTES, PhysRange};
use heapless::Vec;
use spin::Mutex;
use x86_64::instructions::interrupts;

core::arch::global_asm!(include_str!("trampoline.s"));

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_end: u8;
    static mut other_cr3: u64;
    static mut other_stacks: u64;
    static mut other_end: u32;
}

/// Where the stacks are mapped: a slot for each CPU, the stack at its end, nothing before it.
const STACKS: u64 = 0xffff_d000_0000_0000;
const SLOT_BYTES: u64 = 64 << 10; // as in trampoline.s
const STACK_ORDER: u8 = 3;
const STACK_BYTES: u64 = FRAME_BYTES << STACK_ORDER;

/// How long a CPU has to answer, and how long one may work without a step.
const ANSWER_MS: u64 = 3000;
const HANG_MS: u64 = 10_000;
/// On a machine with more CPUs than that, which may be an emulated one, a CPU may take longer.
const USUAL_CPUS: u64 = 16;

/// Work for several CPUs.
pub(crate) trait Work: Sync {
    /// Does the part of a CPU, by its number; calls [`step`] at least every second.
    fn run(&self, cpu: usize);
}

/// What a CPU is about.
const ABSENT: u8 = 0;
const READY: u8 = 1;
const DONE: u8 = 2; // as in trampoline.s
/// It did not answer in time, and must not any more.
const EXCLUDED: u8 = 3;

/// What is known of a CPU, by its number; the first has number 0.
struct Slot {
    state: AtomicU8,
    apic_id: AtomicU32,
    steps: AtomicU32,
    /// The steps that the watch saw last, and when these had changed.
    seen: AtomicU32,
    changed: AtomicU64,
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(ABSENT),
            apic_id: AtomicU32::new(0),
            steps: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            changed: AtomicU64::new(0),
        }
    }

    fn is(&self, state: u8) -> bool {
        self.state.load(Acquire) == state
    }
}

static SLOTS: [Slot; PROCESSORS] = [const { Slot::new() }; PROCESSORS];
static WORK: Mutex<Option<&'static dyn Work>> = Mutex::new(None);
static HANG_TICKS: AtomicU64 = AtomicU64::new(0);
/// Whether there may be several CPUs at work.
static SEVERAL: AtomicBool = AtomicBool::new(false);

/// The CPUs that answered, with what they stand on.
pub(crate) struct Team {
    called: Vec<Processor, PROCESSORS>,
    /// Their numbers; the first CPU's is among them.
    pub(crate) members: Vec<usize, PROCESSORS>,
}

impl Team {
    /// Returns the first CPU alone.
    pub(crate) fn alone() -> Self {
        SLOTS[0].apic_id.store(Apic::here().id(), Relaxed);
        SLOTS[0].state.store(READY, Release);
        Self { called: Vec::new(), members: Vec::from_iter([0]) }
    }

    /// Calls the other processors, each on a stack from the allocator, and waits until all have answered, or long enough.
    pub(crate) fn call(
        processors: &[Processor],
        trampoline: PhysRange,
        space: &mut AddressSpace,
        buddy: &mut Buddy<'static>,
    ) -> Self {
        let mut team = Self::alone();
        let own = Apic::here();
        for other in processors.iter().filter(|other| other.apic_id != own.id()).take(PROCESSORS - 1) {
            if let Err(error) = map_stack(team.called.len() as u64 + 1, space, buddy) {
                say!("boot: no stack for the CPU with APIC id {}: {error}: going on without it", other.apic_id);
                break;
            }
            let _ = team.called.push(*other); // there is room for every processor
        }
        // SAFETY: (1) The page is boot's by the account, below 1 MiB and so mapped, and nothing else uses it. (2) The code
        // lies between its symbols. (3) No other CPU runs yet that could read the variables.
        unsafe {
            let code = core::slice::from_raw_parts(&raw const trampoline_start, trampoline_bytes());
            phys::bytes_mut(trampoline)[..code.len()].copy_from_slice(code);
            other_cr3 = space.cr3();
            other_stacks = STACKS;
            other_end = team.called.len() as u32 + 1;
        }

        SEVERAL.store(true, Release);
        team.send(own, Command::Init);
        wait(10, || false);
        let others = &SLOTS[1..=team.called.len()];
        let answered = || others.iter().all(|slot| !slot.is(ABSENT));
        for _ in 0..2 {
            // Twice, as the manuals want it; a CPU that has started does not hear the second.
            team.send(own, Command::Start { page: (trampoline.start() / FRAME_BYTES) as u8 });
            wait(1, answered);
        }
        wait(ANSWER_MS, answered);
        for (number, slot) in (1..).zip(others) {
            if slot.state.compare_exchange(ABSENT, EXCLUDED, AcqRel, Acquire).is_err() {
                let _ = team.members.push(number); // there is room for every processor
            }
        }
        for silent in team.called.iter().filter(|called| !team.members().any(|(_, id)| id == called.apic_id)) {
            say!("boot: the CPU with APIC id {} does not answer: going on without it", silent.apic_id);
        }
        team
    }

    /// Returns number and APIC id of each member.
    pub(crate) fn members(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.members.iter().map(|number| (*number, SLOTS[*number].apic_id.load(Relaxed)))
    }

    /// Lets all members do their part of the work at once, and waits for them. It can be called once.
    ///
    /// # Panics
    /// If one makes no step for too long.
    pub(crate) fn run(&self, work: &dyn Work) {
        let now = clock::ticks();
        HANG_TICKS.store(ticks(HANG_MS * (1 + self.members.len() as u64 / USUAL_CPUS)), Relaxed);
        self.members.iter().for_each(|number| SLOTS[*number].changed.store(now, Relaxed));
        // SAFETY: only the lifetime changes. Every CPU that takes the reference is a member, and says that it is done after
        // its last use of it; this function returns after that.
        let shared = unsafe { core::mem::transmute::<&dyn Work, &'static dyn Work>(work) };
        if self.members.len() > 1 {
            *WORK.lock() = Some(shared);
            interrupts::enable(); // for the watch: see `tick`
        }
        work.run(0);
        SLOTS[0].state.store(DONE, Release);
        while !self.members.iter().all(|number| SLOTS[*number].is(DONE)) {
            spin_loop();
        }
        interrupts::disable();
    }

    /// Stops the other CPUs for good, and gives back what they stood on.
    ///
    /// # Errors
    /// What the allocator does not take back.
    pub(crate) fn dismiss(&self, space: &mut AddressSpace, buddy: &mut Buddy<'static>) -> Result<(), buddy::Error> {
        // In the state after a reset a CPU touches no memory at all, until it is called again.
        self.send(Apic::here(), Command::Init);
        wait(10, || false);
        SEVERAL.store(false, Release);
        for number in 1..=self.called.len() as u64 {
            let end = stack_end(number);
            let Some(stack) = space.unmap(end - STACK_BYTES, STACK_BYTES) else { continue };
            buddy.free(stack, STACK_ORDER)?;
        }
        // With that of a CPU whose stack could not be mapped.
        space.clean_up(STACKS, stack_end(self.called.len() as u64 + 1) - STACKS, buddy);
        Ok(())
    }

    fn send(&self, own: Apic, command: Command) {
        self.called.iter().for_each(|called| own.send(called.apic_id, command));
    }
}

/// Returns how far the time-stamp counter gets in so many milliseconds.
fn ticks(milliseconds: u64) -> u64 {
    clock::hz() / 1000 * milliseconds
}

/// Waits until something holds, but no longer than so many milliseconds.
fn wait(milliseconds: u64, holds: impl Fn() -> bool) {
    let end = clock::ticks() + ticks(milliseconds);
    while !holds() && clock::ticks() < end {
        spin_loop();
    }
}

fn map_stack(number: u64, space: &mut AddressSpace, buddy: &mut Buddy<'static>) -> Result<(), MapError> {
    let stack = buddy.allocate(STACK_ORDER).map_err(|_| MapError::OutOfFrames)?;
    let range = PhysRange::from_size(stack.start_address().as_u64(), STACK_BYTES).ok_or(MapError::OutOfFrames)?;
    // SAFETY: just allocated, for this alone; it lies in RAM, which the direct map covers. (In an emulator writing is slow in
    // a page that holds code which has run once: that ends when it is overwritten.)
    unsafe { phys::bytes_mut(range) }.fill(0);
    let mapped = space.map(range, stack_end(number) - STACK_BYTES, Rights::Data, Who::Boot, buddy);
    mapped.inspect_err(|_| _ = buddy.free(stack, STACK_ORDER))
}

fn stack_end(number: u64) -> u64 {
    STACKS + (number + 1) * SLOT_BYTES
}

fn trampoline_bytes() -> usize {
    (&raw const trampoline_end) as usize - (&raw const trampoline_start) as usize
}

/// Where trampoline.s comes to Rust, on a CPU and a stack of its own. Returns where to say that it is done, once it has left
/// the stack.
#[unsafe(no_mangle)]
extern "C" fn other_main(number: u32) -> *const AtomicU8 {
    misbehave::when_called(number as usize);
    let slot = &SLOTS[number as usize];
    let mut segments = MaybeUninit::uninit();
    // SAFETY: the first CPU has done its part long ago. The segments lie on this CPU's own stack; after this function it only
    // stops, which cannot fault.
    unsafe { gate::load(&raw mut segments) };
    if let Err(why) = Cpu::identify().protect() {
        panic!("{why}");
    }
    slot.apic_id.store(Apic::here().id(), Relaxed);
    if slot.state.compare_exchange(ABSENT, READY, AcqRel, Acquire).is_err() {
        return &raw const slot.state; // too late
    }
    let work = loop {
        if let Some(work) = *WORK.lock() {
            break work;
        }
        spin_loop();
    };
    work.run(number as usize);
    &raw const slot.state
}

/// Notes that a CPU gets on with its work.
pub(crate) fn step(cpu: usize) {
    SLOTS[cpu].steps.fetch_add(1, Relaxed);
}

/// The watch: looks whether every CPU that works makes steps. To be called from the timer's interrupt.
///
/// # Panics
/// If one makes none.
pub(crate) fn tick() {
    Apic::here().write(EOI, 0);
    let now = clock::ticks();
    for slot in SLOTS.iter().filter(|slot| slot.is(READY)) {
        let steps = slot.steps.load(Relaxed);
        if slot.seen.swap(steps, Relaxed) != steps {
            slot.changed.store(now, Relaxed);
        } else if now.saturating_sub(slot.changed.load(Relaxed)) > HANG_TICKS.load(Relaxed) {
            panic!("the CPU with APIC id {} hangs", slot.apic_id.load(Relaxed));
        }
    }
}

/// Names the CPU that speaks, if there are several.
pub(crate) struct Here;

impl fmt::Display for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SEVERAL.load(Acquire) { write!(f, "on the CPU with APIC id {}: ", Apic::here().id()) } else { Ok(()) }
    }
}
