// SPDX-License-Identifier: MIT OR Apache-2.0
//! The contract between boot and a stage program: where things are mapped, what can be called, how a program ends.

/// Where a program is linked.
pub const PROGRAM_BASE: u64 = 0x4000_0000;
/// Where [`StartInfo`], the command line and the input hand-off lie, read-only.
pub const INPUT_BASE: u64 = 0x5000_0000;
/// Where the program writes its hand-off, or the text of its failure: [`EXCHANGE_BYTES`](crate::EXCHANGE_BYTES) bytes.
pub const OUTPUT_BASE: u64 = 0x5800_0000;
/// The address after the stack. Below the stack nothing is mapped.
pub const STACK_TOP: u64 = 0x7000_0000;
/// Where granted memory is mapped, range after range.
pub const GRANT_BASE: u64 = 0x80_0000_0000;
/// Where physical address 0 would be seen through a window: 64 TiB, and RAM ends below that.
pub const WINDOW_BASE: u64 = 0x4000_0000_0000;

/// Bytes of command line a stage can be given.
pub const COMMAND_LINE_BYTES: usize = 8192;
/// Bytes mapped at [`INPUT_BASE`].
pub const INPUT_BYTES: usize = size_of::<StartInfo>() + COMMAND_LINE_BYTES + crate::EXCHANGE_BYTES;

/// The interrupt vector of a system call. Number in `rax`, arguments in `rdi` and `rsi`, result in `rax`.
pub const SYSCALL_VECTOR: u8 = 0x80;
/// `exit(status, bytes)`: ends the program; that many bytes of the output count.
pub const SYS_EXIT: u64 = 0;
/// `log(address, bytes)`: sends bytes of defmt frames, at most [`EXCHANGE_BYTES`](crate::EXCHANGE_BYTES).
pub const SYS_LOG: u64 = 1;
/// `grant(base, bytes)`: maps physical memory behind what was granted before and returns its address.
pub const SYS_GRANT: u64 = 2;
/// `window(base, bytes)`: as `grant`, but at [`WINDOW_BASE`] + `base`, so that all windows have one distance.
pub const SYS_WINDOW: u64 = 3;

/// The output is a hand-off.
pub const EXIT_HANDOFF: u64 = 0;
/// The stage failed; the output says why, as text.
pub const EXIT_FAILED: u64 = 1;
/// The stage panicked; the output says where and why, as text.
pub const EXIT_PANICKED: u64 = 2;

/// What a program finds at [`INPUT_BASE`]; the command line and the hand-off follow at once.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartInfo {
    /// Ticks of the time-stamp counter per second.
    pub tsc_hz: u64,
    /// Bytes of the command line.
    pub command_line_bytes: u64,
    /// Bytes of the hand-off.
    pub handoff_bytes: u64,
}
