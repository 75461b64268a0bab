// SPDX-License-Identifier: MIT OR Apache-2.0
//! A colour and a letter for each owner, so that a bar can be read without colours too.

use super::model::Owner;
use anstyle::{Color, RgbColor, Style};

/// Returns the colour of an owner. The eight are told apart by people who see fewer colours (Okabe and Ito).
pub(super) fn style(owner: Owner) -> Style {
    let colour = |r, g, b| Style::new().fg_color(Some(Color::Rgb(RgbColor(r, g, b))));
    match owner {
        Owner::All | Owner::Lost => colour(150, 150, 150),
        Owner::Managed => colour(0, 158, 115),
        Owner::CrashKernel | Owner::Swiotlb => colour(213, 94, 0),
        Owner::PageDescriptors | Owner::NodeData => colour(0, 114, 178),
        Owner::KernelImage | Owner::PerCpu => colour(230, 159, 0),
        Owner::Initrd | Owner::HashTables => colour(86, 180, 233),
        Owner::Firmware | Owner::Memblock => colour(204, 121, 167),
        Owner::HugePages | Owner::Cma => colour(240, 228, 66),
        Owner::Unexplained => colour(220, 50, 50),
    }
}

/// Returns the letter that stands for an owner in a bar.
pub(super) const fn letter(owner: Owner) -> char {
    match owner {
        Owner::All => '.',
        Owner::Managed => '#',
        Owner::Firmware => 'f',
        Owner::Lost => 'l',
        Owner::KernelImage => 'k',
        Owner::Initrd => 'i',
        Owner::CrashKernel => 'c',
        Owner::PageDescriptors => 'd',
        Owner::PerCpu => 'p',
        Owner::HashTables => 'h',
        Owner::NodeData => 'n',
        Owner::Swiotlb => 's',
        Owner::Cma => 'm',
        Owner::HugePages => 'g',
        Owner::Memblock => 'o',
        Owner::Unexplained => '?',
    }
}
