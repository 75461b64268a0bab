// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verbs of the command line.

use crate::arguments::{BenchArgs, ExplainArgs, FuzzArgs, ImageArgs, MiriArgs, QemuArgs, ReplayArgs, TestArgs};
use crate::{bench, ci, explain, image, nightly, qemu, replay, test};
use anyhow::Result;
use clap::{Parser, Subcommand};

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
}
