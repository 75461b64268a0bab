// SPDX-License-Identifier: MIT OR Apache-2.0
//! Address spaces: boot's own and one per stage. No page is both writable and executable.

use crate::{gate, phys};
use core::fmt;
use handoff::PhysRange;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::mapper::{MapToError, MapperFlush, Translate, TranslateResult};
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageSize, PageTable, PageTableFlags as Flags, PhysFrame, Size1GiB,
    Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

unsafe extern "C" {
    static image_start: u8;
    static gate_text_start: u8;
    static text_end: u8;
    static rodata_end: u8;
    static gate_data_start: u8;
    static gate_data_end: u8;
    static image_end: u8;
    static boot_stack_guard: u8;
}

/// Returns the range between two symbols of boot.ld.
macro_rules! between {
    ($start:ident, $end:ident) => {
        PhysRange::new((&raw const $start) as u64, (&raw const $end) as u64)
    };
}

/// Returns where boot itself lies.
pub(crate) fn image() -> Option<PhysRange> {
    between!(image_start, image_end)
}

/// Returns the part of boot that never changes: code and constants.
pub(crate) fn image_constants() -> Option<PhysRange> {
    between!(image_start, rodata_end)
}

/// Bytes of boot's image by what they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageBytes {
    pub(crate) code: u64,
    pub(crate) constants: u64,
    pub(crate) data: u64,
    pub(crate) zeroed: u64,
}

/// Returns the bytes of boot's image by what they are.
pub(crate) fn image_bytes() -> ImageBytes {
    let bytes = |range: Option<PhysRange>| range.map_or(0, PhysRange::size);
    ImageBytes {
        code: bytes(between!(image_start, text_end)),
        constants: bytes(between!(text_end, rodata_end)),
        data: bytes(between!(rodata_end, gate_data_start)),
        zeroed: bytes(between!(gate_data_start, image_end)),
    }
}

/// What may be done with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rights {
    /// Read and execute.
    Code,
    /// Read.
    Constants,
    /// Read and write.
    Data,
}

/// Who may do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// Ring 0.
    Boot,
    /// Ring 3.
    Program,
}

/// Why something cannot be mapped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MapError {
    /// No frame left for a page table.
    OutOfFrames,
    /// Something is mapped there already.
    Occupied(u64),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfFrames => f.write_str("the boot pool has no frame left for a page table"),
            Self::Occupied(address) => write!(f, "{address:#x} is mapped already"),
        }
    }
}

/// A tree of page tables.
#[derive(Debug)]
pub(crate) struct AddressSpace {
    root: PhysFrame,
    giant_pages: bool,
}

impl AddressSpace {
    /// Returns an address space in which nothing is mapped.
    pub(crate) fn empty(giant_pages: bool, frames: &mut dyn FrameAllocator<Size4KiB>) -> Result<Self, MapError> {
        let root = frames.allocate_frame().ok_or(MapError::OutOfFrames)?;
        // SAFETY: the frame was just allocated for us and lies in RAM, which the direct map covers.
        unsafe { phys::zero(root) };
        Ok(Self { root, giant_pages })
    }

    /// Returns boot's address space: its image where it lies, and physical memory up to `ram_end` at the direct map.
    pub(crate) fn boot(
        ram_end: u64,
        giant_pages: bool,
        frames: &mut dyn FrameAllocator<Size4KiB>,
    ) -> Result<Self, MapError> {
        let mut space = Self::empty(giant_pages, frames)?;
        let guard = (&raw const boot_stack_guard) as u64;
        let parts = [
            (between!(image_start, text_end), Rights::Code),
            (between!(text_end, rodata_end), Rights::Constants),
            (PhysRange::new((&raw const gate_data_start) as u64 & !0xfff, guard), Rights::Data),
            (PhysRange::new(guard + 4096, (&raw const image_end) as u64), Rights::Data),
        ];
        // Initialised data, if there is any, lies between the constants and the gate's data.
        let data = (between!(rodata_end, gate_data_start), Rights::Data);
        for (part, rights) in parts.into_iter().chain([data]).filter_map(|(part, rights)| Some((part?, rights))) {
            space.map(part, part.start(), rights, Who::Boot, frames)?;
        }
        if let Some(memory) = PhysRange::new(0, ram_end.next_multiple_of(1 << 30)) {
            space.map(memory, phys::DIRECT_MAP.as_u64(), Rights::Data, Who::Boot, frames)?;
        }
        Ok(space)
    }

