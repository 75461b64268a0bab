// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the program where boot maps it.

fn main() {
    println!("cargo::rerun-if-changed=../rt/stage.ld");
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../rt/stage.ld");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    println!("cargo::rustc-link-arg-bins=--nmagic"); // no page-sized gaps in the file: boot copies the segments
}
