// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask image`: build the bootable ISO.

use crate::arguments::ImageArgs;
use crate::cargo::image_directory;
use crate::install::{self, Tool};
use crate::programs::{self, Program};
use crate::{iso, progress};
use anyhow::Result;
use std::path::Path;
use tempfile::TempDir;

/// Builds `target/image/bootmem.iso`.
pub(crate) fn run(args: &ImageArgs) -> Result<()> {
    install::ensure(Tool::IMAGE, args.no_install)?;
    let programs = programs::build(args)?;
    let work = work_directory()?;
    let iso = image_directory()?.join("bootmem.iso");
    pack(args, &programs, work.path(), &iso)?;
    progress::step("Finished", format_args!("{}: write it to a USB stick or boot it in a machine", iso.display()));
    Ok(())
}

/// Packs programs and command line into an ISO.
pub(crate) fn pack(args: &ImageArgs, programs: &[Program], work: &Path, iso: &Path) -> Result<()> {
    iso::write(programs, &command_line(args), &work.join("iso"), iso)
}

/// Returns the command line that boot gets.
pub(crate) fn command_line(args: &ImageArgs) -> String {
    match &args.misbehave {
        Some(misbehave) => format!("{} misbehave={}", args.append, misbehave.kind.name()),
        None => args.append.clone(),
    }
}

/// Returns a directory of our own, so that runs do not disturb each other; removed at the end.
pub(crate) fn work_directory() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("run-").tempdir_in(image_directory()?)?)
}
