// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rings of maps that may have free blocks of an order, and the ring of dormant pieces.
//!
//! Links may come from a hand-off that somebody damaged, so each one is checked before it is changed: a wrong link is an
//! error and never a panic.

use crate::map::Link;
use crate::piece::State;
use crate::runs::section_start;
use crate::zone::{Zone, corrupt};
use crate::{Error, Fault};
use handoff::{NONE, Waiting, ZoneState};

/// Where something goes on a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Next to be used.
    First,
    /// Last to be used.
    Last,
}

impl Zone<'_> {
    /// Puts a map on the rings of all orders that it may have blocks of.
    #[inline]
    pub(crate) fn relist(&mut self, state: &mut ZoneState, number: u32) -> Result<(), Error> {
        let map = self.map(number)?;
        let gained = map.orders() & !map.listed;
        if gained == 0 { Ok(()) } else { self.link_all(state, gained, number, End::First) }
    }

    /// Puts a map on the rings of these orders.
    #[cold]
    pub(crate) fn link_all(&mut self, state: &mut ZoneState, orders: u16, number: u32, end: End) -> Result<(), Error> {
        (0..16).filter(|order| orders >> order & 1 != 0).try_for_each(|order| self.link(state, order, number, end))
    }

    /// Puts a map on the ring of an order.
    pub(crate) fn link(&mut self, state: &mut ZoneState, order: u8, number: u32, end: End) -> Result<(), Error> {
        let (at, bit) = (usize::from(order), 1 << order);
        let area = state.free_area.get_mut(at).ok_or(corrupt(0, Fault::Summary))?;
        let first = area.first_map;
        let (next, previous) = match first {
            NONE => (number, number),
            _ => (first, self.map(first)?.links[at].previous),
        };
        let map = self.map(number)?;
        map.links[at] = Link { next, previous };
        map.listed |= bit;
        if first == NONE || end == End::First {
            state.free_area[at].first_map = number;
        }
        self.map(previous)?.links[at].next = number;
        self.map(next)?.links[at].previous = number;
        Ok(())
    }

    /// Takes a map off the ring of an order.
    pub(crate) fn unlink(&mut self, state: &mut ZoneState, order: u8, number: u32) -> Result<(), Error> {
        let (at, bit) = (usize::from(order), 1 << order);
        let map = *self.map(number)?.links.get(at).ok_or(corrupt(0, Fault::Summary))?;
        let Link { next, previous } = map;
        let start = section_start(self.map(number)?.section);
        let broken = self.map(next)?.links[at].previous != number
            || self.map(previous)?.links[at].next != number
            || self.map(number)?.listed & bit == 0;
        let is_first = state.free_area[at].first_map == number;
        if broken || (next == number && !is_first) {
            return Err(corrupt(start, Fault::Links));
        }
        self.map(previous)?.links[at].next = next;
        self.map(next)?.links[at].previous = previous;
        if is_first {
            state.free_area[at].first_map = if next == number { NONE } else { next };
        }
        self.map(number)?.listed &= !bit;
        Ok(())
    }

    /// Makes a whole piece dormant, next to be used.
    pub(crate) fn put_to_sleep(&mut self, state: &mut ZoneState, piece: u32) -> Result<(), Error> {
        let Waiting { first, count } = state.dormant;
        if count == 0 {
            self.set_piece(piece, State::Dormant { next: piece, previous: piece });
            state.dormant = Waiting { first: piece, count: 1 };
            return Ok(());
        }
        let last = self.neighbours(first)?.1;
        self.set_piece(piece, State::Dormant { next: first, previous: last });
        let before_last = self.neighbours(last)?.1;
        self.set_piece(last, State::Dormant { next: piece, previous: if last == first { piece } else { before_last } });
        let after_first = self.neighbours(first)?.0;
        self.set_piece(first, State::Dormant { next: after_first, previous: piece });
        state.dormant = Waiting { first: piece, count: count + 1 };
        Ok(())
    }

    /// Returns whether all of these pieces are kept.
    pub(crate) fn all_kept(&self, first: u32, count: u32) -> bool {
        let pieces = first.checked_add(count).and_then(|end| self.pieces.get(first as usize..end as usize));
        pieces.is_some_and(|pieces| pieces.iter().all(|piece| piece.state() == State::Kept))
    }

    /// Makes whole pieces that follow one another dormant, last to be used.
    pub(crate) fn put_all_to_sleep(&mut self, state: &mut ZoneState, first: u32, count: u32) -> Result<(), Error> {
        let (last, Waiting { first: head, count: before }) = (first + count - 1, state.dormant);
        let (mut previous, mut next) = (last, first);
        if before > 0 {
            (previous, next) = (self.neighbours(head)?.1, head);
            self.neighbours(previous)?;
        }
        for piece in first..=last {
            let links = State::Dormant { next: piece.wrapping_add(1), previous: piece.wrapping_sub(1) };
            self.set_piece(piece, links);
        }
        self.relink(first, |_, next| (previous, next))?;
        self.relink(last, |previous, _| (previous, next))?;
        if before > 0 {
            self.relink(previous, |previous, _| (previous, first))?;
            self.relink(head, |_, next| (last, next))?;
        } else {
            state.dormant.first = first;
        }
        state.dormant.count += count;
        Ok(())
    }

    /// Changes the neighbours of a dormant piece, previous and next.
    fn relink(&mut self, piece: u32, change: impl Fn(u32, u32) -> (u32, u32)) -> Result<(), Error> {
        let (next, previous) = self.neighbours(piece)?;
        let (previous, next) = change(previous, next);
        self.set_piece(piece, State::Dormant { next, previous });
        Ok(())
    }

    /// Takes a piece off the ring of dormant ones. The caller says what it is now.
    pub(crate) fn awake(&mut self, state: &mut ZoneState, piece: u32) -> Result<(), Error> {
        let links = Err(corrupt(0, Fault::Links));
        let (next, previous) = self.neighbours(piece)?;
        let (after, back) = self.neighbours(next)?;
        let (forth, before) = self.neighbours(previous)?;
        let Some(count) = state.dormant.count.checked_sub(1) else { return links };
        if back != piece || forth != piece || (count == 0) != (next == piece) {
            return links;
        }
        match count {
            0 => {}
            1 => self.set_piece(next, State::Dormant { next, previous: next }),
            _ => {
                self.set_piece(next, State::Dormant { next: after, previous });
                self.set_piece(previous, State::Dormant { next, previous: before });
            }
        }
        let first = if state.dormant.first == piece { next } else { state.dormant.first };
        state.dormant = if count == 0 { Waiting::NOTHING } else { Waiting { first, count } };
        Ok(())
    }

    fn neighbours(&self, piece: u32) -> Result<(u32, u32), Error> {
        match self.pieces.get(piece as usize).map(|piece| piece.state()) {
            Some(State::Dormant { next, previous }) => Ok((next, previous)),
            _ => Err(corrupt(0, Fault::Links)),
        }
    }
}
