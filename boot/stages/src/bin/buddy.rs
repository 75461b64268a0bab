// SPDX-License-Identifier: MIT OR Apache-2.0
//! The buddy stage as a program.
#![no_std]
#![no_main]

rt::stage!(buddy::HandOver<memblock::Store>);
