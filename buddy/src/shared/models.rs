// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two CPUs meet in the front, in every order there is: `cargo xtask test` runs these.
//!
//! Loom runs each model once for every way in which steps on locks and marks can follow one another that makes a difference, and
//! for every value that a load may see under the memory model. A batch is two frames here, a cache holds eight.

use super::Shared;
use super::sync::AtomicU8;
use crate::{Buddy, Error, FrameMap, Mode, Piece, Plan, Request};
use core::sync::atomic::Ordering;
use handoff::{Region, ZoneKind, ZoneSpan};
use loom::thread::JoinHandle;
use std::boxed::Box;
use std::sync::atomic::AtomicBool;
use std::vec::Vec;
use x86_64::structures::paging::PhysFrame;

const SINGLE: Request = Request::order(0);
/// The frames of the machine: one block of order 3.
const FRAMES: u64 = 8;

const STACK_WORDS: usize = 1 << 15;

type Front = Shared<'static, 'static, 1, 2>;

/// Runs a model on a machine with two CPUs until every order was tried. In the end all frames must be free again, as one block.
fn model(test: fn(&'static Front)) {
    loom::model(move || {
        let cpu = spawn(move || {
            let front = front();
            test(front);
            front.drain().unwrap();
            let (zones, cached) = front.statistics();
            assert_eq!((zones.free_frames(), zones.free_blocks[3], cached), (FRAMES, 1, 0));
        });
        cpu.join().unwrap();
    });
}

fn front() -> &'static Front {
    let memory = [Region { nid: 0.into(), ..Region::new(0, FRAMES * 4096) }];
    let zones = [ZoneSpan { node: 0, kind: ZoneKind::NORMAL, start_pfn: 0, spanned: FRAMES, present: FRAMES }];
    let plan = Plan::<1>::new(&memory, &[], &zones, Mode::Lazy).unwrap();
    let pieces = Box::leak(Box::new([Piece::UNUSED; 1]));
    let maps = Box::leak(Box::new([FrameMap::UNUSED; 1]));
    let buddy = Box::leak(Box::new(Buddy::new(&plan, pieces, maps).unwrap()));
    buddy.hand_over(&memory, &[]).unwrap();
    let marks: Vec<_> = (0..buddy.marks()).map(|_| AtomicU8::new(0)).collect();
    Box::leak(Box::new(Shared::new(buddy, Vec::leak(marks)).unwrap()))
}

/// Starts a thread; loom's own are too small for an allocator to be made.
fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    loom::thread::Builder::new().stack_size(STACK_WORDS).spawn(work).unwrap()
}

/// Runs something on CPU 1 while something runs on CPU 0; returns what both return.
fn together<T: Send + 'static>(
    front: &'static Front,
    zero: impl FnOnce(&Front) -> T,
    one: impl FnOnce(&Front) -> T + Send + 'static,
) -> (T, T) {
    let other = spawn(move || one(front));
    (zero(front), other.join().unwrap())
}

/// Who has which frame, outside of what loom watches.
struct Owners([AtomicBool; FRAMES as usize]);

impl Owners {
    const fn nobody() -> Self {
        Self([const { AtomicBool::new(false) }; FRAMES as usize])
    }

    fn take(&self, frame: PhysFrame) {
        assert!(!self.of(frame).swap(true, Ordering::Relaxed), "{frame:?} has two owners");
    }

    fn give(&self, frame: PhysFrame) {
        assert!(self.of(frame).swap(false, Ordering::Relaxed));
    }

    fn of(&self, frame: PhysFrame) -> &AtomicBool {
        &self.0[(frame.start_address().as_u64() / 4096) as usize]
    }
}

