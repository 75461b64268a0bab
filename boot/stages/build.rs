// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the stage programs, and the example among them, where boot maps them.

fn main() {
    println!("cargo::rerun-if-changed=../rt/stage.ld");
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../rt/stage.ld");
    for programs in ["bins", "examples"] {
        println!("cargo::rustc-link-arg-{programs}=-T{}", script.display());
        println!("cargo::rustc-link-arg-{programs}=-Tdefmt.x");
        println!("cargo::rustc-link-arg-{programs}=--nmagic"); // no page-sized gaps in the file: boot copies the segments
    }
}
