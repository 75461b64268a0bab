// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one CPU can tell another through its local APIC.

use crate::apic::Apic;
use x86_64::registers::model_specific::Msr;

/// Registers.
const ID: u32 = 0x20;
const COMMAND: u32 = 0x300;
const COMMAND_TARGET: u32 = 0x310;
/// The command register where registers are MSRs.
const X2_COMMAND: u32 = 0x830;
/// In the command register: not delivered yet; and how often that is asked.
const SENDING: u32 = 1 << 12;
const SEND_PATIENCE: u32 = 100_000;

/// What one CPU can tell another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    /// Back to the state after a reset, there to wait.
    Init,
    /// Start in real mode at the beginning of this page.
    Start { page: u8 },
}

impl Apic {
    /// Returns the number by which this CPU is addressed.
    pub(crate) fn id(self) -> u32 {
        match self {
            Self::Memory(_) => self.read(ID) >> 24,
            Self::X2 => self.read(ID),
        }
    }

    /// Sends a command to the CPU of that number, if this mode can address it.
    pub(crate) fn send(self, target: u32, command: Command) {
        let command = match command {
            Command::Init => 0x4500,
            Command::Start { page } => 0x4600 | u32::from(page),
        };
        match self {
            // SAFETY: the register exists in this mode; a CPU that is told to start does so in the trampoline.
            Self::X2 => unsafe { Msr::new(X2_COMMAND).write(u64::from(target) << 32 | u64::from(command)) },
            Self::Memory(_) if target < 0xff => {
                self.write(COMMAND_TARGET, target << 24);
                self.write(COMMAND, command);
                let _ = (0..SEND_PATIENCE).find(|_| self.read(COMMAND) & SENDING == 0);
            }
            Self::Memory(_) => {}
        }
    }
}
