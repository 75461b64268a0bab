// SPDX-License-Identifier: MIT OR Apache-2.0
//! A crate outside the workspace takes two stages alone: no features, no allocator, nothing it did not ask for.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

const LIBRARY: &str = "
#![no_std]
use buddy::{Buddy, FrameMap, Mode, Piece, Plan};
use handoff::{PhysRange, ZoneSpan};
use memblock::Memblock;

/// Takes a page table from early memory, then hands the rest to the page allocator.
pub fn boot(pieces: &mut [Piece], maps: &mut [FrameMap], zones: &[ZoneSpan]) -> Option<(u64, u64)> {
    let mut early = Memblock::<32>::new();
    early.add(0, 64 << 20).ok()?;
    early.reserve(0, 1 << 20).ok()?;
    let table = early.phys_alloc(4096, 4096).ok()?;

    let plan = Plan::<3>::new(early.memory(), early.reserved(), zones, Mode::Lazy).ok()?;
    let mut buddy = Buddy::new(&plan, pieces, maps).ok()?;
    buddy.hand_over(early.memory(), early.reserved()).ok()?;
    let frame = buddy.allocate(0).ok()?;
    buddy.free(frame, 0).ok()?;
    PhysRange::new(table, table + 4096)?;
    Some((table, buddy.zones()[0].free()))
}
";

#[test]
fn memblock_and_buddy_without_features() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = "[package]\nname = \"outside\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n".to_owned();
    for (name, path) in [("memblock", "memblock"), ("buddy", "buddy"), ("handoff", "boot/handoff")] {
        let path = workspace.join(path);
        writeln!(manifest, "{name} = {{ package = \"bootmem-{name}\", path = {path:?} }}").unwrap();
    }
    fs_err::create_dir(folder.path().join("src")).unwrap();
    fs_err::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    fs_err::write(folder.path().join("src/lib.rs"), LIBRARY).unwrap();
    fs_err::copy(workspace.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let target = workspace.join("target/outside");
    cargo(&["build", "--offline", "--target-dir", target.to_str().unwrap()]);

    let tree = cargo(&["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let unwanted = ["serde", "postcard", "defmt", "crc "];
    let found: Vec<&str> = tree.lines().filter(|line| unwanted.iter().any(|name| line.starts_with(name))).collect();
    assert!(found.is_empty(), "without features there is no {found:?}");
}