fn already_free(result: Result<(), Error>) -> bool {
    match result {
        Ok(()) => false,
        Err(Error::AlreadyFree { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn of_two_frees_one_succeeds() {
    model(|front| {
        let frame = front.allocate_with(0, SINGLE).unwrap();
        let free = move |cpu| move |front: &Front| already_free(front.free(cpu, frame, 0));
        let (zero, one) = together(front, free(0), free(1));
        assert_ne!(zero, one);
    });
}

/// One of them finds its cache taken, and goes to the zone with a block that has a mark.
#[test]
fn of_two_frees_on_one_cpu_one_succeeds() {
    model(|front| {
        let frame = front.allocate_with(0, SINGLE).unwrap();
        let free = move |front: &Front| already_free(front.free(0, frame, 0));
        let (zero, one) = together(front, free, free);
        assert_ne!(zero, one);
    });
}

/// The block may have been allocated again when the second free of its first owner looks at it.
fn late_free(front: &'static Front, frame: PhysFrame) {
    let (allocated, freed) = together(
        front,
        |front| front.allocate_with(0, SINGLE).map(|frame| assert_eq!(frame.start_address().as_u64(), 0)),
        move |front| front.free(1, frame, 0),
    );
    allocated.unwrap();
    // Either it was refused, or it was the new owner's block that was freed: then that one's free is the second.
    assert_eq!(front.free(0, frame, 0).is_ok(), already_free(freed));
}

#[test]
fn a_late_free_meets_an_allocation() {
    model(|front| {
        let frame = front.allocate_with(0, SINGLE).unwrap();
        front.free(0, frame, 0).unwrap();
        late_free(front, frame);
    });
}

/// Here the block was in the zone: it had no mark when the free looked, and has one when the free has the lock.
#[test]
fn a_late_free_meets_a_refill() {
    model(|front| {
        let frame = front.allocate_with(0, SINGLE).unwrap();
        front.free(0, frame, 0).unwrap();
        front.drain().unwrap();
        late_free(front, frame);
    });
}

/// Both change the CPU in between, so that they meet at caches too.
#[test]
fn each_frame_has_one_owner() {
    model(|front| {
        let owners: &Owners = Box::leak(Box::new(Owners::nobody()));
        let work = move |cpu: usize| {
            move |front: &Front| {
                let frames = [cpu, 1 - cpu].map(|cpu| front.allocate_with(cpu, SINGLE).unwrap());
                frames.iter().for_each(|frame| owners.take(*frame));
                for frame in frames {
                    owners.give(frame);
                    front.free(cpu, frame, 0).unwrap();
                }
            }
        };
        together(front, work(0), work(1));
    });
}

/// A cache is filled and emptied while the other CPU frees a block that this one allocated.
#[test]
fn filling_and_emptying_meet_a_free() {
    model(|front| {
        let frames = [(); 3].map(|()| front.allocate_with(0, SINGLE).unwrap());
        let [first, second, third] = frames;
        together(
            front,
            move |front| {
                let more = front.allocate_with(0, Request::order(0)).unwrap();
                assert!(!frames[1..].contains(&more), "it is still in use");
                front.free(0, more, 0).unwrap();
                front.drain().unwrap();
            },
            move |front| front.free(1, first, 0).unwrap(),
        );
        front.free(0, second, 0).unwrap();
        front.free(1, third, 0).unwrap();
    });
}

/// All caches are emptied while a CPU uses its own.
#[test]
fn emptying_meets_use() {
    model(|front| {
        let frame = front.allocate_with(1, SINGLE).unwrap();
        let (_, mine) = together(
            front,
            |front| {
                front.drain().unwrap();
                None
            },
            move |front| {
                front.free(1, frame, 0).unwrap();
                front.allocate_with(1, SINGLE).ok()
            },
        );
        front.free(1, mine.unwrap(), 0).unwrap();
    });
}

/// What never waits gets through or says so, and then has changed nothing.
#[test]
fn a_handler_meets_locks() {
    model(|front| {
        let (single, pair) =
            (front.allocate_with(0, SINGLE).unwrap(), front.allocate_with(0, Request::order(1)).unwrap());
        let (other, mine) = together(
            front,
            |front| front.allocate_with(0, Request::order(1)).ok(),
            move |front| {
                let busy = |result: Result<(), Error>, frame, order| match result {
                    Ok(()) => {}
                    Err(Error::Busy) => front.free(1, frame, order).unwrap(),
                    Err(error) => panic!("{error}"),
                };
                busy(front.try_free(0, single, 0), single, 0);
                busy(front.try_free(0, pair, 1), pair, 1);
                match front.try_allocate_with(0, SINGLE) {
                    Err(Error::Busy) => None,
                    result => Some(result.unwrap()),
                }
            },
        );
        front.free(0, other.unwrap(), 1).unwrap();
        mine.into_iter().for_each(|frame| front.free(1, frame, 0).unwrap());
    });
}

/// A cache held all the time does not stop others, who take the other CPU's or go to the zone.
#[test]
fn a_held_cache_meets_others() {
    model(|front| {
        let work = |front: &Front| {
            let frame = front.allocate_with(0, SINGLE).unwrap();
            front.free(0, frame, 0).unwrap();
        };
        together(
            front,
            |front| {
                let Some(mut cpu) = front.cpu(0) else { return };
                let frames = [(); 3].map(|()| cpu.allocate_with(SINGLE).unwrap());
                frames.into_iter().for_each(|frame| cpu.free(frame, 0).unwrap());
            },
            work,
        );
    });
}
