// SPDX-License-Identifier: MIT OR Apache-2.0
//! The very top of memory: the highest free frame is taken, written to, read again and given back.

use crate::defect::Defect;
use crate::windows;
use buddy::{Buddy, Error};
use handoff::{FRAME_BYTES, PhysRange, SECTION_BYTES};

/// Returns the address of the highest free frame, which keeps what is written to it; 0 if nothing is free.
///
/// # Errors
/// It does not, or the allocator does not give it.
pub(crate) fn check(buddy: &mut Buddy<'static>) -> Result<u64, Defect> {
    let highest = (0..buddy.zones().len()).filter_map(|zone| buddy.free_ranges(zone).last()).max_by_key(|r| r.end());
    let Some(end) = highest.map(PhysRange::end) else { return Ok(0) };
    let taken = [FRAME_BYTES, SECTION_BYTES].map(|bytes| PhysRange::from_size(end - bytes.min(end), bytes.min(end)));
    // A section that is free as a whole can be taken as a whole only, if there is no frame map left for it.
    let taken = match taken {
        [Some(frame), Some(section)] => match buddy.take_range(frame) {
            Err(Error::NoMap) => buddy.take_range(section).map(|()| section)?,
            result => result.map(|()| frame)?,
        },
        _ => return Ok(0),
    };
    let frame = end - FRAME_BYTES;
    if let Some(at) = PhysRange::from_size(frame, FRAME_BYTES).and_then(windows::show) {
        keeps(at, frame)?;
    }
    buddy.free_exact(taken)?;
    Ok(frame)
}

/// Checks that each word of a frame keeps a value, and the opposite value.
fn keeps(at: u64, frame: u64) -> Result<(), Defect> {
    for flip in [0, u64::MAX] {
        let words = || (0..FRAME_BYTES).step_by(8).map(|offset| ((at + offset) as *mut u64, (frame + offset) ^ flip));
        // SAFETY: the frame was just taken from the allocator and is nobody else's; its window shows all of it, writable, and
        // the words are aligned.
        words().for_each(|(word, value)| unsafe { word.write_volatile(value) });
        // SAFETY: as above.
        if let Some((word, _)) = words().find(|(word, value)| unsafe { word.read_volatile() } != *value) {
            return Err(Defect::Content(frame + (word as u64 - at)));
        }
    }
    Ok(())
}
