// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes over the live allocator that the last stage left, moves boot into it and gives back what only the boot needed.

use crate::chain::Outcome;
use crate::paging::{AddressSpace, MapError, Rights, Who};
use crate::phys;
use crate::pool::Pool;
use buddy::{Buddy, Distances};
use core::fmt;
use handoff::{
    Blocks, FRAME_BYTES, Frame, Image, Ledger, MAX_NODES, NodeDistances, Owner, Page, PhysRange, SECTION_BYTES,
    SectionRun,
};
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

/// Where boot maps the descriptors, one block after the other.
const DESCRIPTORS: u64 = 0xffff_c000_0000_0000;

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
    /// A block is on a free list, and it is not free.
    NotFree {
        start: u64,
        order: u8,
    },
    Account(handoff::Full),
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => write!(f, "{error}"),
            Self::Buddy(error) => write!(f, "{error}"),
            Self::InUse(frames) => write!(f, "{frames} frames are taken already, by nobody"),
            Self::NotFree { start, order } => {
                write!(f, "the block of order {order} at {start:#x} is on a free list, and was not free before")
            }
            Self::Account(error) => write!(f, "{error}"),
        }
    }
}

/// Adopts the allocator and gives back the pool, the stage programs and the loader's information.
///
/// # Errors
/// What does not fit together.
pub(crate) fn adopt(
    Outcome { zones, blocks, .. }: &Outcome,
    mut space: AddressSpace,
    ram_end: u64,
    giant_pages: bool,
    images: &[Image],
    mut pool: Pool,
) -> Result<Kernel, AdoptError> {
    map_descriptors(&mut space, &zones.descriptors, &mut pool)?;
    let bytes: u64 = zones.descriptors.iter().map(|range| range.size()).sum();
    // SAFETY: (1) The descriptors have just been mapped here, one block after the other, in whole pages, so that `Page` is
    // aligned. (2) They are memory that the ledger gives to descriptors alone; the stage that wrote them has ended, and
    // boot touches them only through this slice. (3) Any bytes are a valid `Page`.
    let pages =
        unsafe { core::slice::from_raw_parts_mut(DESCRIPTORS as *mut Page, bytes as usize / size_of::<Page>()) };
    let mut buddy = Buddy::attach(pages, zones).map_err(AdoptError::Buddy)?;
    set_distances(&mut buddy, &zones.distances).map_err(AdoptError::Buddy)?;
    buddy.validate().map_err(AdoptError::Buddy)?;
    check_free(&buddy, blocks)?;

    // From here on page tables come from the allocator itself, so that the pool can go.
    let mut frames = Counted { buddy: &mut buddy, frames: 0 };
    let mut own = AddressSpace::boot(ram_end, giant_pages, &mut frames).map_err(AdoptError::Map)?;
    map_descriptors(&mut own, &zones.descriptors, &mut frames)?;
    let tables = frames.frames * FRAME_BYTES;
    // SAFETY: made by `AddressSpace::boot`; its tables are allocated frames that are never freed. The descriptors are
    // mapped where they were, so `pages` stays valid.
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

fn map_descriptors(
    space: &mut AddressSpace,
    blocks: &[PhysRange],
    frames: &mut dyn FrameAllocator<Size4KiB>,
) -> Result<(), AdoptError> {
    let mut at = DESCRIPTORS;
    for block in blocks {
        space.map(*block, at, Rights::Data, Who::Boot, frames).map_err(AdoptError::Map)?;
        at += block.size();
    }
    Ok(())
}

/// Checks that the allocator has exactly its free blocks to give, and that each was free memory in the hand-off before.
fn check_free(buddy: &Buddy<'_>, blocks: &Blocks) -> Result<(), AdoptError> {
    for zone in buddy.zones() {
        if zone.free() != zone.managed {
            return Err(AdoptError::InUse(zone.managed - zone.free()));
        }
        for (order, area) in (0..).zip(&zone.free_area) {
            let mut head = area.head;
            while let Some(start) = address(buddy.sections(), head) {
                let block = PhysRange::from_size(start, FRAME_BYTES << order).filter(|block| blocks.is_free(*block));
                let block = block.ok_or(AdoptError::NotFree { start, order })?;
                head = buddy.page(phys::frame(block.start())).map_or(Frame::NONE, |page| page.next);
            }
        }
    }
    Ok(())
}

/// Returns the address of the frame that a descriptor describes, if there is such a descriptor.
fn address(sections: &[SectionRun], frame: Frame) -> Option<u64> {
    let run = sections.iter().rev().find(|run| run.first_frame <= frame).filter(|_| frame != Frame::NONE)?;
    Some(u64::from(run.first_section) * SECTION_BYTES + u64::from(frame.0 - run.first_frame.0) * FRAME_BYTES)
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
