// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each verb of the command line takes.

use crate::explain::amount;
use crate::guest::{Firmware, MachineType};
use crate::memory_size::MemorySize;
use crate::misbehave::Misbehave;
use crate::numa::{Distance, Numa};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The kernel command line of a boot that names none.
pub(crate) const COMMAND_LINE: &str = "memblock=debug crashkernel=128M,high crashkernel=128M,low";

/// What goes into an image.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Kernel command line
    #[arg(long, value_name = "CMDLINE", default_value = COMMAND_LINE, allow_hyphen_values = true)]
    pub(crate) append: String,
    /// The chain of stages [default: boot/image.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Put a program that misbehaves in a stage's place, e.g. memblock=write-kernel, or let a processor misbehave, e.g.
    /// boot=cpu-hang
    #[arg(long, value_name = "STAGE=KIND")]
    pub(crate) misbehave: Option<Misbehave>,
    /// Processors of the machine; with more than one, boot's larger program starts them all
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) smp: u32,
    /// Do not install missing tools
    #[arg(long)]
    pub(crate) no_install: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QemuArgs {
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// Memory of the machine, e.g. 24M, 3.5G, 16T
    #[arg(long, value_name = "SIZE", default_value = "16G")]
    pub(crate) memory: MemorySize,
    /// Machine type
    #[arg(long, value_enum, default_value_t = MachineType::Pc)]
    pub(crate) machine: MachineType,
    /// Boot by UEFI (OVMF) instead of BIOS
    #[arg(long)]
    uefi: bool,
    /// Nodes over which the memory is spread evenly, or the size of each, e.g. 4 or 3G,1G,0
    #[arg(long, value_name = "NODES", default_value = "1")]
    pub(crate) numa: Numa,
    /// Distances between nodes, e.g. 0-1=21,0-2=31; what is not named is 20
    #[arg(long, value_name = "A-B=N", value_delimiter = ',', requires = "numa")]
    pub(crate) distances: Vec<Distance>,
    /// Seconds after which the guest is stopped [default: 60, none with --gdb]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Write ledger, hand-offs and figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the explanation of the boot, as a page for a browser, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write waterfall and memory map of the boot, as a picture, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Write the encoded hand-offs to this directory, as firmware.bin, e820.bin, ...
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Stop before the first instruction and wait for gdb
    #[arg(long)]
    pub(crate) gdb: bool,
    /// More arguments for QEMU
    #[arg(last = true, value_name = "QEMU ARGUMENTS")]
    pub(crate) more: Vec<String>,
}

impl QemuArgs {
    pub(crate) fn firmware(&self) -> Firmware {
        if self.uefi { Firmware::Uefi } else { Firmware::Bios }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Only what runs on the host
    #[arg(long)]
    pub(crate) host: bool,
    /// Every memory size on every machine, every misbehaviour of every stage
    #[arg(long, conflicts_with = "host")]
    pub(crate) full: bool,
    /// Do not install missing tools
    #[arg(long)]
    pub(crate) no_install: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A kernel's log, a folder with a dmesg.txt, a folder of such folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Show only what is not equal
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A kernel log, a folder of recorded files, - for standard input, an address (0x37000000, 1G) or a word
    /// (crashkernel) [default: this machine]
    #[arg(value_name = "PATH|-|ADDRESS|TERM")]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) what_if: WhatIf,
    /// Write the answer for programs to FILE, or to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    /// Write the waterfall and the map of memory as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Write everything as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

/// What to change, on paper only.
#[derive(Debug, Default, Args)]
pub(crate) struct WhatIf {
    /// What if there were so much memory, e.g. 64G?
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "What if")]
    pub(crate) memory: Option<u64>,
    /// What if crashkernel= were this, e.g. 512M,high? Empty for none
    #[arg(long, value_name = "VALUE", help_heading = "What if")]
    pub(crate) crashkernel: Option<String>,
    /// What if the command line had this too?
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true, help_heading = "What if")]
    pub(crate) append: Option<String>,
    /// What if a page descriptor had so many bytes instead of 64?
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=4096), help_heading = "What if")]
    pub(crate) descriptor: Option<u64>,
    /// What if descriptors were made only where memory is used?
    #[arg(long, help_heading = "What if")]
    pub(crate) lazy: bool,
}

fn size(text: &str) -> Result<u64, String> {
    amount::parse(text)
        .filter(|bytes| *bytes >= 1 << 20)
        .ok_or_else(|| "expected a size from 1M on, e.g. 64G".to_owned())
}

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Colour {
    Auto,
    Always,
    Never,
}

impl From<Colour> for anstream::ColorChoice {
    fn from(colour: Colour) -> Self {
        match colour {
            Colour::Auto => Self::Auto,
            Colour::Always => Self::Always,
            Colour::Never => Self::Never,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Only benches with this in their names
    pub(crate) filter: Option<String>,
    /// Write the figures to this file [default: bench.json in the target directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FuzzArgs {
    /// Which target [default: all, one after another]
    pub(crate) target: Option<String>,
    /// For how long each
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub(crate) seconds: u32,
    /// Do not install missing tools
    #[arg(long)]
    pub(crate) no_install: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MiriArgs {
    /// Do not install missing tools
    #[arg(long)]
    pub(crate) no_install: bool,
}
