// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of an image, built and stripped.

use crate::arguments::ImageArgs;
use crate::cargo::{Artifact, Cargo, image_directory, workspace};
use crate::manifest::{Manifest, Source};
use crate::misbehave::Misbehave;
use crate::{elf, progress};
use anyhow::{Context as _, Result, anyhow, ensure};
use handoff::StageId;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The most bytes of the stripped boot program and of a stripped stage.
const BOOT_BYTES: usize = 128 << 10;
const STAGE_BYTES: usize = 96 << 10;
/// The same for the boot program that starts all processors.
const SMP_BOOT_BYTES: usize = 256 << 10;
/// What misbehaves if it is no stage.
const BOOT: &str = "boot";
/// Milliseconds a program that is there to misbehave gets: it ends at once, or never.
const HOSTILE_BUDGET_MS: u32 = 1000;
const HOSTILE_STACK_KIB: u32 = 768;

/// A program of the image.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) stage: StageId,
    /// The whole file, which explains the addresses.
    pub(crate) path: PathBuf,
    /// What is in it, which explains the log.
    pub(crate) whole: Vec<u8>,
    /// What goes into the image.
    pub(crate) stripped: Vec<u8>,
    /// What GRUB passes along with a module.
    pub(crate) line: String,
}

/// Builds what the manifest names. The first program is boot, then the stages in their order.
pub(crate) fn build(args: &ImageArgs) -> Result<Vec<Program>> {
    let path = args.manifest.clone().unwrap_or_else(|| workspace().join("boot/image.toml"));
    let mut manifest = Manifest::read(&path)?;
    // Boot is built in several ways, to the same place: nobody else may build until the programs are read.
    let lock = fs_err::File::create(image_directory()?.join("build.lock"))?;
    lock.file().lock()?;
    let mut built = compile(&manifest, features(args))?;
    if let Some(misbehave) = args.misbehave.as_ref().filter(|misbehave| misbehave.stage != BOOT) {
        replace(&mut manifest, &mut built, misbehave)?;
    }

    let boot = load(StageId::BOOT, &manifest.boot, String::new(), &built)?;
    elf::check_multiboot2(&boot.stripped).context("boot")?;
    let stages = manifest.stage.iter().map(|stage| {
        let id = stage.id().ok_or_else(|| anyhow!("no stage `{}`", stage.name))?;
        load(id, &stage.source, stage.module_line(), &built).with_context(|| stage.name.clone())
    });
    let programs = std::iter::once(Ok(boot)).chain(stages).collect::<Result<Vec<_>>>()?;
    let boot_bytes = if features(args).is_empty() { BOOT_BYTES } else { SMP_BOOT_BYTES };
    // A program that is there to lie contains every stage.
    let stage_bytes = if args.misbehave.is_some() { 2 * STAGE_BYTES } else { STAGE_BYTES };
    check_sizes(&programs, boot_bytes, stage_bytes)?;
    Ok(programs)
}

/// Returns what the boot program is to have besides the usual.
fn features(args: &ImageArgs) -> &'static [&'static str] {
    match &args.misbehave {
        Some(misbehave) if misbehave.stage == BOOT => &["bootmem-boot/misbehave"],
        _ if args.smp > 1 => &["bootmem-boot/smp"],
        _ => &[],
    }
}

fn compile(manifest: &Manifest, features: &[&str]) -> Result<Vec<Artifact>> {
    let sources = std::iter::once(&manifest.boot).chain(manifest.stage.iter().map(|s| &s.source));
    let packages: BTreeSet<&str> = sources
        .filter_map(|source| match source {
            Source::Built { package, .. } => Some(package.as_str()),
            Source::Elf { .. } => None,
        })
        .collect();
    if packages.is_empty() {
        return Ok(Vec::new()); // without a package cargo would build all of them
    }
    let features = if packages.contains("bootmem-boot") { features } else { &[] };
    Cargo::new("build").for_image().packages(packages).features(features).artifacts()
}

/// Puts the program that misbehaves so in a stage's place.
fn replace(manifest: &mut Manifest, built: &mut Vec<Artifact>, misbehave: &Misbehave) -> Result<()> {
    let names = manifest.stage.iter().map(|s| s.name.clone()).collect::<Vec<_>>().join(", ");
    let stage = manifest.stage.iter_mut().find(|s| s.name == misbehave.stage);
    let stage = stage.ok_or_else(|| anyhow!("--misbehave: no stage `{}`, there are {names}", misbehave.stage))?;
    let lies = misbehave.kind.name().starts_with("lie-");
    let (package, bin) = if lies { ("bootmem-stages", "liar") } else { ("bootmem-rt", "hostile") };
    built.extend(Cargo::new("build").for_image().package(package).arg("--example").arg(bin).artifacts()?);
    stage.source = Source::Built { package: package.to_owned(), bin: bin.to_owned() };
    stage.budget_ms = stage.budget_ms.min(HOSTILE_BUDGET_MS);
    // One that lies holds two allocators and two hand-offs.
    stage.stack_kib = stage.stack_kib.max(HOSTILE_STACK_KIB);
    Ok(())
}

fn load(stage: StageId, source: &Source, line: String, built: &[Artifact]) -> Result<Program> {
    let path = match source {
        Source::Elf { elf } => elf.clone(),
        Source::Built { package, bin } => {
            let artifact = built.iter().find(|a| a.package == *package && a.name == *bin);
            artifact.ok_or_else(|| anyhow!("package `{package}` has no program `{bin}`"))?.path.clone()
        }
    };
    let whole = fs_err::read(&path)?;
    elf::check_machine(&whole).with_context(|| path.display().to_string())?;
    let stripped = elf::strip(&whole).with_context(|| path.display().to_string())?;
    Ok(Program { stage, path, whole, stripped, line })
}

fn check_sizes(programs: &[Program], boot_bytes: usize, stage_bytes: usize) -> Result<()> {
    let sizes = programs.iter().map(|p| format!("{} {:.1} KiB", p.stage, p.stripped.len() as f64 / 1024.0));
    progress::step("Stripped", sizes.collect::<Vec<_>>().join(", "));
    for program in programs {
        let limit = if program.stage == StageId::BOOT { boot_bytes } else { stage_bytes };
        let size = program.stripped.len();
        ensure!(size < limit, "{}: {size} bytes stripped, the limit is {limit}", program.stage);
    }
    Ok(())
}
