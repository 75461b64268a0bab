// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine QEMU shows the guest.

use crate::capacity::{self, WIDE_BITS};
use crate::memory_size::MemorySize;
use crate::numa::{Distance, Numa, distance_arguments};
use crate::{install, ovmf};
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use std::fmt;
use std::path::Path;
use std::process::Command;

/// Machine type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum MachineType {
    /// i440FX, 1996
    Pc,
    /// Q35, 2009
    Q35,
}

impl fmt::Display for MachineType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pc => "pc",
            Self::Q35 => "q35",
        })
    }
}

/// What boots the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Firmware {
    Bios,
    Uefi,
}

/// In less, OVMF hangs or resets without a word.
const UEFI_LEAST: MemorySize = MemorySize(48 << 20);

/// A machine.
#[derive(Debug)]
pub(crate) struct Guest<'a> {
    pub(crate) machine: MachineType,
    pub(crate) firmware: Firmware,
    pub(crate) memory: MemorySize,
    pub(crate) smp: u32,
    pub(crate) numa: &'a Numa,
    pub(crate) distances: &'a [Distance],
    pub(crate) iso: &'a Path,
    /// Where COM1 goes.
    pub(crate) serial: &'a Path,
    pub(crate) more: &'a [String],
}

impl Guest<'_> {
    /// Returns the command that runs the machine, whose standard output is the debug channel. What a firmware writes to
    /// its variables goes to `directory`.
    pub(crate) fn command(&self, directory: &Path) -> Result<Command> {
        let qemu = install::find(&["qemu-system-x86_64"]).context("qemu-system-x86_64 is not installed")?;
        let Self { machine, memory, smp, .. } = *self;
        let mut command = Command::new(qemu);

        // TCG, even where KVM exists: the same everywhere, and nested KVM is known to abort.
        let bits = if capacity::is_wide(memory) { format!(",phys-bits={WIDE_BITS}") } else { String::new() };
        command.args(["-accel", "tcg", "-cpu"]).arg(format!("max{bits}"));
        command.arg("-machine").arg(machine.to_string());
        command.arg("-m").arg(memory.to_string());
        command.args(self.memory_arguments()?);
        // A socket for each, which QEMU spreads over the nodes.
        command.arg("-smp").arg(format!("{smp},sockets={smp}"));
        command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        command.args(["-debugcon", "stdio"]);
        command.arg("-serial").arg(format!("file:{}", self.serial.display()));
        match self.firmware {
            Firmware::Bios => {
                command.arg("-cdrom").arg(self.iso);
            }
            // As a disk: the UEFI driver for an emulated CD drive gives up on a read when the host is busy.
            Firmware::Uefi => {
                let iso = self.iso.display().to_string().replace(',', ",,");
                command.arg("-drive").arg(format!("file={iso},format=raw,if=none,id=iso,readonly=on"));
                command.args(["-device", "virtio-blk-pci,drive=iso"]).args(ovmf::arguments(directory)?);
            }
        }
        command.args(self.more);
        Ok(command)
    }

    /// Returns what makes up the memory. `reserve=off`: a guest may have more than the host, as long as it does not touch
    /// it.
    fn memory_arguments(&self) -> Result<Vec<String>> {
        let object =
            |id: &str, size| ["-object".to_owned(), format!("memory-backend-ram,id={id},size={size},reserve=off")];
        if *self.numa == Numa::Even(1) {
            let backend = ["-machine".to_owned(), "memory-backend=ram".to_owned()];
            return Ok([backend, object("ram", self.memory)].concat());
        }

        let sizes = self.numa.sizes(self.memory)?;
        let node = |(node, size): (usize, &u64)| match size {
            0 => vec!["-numa".to_owned(), format!("node,nodeid={node}")],
            size => {
                let id = format!("ram{node}");
                let numa = ["-numa".to_owned(), format!("node,nodeid={node},memdev={id}")];
                [object(&id, MemorySize(*size)), numa].concat()
            }
        };
        let nodes = sizes.iter().enumerate().flat_map(node);
        Ok(nodes.chain(distance_arguments(sizes.len(), self.distances)?).collect())
    }

    /// Returns a warning for a machine that cannot start.
    pub(crate) fn doubt(&self) -> Option<String> {
        (self.firmware == Firmware::Uefi && self.memory < UEFI_LEAST).then(|| {
            format!("UEFI firmware (OVMF) does not start in {}; it needs {UEFI_LEAST}. BIOS does.", self.memory)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_larger_than_its_processor_can_address_gets_a_wider_one() {
        if install::find(&["qemu-system-x86_64"]).is_none() {
            eprintln!("no QEMU here: nothing to ask for its command line");
            return;
        }
        let line = |memory: &str, numa| {
            let guest = Guest {
                machine: MachineType::Q35,
                firmware: Firmware::Bios,
                memory: memory.parse().unwrap(),
                smp: 2,
                numa: &Numa::Even(numa),
                distances: &[],
                iso: Path::new("a.iso"),
                serial: Path::new("s"),
                more: &["-S".to_owned()],
            };
            format!("{:?}", guest.command(Path::new("/nowhere")).unwrap())
        };
        assert!(line("16T", 1).contains("max,phys-bits=46"));
        assert!(!line("16G", 1).contains("phys-bits"));
        assert!(line("16G", 1).contains(r#""-m" "16G" "-machine" "memory-backend=ram" "-object""#));
        assert!(line("16G", 1).ends_with(r#""-S""#));
        assert!(!line("16G", 2).contains("memory-backend=ram\""));
        for word in ["id=ram0,size=3413M,", "id=ram2,size=3414M,", "node,nodeid=2,memdev=ram2"] {
            assert!(line("10G", 3).contains(word), "{word}");
        }
    }
}
