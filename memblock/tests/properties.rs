// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random operations of every kind against the naive model, at both ends of the address space and between.

mod model;

use memblock::{Array, Error, Policy};
use model::compare::{compare, compare_pages, compare_queries};
use model::ops::{Op, apply, bytes, empty, mergeable, op, origin, policy};
use model::{CELL, Model};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn does_what_the_model_does(origin in origin(), policy in policy(), ops in prop::collection::vec(op(), 1..40)) {
        let mut memblock = empty::<2048>(2048, policy);
        let mut model = Model::new(origin, policy);
        for op in &ops {
            apply(&mut memblock, &mut model, op).unwrap();
            compare(&memblock, &model);
        }
        compare_queries(&memblock, &model);
        compare_pages(&memblock, &model);
    }

    #[test]
    fn a_full_array_loses_nothing(
        origin in origin(), policy in policy(), max in 1..9usize, ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut memblock = empty::<8>(max.min(8), policy);
        let mut model = Model::new(origin, policy);
        for op in &ops {
            let before = (memblock.clone(), model.clone());
            if let Err((error, needs)) = apply(&mut memblock, &mut model, op) {
                let Error::Full { array, capacity } = error else { panic!("{error:?}") };
                prop_assert_eq!(capacity, max.min(8));
                // An operation that looks first wants the entries it needs, any other wants two.
                let (_, needed) = needs.iter().find(|(wanting, _)| *wanting == array).unwrap();
                let count = memblock.count(array);
                let len = memblock.parts();
                let len = if array == Array::Memory { len.memory.regions.len() } else { len.reserved.regions.len() };
                prop_assert!(needed.map_or(count + 2, |needed| len + needed) > capacity);
                prop_assert_eq!(memblock.parts(), before.0.parts());
            }
            if memblock.memory().windows(2).any(|w| mergeable(&w[0], &w[1])) {
                return Ok(()); // capping left two halves and there is no room to merge them: beyond this model
            }
            compare(&memblock, &model);
        }
    }

    #[test]
    fn an_array_that_grows_stays_clear(
        policy in policy(), ops in prop::collection::vec(op(), 1..40), origin in origin(),
    ) {
        let policy = Policy { can_resize: true, ..policy };
        let mut memblock = empty::<1024>(2, policy);
        // Plenty of memory above or below the space for the arrays, so that the limit decides where they go.
        memblock.add(1 << 40, 1 << 24).unwrap();
        for op in &ops {
            let before = memblock.clone();
            let range = match *op {
                Op::Put(Array::Reserved, cell, count) => Some((origin.saturating_add(cell * CELL), bytes(count))),
                _ => None,
            };
            let Some((base, size)) = range else {
                let mut ignored = Model::new(origin, policy);
                if !matches!(op, Op::Alloc(..) | Op::LimitRemoveMap(_) | Op::Cap(..) | Op::Enforce(_)) {
                    let _ = apply(&mut memblock, &mut ignored, op);
                }
                continue;
            };
            let result = memblock.reserve(base, size);
            let grew = memblock.parts().reserved.max > before.parts().reserved.max;
            if result.is_ok() && grew && memblock.parts().reserved.max == 2 * before.parts().reserved.max {
                let place = memblock.parts().reserved.place.unwrap();
                prop_assert!(before.is_region_memory(place.start(), place.size()), "in memory");
                prop_assert!(!before.is_region_reserved(place.start(), place.size()), "free before");
                prop_assert!(place.start() >= base.saturating_add(size) || place.end() <= base, "clear of the range");
                prop_assert!(place.size() >= memblock.parts().reserved.max as u64 * 24);
                prop_assert!(memblock.reserved().iter().any(|r| r.base <= place.start() && place.end() <= r.end()));
            }
            prop_assert!(memblock.reserved().is_sorted_by(|a, b| a.end() <= b.base));
            prop_assert!(memblock.reserved().len() <= memblock.parts().reserved.max);
        }
    }
}
