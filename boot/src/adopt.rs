// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes over the live allocator that the last stage left, moves boot into it and gives back what only the boot needed.

use crate::multiboot::Loader;
use crate::paging::{AddressSpace, MapError, Rights, Who};
use crate::pool::Pool;
use buddy::Buddy;
use core::fmt;
use handoff::{FRAME_BYTES, FrameState, Ledger, Owner, Page, PhysRange, Zones};
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
}

/// Why the allocator cannot be adopted.
#[derive(Debug)]
pub(crate) enum AdoptError {
    Map(MapError),
    Buddy(buddy::Error),
    Claim(PhysRange),
    Account(handoff::Full),
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => write!(f, "{error}"),
            Self::Buddy(error) => write!(f, "{error}"),
            Self::Claim(range) => {
                write!(f, "{range} belongs to boot, and its descriptors do not say that it is reserved")
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
    zones: &Zones,
    mut space: AddressSpace,
    ram_end: u64,
    giant_pages: bool,
    loader: &Loader,
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
    buddy.validate().map_err(AdoptError::Buddy)?;
    let images = || loader.images().map(|image| image.range).chain([pool.range()]);
    if let Some(range) = images().find(|range| !is_reserved(&buddy, *range)) {
        return Err(AdoptError::Claim(range));
    }

    // From here on page tables come from the allocator itself, so that the pool can go.
    let mut frames = Counted { buddy: &mut buddy, frames: 0 };
    let mut own = AddressSpace::boot(ram_end, giant_pages, &mut frames).map_err(AdoptError::Map)?;
    map_descriptors(&mut own, &zones.descriptors, &mut frames)?;
    let tables = frames.frames * FRAME_BYTES;
    // SAFETY: made by `AddressSpace::boot`; its tables are allocated frames that are never freed. The descriptors are
    // mapped where they were, so `pages` stays valid.
    unsafe { own.activate() };

    let mut kernel = Kernel { buddy, ledger: zones.ledger.clone(), returned: 0, tables };
    for owner in [Owner::BOOT_POOL, Owner::STAGE_IMAGES, Owner::BOOT_INFO] {
        kernel.give_back(owner)?;
    }
    Ok(kernel)
}

impl Kernel {
    /// Gives all frames that belong wholly to `owner` to the allocator.
    fn give_back(&mut self, owner: Owner) -> Result<(), AdoptError> {
        let claims = self.ledger.clone();
        let whole =
            claims.claims().iter().filter(|claim| claim.owner == owner).filter_map(|claim| claim.range.inward());
        for range in whole {
            self.buddy.free_reserved(range).map_err(AdoptError::Buddy)?;
            self.ledger.release(range).map_err(AdoptError::Account)?;
            self.returned += range.size();
        }
        Ok(())
    }
}

fn map_descriptors(
    space: &mut AddressSpace,
    blocks: &[PhysRange],
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<(), AdoptError> {
    let mut at = DESCRIPTORS;
    for block in blocks {
        space.map(*block, at, Rights::Data, Who::Boot, frames).map_err(AdoptError::Map)?;
        at += block.size();
    }
    Ok(())
}

/// Returns whether the descriptors of all frames that `range` touches say that they are not the allocator's.
fn is_reserved(buddy: &Buddy<'_>, range: PhysRange) -> bool {
    let mut pages = range.outward().frames().filter_map(|frame| buddy.page(frame));
    pages.all(|page| matches!(page.state(), FrameState::Reserved | FrameState::Hole))
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
