// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots the image in QEMU. Run by `cargo xtask test`; what is ignored here, by `cargo xtask test --full`.

mod command_lines;
mod default_boot;
mod endings;
mod machine;
mod misbehaviour;
mod replaced;
mod sizes;
