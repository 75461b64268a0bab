// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sections get a map when it is needed, and the zone more maps from its own frames.

use crate::exact::frame_range;
use crate::map::{Block, MAPS_PER_STEP, STEP_FRAMES};
use crate::piece::State;
use crate::rings::End;
use crate::runs::{Runs, section_start};
use crate::tree::Leaf;
use crate::zone::{Zone, corrupt};
use crate::{Error, Fault, FrameMap};
use core::ops::RangeInclusive;
use handoff::{MAX_ORDER, ORDERS, PhysRange, SECTION_FRAMES, ZoneState};

/// Makes maps of frames that the allocator took from itself: as many as fit, or none.
pub(crate) type Growth<'a> = fn(PhysRange) -> Option<&'a mut [FrameMap]>;

/// Steps of maps that a zone gets at once at most: what one section can hold.
const MAX_STEPS: u64 = SECTION_FRAMES / STEP_FRAMES;

/// What a zone needs to get more maps: where its pieces lie, and who maps memory.
#[derive(Clone, Copy)]
pub(crate) struct Means<'r, 'a> {
    pub(crate) zone: usize,
    pub(crate) runs: &'r Runs,
    pub(crate) growth: Option<Growth<'a>>,
    /// Frames that must stay free: the first, and the one after the last.
    pub(crate) wanted: (u64, u64),
}

impl<'r, 'a> Means<'r, 'a> {
    pub(crate) const fn new(zone: usize, runs: &'r Runs, growth: Option<Growth<'a>>) -> Self {
        Self { zone, runs, growth, wanted: (0, 0) }
    }

    /// Returns whether some of these frames must stay free.
    const fn wants(&self, start: u64, frames: u64) -> bool {
        start < self.wanted.1 && self.wanted.0 < start + frames
    }
}

impl<'a> Zone<'a> {
    /// Gives any dormant section a map.
    #[cold]
    pub(crate) fn wake_any(&mut self, state: &mut ZoneState, means: Means<'_, 'a>) -> Result<(), Error> {
        let before = state.dormant.count;
        self.make_room(state, means)?;
        // Making room may have woken one.
        if state.dormant.count == before { self.wake(state, means, state.dormant.first) } else { Ok(()) }
    }

    /// Gives a dormant section a map, if it has none.
    pub(crate) fn wake(&mut self, state: &mut ZoneState, means: Means<'_, 'a>, piece: u32) -> Result<(), Error> {
        let sleeps = |zone: &Self| matches!(zone.piece(piece, 0), Ok(State::Dormant { .. }));
        if sleeps(self) {
            self.make_room(state, means)?;
        }
        // Making room may have woken it.
        if sleeps(self) { self.start_free(state, means, piece) } else { Ok(()) }
    }

    /// Returns the map of a piece, which gets one if all of it was kept so far.
    pub(crate) fn online(&mut self, state: &mut ZoneState, means: Means<'_, 'a>, piece: u32) -> Result<u32, Error> {
        if let State::Online { map } = self.piece(piece, 0)? {
            return Ok(map);
        }
        self.make_room(state, means)?;
        let section = means.runs.section_of(means.zone, piece).ok_or(corrupt(0, Fault::Missing))?;
        let number = self.maps.take(state).ok_or(Error::NoMap)?;
        self.map(number)?.start_kept(piece, section);
        self.set_piece(piece, State::Online { map: number });
        Ok(number)
    }

    /// Gives a dormant section an unused map.
    fn start_free(&mut self, state: &mut ZoneState, means: Means<'_, 'a>, piece: u32) -> Result<(), Error> {
        let section = means.runs.section_of(means.zone, piece).ok_or(corrupt(0, Fault::Missing))?;
        let number = self.maps.take(state).ok_or(Error::NoMap)?;
        self.awake(state, piece)?;
        self.map_free(state, piece, section, number, End::First)
    }

    /// Makes a map the one of a section that is free as a whole.
    pub(crate) fn map_free(
        &mut self,
        state: &mut ZoneState,
        piece: u32,
        section: u32,
        number: u32,
        end: End,
    ) -> Result<(), Error> {
        self.map(number)?.start_free(piece, section);
        self.set_piece(piece, State::Online { map: number });
        self.link(state, MAX_ORDER, number, end)
    }

    /// Takes the map from a section that is free as a whole, or kept. The caller says what the piece is now.
    pub(crate) fn retire(&mut self, state: &mut ZoneState, number: u32) -> Result<(), Error> {
        self.map(number)?.merge_spare();
        for order in 0..ORDERS as u8 {
            if self.map(number)?.listed >> order & 1 != 0 {
                self.unlink(state, order, number)?;
            }
        }
        self.maps.give(state, number);
        Ok(())
    }

