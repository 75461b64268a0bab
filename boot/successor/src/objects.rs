// SPDX-License-Identifier: MIT OR Apache-2.0
//! Objects of many sizes on the heap: boxes, a vector, strings, a map.

use crate::defect::Defect;
use crate::heap;
use crate::random::Random;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::Layout;
use handoff::Proof;

/// Free frames without which there is no heap.
const LEAST_FRAMES: u64 = 1024;
/// Objects that are made.
const OBJECTS: u64 = 500;
/// Bytes of the largest of them: it takes whole frames.
const LARGEST: u64 = 5000;

/// Makes objects and drops them again, and counts them.
///
/// # Errors
/// One of them did not keep what it was made with, or could be freed twice.
pub(crate) fn check(proof: &mut Proof) -> Result<(), Defect> {
    if heap::with(|heap| Ok(heap.buddy().statistics().free_frames()))? < LEAST_FRAMES {
        return Ok(()); // too small a machine
    }
    if !kept(proof)? {
        return Err(Defect::Objects);
    }
    twice()
}

/// Makes objects of many sizes, drops some, and returns whether the rest kept what they were made with.
fn kept(proof: &mut Proof) -> Result<bool, Defect> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut boxes: Vec<(u8, Box<[u8]>)> = Vec::new();
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    for object in 0..OBJECTS {
        let number = random.next();
        let fill = number as u8;
        boxes.push((fill, alloc::vec![fill; 1 + ((number >> 8) % LARGEST) as usize].into_boxed_slice()));
        names.insert(object, format!("object {object} of {fill}"));
        if number & 1 << 40 != 0 {
            boxes.swap_remove((number >> 41) as usize % boxes.len());
            names.remove(&((number >> 41) % OBJECTS));
        }
    }
    let heap = heap::with(|heap| Ok(heap.statistics()))?;
    proof.heap_objects = heap.objects + heap.large_objects;
    proof.heap_bytes = heap.object_bytes + heap.large_bytes;
    proof.heap_overhead_bytes = heap.overhead_bytes;
    let boxes_kept = boxes.iter().all(|(fill, content)| content.iter().all(|byte| byte == fill));
    Ok(boxes_kept && names.iter().all(|(object, name)| name.starts_with(&format!("object {object} of "))))
}

/// Frees an object twice: the second time must be refused.
fn twice() -> Result<(), Defect> {
    let layout = Layout::new::<[u64; 64]>();
    heap::with(|heap| {
        let object = heap.allocate(layout)?;
        heap.free(object, layout)?;
        if heap.free(object, layout).is_ok() { Err(Defect::ObjectFreed(object)) } else { Ok(()) }
    })
}
