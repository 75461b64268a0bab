// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links boot where GRUB puts it.

fn main() {
    println!("cargo::rerun-if-changed=boot.ld");
    let script = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("boot.ld");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
}
