// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memmap stage as a program.
#![no_std]
#![no_main]

rt::stage!(memmap::Initialize<memblock::Store>);
