// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the memory of a machine went.

pub(crate) mod model;
pub(crate) mod own_boot;
pub(crate) mod picture;
