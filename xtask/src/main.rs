// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: see `cargo xtask help`.
#![forbid(unsafe_code)]

use clap::Parser as _;
use std::process::ExitCode;
use xtask::{Cli, run};

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
