// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far nodes are from each other.

use crate::{Buddy, Error};
use core::fmt;
use handoff::ZoneKind;

/// The distance of a node from itself. Linux: `LOCAL_DISTANCE` (6.1).
pub const LOCAL_DISTANCE: u8 = 10;
/// The distance of nodes that no table knows. Linux: `REMOTE_DISTANCE` (6.1).
pub const REMOTE_DISTANCE: u8 = 20;

/// The distances between nodes: a square matrix, row by row, as in the ACPI table SLIT.
///
/// Nodes outside of it are [`REMOTE_DISTANCE`] away; an empty matrix means that all are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Distances<'m> {
    nodes: usize,
    matrix: &'m [u8],
}

impl<'m> Distances<'m> {
    /// Returns the distances between `nodes` nodes, numbered from 0.
    ///
    /// # Errors
    /// [`Error::Distances`] if the matrix has another size; [`Error::Distance`] if a node is not [`LOCAL_DISTANCE`] from
    /// itself, or another one is nearer. Linux: `numa_set_distance` (6.1); emulated nodes may be as near as the own one.
    pub fn new(nodes: usize, matrix: &'m [u8]) -> Result<Self, Error> {
        if nodes.checked_mul(nodes) != Some(matrix.len()) || nodes > usize::from(u16::MAX) {
            return Err(Error::Distances { nodes, given: matrix.len() });
        }
        for (at, distance) in matrix.iter().copied().enumerate() {
            let (from, to) = ((at / nodes) as u16, (at % nodes) as u16);
            if distance < LOCAL_DISTANCE || (from == to && distance != LOCAL_DISTANCE) {
                return Err(Error::Distance { from, to, distance });
            }
        }
        Ok(Self { nodes, matrix })
    }

    /// Returns how far `to` is from `from`. Linux: `node_distance` (6.1).
    #[must_use]
    pub fn between(&self, from: u16, to: u16) -> u8 {
        let (row, column) = (usize::from(from), usize::from(to));
        match self.matrix.get(row * self.nodes + column) {
            Some(distance) if column < self.nodes => *distance,
            _ if from == to => LOCAL_DISTANCE,
            _ => REMOTE_DISTANCE,
        }
    }
}

impl<const Z: usize> Buddy<'_, Z> {
    /// Sets the order in which nodes are tried when the wanted one has nothing: the nearest first.
    ///
    /// `nodes` are all there are, ascending, those without memory too. Among equally near ones, those with a higher number
    /// than the wanted one come first, then those that fewer others fall back to. Before the first call it is by number,
    /// round from the wanted one; with equal distances that is the same. Linux: `build_zonelists` (6.1).
    ///
    /// # Errors
    /// [`Error::Capacity`] for more nodes than zones fit. Then the order is what it was.
    pub fn set_distances(&mut self, nodes: &[u16], distances: Distances<'_>) -> Result<(), Error> {
        self.zonelist.order(nodes, distances)
    }

    /// Returns the nodes with memory in the order in which requests that prefer `node` try them.
    pub fn fallback_order(&self, node: u16) -> impl Iterator<Item = u16> {
        self.zonelist.nodes_from(Some(node))
    }

    /// Returns the indexes of the zones that a request for `node` up to `zone` may use, in the order in which it tries them.
    ///
    /// Linux: a `zonelist` (6.1).
    pub fn zonelist(&self, node: u16, zone: ZoneKind) -> impl Iterator<Item = usize> {
        self.zonelist.candidates(crate::Request::order(0).prefer(node).zone(zone))
    }
}

/// The line that Linux prints for a node: `Fallback order for Node 0: 0 1 `, with nodes that have memory only.
///
/// Linux: `build_zonelists` (6.1), which starts with the node itself even if that has none.
pub struct FallbackOrder<'b, 'p, const Z: usize>(pub &'b Buddy<'p, Z>, pub u16);

impl<const Z: usize> fmt::Display for FallbackOrder<'_, '_, Z> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fallback order for Node {}: ", self.1)?;
        self.0.fallback_order(self.1).try_for_each(|node| write!(f, "{node} "))
    }
}

impl<const Z: usize> fmt::Debug for FallbackOrder<'_, '_, Z> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_square_and_local_is_nearest() {
        let new = |nodes, matrix: &[u8]| Distances::new(nodes, matrix).map(|_| ());
        assert_eq!(new(2, &[10, 20, 20, 10]), Ok(()));
        assert_eq!(new(0, &[]), Ok(()));
        assert_eq!(new(2, &[10, 20, 20]), Err(Error::Distances { nodes: 2, given: 3 }));
        assert_eq!(new(usize::MAX, &[10]), Err(Error::Distances { nodes: usize::MAX, given: 1 }));
        for (matrix, from, to, distance) in
            [([11, 20, 20, 10], 0, 0, 11), ([10, 20, 20, 9], 1, 1, 9), ([10, 9, 20, 10], 0, 1, 9)]
        {
            assert_eq!(new(2, &matrix), Err(Error::Distance { from, to, distance }));
        }
        let two = Distances::new(2, &[10, 21, 22, 10]).unwrap();
        assert_eq!(
            [(0, 1), (1, 0), (1, 1), (0, 2), (3, 0), (7, 7)].map(|(a, b)| two.between(a, b)),
            [21, 22, 10, 20, 20, 10]
        );
    }
}
