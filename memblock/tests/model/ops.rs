// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every operation, done to the crate and to the model.

use super::{CELL, CELLS, Model};
use handoff::{Bounds, Direction, Nid, Quiet, Region, RegionFlags, Rules};
use memblock::{Array, ArrayParts, Error, Fallback, Memblock, Parts, Policy};
use proptest::prelude::*;

/// Which allocation function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    PhysRange,
    PhysTryNid,
    RangeNid(Fallback),
    TryNid,
    ExactNid,
    From,
    Node,
}

/// An operation; ranges are cell numbers and counts, relative to the space.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Add(u64, u64, Nid, RegionFlags),
    Put(Array, u64, u64),
    Take(Array, u64, u64),
    MarkHotplug(u64, u64),
    ClearHotplug(u64, u64),
    MarkMirror(u64, u64),
    MarkNomap(u64, u64),
    ClearNomap(u64, u64),
    MarkDriverManaged(u64, u64),
    MarkNoinit(u64, u64),
    SetNode(Array, u64, u64, Nid),
    TakeNids,
    Trim(u64),
    Enforce(u64),
    LimitRemoveMap(u64),
    Cap(u64, u64),
    SetLimit(u64),
    SetDirection(Direction),
    Alloc(Call, Bounds),
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let range = || (0..CELLS, prop_oneof![1..40u64, 1..CELLS, Just(u64::MAX / CELL)]);
    let array = || prop_oneof![Just(Array::Memory), Just(Array::Reserved)];
    let nid = || prop_oneof![Just(Nid(0)), Just(Nid(1)), Just(Nid::UNSET)];
    let flags = prop_oneof![3 => Just(0u32), 1 => 0..16u32].prop_map(RegionFlags);
    let wanted = prop_oneof![Just(Nid::NONE), Just(Nid(0)), Just(Nid(1)), Just(Nid(2))];
    let call = prop_oneof![
        Just(Call::PhysRange),
        Just(Call::PhysTryNid),
        Just(Call::RangeNid(Fallback::AnyNode)),
        Just(Call::RangeNid(Fallback::Never)),
        Just(Call::TryNid),
        Just(Call::ExactNid),
        Just(Call::From),
        Just(Call::Node),
    ];
    let limit = || prop_oneof![Just(0), 1..CELLS, Just(u64::MAX / CELL)];
    let bounds = (1..80u64, 7..14u32, limit(), limit(), wanted);
    let bounds = bounds.prop_map(|(size, align, min, max, nid)| Bounds { size, align: 1 << align, min, max, nid });
    prop_oneof![
        3 => (range(), nid(), flags).prop_map(|((at, count), nid, flags)| Op::Add(at, count, nid, flags)),
        6 => (array(), range()).prop_map(|(array, (at, count))| Op::Put(array, at, count)),
        4 => (array(), range()).prop_map(|(array, (at, count))| Op::Take(array, at, count)),
        1 => range().prop_map(|(at, count)| Op::MarkHotplug(at, count)),
        1 => range().prop_map(|(at, count)| Op::ClearHotplug(at, count)),
        1 => range().prop_map(|(at, count)| Op::MarkMirror(at, count)),
        1 => range().prop_map(|(at, count)| Op::MarkNomap(at, count)),
        1 => range().prop_map(|(at, count)| Op::ClearNomap(at, count)),
        1 => range().prop_map(|(at, count)| Op::MarkDriverManaged(at, count)),
        1 => range().prop_map(|(at, count)| Op::MarkNoinit(at, count)),
        2 => (array(), range(), nid()).prop_map(|(array, (at, count), nid)| Op::SetNode(array, at, count, nid)),
        1 => Just(Op::TakeNids),
        1 => (7..14u32).prop_map(|align| Op::Trim(1 << align)),
        1 => limit().prop_map(Op::Enforce),
        1 => limit().prop_map(Op::LimitRemoveMap),
        1 => range().prop_map(|(at, count)| Op::Cap(at, count)),
        1 => limit().prop_map(Op::SetLimit),
        1 => prop_oneof![Just(Direction::TopDown), Just(Direction::BottomUp)].prop_map(Op::SetDirection),
        12 => (call, bounds).prop_map(|(call, bounds)| Op::Alloc(call, bounds)),
    ]
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(newest, movable_node, kernelcore_mirror)| Policy {
        rules: if newest { Rules::V6_12 } else { Rules::V6_1 },
        movable_node,
        kernelcore_mirror,
        ..Policy::new()
    })
}

/// The spaces: at 0, across 2^52, and up to the last address.
pub(crate) fn origin() -> impl Strategy<Value = u64> {
    let bytes = CELLS * CELL;
    prop_oneof![Just(0), Just((1u64 << 52) - bytes / 2), Just(0u64.wrapping_sub(bytes))]
}

