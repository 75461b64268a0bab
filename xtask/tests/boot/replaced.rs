// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stage is replaced by editing one line of `image.toml`.

use crate::machine::{Boot, image_toml};

#[test]
fn one_line_of_the_manifest_replaces_a_stage() {
    // The same program as a finished file, from wherever cargo put it, stands for somebody else's.
    let normal = Boot::new().with(&["--memory", "512M"]).run().expect(0);
    let built = normal.program("crashkernel");

    let boot = Boot::new();
    boot.file("mine.elf", &fs_err::read(built).unwrap());
    let theirs = image_toml().replace("package = \"bootmem-stages\"\nbin = \"crashkernel\"", "elf = \"mine.elf\"");
    assert_ne!(theirs, image_toml());
    let manifest = boot.file("image.toml", theirs.as_bytes());
    let run = boot.with(&["--memory", "512M", "--manifest", manifest.to_str().unwrap()]).run().expect(0);
    assert_eq!(run.handoff("crashkernel"), normal.handoff("crashkernel"));
    assert_eq!(run.json["programs"]["crashkernel"], manifest.with_file_name("mine.elf").to_str().unwrap());
}

#[test]
fn a_stage_in_the_wrong_place_is_refused_by_name() {
    let swapped = image_toml()
        .replace("bin = \"memblock\"", "bin = \"-\"")
        .replace("bin = \"e820\"", "bin = \"memblock\"")
        .replace("bin = \"-\"", "bin = \"e820\"");
    let boot = Boot::new();
    let manifest = boot.file("image.toml", swapped.as_bytes());
    let run = boot.with(&["--memory", "512M", "--manifest", manifest.to_str().unwrap()]).run().expect(37);
    run.expect_words(&["stage e820 failed", "hand-off of edge 0, expected 1"]);
}

#[test]
fn a_mistake_in_the_manifest_is_an_error_before_anything_runs() {
    let boot = Boot::new();
    let manifest = boot.file("image.toml", image_toml().replace("stack_kib", "stack").as_bytes());
    let run = boot.with(&["--manifest", manifest.to_str().unwrap()]).run().expect(1);
    assert!(run.stderr.contains("image.toml") && run.stderr.contains("stack"), "{}", run.stderr);
}
