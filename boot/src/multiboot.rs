// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the loader says: command line, memory map, stage programs, where the firmware's tables are.

use crate::acpi::Acpi;
use crate::console::say;
use crate::tables::Tables;
use crate::{map, paging, phys};
use handoff::abi::COMMAND_LINE_BYTES;
use handoff::{Image, MemoryKind, Owner, PhysRange, RAW_ENTRIES, RawEntry, StageId};
use heapless::{String, Vec};
use multiboot2::{BootInformation, BootInformationHeader};

/// Stage programs the loader can bring.
pub(crate) const PROGRAMS: usize = 16;

/// A stage program as the loader placed it, with what image.toml says about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) stage: StageId,
    pub(crate) elf: PhysRange,
    pub(crate) stack_bytes: u64,
    pub(crate) budget_ms: u64,
    pub(crate) may_ask_for_grants: bool,
}

/// The loader's information.
#[derive(Debug)]
pub(crate) struct Loader {
    information: BootInformation<'static>,
    place: PhysRange,
    pub(crate) map: Vec<RawEntry, RAW_ENTRIES>,
    pub(crate) programs: Vec<Program, PROGRAMS>,
    pub(crate) command_line: String<COMMAND_LINE_BYTES>,
}

impl Loader {
    /// Returns what the loader left at `address`.
    ///
    /// # Errors
    /// What is missing or wrong, in words.
    pub(crate) fn read(address: u64) -> Result<Self, &'static str> {
        let header = PhysRange::from_size(address, 8).ok_or("the loader's information is nowhere")?;
        // SAFETY: the loader puts its information below 4 GiB, where everything is mapped, and nobody writes there: the
        // pool and later every stage keep away from it until boot is done with it.
        let pointer = unsafe { phys::bytes(header) }.as_ptr().cast::<BootInformationHeader>();
        // SAFETY: entry.s has checked the loader's magic number, so the pointer leads to multiboot2 information.
        let information =
            unsafe { BootInformation::load(pointer) }.map_err(|_| "the loader's information is malformed")?;
        let place = PhysRange::from_size(address, information.total_size() as u64).ok_or("malformed information")?;

        let map = memory_map(&information)?;
        let programs = programs(&information)?;
        let command_line = command_line(&information)?;
        Ok(Self { information, place, map, programs, command_line })
    }

    /// Returns what lies in memory now, in whole pages unless two things share one.
    pub(crate) fn images(&self) -> impl Iterator<Item = Image> + '_ {
        self.exact_images().map(|image| {
            let pages = image.range.outward();
            let shared = self.exact_images().filter(|other| other.range.overlaps(pages)).count() > 1;
            if shared { image } else { Image { range: pages, ..image } }
        })
    }

    fn exact_images(&self) -> impl Iterator<Item = Image> + '_ {
        let own = [(paging::image(), Owner::BOOT_IMAGE), (Some(self.place), Owner::BOOT_INFO)];
        let own = own.into_iter().filter_map(|(range, owner)| Some(Image { range: range?, owner }));
        own.chain(self.programs.iter().map(|p| Image { range: p.elf, owner: Owner::STAGE_IMAGES }))
    }

    /// Returns the ACPI tables.
    pub(crate) fn acpi(&self) -> Option<Acpi> {
        let new = self.information.rsdp_v2_tag().map(|tag| (tag.xsdt_address() as u64, 8));
        let root = new
            .filter(|(address, _)| *address != 0)
            .or_else(|| self.information.rsdp_v1_tag().map(|tag| (tag.rsdt_address() as u64, 4)));
        root.map(|(root, entry_bytes)| Acpi { tables: Tables, root, entry_bytes })
    }

    /// Returns the address of the EFI system table.
    pub(crate) fn efi_system_table(&self) -> Option<u64> {
        self.information.efi_sdt64_tag().map(|tag| tag.sdt_address() as u64)
    }
}

/// Returns the command line as it was typed: GRUB puts a backslash before each quote and backslash of a word.
fn command_line(information: &BootInformation<'_>) -> Result<String<COMMAND_LINE_BYTES>, &'static str> {
    let tag = information.command_line_tag().map(|tag| tag.cmdline());
    let mut escaped = tag.unwrap_or(Ok("")).map_err(|_| "the command line is not text")?.chars().peekable();
    let mut typed = String::new();
    while let Some(c) = escaped.next() {
        let c = if c == '\\' { escaped.next_if(|next| matches!(next, '\\' | '\'' | '"')).unwrap_or(c) } else { c };
        typed.push(c).map_err(|_| "the command line is longer than 8192 bytes")?;
    }
    Ok(typed)
}

fn memory_map(information: &BootInformation<'_>) -> Result<Vec<RawEntry, RAW_ENTRIES>, &'static str> {
    let tag = information.memory_map_tag().ok_or("the loader passes no memory map")?;
    let entry = |area: &multiboot2::MemoryArea| RawEntry {
        addr: area.start_address(),
        size: area.size(),
        kind: MemoryKind(area.typ().val()),
    };
    let entries = tag.memory_areas().iter().map(entry);
    let count = entries.clone().count();
    map::collect(entries, |RawEntry { addr, size, kind }| {
        say!(
            "boot: the firmware's map has {count} entries, {RAW_ENTRIES} fit: left out {size:#x} bytes at {addr:#x} ({kind})"
        );
    })
}

fn programs(information: &BootInformation<'_>) -> Result<Vec<Program, PROGRAMS>, &'static str> {
    let number = |text: &str| {
        text.parse::<u32>().map(u64::from).map_err(|_| "stack_kib= or budget_ms= of a module is not a number")
    };
    let mut programs = Vec::new();
    for module in information.module_tags() {
        let elf = PhysRange::new(module.start_address().into(), module.end_address().into());
        let elf = elf.ok_or("a module is empty")?;
        let (stage, may_ask_for_grants) = (StageId::BOOT, false);
        let mut program = Program { stage, elf, stack_bytes: 64 << 10, budget_ms: 1000, may_ask_for_grants };
        let words = module.cmdline().map_err(|_| "the command line of a module is not text")?;
        for word in words.split_ascii_whitespace() {
            if let Some(kib) = word.strip_prefix("stack_kib=") {
                program.stack_bytes = number(kib)? << 10;
            } else if let Some(ms) = word.strip_prefix("budget_ms=") {
                program.budget_ms = number(ms)?;
            } else if word == "grants" {
                program.may_ask_for_grants = true;
            } else {
                program.stage = StageId::from_name(word).unwrap_or(program.stage);
            }
        }
        if program.stage == StageId::BOOT {
            return Err("a module does not say which stage it is");
        }
        programs.push(program).map_err(|_| "there are more than 16 modules")?;
    }
    Ok(programs)
}
