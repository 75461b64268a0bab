// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use crate::guest::{Firmware, MachineType, MemorySize};
use crate::numa::{Distance, Numa};
use crate::{bench, ci, explain, image, nightly, qemu, replay, test};
use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// The kernel command line of a boot that names none.
pub(crate) const COMMAND_LINE: &str = "memblock=debug crashkernel=128M,high crashkernel=128M,low";

/// What `cargo xtask` was asked to do.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The command of bootmem")]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build the image, boot it in QEMU and show its log and where every byte of memory went
    ///
    /// Exit status: 0 success, 35 a check failed, 36 the guest reset or powered off, 37 a stage failed, 38 the loader
    /// could not load the image, 124 timeout, 1 anything before the guest ran.
    Qemu(QemuArgs),
    /// Build the bootable ISO only
    Image(ImageArgs),
    /// Run the tests on the host, then those that boot the image
    Test(TestArgs),
    /// Run the crates through recorded boots of Linux and compare every decision
    ///
    /// Exit status: 0 everything compared is equal, 1 something differs, 2 a log could not be used.
    Replay(ReplayArgs),
    /// Explain where the memory of this or a recorded machine went
    ///
    /// Exit status: 0 explained, 2 nothing in the record is about memory, 1 anything else.
    Explain(ExplainArgs),
    /// Run our benches beside their peers and print one table
    Bench(BenchArgs),
    /// Fuzz what reads input and what has a model (nightly compiler)
    Fuzz(FuzzArgs),
    /// Run small tests in Miri, which notices undefined behaviour and data races (nightly compiler)
    Miri(MiriArgs),
    /// Check format, lints, features, documentation and dependencies (the tests are `test`)
    Ci,
}

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

/// What `bootmem` was asked to do.
#[derive(Debug, Parser)]
#[command(name = "bootmem", about = "Where did the memory go?")]
pub struct Bootmem {
    #[command(subcommand)]
    verb: BootmemVerb,
}

#[derive(Debug, Subcommand)]
enum BootmemVerb {
    /// Explain where the memory of this or a recorded machine went
    ///
    /// Exit status: 0 explained, 2 nothing in the record is about memory, 1 anything else.
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A kernel log, a folder of recorded files, - for standard input, an address (0x37000000, 1G) or a word
    /// (crashkernel) [default: this machine]
    #[arg(value_name = "PATH|-|ADDRESS|TERM")]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) what_if: explain::WhatIf,
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
    /// Write the figures to this file
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

/// A stage and what the program in its place does wrong.
#[derive(Clone, Debug)]
pub(crate) struct Misbehave {
    pub(crate) stage: String,
    pub(crate) kind: Misbehaviour,
}

/// What a hostile program knows to do, by its name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Misbehaviour {
    WriteKernel,
    ReadKernel,
    ExecuteData,
    Privileged,
    Spin,
    DeepRecursion,
    GarbageOutput,
    OversizeOutput,
    BadGrant,
    BadLog,
    BadSyscall,
    BadExit,
    Read,
    Write,
    Jump,
    Log,
    Grant,
    Interrupt,
    Instruction,
    Flags,
    Stack,
    Forge,
    CpuSilent,
    CpuFault,
    CpuOverflow,
    CpuPanic,
    CpuHang,
    CpuKeep,
    CpuScribble,
    LieOfRam,
    LieOfImages,
    LieOfNodes,
    LieOfAccount,
    LieOfReservation,
    LieOfCrash,
    LieOfPlace,
    LieOfOwn,
    LieOfCycle,
    LieOfLink,
    LieOfBlock,
    LieOfZone,
    LieOfSection,
    LieOfLedger,
    LieOfOwner,
    LieOfFrame,
    Panic,
}

impl FromStr for Misbehave {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (stage, kind) = text.split_once('=').ok_or("expected STAGE=KIND")?;
        let names = || Misbehaviour::value_variants().iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
        let kind = Misbehaviour::from_str(kind, false).map_err(|_| format!("`{kind}` is none of {}", names()))?;
        Ok(Self { stage: stage.to_owned(), kind })
    }
}

impl Misbehaviour {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }
}

/// Does what `cli` says and returns the exit status.
///
/// # Errors
/// Everything that kept it from being done, in words for the user.
pub fn run(cli: &Cli) -> Result<u8> {
    match &cli.verb {
        Verb::Qemu(args) => Ok(qemu::run(args)?.status()),
        Verb::Image(args) => image::run(args).map(|()| 0),
        Verb::Test(args) => test::run(args).map(|()| 0),
        Verb::Replay(args) => replay::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Bench(args) => bench::run(args).map(|()| 0),
        Verb::Fuzz(args) => nightly::fuzz(args).map(|()| 0),
        Verb::Miri(args) => nightly::miri(args).map(|()| 0),
        Verb::Ci => ci::run().map(|()| 0),
    }
}

/// Does what `bootmem` was asked to do and returns the exit status.
///
/// # Errors
/// Everything that kept it from being done, in words for the user.
pub fn run_bootmem(cli: &Bootmem) -> Result<u8> {
    match &cli.verb {
        BootmemVerb::Explain(args) => explain::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
        Bootmem::command().debug_assert();
    }

    #[test]
    fn misbehave_names_what_it_knows() {
        let parsed: Misbehave = "memblock=write-kernel".parse().unwrap();
        assert_eq!((parsed.stage.as_str(), parsed.kind.name().as_str()), ("memblock", "write-kernel"));
        assert!("memblock".parse::<Misbehave>().is_err());
        assert!("memblock=nice".parse::<Misbehave>().unwrap_err().contains("deep-recursion"));
    }
}
