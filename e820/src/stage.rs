// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage: the firmware's map in, a sanitized map and the account of what was lost out.

use crate::print::sanitize_if_linux_would;
use crate::{
    Error, Line, MAX_ARCH_PFN, Map, Table, apply_parameters, end_of_low_ram_pfn, end_of_ram_pfn, finish_early_params,
    ram_lost, range_update_print, setup_pci_gap, trim_bios_range,
};
use handoff::{
    CLAIMS, FRAME_BYTES, Firmware, Ledger, Log, MAP_ENTRIES, Machine, MapEntry, MemoryKind, MemoryMap, Owner,
    PhysRange, RawEntry, Rules, Stage, StageId,
};

/// The table of the stage: what it holds, a hand-off can carry.
type Entries = Table<MAP_ENTRIES>;

/// Entries that the steps after the user's edits may add.
const SPARE_ENTRIES: usize = 4;

/// The first stage of the chain. Linux: `setup_arch` (6.1), as far as it concerns the e820 table.
#[derive(Clone, Copy, Debug)]
pub struct Sanitize;

impl Stage for Sanitize {
    const ID: StageId = StageId::E820;
    type In = Firmware;
    type Out = MemoryMap;
    type Error = Error;

    /// # Errors
    /// [`Error::NoRam`] if the firmware's map has no memory to use, and [`Error::LedgerFull`] if the account that came in
    /// has too many claims already.
    fn run<M: Machine>(command_line: &str, input: Firmware, machine: &mut M) -> Result<MemoryMap, Error> {
        let log = machine.log();
        let rules = Rules::from_command_line(command_line).unwrap_or_else(|value| {
            log.warn(Line::UnknownRules { value });
            Rules::default()
        });

        let firmware = firmware_map(&input.map, &log)?;
        let mut ledger = input.ledger;
        ledger.firmware_ram = firmware.ram_bytes();

        let mut table = firmware.clone();
        apply_user_map(&mut table, &firmware, command_line, &mut ledger, &log)?;
        take_for_bios(&mut table, &mut ledger, &log)?;
        give_up_unreachable(&mut table, &mut ledger, &log)?;

        let max_pfn = end_of_ram_pfn(&table, MAX_ARCH_PFN, rules, &log);
        let low_max_pfn = end_of_low_ram_pfn(&table, max_pfn, MAX_ARCH_PFN, rules, &log);
        if !has_frame(&table, 0) {
            return Err(Error::NoRam { entries: input.map.len() });
        }
        setup_pci_gap(&table, max_pfn, &log);

        let Firmware { images, affinity, distances, .. } = input;
        Ok(MemoryMap { map: hand_on(&table), max_pfn, low_max_pfn, images, affinity, distances, ledger })
    }
}

/// Returns the firmware's map, sanitized and printed, without what no map can hold.
///
/// Differs from Linux for an entry past the last address: there, Linux turns to older BIOS calls, which a stage does not
/// have, or goes on with an unsorted table.
fn firmware_map<L: Log>(raw: &[RawEntry], log: &L) -> Result<Entries, Error> {
    let mut table = Entries::new();
    for &entry in raw {
        let RawEntry { addr: start, size, kind } = entry;
        match start.overflowing_add(size) {
            (_, false) => table.add(entry)?,
            (0, true) => {
                log.warn(Line::Shortened { start, size, kind });
                table.add(RawEntry { size: size - 1, ..entry })?;
            }
            (_, true) => log.warn(Line::Dropped { start, size, kind }),
        }
    }

    if let Err(Error::TooFewEntries { entries: 1 }) = table.sanitize() {
        log.info(Line::SingleEntry);
    }
    Map::Bios.print(&table, log);
    Ok(table)
}

/// Makes the table what `mem=` and `memmap=` want, if that leaves something to boot with.
///
/// Differs from Linux where Linux panics, or runs out of memory a little later: the firmware's map is used.
fn apply_user_map<L: Log>(
    table: &mut Entries,
    firmware: &Entries,
    command_line: &str,
    ledger: &mut Ledger,
    log: &L,
) -> Result<(), Error> {
    if !apply_parameters(table, command_line, log) {
        return Ok(());
    }
    if let Err(why) = finish_early_params(table, log).and_then(|()| check_user_map(table, firmware, ledger)) {
        log.error(Line::Undone { why });
        table.clone_from(firmware);
    }
    ram_lost(firmware, table).try_for_each(|range| ledger.claim(Owner::LIMIT, range))?;
    ledger.added = ram_lost(table, firmware).map(PhysRange::size).sum();
    Ok(())
}

/// Checks that a boot can go on with the user's map, and that table and ledger have room for what follows.
fn check_user_map(user: &Entries, firmware: &Entries, ledger: &Ledger) -> Result<(), Error> {
    if !has_frame(user, 1 << 20) {
        return Err(Error::NoRamLeft);
    }
    if user.entries().len() > MAP_ENTRIES - SPARE_ENTRIES {
        return Err(Error::TooManyEntries { capacity: MAP_ENTRIES - SPARE_ENTRIES });
    }
    // The other half is for those who come later.
    let (pieces, capacity) = (ram_lost(firmware, user).count(), CLAIMS / 2);
    if ledger.claims().len() + pieces > capacity {
        return Err(Error::TooManyPieces { pieces, capacity });
    }
    Ok(())
}

/// Does [`trim_bios_range`], and says in the account what that takes.
fn take_for_bios<L: Log>(table: &mut Entries, ledger: &mut Ledger, log: &L) -> Result<(), Error> {
    for range in [PhysRange::new(0, FRAME_BYTES), PhysRange::new(0xa_0000, 0x10_0000)].into_iter().flatten() {
        for ram in table.of_kind(Some(MemoryKind::RAM)).filter_map(|r| r.intersection(range)) {
            ledger.claim(Owner::BIOS, ram)?;
        }
    }
    trim_bios_range(table, log)
}

/// Makes RAM above what page tables reach reserved. Linux leaves it in the map and never uses it.
fn give_up_unreachable<L: Log>(table: &mut Entries, ledger: &mut Ledger, log: &L) -> Result<(), Error> {
    let Some(beyond) = PhysRange::new(MAX_ARCH_PFN * FRAME_BYTES, u64::MAX) else { return Ok(()) };
    for ram in table.ram().filter_map(|r| r.intersection(beyond)) {
        ledger.claim(Owner::UNREACHABLE, ram)?;
    }

    let mut bytes = 0;
    for kind in [MemoryKind::RAM, MemoryKind::RESERVED_KERN] {
        if table.mapped_any(beyond, Some(kind)) {
            bytes += range_update_print(table, beyond.start(), beyond.size(), kind, MemoryKind::RESERVED, log)?;
        }
    }
    if bytes > 0 {
        sanitize_if_linux_would(table)?;
        log.warn(Line::Unreachable { bytes });
    }
    Ok(())
}

/// Returns whether there is a whole frame of RAM at or above `start` that page tables reach.
fn has_frame(table: &Entries, start: u64) -> bool {
    let reachable = PhysRange::new(start, MAX_ARCH_PFN * FRAME_BYTES);
    table.ram().filter_map(|r| r.intersection(reachable?)).any(|r| r.inward().is_some())
}

/// Returns the entries as ranges; an empty one, left where the only entry was cut out, has no bytes to hand on.
fn hand_on(table: &Entries) -> heapless::Vec<MapEntry, MAP_ENTRIES> {
    let ranges = table.entries().iter().map(|e| (PhysRange::from_size(e.addr, e.size), e.kind));
    ranges.filter_map(|(range, kind)| range.map(|range| MapEntry { range, kind })).collect()
}
