// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links boot where GRUB puts it.

fn main() {
    println!("cargo::rerun-if-changed=boot.ld");
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("boot.ld");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    println!("cargo::rustc-link-arg-bins=--nmagic"); // no page-sized gaps in the file: the loader copies the segments
}
