// SPDX-License-Identifier: MIT OR Apache-2.0
//! `image.toml`: which programs make up the image, in which order and with which rights.

use anyhow::{Context as _, Result, ensure};
use handoff::StageId;
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The image: the boot program and the chain of stages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) boot: Source,
    pub(crate) stage: Vec<StageEntry>,
}

/// Where a program comes from.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "a program is `package` and `bin`, or `elf`")]
pub(crate) enum Source {
    /// A program of this workspace.
    Built { package: String, bin: String },
    /// A finished ELF, relative to the manifest.
    Elf { elf: PathBuf },
}

/// A stage.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Table")]
pub(crate) struct StageEntry {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// Stack in KiB.
    pub(crate) stack_kib: u32,
    /// Time after which the stage is stopped, in milliseconds.
    pub(crate) budget_ms: u32,
    /// Whether it may ask for memory.
    pub(crate) grants: bool,
}

/// A stage as the file spells it. (serde cannot refuse unknown fields beside a flattened enum.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    package: Option<String>,
    bin: Option<String>,
    elf: Option<PathBuf>,
    stack_kib: u32,
    budget_ms: u32,
    #[serde(default)]
    grants: bool,
}

impl TryFrom<Table> for StageEntry {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let source = match (table.package, table.bin, table.elf) {
            (Some(package), Some(bin), None) => Source::Built { package, bin },
            (None, None, Some(elf)) => Source::Elf { elf },
            _ => return Err(format!("stage `{}`: a program is `package` and `bin`, or `elf`", table.name)),
        };
        let Table { name, stack_kib, budget_ms, grants, .. } = table;
        Ok(Self { name, source, stack_kib, budget_ms, grants })
    }
}

impl StageEntry {
    /// Returns what boot reads: the module's command line.
    pub(crate) fn module_line(&self) -> String {
        let mut line = format!("{} stack_kib={} budget_ms={}", self.name, self.stack_kib, self.budget_ms);
        if self.grants {
            let _ = write!(line, " grants");
        }
        line
    }

    /// Returns the number of the stage.
    pub(crate) fn id(&self) -> Option<StageId> {
        StageId::from_name(&self.name).filter(|id| *id != StageId::BOOT)
    }
}

impl Manifest {
    /// Reads a manifest; paths in it become relative to the current directory.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let mut manifest = Self::parse(&text).with_context(|| path.display().to_string())?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let sources = manifest.stage.iter_mut().map(|s| &mut s.source).chain([&mut manifest.boot]);
        for source in sources {
            if let Source::Elf { elf } = source {
                *elf = directory.join(&elf);
            }
        }
        Ok(manifest)
    }

    fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        for (i, stage) in manifest.stage.iter().enumerate() {
            ensure!(stage.id().is_some(), "stage `{}`: the chain has no stage of that name", stage.name);
            ensure!(stage.stack_kib > 0 && stage.budget_ms > 0, "stage `{}`: needs a stack and time", stage.name);
            ensure!(manifest.stage[..i].iter().all(|s| s.name != stage.name), "stage `{}` is there twice", stage.name);
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "boot = { package = \"b\", bin = \"boot\" }\n";

    #[test]
    fn the_image_has_the_whole_chain() {
        let path = crate::cargo::workspace().join("boot/image.toml");
        let manifest = Manifest::read(&path).unwrap();
        let names: Vec<_> = manifest.stage.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["e820", "memblock", "crashkernel", "memmap", "buddy", "successor"]);
        let granted: Vec<_> = manifest.stage.iter().filter(|s| s.grants).map(|s| s.name.as_str()).collect();
        assert_eq!(granted, ["memmap", "buddy", "successor"]);
    }

    #[test]
    fn a_stage_is_built_or_given() {
        let text = format!("{BOOT}[[stage]]\nname = \"e820\"\nelf = \"mine.elf\"\nstack_kib = 64\nbudget_ms = 5\n");
        let manifest = Manifest::parse(&text).unwrap();
        assert_eq!(manifest.stage[0].source, Source::Elf { elf: "mine.elf".into() });
        assert_eq!(manifest.stage[0].module_line(), "e820 stack_kib=64 budget_ms=5");
    }

    #[test]
    fn mistakes_are_named() {
        let stage = |name| format!("[[stage]]\nname = \"{name}\"\nelf = \"x\"\nstack_kib = 1\nbudget_ms = 1\n");
        for (text, word) in [
            (format!("{BOOT}{}", stage("e821")), "e821"),
            (format!("{BOOT}{}", stage("boot")), "no stage of that name"),
            (format!("{BOOT}{0}{0}", stage("e820")), "twice"),
            (stage("e820"), "boot"),
            (format!("{BOOT}{}", stage("e820").replace("elf =", "exe =")), "exe"),
            (format!("{BOOT}{}", stage("e820").replace("elf =", "bin =")), "`package` and `bin`"),
            (format!("{}{}", BOOT.replace("bin", "elf"), stage("e820")), "`package` and `bin`"),
            (format!("{BOOT}{}", stage("e820").replace("stack_kib = 1", "stack_kib = 0")), "stack"),
        ] {
            let error = format!("{:#}", Manifest::parse(&text).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
