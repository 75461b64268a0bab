// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the example program like a stage.

fn main() {
    println!("cargo::rerun-if-changed=stage.ld");
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("stage.ld");
    println!("cargo::rustc-link-arg-examples=-T{}", script.display());
    println!("cargo::rustc-link-arg-examples=-Tdefmt.x");
    println!("cargo::rustc-link-arg-examples=--nmagic"); // no page-sized gaps in the file: boot copies the segments
}
