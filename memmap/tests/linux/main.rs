// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real Linux boots: every allocation at the same address, every zone and every line of the zone report equal.

mod capture;
#[path = "../early/mod.rs"]
mod early;

use capture::{Compared, compare, compare_pages, distil};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Captures that stand in the repository.
const FIXTURES: [&str; 17] = [
    "e820-unaligned",
    "fuzz-01",
    "kernelcore-512m",
    "mem-numa",
    "memmap-many",
    "movablecore-1g",
    "numa2-fake4",
    "numa2-uneven",
    "numa4-8g",
    "pc-16g",
    "pc-2g-g612",
    "pc-64g",
    "pc-max-6g-la57",
    "pc-odd-1900m",
    "srat-hotplug-movnode",
    "srat-interleave",
    "srat-many-nodes",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).with_extension("json")
}

#[test]
fn fixtures() {
    let mut compared = Compared::default();
    for name in FIXTURES {
        let boot: Value = serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap();
        compare(name, &boot, &mut compared);
    }
    assert!(compared.allocations > 100 && compared.zones > 30 && compared.lines > 200, "{compared:?}");
}

/// All captures in the directory that `BOOTMEM_ORACLE` names.
fn captures() -> Vec<(String, PathBuf)> {
    let Some(directory) = std::env::var_os("BOOTMEM_ORACLE") else { return vec![] };
    let entries = std::fs::read_dir(Path::new(&directory).join("captures")).unwrap().map(|e| e.unwrap());
    let mut captures: Vec<_> = entries
        .map(|e| (e.file_name().into_string().unwrap(), e.path()))
        .filter(|(_, p)| p.join("expected.json").exists())
        .collect();
    captures.sort();
    captures
}

#[test]
fn oracle() {
    let captures = captures();
    if captures.is_empty() {
        eprintln!("skipped: BOOTMEM_ORACLE does not name a directory of captures");
        return;
    }
    let mut compared = Compared::default();
    for (name, path) in &captures {
        compare(name, &distil(path), &mut compared);
        compare_pages(name, path, &mut compared);
    }
    eprintln!("{} captures: {compared:?}", captures.len());
    assert!(compared.frames > 0);
}

/// Distils the fixtures anew: `cargo test -p bootmem-memmap --test linux -- --ignored`, with `BOOTMEM_ORACLE` set.
#[test]
#[ignore = "writes the fixtures"]
fn write_fixtures() {
    for (name, path) in captures().iter().filter(|(name, _)| FIXTURES.contains(&name.as_str())) {
        let mut text = String::from("{\n");
        let boot = distil(path);
        let fields: Vec<_> =
            boot.as_object().unwrap().iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        text += &fields.join(",\n");
        std::fs::write(fixture(name), text + "\n}\n").unwrap();
    }
}
