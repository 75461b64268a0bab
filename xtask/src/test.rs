// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: on the host, then in QEMU.

use crate::arguments::TestArgs;
use crate::cargo::{Cargo, target_directory};
use crate::ci::{LIBRARIES, OWN_FEATURES};
use crate::install::{self, Tool};
use crate::progress::{skipped, timed};
use anyhow::Result;

/// Runs the tests.
pub(crate) fn run(args: &TestArgs) -> Result<()> {
    if let Err(error) = install::ensure_tools(&[Tool::Chromium], args.no_install) {
        skipped("opening the pages in a browser", &error.to_string());
    }
    timed("host tests", host)?;
    if args.host {
        skipped("image tests", "--host");
        return Ok(());
    }
    install::ensure(Tool::ALL, args.no_install)?;
    timed("image tests", || image(args))
}

/// Every test of a plain `cargo test` - that is with the feature `serde`, which xtask asks of all crates - then those of the
/// features that single libraries have, and the unit tests of each library as a user gets it who asks for nothing.
fn host() -> Result<()> {
    Cargo::new("test").run()?;
    for (library, features) in OWN_FEATURES {
        Cargo::new("test").package(library).features(features).run()?;
    }
    Cargo::new("test").arg("--lib").packages(LIBRARIES).run()?;
    models()
}

/// The allocator's front for several CPUs, in every order in which two of them can meet. What loom watches is built apart.
fn models() -> Result<()> {
    let cargo = Cargo::new("test").package("bootmem-buddy").features(&["spin"]).arg("--lib").arg("shared::models");
    let directory = target_directory().join("loom").display().to_string();
    cargo.arg("--target-dir").arg(directory).env("RUSTFLAGS", "--cfg loom").run()
}

/// The tests that boot the image. Few at a time: each runs a machine.
fn image(args: &TestArgs) -> Result<()> {
    let mut cargo = Cargo::new("test").package("xtask").arg("--test").arg("boot").last("--test-threads=2");
    if args.full {
        cargo = cargo.last("--include-ignored");
    } else {
        skipped("the full matrix of memory sizes, machines and misbehaviours", "--full runs it");
    }
    cargo.run()
}
