// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crashkernel stage as a program.
#![no_std]
#![no_main]

rt::stage!(crashkernel::Reserve<memblock::Store>);