pub(crate) fn empty<const N: usize>(max: usize, policy: Policy) -> Memblock<N> {
    let array = ArrayParts { regions: &[], max, total_size: 0, place: None };
    let (current_limit, direction) = (u64::MAX, Direction::TopDown);
    let parts = Parts { memory: array, reserved: array, current_limit, direction, policy };
    Memblock::from_parts(&parts, Quiet).unwrap()
}

/// The address of a cell, or the last address.
fn at(model: &Model, cell: u64) -> u64 {
    model.origin.saturating_add(cell.saturating_mul(CELL))
}

pub(crate) fn bytes(cells: u64) -> u64 {
    cells.saturating_mul(CELL)
}

/// What an operation needs of an array: `None` if it looks before it wants room.
pub(crate) type Needs = Vec<(Array, Option<usize>)>;

/// Does `op` to both. An error is returned; then the model is as before.
pub(crate) fn apply<const N: usize>(
    memblock: &mut Memblock<N>,
    model: &mut Model,
    op: &Op,
) -> Result<(), (Error, Needs)> {
    let set = |flag: RegionFlags| move |cell: &mut (Nid, RegionFlags)| cell.1 = cell.1.with(flag);
    let clear = |flag: RegionFlags| move |cell: &mut (Nid, RegionFlags)| cell.1 = cell.1.without(flag);
    let range = |cell: u64, count: u64| {
        let (base, size) = (at(model, cell), bytes(count));
        (base, size, base.saturating_add(size))
    };
    // What is put stays in the space; only at its upper end does the address space cut it.
    let (last, cuts) = (CELLS, model.end() == u64::MAX);
    let inside = |cell: u64, count: u64| range(cell, if cuts { count } else { count.min(last - cell) });
    let isolates = |array| vec![(array, None)];

    match *op {
        Op::Add(cell, count, nid, flags) => {
            let (base, size, end) = inside(cell, count);
            let needs = vec![(Array::Memory, Some(model.missing(Array::Memory, base, end)))];
            memblock.add_node(base, size, nid, flags).map_err(|e| (e, needs))?;
            model.put(Array::Memory, base, end, nid, flags);
        }
        Op::Put(array, cell, count) => {
            let (base, size, end) = inside(cell, count);
            let needs = vec![(array, Some(model.missing(array, base, end)))];
            let done = if array == Array::Memory { memblock.add(base, size) } else { memblock.reserve(base, size) };
            done.map_err(|e| (e, needs))?;
            model.put(array, base, end, Nid::UNSET, RegionFlags::NONE);
        }
        Op::Take(array, cell, count) => {
            let (base, size, end) = range(cell, count);
            let done = if array == Array::Memory { memblock.remove(base, size) } else { memblock.free(base, size) };
            done.map_err(|e| (e, isolates(array)))?;
            model.take(array, base, end);
        }
        Op::MarkHotplug(cell, count) => {
            let (base, size, end) = range(cell, count);
            memblock.mark_hotplug(base, size).map_err(|e| (e, isolates(Array::Memory)))?;
            model.change(Array::Memory, base, end, set(RegionFlags::HOTPLUG));
        }
        Op::ClearHotplug(cell, count) => {
            let (base, size, end) = range(cell, count);
            memblock.clear_hotplug(base, size).map_err(|e| (e, isolates(Array::Memory)))?;
            model.change(Array::Memory, base, end, clear(RegionFlags::HOTPLUG));
        }
        Op::MarkMirror(cell, count) => {
            let (base, size, end) = range(cell, count);
            memblock.mark_mirror(base, size).map_err(|e| (e, isolates(Array::Memory)))?;
            if model.policy.kernelcore_mirror {
                model.change(Array::Memory, base, end, set(RegionFlags::MIRROR));
                model.policy.has_mirror = true;
            }
        }
        Op::MarkNomap(cell, count) => {
            let (base, size, end) = range(cell, count);
            memblock.mark_nomap(base, size).map_err(|e| (e, isolates(Array::Memory)))?;
            model.change(Array::Memory, base, end, set(RegionFlags::NOMAP));
        }
        Op::ClearNomap(cell, count) => {
            let (base, size, end) = range(cell, count);
            memblock.clear_nomap(base, size).map_err(|e| (e, isolates(Array::Memory)))?;
            model.change(Array::Memory, base, end, clear(RegionFlags::NOMAP));
        }
        Op::MarkDriverManaged(cell, count) => {
            let (base, size, end) = range(cell, count);
            memblock.mark_driver_managed(base, size).map_err(|e| (e, isolates(Array::Memory)))?;
            model.change(Array::Memory, base, end, set(RegionFlags::DRIVER_MANAGED));
        }
        Op::MarkNoinit(cell, count) => {
            let (base, size, end) = range(cell, count);
            memblock.reserved_mark_noinit(base, size).map_err(|e| (e, isolates(Array::Reserved)))?;
            model.change(Array::Reserved, base, end, set(RegionFlags::RSRV_NOINIT));
        }
        Op::SetNode(array, cell, count, nid) => {
            let (base, size, end) = range(cell, count);
            memblock.set_node(array, base, size, nid).map_err(|e| (e, isolates(array)))?;
            model.change(array, base, end, |cell| cell.0 = nid);
        }
        Op::TakeNids => {
            // Region by region: it may stop half-way, so it is only tried where there is room.
            if memblock.parts().reserved.max > 2 * CELLS as usize {
                memblock.reserved_take_nids().unwrap();
                model.take_nids();
            }
        }
        Op::Trim(align) => {
            memblock.trim_memory(align).unwrap();
            model.trim(align);
        }
        Op::Enforce(cells) => {
            let both = vec![(Array::Memory, None), (Array::Reserved, None)];
            memblock.enforce_memory_limit(bytes(cells)).map_err(|e| (e, both))?;
            if let Some(end) = model.end_of(bytes(cells)) {
                model.take(Array::Memory, end, u64::MAX);
                model.take(Array::Reserved, end, u64::MAX);
            }
        }
        Op::LimitRemoveMap(cells) => {
            let both = vec![(Array::Memory, None), (Array::Reserved, None)];
            memblock.mem_limit_remove_map(bytes(cells)).map_err(|e| (e, both))?;
            if let Some(end) = model.end_of(bytes(cells)) {
                model.cap(0, end);
            }
            merge_nomap(memblock);
        }
        Op::Cap(cell, count) => {
            let (base, size, end) = range(cell, count);
            let both = vec![(Array::Memory, None), (Array::Reserved, None)];
            memblock.cap_memory_range(base, size).map_err(|e| (e, both))?;
            model.cap(base, end);
            merge_nomap(memblock);
        }
        Op::SetLimit(cell) => {
            model.limit = at(model, cell);
            memblock.set_current_limit(model.limit);
        }
        Op::SetDirection(direction) => {
            model.direction = direction;
            memblock.set_direction(direction);
        }
        Op::Alloc(call, asked) => {
            let place = |cell| if cell == 0 { 0 } else { at(model, cell) };
            let bounds = Bounds { size: bytes(asked.size), min: place(asked.min), max: place(asked.max), ..asked };
            allocate(memblock, model, call, bounds)?;
        }
    }
    Ok(())
}

