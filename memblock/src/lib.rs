// SPDX-License-Identifier: MIT OR Apache-2.0
//! TBD
#![no_std]
#![forbid(unsafe_code)]
