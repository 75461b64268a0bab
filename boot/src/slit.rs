// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far nodes are from each other, from the ACPI System Locality Information Table.

use crate::acpi::{Acpi, HEADER_BYTES, number};
use handoff::NodeDistances;

/// The distance of a domain from itself.
const LOCAL: u8 = 10;

/// Returns the distances between nodes whose domains are these; those the table does not know are equally far.
///
/// Linux: `acpi_numa_slit_init` (6.1).
///
/// # Errors
/// What is wrong with the table, which then says nothing.
pub(crate) fn distances(acpi: Acpi, domains: &[u32]) -> Result<NodeDistances, &'static str> {
    let mut distances = NodeDistances::even(domains.len());
    let Some(slit) = acpi.find(*b"SLIT") else { return Ok(distances) };

    let (count, matrix) = slit[HEADER_BYTES..].split_at_checked(8).ok_or("it has no size")?;
    let count = usize::try_from(number(count)).unwrap_or(usize::MAX);
    let size = count.checked_mul(count).filter(|size| *size <= matrix.len());
    let matrix = &matrix[..size.ok_or("it is smaller than it says")?];
    let may = |at: usize, distance: u8| if at.is_multiple_of(count + 1) { distance == LOCAL } else { distance > LOCAL };
    if !matrix.iter().enumerate().all(|(at, distance)| may(at, *distance)) {
        return Err("a domain is not 10 from itself, or another is as near");
    }

    let row = |domain: &u32| usize::try_from(*domain).ok().filter(|row| *row < count);
    for (from, from_row) in domains.iter().map(row).enumerate() {
        for (to, to_column) in domains.iter().map(row).enumerate() {
            if let (Some(row), Some(column)) = (from_row, to_column) {
                distances.set(from, to, matrix[row * count + column]);
            }
        }
    }
    Ok(distances)
}