    /// Makes sure that there is an unused map, and that the last one is not used before there are more: without one, a dormant section
    /// could not be split to hold more.
    fn make_room(&mut self, state: &mut ZoneState, means: Means<'_, 'a>) -> Result<(), Error> {
        let unused = self.maps.unused(state);
        let Some(growth) = means.growth.filter(|_| unused < 2) else {
            return if unused > 0 { Ok(()) } else { Err(Error::NoMap) };
        };
        // Holes that are too small for many maps are the last resort: a zone can have few stretches.
        let wanted = self.wanted_steps(state);
        if self.grow(state, means, growth, wanted..=wanted).is_ok() {
            return Ok(());
        }
        match (unused, state.dormant.count) {
            (0, _) => self.grow(state, means, growth, 1..=wanted),
            (_, 0) => self.grow(state, means, growth, 1..=wanted).or(Ok(())),
            _ => {
                let piece = self.next_to_split(state, means)?;
                self.start_free(state, means, piece)?;
                self.grow(state, means, growth, 1..=wanted).or_else(|error| {
                    let State::Online { map } = self.piece(piece, 0)? else { return Err(error) };
                    self.retire(state, map)?;
                    self.put_to_sleep(state, piece)?;
                    Err(error)
                })
            }
        }
    }

    /// Returns the dormant section that is to hold maps: if possible one of which nothing must stay free.
    fn next_to_split(&self, state: &ZoneState, means: Means<'_, 'a>) -> Result<u32, Error> {
        let mut piece = state.dormant.first;
        for _ in 0..state.dormant.count {
            let section = means.runs.section_of(means.zone, piece).ok_or(corrupt(0, Fault::Missing))?;
            if !means.wants(section_start(section), SECTION_FRAMES) {
                return Ok(piece);
            }
            let State::Dormant { next, .. } = self.piece(piece, 0)? else { return Err(corrupt(0, Fault::Links)) };
            piece = next;
        }
        Ok(state.dormant.first)
    }

    /// Returns how many steps of maps the zone should get: three times as many as there are, but no more than it can use.
    fn wanted_steps(&self, state: &ZoneState) -> u64 {
        let needed = u64::from(state.used_pieces.saturating_sub(state.used_maps)) + 1;
        (3 * u64::from(self.maps.len())).min(needed).div_ceil(MAPS_PER_STEP).clamp(1, MAX_STEPS)
    }

    /// Takes frames from free blocks and makes maps of them: as many of these steps as can be had.
    fn grow(
        &mut self,
        state: &mut ZoneState,
        means: Means<'_, 'a>,
        growth: Growth<'a>,
        wanted: RangeInclusive<u64>,
    ) -> Result<(), Error> {
        if self.maps.is_full() {
            return Err(Error::NoMap);
        }
        let mut steps = *wanted.end();
        while steps >= *wanted.start() {
            if let Some((number, frames)) = self.take_stretch(state, means, (steps * STEP_FRAMES) as u32)? {
                let start = section_start(self.map(number)?.section) + u64::from(frames);
                let count = steps * STEP_FRAMES;
                let range = frame_range(start, start + count)?;
                return match growth(range).filter(|maps| maps.len() as u64 == steps * MAPS_PER_STEP) {
                    Some(maps) => {
                        state.map_frames += count;
                        self.maps.push(maps, Some(range))
                    }
                    None => self.give(state, number, frames..frames + count as u32, End::First).and(Err(Error::NoMap)),
                };
            }
            steps /= 2;
        }
        Err(Error::NoMap)
    }

    /// Takes adjacent frames out of the next map that has blocks which are large enough; returns the map and the first frame.
    fn take_stretch(
        &mut self,
        state: &mut ZoneState,
        means: Means<'_, 'a>,
        frames: u32,
    ) -> Result<Option<(u32, u32)>, Error> {
        let order = (frames.next_power_of_two().ilog2() as u8).min(MAX_ORDER);
        let found = (order..=MAX_ORDER).find_map(|from| Some((from, self.first_with(state, from)?)));
        let Some((from, number)) = found else { return Ok(None) };
        let blocks = frames.div_ceil(1 << MAX_ORDER);
        let map = self.map(number)?;
        let (mut start, mut end) = (0, 0);
        let base = section_start(map.section);
        let may_go = |block: &u32| !means.wants(base + u64::from(*block), 1 << from);
        for block in map.free_blocks(from).filter(may_go) {
            if block != end {
                start = block;
            }
            end = block + (1 << from);
            if end - start >= blocks << order.min(from) {
                break;
            }
        }
        if end - start < frames {
            return Ok(None);
        }
        let mut at = start;
        while at < start + frames {
            let block = Block { start: at, order: from, leaf: Leaf::Free };
            let stop = block.end().min(start + frames);
            self.carve(state, number, block, at..stop, Leaf::Kept)?;
            at = block.end();
        }
        Ok(Some((number, start)))
    }
}
