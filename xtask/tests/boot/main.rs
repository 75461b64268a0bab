// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots the image in QEMU. Run by `cargo xtask test`; what is ignored here, by `cargo xtask test --full`.

mod attacks;
mod command_lines;
mod default_boot;
mod endings;
mod lies;
mod machine;
mod misbehaviour;
mod nodes;
mod programs;
mod replaced;
mod scale;
mod sizes;
mod smp;
mod succession;
