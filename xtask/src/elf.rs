// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of an ELF goes into the image: the headers and the segments. GRUB keeps sections in memory, which would falsify
//! the account, and no machine of ours reads them.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, LittleEndian};

/// Returns the ELF without sections: the file up to the end of its last segment, whose header names no sections.
pub(crate) fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(elf)?;
    ensure!(header.is_type_64() && header.is_little_endian(), "not a 64-bit little-endian ELF");
    let segments = header.program_headers(Endianness::Little, elf)?;
    let headers_end =
        u64::from(header.e_phentsize(Endianness::Little)) * segments.len() as u64 + header.e_phoff(Endianness::Little);

    let mut end = headers_end;
    for segment in segments.iter().filter(|s| s.p_type(Endianness::Little) == PT_LOAD) {
        let (offset, size) = segment.file_range(Endianness::Little);
        if size > 0 {
            end = end.max(offset.checked_add(size).ok_or_else(|| anyhow!("a segment ends beyond 2^64"))?);
        }
    }

    let end = usize::try_from(end).context("a segment is larger than memory")?;
    let mut stripped = elf.get(..end).ok_or_else(|| anyhow!("a segment ends beyond the file"))?.to_vec();
    forget_sections(&mut stripped);
    Ok(stripped)
}

/// Clears the fields of the ELF64 header that lead to sections: e_shoff, e_shnum and e_shstrndx.
fn forget_sections(elf: &mut [u8]) {
    elf[0x28..0x30].fill(0);
    elf[0x3c..0x40].fill(0);
}

/// Checks that GRUB will take `elf` as a multiboot2 kernel.
pub(crate) fn check_multiboot2(elf: &[u8]) -> Result<()> {
    // The parser wants the alignment that GRUB gives; a fresh allocation of this size has it.
    let start = elf[..elf.len().min(multiboot2_header::HEADER_SEARCH_LIMIT)].to_vec();
    multiboot2_header::Header::find_header(&start)
        .map_err(|error| anyhow!("no multiboot2 header in the first 32 KiB: {error}"))?;
    Ok(())
}

/// Checks that the program is for the machine of the image.
pub(crate) fn check_machine(elf: &[u8]) -> Result<()> {
    let header = FileHeader64::<LittleEndian>::parse(elf)?;
    match header.e_machine.get(LittleEndian) {
        object::elf::EM_X86_64 => Ok(()),
        other => bail!("the ELF is for machine {other}, not x86-64 ({})", object::elf::EM_X86_64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSegment as _};

    #[test]
    fn a_stripped_program_keeps_its_segments_only() {
        let whole = fs_err::read("/proc/self/exe").unwrap();
        let stripped = strip(&whole).unwrap();
        assert!(stripped.len() < whole.len());

        let (before, after) = (object::File::parse(&whole[..]).unwrap(), object::File::parse(&stripped[..]).unwrap());
        assert_eq!(after.sections().count(), 0);
        let data = |f: &object::File<'_>| -> Vec<_> {
            f.segments().map(|s| (s.address(), s.size(), s.data().unwrap().len())).collect()
        };
        assert_eq!(data(&before), data(&after));
        assert_eq!(before.entry(), after.entry());
        check_machine(&stripped).unwrap();
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(strip(b"not an ELF").is_err());
        let whole = fs_err::read("/proc/self/exe").unwrap();
        assert!(strip(&whole[..4096]).unwrap_err().to_string().contains("beyond the file"));
        assert!(check_multiboot2(&whole).is_err());
    }
}
