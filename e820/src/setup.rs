// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of Linux's `setup_arch` that read or change the table, each with the lines it prints.
//!
//! In the order of this file they are what Linux does; a step can be left out.

use crate::print::sanitize_if_linux_would;
use crate::{Error, Line, Map, Table, add_print, range_remove_print, range_update_print};
use crate::{FRAMES_BELOW_4_GIB, SMALLEST_PCI_GAP};
use handoff::{FRAME_BYTES, Log, MemoryKind, PhysRange, RawEntry, Rules};

/// Takes the firmware's entries over, sanitizes and prints them.
///
/// Linux: `e820__memory_setup`, `append_e820_table` (6.1).
///
/// # Errors
/// [`Error::TooFewEntries`] and [`Error::Wraps`], where Linux asks older BIOS calls instead;
/// [`Error::TooManyEntries`].
pub fn memory_setup<const N: usize, L: Log>(firmware: &[RawEntry], log: &L) -> Result<Table<N>, Error> {
    if firmware.len() < 2 {
        return Err(Error::TooFewEntries { entries: firmware.len() });
    }
    if let Some(e) = firmware.iter().find(|e| wraps(e)) {
        return Err(Error::Wraps { start: e.addr, size: e.size });
    }

    let mut table = Table::from_entries(firmware.iter().copied())?;
    // An entry that ends exactly with the last address does not count as wrapping above, but does here. Linux goes on
    // with the firmware's own order then.
    sanitize_if_linux_would(&mut table)?;
    Map::Bios.print(&table, log);
    Ok(table)
}

/// Appends the entries of a `SETUP_E820_EXT` node, sanitizes and prints the table.
///
/// An entry that wraps, or that there is no room for, is left out with a line. Linux leaves out everything behind a
/// wrapping entry, and says nothing.
///
/// Linux: `e820__memory_setup_extended` (6.1).
///
/// # Errors
/// [`Error::TooManyEntries`] if the table cannot be sanitized.
pub fn memory_setup_extended<const N: usize, L: Log>(
    table: &mut Table<N>,
    entries: impl IntoIterator<Item = RawEntry>,
    log: &L,
) -> Result<(), Error> {
    for e in entries {
        if wraps(&e) {
            log.warn(Line::Dropped { start: e.addr, size: e.size, kind: e.kind });
        } else if add_print(table, e, log).is_err() {
            continue; // it said so
        }
    }
    sanitize_if_linux_would(table)?;
    Map::Extended.print(table, log);
    Ok(())
}

/// A node of the loader's `setup_data` list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetupData {
    /// Address of the node.
    pub addr: u64,
    /// Bytes of the node, its header of 16 bytes included.
    pub size: u64,
    /// Its type. Linux: `SETUP_NONE` and so on (6.1).
    pub kind: u32,
    /// Address and size of what a `SETUP_INDIRECT` node leads to.
    pub target: Option<(u64, u64)>,
}

/// Sets the loader's `setup_data` aside in the main table and, before 6.12, in the one for kexec; prints the main table.
///
/// Nothing happens if there is no node.
///
/// Linux: `e820__reserve_setup_data` (6.1; 6.12 leaves the table for kexec alone, which is right for the next kernel).
///
/// # Errors
/// [`Error::TooManyEntries`]; the nodes before are done.
pub fn reserve_setup_data<const N: usize, L: Log>(
    table: &mut Table<N>,
    kexec: &mut Table<N>,
    nodes: &[SetupData],
    rules: Rules,
    log: &L,
) -> Result<(), Error> {
    /// `SETUP_EFI`, `SETUP_IMA`, `SETUP_RNG_SEED`: kexec writes its own.
    const NOT_FOR_KEXEC: [u32; 3] = [4, 8, 9];
    if nodes.is_empty() {
        return Ok(());
    }

    let set_aside = |table: &mut Table<N>, start, size| {
        range_update_print(table, start, size, MemoryKind::RAM, MemoryKind::RESERVED_KERN, log)
    };
    for node in nodes {
        let for_kexec = rules < Rules::V6_12 && !NOT_FOR_KEXEC.contains(&node.kind);
        for (start, size) in [Some((node.addr, node.size)), node.target].into_iter().flatten() {
            set_aside(table, start, size)?;
            if for_kexec {
                set_aside(kexec, start, size)?;
            }
        }
    }
    sanitize_if_linux_would(table)?;
    sanitize_if_linux_would(kexec)?;
    Map::SetupData.print(table, log);
    Ok(())
}

