// SPDX-License-Identifier: MIT OR Apache-2.0
//! What boot checks of a hand-off, beyond the invariants that decoding proves: against the hand-off before it, and against
//! what boot itself knows of the machine. A stage can be wrong or lie; it cannot give away what is not its own.

use crate::map::added;
use handoff::{
    Blocks, Crash, DecodeError, Firmware, Frames, Handoff, Ledger, MemoryKind, MemoryMap, Owner, PhysRange, StageId,
    Succession, Zones, decode,
};

/// What boot knows without any stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) firmware: &'a Firmware,
    pub(crate) command_line: &'a str,
}

/// Why a hand-off is not accepted.
pub(crate) enum Why {
    Bytes(DecodeError),
    Claim(&'static str),
}

impl core::fmt::Display for Why {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Bytes(error) => write!(f, "{error}"),
            Self::Claim(rule) => f.write_str(rule),
        }
    }
}

fn read<H: Handoff>(bytes: &[u8]) -> Result<H, Why> {
    decode(bytes).map_err(Why::Bytes)
}

fn unless(lie: bool, claim: &'static str) -> Result<(), Why> {
    if lie { Err(Why::Claim(claim)) } else { Ok(()) }
}

/// Checks what a stage made of its input with the memory it was granted.
#[inline(never)] // hand-offs are large: they are to leave the stack at once
pub(crate) fn check(
    stage: StageId,
    input: &[u8],
    output: &[u8],
    granted: &[PhysRange],
    known: Known<'_>,
) -> Result<(), Why> {
    match stage {
        StageId::E820 => known.agrees_with_map(&read(output)?),
        StageId::MEMBLOCK => known.agrees_with(&read::<Blocks>(output)?, &read::<MemoryMap>(input)?.ledger),
        StageId::CRASHKERNEL => {
            let Crash { blocks, main, low } = read(output)?;
            known.agrees_with(&blocks, &read::<Blocks>(input)?.ledger)?;
            let areas = [(Owner::CRASH, main), (Owner::CRASH_LOW, low)];
            let owned = |(owner, area): (_, Option<_>)| area.is_none_or(|area| owns(&blocks.ledger, owner, area));
            unless(!areas.into_iter().all(owned), "it gives the crash kernel what belongs to another")
        }
        StageId::MEMMAP => {
            let frames = read::<Frames>(output)?;
            known.agrees_with(&frames.blocks, &read::<Crash>(input)?.blocks.ledger)?;
            unless(frames.descriptors != granted, "its descriptors are not what it was granted")?;
            let free = granted.iter().any(|range| frames.blocks.free_bytes(*range) > 0);
            unless(free, "it calls its own descriptors free")
        }
        StageId::BUDDY => {
            let (zones, frames) = (read::<Zones>(output)?, read::<Frames>(input)?);
            carried_on(&frames.blocks.ledger, &zones.ledger)?;
            let own = granted.iter().all(|range| owns(&zones.ledger, Owner::FRAME_MAPS, *range));
            unless(zones.tables != granted || !own, "its tables are not what it was granted, or not in its account")?;
            unless(zones.descriptors != frames.descriptors, "its descriptors are not those of its input")?;
            let same = zones.sections == frames.sections && zones.zones.iter().map(|z| &z.span).eq(&frames.zones);
            unless(!same, "its zones and sections are not those of its input")?;
            unless(zones.distances != frames.blocks.distances, "its distances are not those of its input")
        }
        // The rest is up to who lent the allocator.
        StageId::SUCCESSOR => read::<Succession>(output).map(drop),
        _ => Err(Why::Claim("there is no such stage")),
    }
}

/// Checks that an account still says all that the one before it said. Arrays of regions, which move, are left out.
fn carried_on(before: &Ledger, after: &Ledger) -> Result<(), Why> {
    let sums = |ledger: &Ledger| (ledger.installed, ledger.firmware_ram, ledger.added);
    let mut claims = before.claims().iter().filter(|claim| claim.owner != Owner::REGION_ARRAYS);
    let kept = claims.all(|claim| owns(after, claim.owner, claim.range));
    unless(!kept || sums(before) != sums(after), "its account forgets what the one before it said")
}

/// Returns whether an account gives the whole of a range to an owner.
fn owns(ledger: &Ledger, owner: Owner, range: PhysRange) -> bool {
    ledger.claims().iter().any(|claim| claim.owner == owner && claim.range.covers(range))
}

impl Known<'_> {
    /// Returns whether boot placed something in the range.
    pub(crate) fn is_taken(self, range: PhysRange) -> bool {
        self.firmware.images.iter().any(|image| image.range.overlaps(range))
    }

    fn agrees_with_map(self, map: &MemoryMap) -> Result<(), Why> {
        let ram = map.map.iter().filter(|entry| entry.kind.is_ram()).all(|entry| self.is_ram(entry.range));
        unless(!ram, "it calls RAM what neither the firmware nor the command line does")?;
        let Firmware { images, affinity, distances, ledger, .. } = self.firmware;
        let same = map.images == *images && map.ledger.installed == ledger.installed;
        let same = same && map.affinity == *affinity && map.distances == *distances;
        unless(!same, "it changed what boot knows of memory")
    }

    fn agrees_with(self, blocks: &Blocks, before: &Ledger) -> Result<(), Why> {
        carried_on(before, &blocks.ledger)?;
        let mut memory = blocks.memory.iter().filter_map(|region| PhysRange::capped(region.base, region.size));
        unless(
            !memory.all(|range| self.is_ram(range)),
            "it calls memory what neither the firmware nor the command line does",
        )?;
        let own = self.firmware.images.iter().any(|image| blocks.free_bytes(image.range) > 0);
        unless(own, "it calls free what belongs to boot or to a stage")?;
        let claimed = blocks.ledger.claims().iter().any(|claim| blocks.free_bytes(claim.range) > 0);
        unless(claimed, "it calls free what its account gives to somebody")
    }

    /// Returns whether all of a range is RAM: the firmware says so, or the user does.
    fn is_ram(self, range: PhysRange) -> bool {
        let mut at = range.start();
        while at < range.end() {
            match self.ram_end(at) {
                Some(end) => at = end,
                None => return false,
            }
        }
        true
    }

    /// Returns an address up to which everything from `at` is RAM, or `None` if `at` is not.
    fn ram_end(self, at: u64) -> Option<u64> {
        let by_user = added(self.command_line).filter(|range| range.contains(at)).map(PhysRange::end).max();
        if by_user.is_some() {
            return by_user;
        }
        let (mut ram, mut other) = (at, u64::MAX);
        for entry in &self.firmware.map {
            let Some(range) = PhysRange::capped(entry.addr, entry.size) else { continue };
            if entry.kind.is_ram() {
                ram = if range.contains(at) { ram.max(range.end()) } else { ram };
            } else if entry.kind > MemoryKind::RAM && range.end() > at {
                other = other.min(range.start()); // where entries overlap, the higher number counts
            }
        }
        Some(ram.min(other)).filter(|end| *end > at)
    }
}
