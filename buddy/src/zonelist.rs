// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which zone a frame belongs to, and in which order zones are tried.

use crate::runs::MAX_PFN;
use crate::{Distances, Error, Node, Request};
use core::ops::Range;
use handoff::{ZoneKind, ZoneSpan};
use heapless::Vec;

/// The zones by node and, within a node, from the highest to the lowest; and in which order nodes are tried.
///
/// Without distances, other nodes follow by number, round from the wanted one; with equal distances that is Linux's
/// order as well.
///
/// Linux: `build_zonelists` (6.1).
#[derive(Debug)]
pub(crate) struct Zonelist<const Z: usize> {
    entries: Vec<Entry, Z>,
    nodes: Vec<NodeZones, Z>,
    /// For a node, with or without memory: the indexes in `nodes` in the order of distance.
    orders: Vec<(u16, [u8; Z]), Z>,
}

/// A node with memory, and where its zones lie in `entries`.
#[derive(Clone, Copy, Debug)]
struct NodeZones {
    node: u16,
    first: u16,
    zones: u16,
}

/// A zone: its place in the order, and its index in the table of zones.
#[derive(Clone, Copy, Debug)]
struct Entry {
    rank: u32,
    zone: u16,
}

const fn rank(node: u16, kind: ZoneKind) -> u32 {
    (node as u32) << 8 | (u8::MAX - kind.0) as u32
}

impl<const Z: usize> Zonelist<Z> {
    pub(crate) fn new<'s>(spans: impl Iterator<Item = &'s ZoneSpan>) -> Result<Self, Error> {
        const { assert!(Z <= u8::MAX as usize, "a zone's index has 8 bits") };
        let mut entries = Vec::<Entry, Z>::new();
        for (zone, span) in spans.enumerate() {
            let rank = rank(span.node, span.kind);
            let at = entries.partition_point(|entry| entry.rank < rank);
            let end = span.start_pfn.checked_add(span.spanned).filter(|end| *end <= MAX_PFN);
            if end.is_none() || span.present > span.spanned || entries.get(at).is_some_and(|entry| entry.rank == rank) {
                return Err(Error::Zone { node: span.node, kind: span.kind });
            }
            entries.insert(at, Entry { rank, zone: zone as u16 }).map_err(|_| Error::Capacity { capacity: Z })?;
        }
        let mut nodes = Vec::<NodeZones, Z>::new();
        for (first, entry) in (0..).zip(&entries) {
            let node = (entry.rank >> 8) as u16;
            match nodes.last_mut() {
                Some(last) if last.node == node => last.zones += 1,
                _ => nodes.push(NodeZones { node, first, zones: 1 }).map_err(|_| Error::Capacity { capacity: Z })?,
            }
        }
        Ok(Self { entries, nodes, orders: Vec::new() })
    }

    /// Orders the nodes by distance, as seen from each of `from`.
    ///
    /// Linux: `find_next_best_node`, `build_zonelists` (6.1).
    pub(crate) fn order(&mut self, from: &[u16], distances: Distances<'_>) -> Result<(), Error> {
        if from.len() > Z {
            return Err(Error::Capacity { capacity: Z });
        }
        // How many nodes fall back to this one first among their equals: these are spared next time.
        let mut load = [0u16; Z];
        self.orders.clear();
        for local in from.iter().copied() {
            let mut order = [0u8; Z];
            let mut taken = [false; Z];
            let mut previous = local;
            for place in order.iter_mut().take(self.nodes.len()) {
                let key = |index: usize| {
                    let node = self.nodes[index].node;
                    let away = u32::from(distances.between(local, node)) + u32::from(node < local);
                    (node != local, away, load[index])
                };
                let open = (0..self.nodes.len()).filter(|index| !taken[*index]);
                let Some(next) = open.min_by_key(|index| key(*index)) else { break };
                let node = self.nodes[next].node;
                if distances.between(local, node) != distances.between(local, previous) {
                    load[next] += 1;
                }
                (taken[next], *place, previous) = (true, next as u8, node);
            }
            self.orders.push((local, order)).map_err(|_| Error::Capacity { capacity: Z })?;
        }
        Ok(())
    }

    /// Returns the nodes with memory in the order in which `node` tries them, or by number.
    pub(crate) fn nodes_from(&self, node: Option<u16>) -> impl Iterator<Item = u16> {
        self.places(node).map(|place| self.nodes[place].node)
    }

    /// Returns the indexes in `nodes` in the order in which to try them.
    #[inline]
    fn places(&self, node: Option<u16>) -> Places<'_, Z> {
        let (order, first) = match node {
            None => (None, 0),
            Some(node) => {
                let order = self.orders.iter().find(|(of, _)| *of == node).map(|(_, order)| order);
                (order, self.nodes.partition_point(|zones| zones.node < node))
            }
        };
        Places { order, next: 0, first, count: self.nodes.len() }
    }

    /// Returns the zone that a request tries first which may use zones up to `highest` of any node.
    pub(crate) fn first(&self, highest: ZoneKind) -> Option<u16> {
        let may = |entry: &&Entry| entry.rank & 0xff >= u32::from(u8::MAX - highest.0);
        self.entries.iter().find(may).map(|entry| entry.zone)
    }

    /// Returns the type of a zone by its index.
    #[cfg(feature = "spin")]
    pub(crate) fn kind_of(&self, zone: usize) -> Option<ZoneKind> {
        let entry = self.entries.iter().find(|entry| usize::from(entry.zone) == zone)?;
        Some(ZoneKind(u8::MAX - (entry.rank & 0xff) as u8))
    }

    /// Returns the indexes of the zones a request may use, in the order in which to try them.
    #[inline]
    pub(crate) fn candidates(&self, request: Request) -> impl Iterator<Item = usize> {
        let limit = u32::from(u8::MAX - request.zone.0);
        let (node, only) = match request.node {
            Node::Any => (None, None),
            Node::Preferred(node) => (Some(node), None),
            Node::Bind(node) => (Some(node), Some(node)),
        };
        Candidates { zonelist: self, places: self.places(node), zones: 0..0, limit, only }
    }
}