/// Capping leaves regions that must not be mapped in two where it cut; marking them again makes them one.
fn merge_nomap<const N: usize>(memblock: &mut Memblock<N>) {
    while let Some(pair) = memblock.memory().windows(2).find(|w| mergeable(&w[0], &w[1])) {
        assert!(pair[0].flags.contains(RegionFlags::NOMAP));
        let (base, size) = (pair[0].base, pair[0].size + pair[1].size);
        if memblock.mark_nomap(base, size).is_err() {
            return;
        }
    }
}

pub(crate) fn mergeable(a: &Region, b: &Region) -> bool {
    (a.end(), a.nid, a.flags) == (b.base, b.nid, b.flags)
}

fn allocate<const N: usize>(
    memblock: &mut Memblock<N>,
    model: &mut Model,
    call: Call,
    bounds: Bounds,
) -> Result<(), (Error, Needs)> {
    let Bounds { size, align, min, max, nid } = bounds;
    let capped = Bounds { max: max.min(model.limit), ..bounds };
    let anywhere = Bounds { min: 0, max: 0, ..bounds };
    let any = |bounds| Bounds { nid: Nid::NONE, ..bounds };
    let (found, expected) = match call {
        Call::PhysRange => (memblock.phys_alloc_range(bounds), model.find_with_fallbacks(any(bounds), &[min], true)),
        Call::PhysTryNid => {
            (memblock.phys_alloc_try_nid(size, align, nid), model.find_with_fallbacks(anywhere, &[0], true))
        }
        Call::RangeNid(fallback) => {
            let any_node = fallback == Fallback::AnyNode;
            (memblock.alloc_range_nid(bounds, fallback), model.find_with_fallbacks(bounds, &[min], any_node))
        }
        Call::TryNid => (memblock.alloc_try_nid(bounds), model.find_with_fallbacks(capped, &[min, 0], true)),
        Call::ExactNid => (memblock.alloc_exact_nid_raw(bounds), model.find_with_fallbacks(capped, &[min, 0], false)),
        Call::From => (
            memblock.alloc_from(size, align, min),
            model.find_with_fallbacks(any(Bounds { max: 0, ..bounds }), &[min, 0], true),
        ),
        Call::Node => (memblock.alloc_node(size, align, nid), model.find_with_fallbacks(anywhere, &[0], true)),
    };
    match found {
        Ok(found) => {
            assert_eq!(Some(found), expected, "{call:?} {bounds:x?}");
            model.put(Array::Reserved, found, found + size, Nid::UNSET, RegionFlags::NONE);
            Ok(())
        }
        Err(Error::NoRoom { .. }) => {
            assert_eq!(None, expected, "{call:?} {bounds:x?}");
            Ok(())
        }
        Err(error) => Err((error, vec![(Array::Reserved, Some(1))])),
    }
}
