// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes over the live allocator that the last stage left, moves boot into it and gives back what only the boot needed.

use crate::chain::Outcome;
use crate::paging::{AddressSpace, MapError};
use crate::phys;
use buddy::{Buddy, Distances, FrameMap};
use core::fmt;
use handoff::{Blocks, FRAME_BYTES, Image, Ledger, MAX_NODES, NodeDistances, Owner, PhysRange, Zones};
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

/// The allocator, boot's own account and what boot holds of it.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) buddy: Buddy<'static>,
    pub(crate) ledger: Ledger,
    /// Bytes that came back at the end of the boot.
    pub(crate) returned: u64,
    /// Bytes of page tables, from the allocator.
    pub(crate) tables: u64,
    /// Boot's address space, which these make up.
    #[cfg_attr(not(feature = "smp"), expect(dead_code, reason = "nothing else is mapped"))]
    pub(crate) space: AddressSpace,
}

/// Why the allocator cannot be adopted.
#[derive(Debug)]
pub(crate) enum AdoptError {
    Map(MapError),
    Buddy(buddy::Error),
    /// So many frames are managed, and not free.
    InUse(u64),
    /// Memory is free, and was not before.
    NotFree(PhysRange),
    /// The tables lie in so many places.
    Tables(usize),
    Account(handoff::Full),
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => write!(f, "{error}"),
            Self::Buddy(error) => write!(f, "{error}"),
            Self::InUse(frames) => write!(f, "{frames} frames are taken already, by nobody"),
            Self::NotFree(range) => write!(f, "{range} is called free, and a part of it was not free before"),
            Self::Tables(places) => write!(f, "its tables lie in {places} places"),
            Self::Account(error) => write!(f, "{error}"),
        }
    }
}

/// Attaches to the allocator, and checks all of it.
///
/// # Errors
/// What does not fit together, or is not free and should be.
#[inline(never)] // the allocator is large: what it is made of is to leave the stack at once
pub(crate) fn attach(Outcome { zones, blocks, .. }: &Outcome) -> Result<Buddy<'static>, AdoptError> {
    let [tables] = zones.tables[..] else { return Err(AdoptError::Tables(zones.tables.len())) };
    // SAFETY: they are RAM, so that the direct map shows them, in this address space and in the next; the ledger gives them
    // to the allocator's tables alone. The program that wrote them has ended, and boot touches them only through this slice: it
    // attaches again only when it has detached.
    let bytes = unsafe { phys::bytes_mut(tables) };
    let buddy = Buddy::attach(bytes, zones).map_err(AdoptError::Buddy)?;
    buddy.validate().map_err(AdoptError::Buddy)?;
    check_free(&buddy, blocks, tables)?;
    Ok(buddy)
}

/// Moves boot into the allocator and gives back the pool, the stage programs and the loader's information.
///
/// # Errors
/// What does not fit together.
#[inline(never)] // the allocator is large
pub(crate) fn adopt(
    mut buddy: Buddy<'static>,
    zones: &Zones,
    ram_end: u64,
    giant_pages: bool,
    images: &[Image],
) -> Result<Kernel, AdoptError> {
    buddy.set_growth(frame_maps);
    set_distances(&mut buddy, &zones.distances).map_err(AdoptError::Buddy)?;

    // From here on page tables come from the allocator itself, so that the pool can go.
    let mut frames = Counted { buddy: &mut buddy, frames: 0 };
    let own = AddressSpace::boot(ram_end, giant_pages, &mut frames).map_err(AdoptError::Map)?;
    let tables = frames.frames * FRAME_BYTES;
    // SAFETY: made by `AddressSpace::boot`; its tables are allocated frames that are never freed. The direct map is as it
    // was, so that the allocator's tables stay where they are.
    unsafe { own.activate() };

    let mut kernel = Kernel { buddy, ledger: zones.ledger.clone(), returned: 0, tables, space: own };
    let kept = [Owner::BOOT_IMAGE, Owner::TRAMPOLINE];
    for image in images.iter().filter(|image| !kept.contains(&image.owner)) {
        kernel.give_back(*image)?;
    }
    Ok(kernel)
}

impl Kernel {
    /// Gives the allocator all frames of an image that belong to it wholly, by the account as well.
    fn give_back(&mut self, Image { range, owner }: Image) -> Result<(), AdoptError> {
        let claims = self.ledger.clone();
        let claimed = claims.claims().iter().filter(|claim| claim.owner == owner);
        for range in claimed.filter_map(|claim| claim.range.intersection(range)?.inward()) {
            self.buddy.free_reserved(range).map_err(AdoptError::Buddy)?;
            self.ledger.release(range).map_err(AdoptError::Account)?;
            self.returned += range.size();
        }
        Ok(())
    }
}

/// Tells the allocator how far nodes are from each other; without nodes there is nothing to tell.
fn set_distances(buddy: &mut Buddy<'_>, distances: &NodeDistances) -> Result<(), buddy::Error> {
    let nodes: [u16; MAX_NODES] = core::array::from_fn(|node| node as u16);
    let count = distances.nodes();
    buddy.set_distances(&nodes[..count], Distances::new(count, distances.rows())?)
}

/// Makes frame maps of frames that the allocator took from itself.
fn frame_maps(range: PhysRange) -> Option<&'static mut [FrameMap]> {
    // SAFETY: the allocator manages nothing but RAM, which the direct map shows, and gave these frames to nobody.
    let bytes = unsafe { phys::bytes_mut(range) };
    bytemuck::try_cast_slice_mut(bytes).ok()
}

/// Checks that the allocator has exactly its free blocks to give, and that each was free memory in the hand-off before.
fn check_free(buddy: &Buddy<'_>, blocks: &Blocks, tables: PhysRange) -> Result<(), AdoptError> {
    for (index, zone) in buddy.zones().iter().enumerate() {
        if zone.free() != zone.managed {
            return Err(AdoptError::InUse(zone.managed - zone.free()));
        }
        let mut free = buddy.free_ranges(index);
        if let Some(range) = free.find(|range| blocks.free_bytes(*range) != range.size() || range.overlaps(tables)) {
            return Err(AdoptError::NotFree(range));
        }
    }
    Ok(())
}

/// The allocator as a source of page tables, counting.
struct Counted<'a, 'b> {
    buddy: &'a mut Buddy<'b>,
    frames: u64,
}

// SAFETY: the allocator hands out every frame once, until it is freed; no frame taken here is ever freed.
unsafe impl FrameAllocator<Size4KiB> for Counted<'_, '_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.frames += 1;
        self.buddy.allocate(0).ok()
    }
}
