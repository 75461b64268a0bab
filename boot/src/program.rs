// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stage program, loaded: its own address space with its segments, stack, input and output, and nothing else.

use crate::multiboot::Program;
use crate::paging::{AddressSpace, MapError, Rights, Who};
use crate::phys;
use crate::pool::{Pool, PoolEmpty};
use core::fmt;
use elf::abi::{EI_NIDENT, EM_X86_64, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::SegmentTable;
use handoff::abi::{COMMAND_LINE_BYTES, INPUT_BASE, INPUT_BYTES, OUTPUT_BASE, PROGRAM_BASE, STACK_TOP, StartInfo};
use handoff::{EXCHANGE_BYTES, FRAME_BYTES, PhysRange};

/// Why a program cannot be loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LoadError {
    /// The file is not an ELF program that could run here.
    Elf(&'static str),
    /// The boot pool is too small for it.
    Pool,
    /// Two parts of it would lie in one page.
    Map(MapError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf(what) => f.write_str(what),
            Self::Pool => f.write_str("the boot pool is too small for the program (see stack_kib in image.toml)"),
            Self::Map(error) => write!(f, "{error}"),
        }
    }
}

impl From<PoolEmpty> for LoadError {
    fn from(PoolEmpty: PoolEmpty) -> Self {
        Self::Pool
    }
}

impl From<MapError> for LoadError {
    fn from(error: MapError) -> Self {
        Self::Map(error)
    }
}

/// A program that is ready to run.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) space: AddressSpace,
    pub(crate) entry: u64,
    output: PhysRange,
}

impl Loaded {
    /// Loads a program, with its memory from the pool.
    pub(crate) fn new(
        program: &Program,
        tsc_hz: u64,
        command_line: &str,
        handoff: &[u8],
        pool: &mut Pool,
    ) -> Result<Self, LoadError> {
        let mut space = AddressSpace::program(pool)?;
        // SAFETY: the loader placed the file below 4 GiB, where everything is mapped; nobody writes to it.
        let file = unsafe { phys::bytes(program.elf) };
        let entry = segments(file, &mut space, pool)?;

        let stack = pool.take(program.stack_bytes)?;
        space.map(stack, STACK_TOP - stack.size(), Rights::Data, Who::Program, pool)?;
        let output = pool.take(EXCHANGE_BYTES as u64)?;
        space.map(output, OUTPUT_BASE, Rights::Data, Who::Program, pool)?;
        let input = input(tsc_hz, command_line, handoff, pool)?;
        space.map(input, INPUT_BASE, Rights::Constants, Who::Program, pool)?;
        Ok(Self { space, entry, output })
    }

    /// Returns up to `size` bytes of the program's memory, to the end of the page, if the program itself can read them.
    pub(crate) fn readable(&mut self, address: u64, size: u64) -> Option<&[u8]> {
        let physical = self.space.readable_by_program(address)?;
        let range = PhysRange::from_size(physical, size.min(FRAME_BYTES - address % FRAME_BYTES))?;
        // SAFETY: the page is mapped for the program, so it is RAM in the direct map; the program is not running, and
        // nothing else writes to its memory while `self` is borrowed.
        Some(unsafe { phys::bytes(range) })
    }

    /// Returns the first `bytes` of the output, once the program has ended.
    pub(crate) fn output(&self, bytes: usize) -> Option<&[u8]> {
        // SAFETY: the pages belong to this program, which is not running; nothing else writes to them while `self` is
        // borrowed.
        unsafe { phys::bytes(self.output) }.get(..bytes)
    }
}

/// Writes start information, command line and hand-off one after another, and returns where.
fn input(tsc_hz: u64, command_line: &str, handoff: &[u8], pool: &mut Pool) -> Result<PhysRange, LoadError> {
    if command_line.len() > COMMAND_LINE_BYTES || handoff.len() > EXCHANGE_BYTES {
        return Err(LoadError::Elf("command line or hand-off too long for the exchange buffer"));
    }
    let info = [tsc_hz, command_line.len() as u64, handoff.len() as u64]; // in the order of StartInfo
    const { assert!(size_of::<StartInfo>() == 24) };
    let parts = info.iter().flat_map(|word| word.to_le_bytes());
    let parts = parts.chain(command_line.bytes()).chain(handoff.iter().copied());
    let fill = |input: &mut [u8]| input.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    Ok(pool.take_filled(INPUT_BYTES as u64, fill)?)
}

/// Bytes of a segment's header in a 64-bit ELF.
const SEGMENT_BYTES: u64 = 56;

/// Returns the header of a 64-bit ELF for x86-64. No section is read: the file has none.
fn header(file: &[u8]) -> Option<FileHeader<LittleEndian>> {
    let (ident, tail) = file.split_at_checked(EI_NIDENT)?;
    let ident = parse_ident(ident).ok().filter(|(_, class, ..)| *class == Class::ELF64)?;
    FileHeader::parse_tail(ident, tail).ok().filter(|header| header.e_machine == EM_X86_64)
}

/// Copies the segments to fresh frames, maps them with the rights they ask for, and returns the entry point.
fn segments(file: &[u8], space: &mut AddressSpace, pool: &mut Pool) -> Result<u64, LoadError> {
    let header = header(file).ok_or(LoadError::Elf("not an ELF file for x86-64"))?;
    let part = |offset: u64, bytes: u64| file.get(offset as usize..offset.checked_add(bytes)? as usize);
    let table = part(header.e_phoff, u64::from(header.e_phnum) * SEGMENT_BYTES).ok_or(LoadError::Elf("no segments"))?;

    let entry = header.e_entry;
    let mut entry_is_code = false;
    for segment in
        SegmentTable::new(LittleEndian, Class::ELF64, table).iter().filter(|s| s.p_type == PT_LOAD && s.p_memsz > 0)
    {
        let place = PhysRange::from_size(segment.p_vaddr, segment.p_memsz)
            .filter(|place| PROGRAM_BASE <= place.start() && place.end() <= INPUT_BASE)
            .ok_or(LoadError::Elf("a segment lies outside the place of a program"))?;
        let rights = match (segment.p_flags & PF_X != 0, segment.p_flags & PF_W != 0) {
            (true, true) => return Err(LoadError::Elf("a segment is both writable and executable")),
            (true, false) => Rights::Code,
            (false, true) => Rights::Data,
            (false, false) => Rights::Constants,
        };
        entry_is_code |= rights == Rights::Code && place.contains(entry);
        let content = part(segment.p_offset, segment.p_filesz);
        let content = content.ok_or(LoadError::Elf("a segment lies outside the file"))?;

        if segment.p_filesz > segment.p_memsz {
            return Err(LoadError::Elf("a segment is larger in the file than in memory"));
        }

        let pages = place.outward();
        let offset = (place.start() - pages.start()) as usize;
        let fill = |memory: &mut [u8]| memory.iter_mut().skip(offset).zip(content).for_each(|(to, from)| *to = *from);
        let frames = pool.take_filled(pages.size(), fill)?;
        space.map(frames, pages.start(), rights, Who::Program, pool)?;
    }
    // More than a courtesy: a return to an address that is not canonical would be a fault of boot's.
    if entry_is_code { Ok(entry) } else { Err(LoadError::Elf("the entry point is not in its code")) }
}
