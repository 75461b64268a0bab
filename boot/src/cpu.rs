// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this CPU can do, and switching its protections on.

use core::arch::x86_64::__cpuid_count;
use x86_64::registers::control::{Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::Msr;

/// The code segment that `sysenter` loads; 0 makes the instruction a fault.
const SYSENTER_CS: u32 = 0x174;

/// What matters of CPUID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub(crate) giant_pages: bool,
    nx: bool,
    smep: bool,
    smap: bool,
    umip: bool,
}

impl Cpu {
    /// Returns what this CPU can do.
    pub(crate) fn identify() -> Self {
        let leaf = |leaf, register: fn(core::arch::x86_64::CpuidResult) -> u32| {
            if leaf <= __cpuid_count(leaf & 0x8000_0000, 0).eax { register(__cpuid_count(leaf, 0)) } else { 0 }
        };
        let (extended, ebx, ecx) = (leaf(0x8000_0001, |r| r.edx), leaf(7, |r| r.ebx), leaf(7, |r| r.ecx));
        Self {
            giant_pages: extended & 1 << 26 != 0,
            nx: extended & 1 << 20 != 0,
            smep: ebx & 1 << 7 != 0,
            smap: ebx & 1 << 20 != 0,
            umip: ecx & 1 << 2 != 0,
        }
    }

    /// Switches on every protection the CPU has, and off every door to ring 0 but the gate: entry.s has cleared the rest.
    ///
    /// # Errors
    /// A CPU without NX, on which data could be executed.
    pub(crate) fn protect(&self) -> Result<(), &'static str> {
        if !self.nx {
            return Err("this CPU cannot keep data from being executed (no NX, or switched off in the firmware)");
        }
        let wanted = [
            (self.smep, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
            (self.smap, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
            (self.umip, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        ];
        let flags: Cr4Flags = wanted.into_iter().filter(|(has, _)| *has).map(|(_, flag)| flag).collect();
        // SAFETY: (1) NX only gives a meaning to a bit that no page table in use has set. (2) The CR4 bits exist, as CPUID
        // says, and forbid what boot never does: execute or touch pages of ring 3 through a program's mapping. (3) Every
        // x86-64 CPU has machine checks, for which the gate has a vector, and the register of `sysenter`, which 0 disables.
        unsafe {
            Efer::update(|efer| efer.insert(EferFlags::NO_EXECUTE_ENABLE));
            Cr4::update(|cr4| cr4.insert(flags | Cr4Flags::MACHINE_CHECK_EXCEPTION));
            Msr::new(SYSENTER_CS).write(0);
        }
        Ok(())
    }
}

/// The protections in use, in the words of /proc/cpuinfo.
impl core::fmt::Display for Cpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = [(self.nx, "nx"), (self.smep, "smep"), (self.smap, "smap"), (self.umip, "umip")];
        let mut names = names.into_iter().filter(|(has, _)| *has).map(|(_, name)| name);
        f.write_str(names.next().unwrap_or("none"))?;
        names.try_for_each(|name| write!(f, " {name}"))
    }
}
