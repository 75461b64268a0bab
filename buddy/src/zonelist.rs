// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which zone a frame belongs to, and in which order zones are tried.

use crate::{Error, Node, Request};
use handoff::{Page, ZoneKind, ZoneSpan};
use heapless::Vec;

/// The zones by node and, within a node, from the highest to the lowest: the order in which requests try them.
///
/// Linux: `build_zonelists` (6.1), where other nodes follow by distance. Here they follow by number, round from the wanted
/// one, because no hand-off has the distances; with equal distances that is Linux's order.
#[derive(Debug)]
pub(crate) struct Zonelist<const Z: usize> {
    entries: Vec<Entry, Z>,
}

/// The first frame number that 52 address bits cannot hold.
const MAX_PFN: u64 = 1 << 40;

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
        const { assert!(Z <= u16::MAX as usize, "a zone's index has 16 bits") };
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
        Ok(Self { entries })
    }

    /// Returns the index of the zone a frame belongs to.
    pub(crate) fn zone_of(&self, page: &Page) -> Result<usize, Error> {
        let wanted = rank(page.node(), page.zone());
        let at = self.entries.partition_point(|entry| entry.rank < wanted);
        match self.entries.get(at) {
            Some(entry) if entry.rank == wanted => Ok(entry.zone.into()),
            _ => Err(Error::Zone { node: page.node(), kind: page.zone() }),
        }
    }

    /// Returns the indexes of the zones a request may use, in the order in which to try them.
    pub(crate) fn candidates(&self, request: Request) -> impl Iterator<Item = usize> {
        let first = match request.node {
            Node::Any => 0,
            Node::Preferred(node) | Node::Bind(node) => {
                self.entries.partition_point(|entry| entry.rank < u32::from(node) << 8)
            }
        };
        let (before, from) = self.entries.split_at(first);
        let limit = u32::from(u8::MAX - request.zone.0);
        from.iter()
            .chain(before)
            .filter(move |entry| entry.rank & 0xff >= limit)
            .filter(move |entry| !matches!(request.node, Node::Bind(node) if entry.rank >> 8 != u32::from(node)))
            .map(|entry| entry.zone.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::FrameState;

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

    #[test]
    fn a_frame_leads_to_its_zone() {
        let zone = |kind, node| zonelist().zone_of(&Page::new(kind, node, FrameState::Body));
        assert_eq!(zone(ZoneKind::DMA32, 0), Ok(1));
        assert_eq!(zone(ZoneKind::MOVABLE, 2), Ok(3));
        assert_eq!(zone(ZoneKind::NORMAL, 0), Err(Error::Zone { node: 0, kind: ZoneKind::NORMAL }));
        assert_eq!(zone(ZoneKind(200), 7), Err(Error::Zone { node: 7, kind: ZoneKind(200) }));
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