    /// Returns a program's address space, which contains nothing but the way out of it.
    pub(crate) fn program(frames: &mut dyn FrameAllocator<Size4KiB>) -> Result<Self, MapError> {
        let mut space = Self::empty(false, frames)?;
        let gate = [
            (between!(gate_text_start, text_end), Rights::Code),
            (between!(gate_data_start, gate_data_end), Rights::Data),
        ];
        for (part, rights) in gate.into_iter().filter_map(|(part, rights)| Some((part?, rights))) {
            space.map(part, part.start(), rights, Who::Boot, frames)?;
        }
        Ok(space)
    }

    /// Returns the value of CR3 for it.
    pub(crate) fn cr3(&self) -> u64 {
        self.root.start_address().as_u64()
    }

    /// Makes it the one in use.
    ///
    /// # Safety
    /// It must have been made by [`boot`](Self::boot), and its tables must stay as they are for as long as it is in use.
    pub(crate) unsafe fn activate(&self) {
        // SAFETY: boot's address space maps the code that runs now, its data and its stack where they are.
        unsafe { Cr3::write(self.root, Cr3::read().1) };
        gate::return_here();
    }

    /// Maps whole frames at `at`, with the largest pages that fit.
    pub(crate) fn map(
        &mut self,
        range: PhysRange,
        at: u64,
        rights: Rights,
        who: Who,
        frames: &mut dyn FrameAllocator<Size4KiB>,
    ) -> Result<(), MapError> {
        let range = range.outward();
        let (mut from, mut to) = (range.start(), at & !0xfff);
        while from < range.end() {
            let fits = |size: u64| (from | to).is_multiple_of(size) && range.end() - from >= size;
            let step = if self.giant_pages && fits(Size1GiB::SIZE) {
                self.map_page::<Size1GiB>(from, to, rights, who, frames)?
            } else if fits(Size2MiB::SIZE) {
                self.map_page::<Size2MiB>(from, to, rights, who, frames)?
            } else {
                self.map_page::<Size4KiB>(from, to, rights, who, frames)?
            };
            from += step;
            to += step;
        }
        Ok(())
    }

    fn map_page<S: PageSize>(
        &mut self,
        from: u64,
        to: u64,
        rights: Rights,
        who: Who,
        frames: &mut dyn FrameAllocator<Size4KiB>,
    ) -> Result<u64, MapError>
    where
        for<'a> OffsetPageTable<'a>: Mapper<S>,
    {
        let page = Page::<S>::containing_address(VirtAddr::new_truncate(to));
        let frame = PhysFrame::<S>::containing_address(PhysAddr::new_truncate(from));
        let user = if who == Who::Program { Flags::USER_ACCESSIBLE } else { Flags::empty() };
        let allowed = match rights {
            Rights::Code => Flags::empty(),
            Rights::Constants => Flags::NO_EXECUTE,
            Rights::Data => Flags::NO_EXECUTE | Flags::WRITABLE,
        };
        let table = Flags::PRESENT | Flags::WRITABLE | user;
        // SAFETY: a new mapping of frames that the caller decides on: boot's own, for itself, or frames that belong to the
        // program alone. An existing mapping is never changed, so no reference into one is affected.
        unsafe { self.tables().map_to_with_table_flags(page, frame, Flags::PRESENT | user | allowed, table, frames) }
            .map(MapperFlush::ignore) // nothing was mapped there, so no translation is cached
            .map_err(|error| match error {
                MapToError::FrameAllocationFailed => MapError::OutOfFrames,
                _ => MapError::Occupied(to),
            })?;
        Ok(S::SIZE)
    }

    /// Returns the physical address of a byte that the program itself can read.
    pub(crate) fn readable_by_program(&mut self, address: u64) -> Option<u64> {
        let address = VirtAddr::try_new(address).ok()?;
        match self.tables().translate(address) {
            TranslateResult::Mapped { frame, offset, flags } if flags.contains(Flags::USER_ACCESSIBLE) => {
                Some(frame.start_address().as_u64() + offset)
            }
            _ => None,
        }
    }

    pub(crate) fn tables(&mut self) -> OffsetPageTable<'_> {
        // SAFETY: the root and all tables below it are frames in RAM that belong to this address space alone, and the
        // direct map covers all RAM. The borrow of `self` keeps a second view from being made.
        unsafe {
            let root = phys::DIRECT_MAP + self.cr3();
            OffsetPageTable::new(&mut *root.as_mut_ptr::<PageTable>(), phys::DIRECT_MAP)
        }
    }
}