/// Sanitizes the table that [`apply_parameters`](crate::apply_parameters) changed, and prints it.
///
/// Linux: `e820__finish_early_params` (6.1), which panics where this returns an error.
///
/// # Errors
/// Those of [`Table::sanitize`]: a user's map of fewer than 2 entries is one.
pub fn finish_early_params<const N: usize, L: Log>(table: &mut Table<N>, log: &L) -> Result<(), Error> {
    table.sanitize().inspect_err(|_| log.error(Line::InvalidUserMap))?;
    Map::User.print(table, log);
    Ok(())
}

/// Makes the kernel's own memory RAM, whatever the map says, with a warning.
///
/// Linux: `e820_add_kernel_range` (6.1).
///
/// # Errors
/// [`Error::TooManyEntries`].
pub fn add_kernel_range<const N: usize, L: Log>(table: &mut Table<N>, kernel: PhysRange, log: &L) -> Result<(), Error> {
    if table.mapped_all(kernel, Some(MemoryKind::RAM)) {
        return Ok(());
    }
    log.warn(Line::KernelNotRam);
    range_remove_print(table, kernel.start(), kernel.size(), None, log)?;
    add_print(table, RawEntry { addr: kernel.start(), size: kernel.size(), kind: MemoryKind::RAM }, log)
}

/// Takes page 0, and RAM that a BIOS reports between 640 KiB and 1 MiB, away.
///
/// Linux: `trim_bios_range` (6.1).
///
/// # Errors
/// [`Error::TooManyEntries`]. Room for 2 more entries in a sanitized table is enough.
pub fn trim_bios_range<const N: usize, L: Log>(table: &mut Table<N>, log: &L) -> Result<(), Error> {
    range_update_print(table, 0, FRAME_BYTES, MemoryKind::RAM, MemoryKind::RESERVED, log)?;
    range_remove_print(table, 0xa_0000, 0x6_0000, Some(MemoryKind::RAM), log)?;
    sanitize_if_linux_would(table)?;
    Ok(())
}

/// Returns the frame number after the last frame of RAM below `max_arch_pfn`, and prints it.
///
/// Linux: `e820__end_of_ram_pfn` (6.1).
pub fn end_of_ram_pfn<const N: usize, L: Log>(table: &Table<N>, max_arch_pfn: u64, rules: Rules, log: &L) -> u64 {
    let last_pfn = table.end_of_ram(max_arch_pfn, rules);
    log.info(Line::LastPfn { last_pfn, max_arch_pfn });
    last_pfn
}

/// Returns the frame number after the last frame of RAM below 4 GiB, and prints it if RAM goes beyond.
///
/// Linux: `setup_arch`, `e820__end_of_low_ram_pfn` (6.1).
pub fn end_of_low_ram_pfn<const N: usize, L: Log>(
    table: &Table<N>,
    max_pfn: u64,
    max_arch_pfn: u64,
    rules: Rules,
    log: &L,
) -> u64 {
    if max_pfn <= FRAMES_BELOW_4_GIB {
        return max_pfn;
    }
    let last_pfn = table.end_of_ram(FRAMES_BELOW_4_GIB, rules);
    log.info(Line::LastPfn { last_pfn, max_arch_pfn });
    last_pfn
}

/// Prints what a hibernation does not save below `limit_pfn`.
///
/// Linux: `e820__register_nosave_regions` (6.1).
pub fn print_nosave<const N: usize, L: Log>(table: &Table<N>, limit_pfn: u64, log: &L) {
    for range in table.nosave(limit_pfn) {
        log.info(Line::Nosave { start: range.start(), last: range.end() - 1 });
    }
}

/// Returns the gap for PCI devices and prints it. If there is none: 4 MiB that begin 1 MiB above all RAM.
///
/// Linux: `e820__setup_pci_gap` (6.1).
pub fn setup_pci_gap<const N: usize, L: Log>(table: &Table<N>, max_pfn: u64, log: &L) -> Option<PhysRange> {
    let gap = table.pci_gap().or_else(|| {
        log.error(Line::NoPciGap);
        log.error(Line::PciMayNotWork);
        PhysRange::capped(max_pfn.saturating_mul(FRAME_BYTES).saturating_add(1 << 20), SMALLEST_PCI_GAP)
    });
    if let Some(gap) = gap {
        log.info(Line::PciGap { start: gap.start(), last: gap.end() - 1 });
    }
    gap
}

/// Prints what is kept free behind each RAM entry.
///
/// Linux: `e820__reserve_resources_late` (6.1).
pub fn print_ram_buffers<const N: usize, L: Log>(table: &Table<N>, log: &L) {
    for range in table.ram_buffers() {
        log.info(Line::RamBuffer { start: range.start(), last: range.end() - 1 });
    }
}

/// Returns whether an entry runs past the last address. Linux: `__append_e820_table` (6.1).
fn wraps(entry: &RawEntry) -> bool {
    entry.size > 0 && entry.addr.checked_add(entry.size - 1).is_none()
}
