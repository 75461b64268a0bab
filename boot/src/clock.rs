// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time: the time-stamp counter, and the local APIC's timer that interrupts a program every few milliseconds.

use crate::apic::{self, Apic};
use crate::console::say;
use crate::gate::{SPURIOUS_VECTOR, TIMER_VECTOR};
use crate::port;
use core::arch::x86_64::{__cpuid, _rdtsc};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Ticks of the time-stamp counter per second; 0 before [`Clock::start`].
static TSC_HZ: AtomicU64 = AtomicU64::new(0);

/// Returns the time-stamp counter.
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction, and ring 0 may use it.
    unsafe { _rdtsc() }
}

/// Returns its ticks per second; 0 before [`Clock::start`].
pub(crate) fn hz() -> u64 {
    TSC_HZ.load(Relaxed)
}

/// The time since the counter started, as the kernel log prints it.
pub(crate) struct Stamp;

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hz = hz();
        let microseconds = if hz == 0 { 0 } else { microseconds(ticks(), hz) };
        write!(f, "[{:5}.{:06}] ", microseconds / 1_000_000, microseconds % 1_000_000)
    }
}

/// Returns how long so many ticks take.
pub(crate) fn microseconds(ticks: u64, hz: u64) -> u64 {
    let hz = hz.max(1);
    ticks / hz * 1_000_000 + ticks % hz * 1_000_000 / hz
}

/// Frequency of the 8254 timer.
const PIT_HZ: u64 = 1_193_182;
/// How long the other clocks are measured against it, in its ticks: 10 ms.
const PIT_TICKS: u16 = (PIT_HZ / 100) as u16;
/// Reads of the timer after which it counts as absent.
const PIT_PATIENCE: u32 = 1_000_000;
/// Interrupts per second.
const TICKS_PER_SECOND: u32 = 100;

/// The timer starts anew each time.
const PERIODIC: u32 = 1 << 17;

/// The running clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Ticks of the time-stamp counter per second.
    pub(crate) tsc_hz: u64,
    apic: Apic,
}

impl Clock {
    /// Measures the time-stamp counter and starts the interrupts.
    pub(crate) fn start() -> Self {
        port::write(0x21, 0xff); // no interrupts from the old controllers
        port::write(0xa1, 0xff);

        let apic = Apic::enable();
        apic.write(apic::SPURIOUS, 1 << 8 | u32::from(SPURIOUS_VECTOR));
        // Nothing but the timer interrupts a program, whatever device the firmware left running.
        apic.write(apic::TASK_PRIORITY, u32::from(TIMER_VECTOR) - 16);
        apic.write(apic::LVT_LINT0, apic::MASKED);

        apic.write(apic::TIMER_DIVIDE, 0b1011); // by 1
        apic.write(apic::LVT_TIMER, apic::MASKED | u32::from(TIMER_VECTOR));
        apic.write(apic::TIMER_INITIAL, u32::MAX);
        let (tsc_hz, apic_hz) = match measure(apic) {
            Some((tsc, bus)) => (tsc * PIT_HZ / u64::from(PIT_TICKS), bus * PIT_HZ / u64::from(PIT_TICKS)),
            None => by_cpuid(),
        };
        TSC_HZ.store(tsc_hz, Relaxed);

        apic.write(apic::LVT_TIMER, PERIODIC | u32::from(TIMER_VECTOR));
        apic.write(apic::TIMER_INITIAL, (apic_hz / u64::from(TICKS_PER_SECOND)).clamp(1, u64::from(u32::MAX)) as u32);
        Self { tsc_hz, apic }
    }

    /// Allows the next interrupt.
    pub(crate) fn acknowledge(&self) {
        self.apic.write(apic::EOI, 0);
    }
}

/// Returns the frequencies of the time-stamp counter and of the APIC's timer as the CPU says, or guesses on the side on
/// which a program has more time than its budget.
fn by_cpuid() -> (u64, u64) {
    let leaf = |number| Some(__cpuid(number)).filter(|_| number <= __cpuid(0).eax);
    let crystal = leaf(0x15).filter(|leaf| leaf.eax != 0 && leaf.ebx != 0 && leaf.ecx != 0);
    let exact = crystal.map(|leaf| u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax));
    let core_mhz = leaf(0x16).map_or(0, |leaf| leaf.eax & 0xffff);
    let rounded = Some(u64::from(core_mhz) * 1_000_000).filter(|hz| *hz > 0);
    let known = exact.or(rounded);
    if known.is_none() {
        say!("boot: no 8254, and the CPU does not say its frequency: all times are guesses");
    }
    (known.unwrap_or(5_000_000_000), crystal.map_or(100_000_000, |leaf| leaf.ecx.into()))
}

/// Returns how far the time-stamp counter and the APIC's timer get while the 8254 counts 10 ms, if there is one.
fn measure(apic: Apic) -> Option<(u64, u64)> {
    let [low, high] = PIT_TICKS.to_le_bytes();
    port::write(0x61, port::read(0x61) & !2 | 1); // gate of counter 2 on, speaker off
    port::write(0x43, 0b1011_0000); // counter 2, both bytes, count down once
    port::write(0x42, low);
    port::write(0x42, high);
    if port::read(0x61) & 0x20 != 0 {
        return None; // the output is low while it counts; nobody answers with all ones
    }

    let (tsc, bus) = (ticks(), apic.read(apic::TIMER_CURRENT));
    (0..PIT_PATIENCE).find(|_| port::read(0x61) & 0x20 != 0)?;
    Some((ticks() - tsc, u64::from(bus.wrapping_sub(apic.read(apic::TIMER_CURRENT)))))
}
