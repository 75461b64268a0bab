// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bootmem explain`: see `bootmem help`.
#![forbid(unsafe_code)]

use clap::Parser as _;
use std::process::ExitCode;
use xtask::{Bootmem, run_bootmem};

fn main() -> ExitCode {
    match run_bootmem(&Bootmem::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("bootmem: {error:#}");
            ExitCode::FAILURE
        }
    }
}
