// SPDX-License-Identifier: MIT OR Apache-2.0
//! The e820 stage as a program.
#![no_std]
#![no_main]

rt::stage!(e820::Sanitize);
