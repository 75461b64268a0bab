// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far nodes are from each other.

use crate::MAX_NODES;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The distance of a node from itself. Linux: `LOCAL_DISTANCE` (6.1).
const LOCAL: u8 = 10;
/// The distance of other nodes, if no table says it. Linux: `REMOTE_DISTANCE` (6.1).
const REMOTE: u8 = 20;

/// The distances between all nodes there are, those without memory too; empty on a machine that does not speak of nodes.
///
/// # Invariants
/// A square matrix, row by row: as many rows as nodes. A node is 10 away from itself, others are at least as far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeDistances(Vec<u8, { MAX_NODES * MAX_NODES }>);

impl NodeDistances {
    /// The most bytes postcard needs.
    pub(crate) const BYTES: usize = crate::firmware::VARINT.2 + MAX_NODES * MAX_NODES;

    /// Returns the distances between so many nodes, at most [`MAX_NODES`], when nobody says more.
    ///
    /// Linux: `numa_alloc_distance` (6.1).
    #[must_use]
    pub fn even(nodes: usize) -> Self {
        let nodes = nodes.min(MAX_NODES);
        Self((0..nodes * nodes).map(|at| if at % (nodes + 1) == 0 { LOCAL } else { REMOTE }).collect())
    }

    /// Returns how many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        (0..MAX_NODES).find(|nodes| nodes * nodes >= self.0.len()).unwrap_or(MAX_NODES)
    }

    /// Returns the distances from each node, node after node.
    #[must_use]
    pub fn rows(&self) -> &[u8] {
        &self.0
    }

    /// Sets how far `to` is from `from`; returns whether there are such nodes and a node may be so far from another.
    ///
    /// Linux: `numa_set_distance` (6.1).
    pub fn set(&mut self, from: usize, to: usize, distance: u8) -> bool {
        let nodes = self.nodes();
        match self.0.get_mut(from * nodes + to) {
            Some(place) if to < nodes && is_possible(from, to, distance) => {
                *place = distance;
                true
            }
            _ => false,
        }
    }

    /// Returns whether the invariants hold.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let nodes = self.nodes();
        let mut all = self.0.iter().enumerate();
        nodes * nodes == self.0.len() && all.all(|(at, distance)| is_possible(at / nodes, at % nodes, *distance))
    }
}

fn is_possible(from: usize, to: usize, distance: u8) -> bool {
    if from == to { distance == LOCAL } else { distance >= LOCAL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_square_and_local_is_nearest() {
        let mut two = NodeDistances::even(2);
        assert_eq!((two.nodes(), two.rows()), (2, &[10, 20, 20, 10][..]));
        assert!(two.set(1, 0, 31) && two.is_valid());
        for (from, to, distance) in [(0, 0, 11), (0, 1, 9), (0, 2, 20), (2, 0, 20)] {
            assert!(!two.set(from, to, distance), "{from} {to} {distance}");
        }
        assert_eq!(two.rows(), [10, 20, 31, 10]);
        assert_eq!(NodeDistances::even(99).nodes(), MAX_NODES);
        assert!(NodeDistances::default().is_valid() && NodeDistances::default().nodes() == 0);
        for wrong in [&[10, 20, 20][..], &[11], &[10, 20, 20, 9], &[10, 9, 20, 10]] {
            assert!(!NodeDistances(wrong.iter().copied().collect()).is_valid(), "{wrong:?}");
        }
    }
}