/// Indexes of nodes, in the order in which to try them.
struct Places<'z, const Z: usize> {
    order: Option<&'z [u8; Z]>,
    next: usize,
    first: usize,
    count: usize,
}

impl<const Z: usize> Iterator for Places<'_, Z> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = self.next;
        if place == self.count {
            return None;
        }
        self.next += 1;
        Some(match self.order {
            Some(order) => usize::from(order[place]),
            None if self.first + place < self.count => self.first + place,
            None => self.first + place - self.count,
        })
    }
}

/// Indexes of zones, in the order in which to try them.
struct Candidates<'z, const Z: usize> {
    zonelist: &'z Zonelist<Z>,
    places: Places<'z, Z>,
    /// What is left of the current node's entries.
    zones: Range<usize>,
    limit: u32,
    only: Option<u16>,
}

impl<const Z: usize> Iterator for Candidates<'_, Z> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        loop {
            for index in self.zones.by_ref() {
                let entry = &self.zonelist.entries[index];
                if entry.rank & 0xff >= self.limit {
                    return Some(entry.zone.into());
                }
            }
            let node = &self.zonelist.nodes[self.places.next()?];
            if self.only.is_none_or(|only| node.node == only) {
                self.zones = node.first.into()..usize::from(node.first) + usize::from(node.zones);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zonelist() -> Zonelist<4> {
        let span = |node, kind| ZoneSpan { node, kind, start_pfn: 0, spanned: 1, present: 1 };
        let spans =
            [span(0, ZoneKind::DMA), span(0, ZoneKind::DMA32), span(2, ZoneKind::NORMAL), span(2, ZoneKind::MOVABLE)];
        Zonelist::new(spans.iter()).unwrap()
    }

    #[test]
    fn from_the_highest_allowed_zone_down_and_round_the_nodes() {
        let order = |request| zonelist().candidates(request).collect::<std::vec::Vec<_>>();
        let any = Request::order(0);
        assert_eq!(order(any), [1, 0, 2]);
        assert_eq!(order(any.zone(ZoneKind::MOVABLE)), [1, 0, 3, 2]);
        assert_eq!(order(any.zone(ZoneKind::DMA)), [0]);
        assert_eq!(order(any.node(Node::Preferred(2))), [2, 1, 0]);
        assert_eq!(order(any.node(Node::Preferred(1))), [2, 1, 0]);
        assert_eq!(order(any.node(Node::Preferred(9))), [1, 0, 2]);
        assert_eq!(order(any.node(Node::Bind(2)).zone(ZoneKind::MOVABLE)), [3, 2]);
        assert!(order(any.node(Node::Bind(2)).zone(ZoneKind::DMA32)).is_empty());
        assert!(order(any.node(Node::Bind(1))).is_empty());
    }

    /// What recorded kernels print as "Fallback order".
    #[test]
    fn nodes_by_distance_as_linux_orders_them() {
        let orders = |nodes: u16, matrix: &[u8]| {
            let span = |node| ZoneSpan { node, kind: ZoneKind::NORMAL, start_pfn: 0, spanned: 1, present: 1 };
            let spans: std::vec::Vec<_> = (0..nodes).map(span).collect();
            let mut zonelist = Zonelist::<4>::new(spans.iter()).unwrap();
            let all: std::vec::Vec<_> = (0..nodes).collect();
            zonelist.order(&all, Distances::new(nodes.into(), matrix).unwrap()).unwrap();
            all.iter()
                .map(|node| zonelist.nodes_from(Some(*node)).collect())
                .collect::<std::vec::Vec<std::vec::Vec<_>>>()
        };
        assert_eq!(orders(2, &[10, 20, 20, 10]), [[0, 1], [1, 0]]);
        // Neighbours on a line.
        let line = [10, 20, 25, 30, 20, 10, 20, 25, 25, 20, 10, 20, 30, 25, 20, 10];
        assert_eq!(orders(4, &line), [[0, 1, 2, 3], [1, 2, 0, 3], [2, 3, 1, 0], [3, 2, 1, 0]]);
        let flat = [10, 20, 20, 20, 20, 10, 20, 20, 20, 20, 10, 20, 20, 20, 20, 10];
        assert_eq!(orders(4, &flat), [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]);
    }

    #[test]
    fn a_node_without_memory_has_an_order_too() {
        let mut zonelist = zonelist();
        let matrix = [10, 30, 40, 30, 10, 20, 40, 20, 10];
        zonelist.order(&[0, 1, 2], Distances::new(3, &matrix).unwrap()).unwrap();
        assert_eq!(zonelist.nodes_from(Some(1)).collect::<std::vec::Vec<_>>(), [2, 0]);
        let zones: std::vec::Vec<_> = zonelist.candidates(Request::order(0).prefer(1)).collect();
        assert_eq!(zones, [2, 1, 0]);
        assert_eq!(zonelist.order(&[0, 1, 2, 3, 4], Distances::default()), Err(Error::Capacity { capacity: 4 }));
    }

    #[test]
    fn a_zone_is_there_once_and_fits() {
        let span = |start_pfn, spanned, present| ZoneSpan { node: 0, kind: ZoneKind::DMA, start_pfn, spanned, present };
        let new = |spans: &[ZoneSpan]| Zonelist::<1>::new(spans.iter()).map(|_| ()).unwrap_err();
        let wrong = Error::Zone { node: 0, kind: ZoneKind::DMA };
        assert_eq!(new(&[span(0, 1, 1), span(1, 1, 1)]), wrong);
        assert_eq!(new(&[span(0, 1, 2)]), wrong);
        assert_eq!(new(&[span(u64::MAX, 1, 1)]), wrong);
        assert_eq!(new(&[span(MAX_PFN, 1, 1)]), wrong);
        assert_eq!(new(&[span(0, 1, 1), ZoneSpan { node: 1, ..span(0, 1, 1) }]), Error::Capacity { capacity: 1 });
    }
}
