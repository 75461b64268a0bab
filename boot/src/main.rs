// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only privileged program: runs the stages, checks every claim they make, adopts the allocator that the last one
//! leaves and says where every byte went.
#![no_std]
#![no_main]

#[cfg(feature = "smp")]
extern crate alloc;

mod acpi;
mod adopt;
mod apic;
mod chain;
mod check;
mod clock;
mod console;
mod cpu;
mod firmware;
mod gate;
mod grants;
mod map;
mod multiboot;
mod paging;
mod phys;
mod pool;
mod port;
mod program;
mod report;
mod runner;
mod slit;
mod smbios;
#[cfg_attr(not(feature = "smp"), path = "alone.rs")]
mod smp;
mod srat;
mod successor;
mod tables;

use chain::{Failed, Surroundings};
use check::Known;
use console::{print, say};
use handoff::{Image, Owner, PhysRange, StageId};
use heapless::Vec;
use port::Exit;
use report::Ticks;

/// Bytes of boot's stack: hand-offs are large and pass through it by value, and so is the allocator's front for all CPUs.
const STACK_BYTES: usize = if cfg!(feature = "smp") { 4 << 20 } else { 1 << 20 };

core::arch::global_asm!(include_str!("entry.s"), stack_bytes = const STACK_BYTES);

/// Where entry.s comes to Rust; the argument is where the loader's information lies.
#[unsafe(no_mangle)]
extern "C" fn main(information: u32) -> ! {
    console::open();
    gate::set_up();
    let before = image_crc();
    let exit = boot(information.into()).map_or_else(|exit| exit, |()| Exit::Success);
    match image_crc() {
        after if after == before => say!("boot: own code and constants unchanged (CRC {after:#010x})"),
        after => {
            say!("boot: failed check: own code and constants changed (CRC {before:#010x}, now {after:#010x})");
            port::exit(Exit::FailedCheck);
        }
    }
    if matches!(exit, Exit::Success) {
        print!("bootmem: success");
    }
    port::exit(exit)
}

/// The whole boot.
///
/// # Errors
/// How to exit; why has been said.
fn boot(information: u64) -> Result<(), Exit> {
    let start = clock::ticks();
    let cpu = cpu::Cpu::identify();
    cpu.protect().map_err(failed)?;
    let clock = clock::Clock::start();
    let loader = multiboot::Loader::read(information).map_err(failed)?;
    say!("bootmem {} (protections: {cpu})", env!("CARGO_PKG_VERSION"));
    say!("Command line: {}", loader.command_line);

    let ram_end = map::ram_end(&loader.map, &loader.command_line);
    let taken: Vec<PhysRange, { handoff::IMAGES }> = loader.images().map(|image| image.range).collect();
    let pool_bytes = pool::Pool::bytes_needed(ram_end, cpu.giant_pages);
    let mut pool = pool::Pool::place(pool_bytes, &loader.map, &taken).ok_or_else(|| {
        failed(format_args!("too little memory: no {pool_bytes} bytes for the boot pool below 4 GiB"))
    })?;
    let space = paging::AddressSpace::boot(ram_end, cpu.giant_pages, &mut pool).map_err(failed)?;
    // SAFETY: made by `AddressSpace::boot`; its tables stay in the pool, which is given back only after the switch to others.
    unsafe { space.activate() };

    let crew = smp::Crew::find(&loader, &taken);
    let placed = [Some(Image { range: pool.range(), owner: Owner::BOOT_POOL }), crew.image()];
    let firmware = firmware::collect(&loader, placed.into_iter().flatten()).map_err(failed)?;
    let known = Known { firmware: &firmware, command_line: &loader.command_line };
    let mut with = Surroundings { known, clock: &clock, pool: &mut pool };
    let first_stage = clock::ticks();
    let mut outcome = chain::run(&loader.programs, &mut with).map_err(stage_failed)?;
    let left = |error| failed(format_args!("what the last stage left: {error}"));
    let mut buddy = adopt::attach(&outcome).map_err(left)?;
    let attached = clock::ticks();
    if let Some(program) = loader.programs.iter().find(|program| program.stage == StageId::SUCCESSOR) {
        buddy = successor::lend(buddy, program, &mut outcome, &mut with).map_err(stage_failed)?;
    }
    let lent = clock::ticks() - attached;

    let pool_peak_bytes = pool.peak_bytes();
    let kernel = adopt::adopt(buddy, &outcome.zones, ram_end, cpu.giant_pages, &firmware.images).map_err(left)?;
    let adopted = clock::ticks() - lent;
    let (kernel, all_cpus) = crew.prove(kernel).map_err(failed)?;
    let ticks = Ticks { start, first_stage, adopted, now: clock::ticks() };
    report::Report { kernel: &kernel, outcome: &outcome, all_cpus, clock: &clock, pool_bytes, pool_peak_bytes, ticks }
        .print()
        .map_err(failed)
}

/// Says which check failed.
fn failed(what: impl core::fmt::Display) -> Exit {
    say!("boot: failed check: {what}");
    Exit::FailedCheck
}

/// Says which stage failed; the chain has said why.
fn stage_failed(Failed(stage): Failed) -> Exit {
    say!("boot: stopped after stage {stage}; nothing it did remains");
    Exit::FailedStage
}

/// Returns the CRC-32 of boot's code and constants.
fn image_crc() -> u32 {
    // SAFETY: code and constants are mapped where they are, and nothing can write to them.
    paging::image_constants().map_or(0, |range| handoff::crc32(unsafe { phys::bytes(range) }))
}
