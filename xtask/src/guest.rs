// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine QEMU shows the guest.

use crate::capacity::{self, WIDE_BITS};
use crate::install;
use crate::numa::{Distance, Numa, distance_arguments};
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

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

/// A size of memory in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct MemorySize(pub(crate) u64);

/// In less, OVMF hangs or resets without a word.
const UEFI_LEAST: MemorySize = MemorySize(48 << 20);

impl FromStr for MemorySize {
    type Err = String;

    /// Reads `24M`, `3.5G` or `16T`; without a unit MiB, as QEMU does.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, shift) = match text.char_indices().next_back() {
            Some((i, unit)) if unit.is_ascii_alphabetic() => {
                let power = "KMGT".find(unit.to_ascii_uppercase()).ok_or(format!("`{unit}` is none of K, M, G, T"))?;
                (&text[..i], 10 * (power + 1))
            }
            _ => (text, 20),
        };
        let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
        let bytes = number * (1u64 << shift) as f64;
        // f64 is exact for whole numbers up to 2^53 = 8 PiB, more than any machine can address.
        if !(1.0..=(1u64 << 52) as f64).contains(&bytes) || bytes.fract() != 0.0 || !(bytes as u64).is_multiple_of(4096)
        {
            return Err("expected whole pages of 4 KiB, at most 4096T".to_owned());
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
        let (shift, unit) = units.into_iter().find(|(shift, _)| self.0.is_multiple_of(1 << shift)).unwrap_or((10, 'K'));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

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
                command.args(["-device", "virtio-blk-pci,drive=iso"]).args(ovmf_arguments(directory)?);
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

/// Where distributions keep OVMF: code and variables, or both in one file.
const OVMF: [(&str, Option<&str>); 9] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", Some("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    ("/usr/share/OVMF/OVMF_CODE.fd", Some("/usr/share/OVMF/OVMF_VARS.fd")),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", Some("/usr/share/edk2/ovmf/OVMF_VARS.fd")),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", Some("/usr/share/edk2/x64/OVMF_VARS.4m.fd")),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", Some("/usr/share/edk2-ovmf/x64/OVMF_VARS.fd")),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", Some("/usr/share/qemu/ovmf-x86_64-vars.bin")),
    ("/usr/share/ovmf/OVMF.fd", None),
    ("/usr/share/OVMF/OVMF.fd", None),
    ("/usr/share/qemu/OVMF.fd", None),
];

/// Returns the firmware's code and variables, if they are installed.
pub(crate) fn ovmf() -> Option<(PathBuf, Option<PathBuf>)> {
    let there = |path: &str| Path::new(path).is_file();
    let (code, variables) = OVMF.into_iter().find(|(code, vars)| there(code) && vars.is_none_or(there))?;
    Some((code.into(), variables.map(PathBuf::from)))
}

fn ovmf_arguments(directory: &Path) -> Result<Vec<String>> {
    let (code, variables) = ovmf().context("no OVMF firmware found")?;
    let Some(variables) = variables else {
        return Ok(vec!["-bios".to_owned(), code.display().to_string()]);
    };
    let copy = directory.join("variables.fd");
    fs_err::write(&copy, fs_err::read(variables)?)?;
    let flash = |path: &Path, mode: &str| {
        // QEMU reads a doubled comma as a comma.
        let path = path.display().to_string().replace(',', ",,");
        ["-drive".to_owned(), format!("if=pflash,format=raw{mode},file={path}")]
    };
    Ok([flash(&code, ",readonly=on"), flash(&copy, "")].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("24M", 24 << 20, "24M"),
            ("3.5G", 7 << 29, "3584M"),
            ("16g", 16 << 30, "16G"),
            ("17T", 17 << 40, "17T"),
            ("512", 512 << 20, "512M"),
            ("4100K", 4100 << 10, "4100K"),
        ] {
            let size: MemorySize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for text in ["", "G", "0", "-1G", "1.1G", "4Q", "1e99G", "NaN", "3K"] {
            assert!(text.parse::<MemorySize>().is_err(), "{text}");
        }
    }

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
