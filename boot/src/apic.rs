// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local APIC of the CPU that asks, in either of its modes.

use crate::phys;
use handoff::PhysRange;
use x86_64::registers::model_specific::Msr;

/// Where it is and how it works.
const BASE: Msr = Msr::new(0x1b);
const X2_MODE: u64 = 1 << 10;
const ENABLED: u64 = 1 << 11;

/// Registers.
pub(crate) const TASK_PRIORITY: u32 = 0x80;
pub(crate) const EOI: u32 = 0xb0;
pub(crate) const SPURIOUS: u32 = 0xf0;
pub(crate) const LVT_TIMER: u32 = 0x320;
pub(crate) const LVT_LINT0: u32 = 0x350;
pub(crate) const TIMER_INITIAL: u32 = 0x380;
pub(crate) const TIMER_CURRENT: u32 = 0x390;
pub(crate) const TIMER_DIVIDE: u32 = 0x3e0;
pub(crate) const MASKED: u32 = 1 << 16;

/// The local APIC.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Apic {
    /// Registers in memory.
    Memory(u64),
    /// Registers as MSRs.
    X2,
}

impl Apic {
    /// Returns that of this CPU, in the mode in which the firmware left it.
    pub(crate) fn here() -> Self {
        // SAFETY: every x86-64 CPU has this register.
        let base = unsafe { BASE.read() };
        if base & X2_MODE != 0 { Self::X2 } else { Self::Memory(base & 0x000f_ffff_ffff_f000) }
    }

    /// Switches it on and returns it.
    pub(crate) fn enable() -> Self {
        let mut register = BASE;
        // SAFETY: every x86-64 CPU has this register; bit 11 enables the APIC where the firmware left it.
        unsafe { register.write(register.read() | ENABLED) };
        Self::here()
    }

    /// Returns where a register in memory is mapped.
    fn register(base: u64, register: u32) -> *mut u32 {
        let range = PhysRange::from_size(base + u64::from(register), 4);
        // SAFETY: the direct map covers the first 4 GiB, where the firmware leaves the APIC; only boot uses it. The
        // reference is turned into a pointer at once.
        range.map_or(core::ptr::null_mut(), |range| unsafe { phys::bytes_mut(range) }.as_mut_ptr().cast())
    }

    pub(crate) fn read(self, register: u32) -> u32 {
        match self {
            // SAFETY: an aligned register of a device that boot owns.
            Self::Memory(base) => unsafe { Self::register(base, register).read_volatile() },
            // SAFETY: the register exists in this mode.
            Self::X2 => unsafe { Msr::new(0x800 + (register >> 4)).read() as u32 },
        }
    }

    pub(crate) fn write(self, register: u32, value: u32) {
        match self {
            // SAFETY: an aligned register of a device that boot owns. No value touches memory; a CPU that is told to start does
            // so in the trampoline.
            Self::Memory(base) => unsafe { Self::register(base, register).write_volatile(value) },
            // SAFETY: as above; the register exists in this mode.
            Self::X2 => unsafe { Msr::new(0x800 + (register >> 4)).write(u64::from(value)) },
        }
    }
}
