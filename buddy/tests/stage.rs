// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage on encoded hand-offs, as the image and the host run it.
#![cfg(feature = "serde")]

mod layout;

use buddy::{Buddy, Error, HandOver};
use handoff::{
    Account, Blocks, Frames, GrantError, HostMachine, Machine, Owner, PhysRange, Region, RegionFlags, RunError,
    ZoneKind, Zones, decode, encode_to_vec,
};
use layout::{Layout, frames};

/// 64 MiB in two zones and `more` GiB from 4 GiB on; descriptors at 32 MiB, or none, odd reservations above them.
fn input(descriptors: bool, more: u64) -> Box<Frames> {
    const GIB: u64 = 1 << 30;
    let mut zones = vec![(0, ZoneKind::DMA, 1..4096), (0, ZoneKind::DMA32, 4096..16384)];
    let mut memory = vec![Region::new(0x1000, 0x9e000), Region::new(0x10_0000, (64 << 20) - 0x10_0000)];
    if more > 0 {
        zones.push((0, ZoneKind::NORMAL, 1 << 20..(4 + more) << 18));
        memory.push(Region::new(4 * GIB, more * GIB));
    }
    memory.iter_mut().for_each(|region| region.nid = 0.into());
    let place = PhysRange::from_size(32 << 20, 2 << 20).unwrap();
    let mut owned = vec![
        (Owner::LOW_MEMORY, PhysRange::new(0, 0x10_0000).unwrap()),
        (Owner::DESCRIPTORS, place),
        (Owner::NODE_DATA, PhysRange::from_size((48 << 20) + 0x10, 0x20).unwrap()),
        (Owner::NODE_DATA, PhysRange::from_size((48 << 20) + 0x800, 0x1800).unwrap()),
    ];
    owned.retain(|(owner, _)| descriptors || *owner != Owner::DESCRIPTORS);
    let reserved: Vec<_> = owned.iter().map(|(_, r)| Region::new(r.start(), r.size())).collect();

    let max_pfn = memory.last().unwrap().end() / 4096;
    let mut blocks = Blocks { max_pfn, current_limit: u64::MAX, ..Blocks::default() };
    blocks.memory.extend_from_slice(&memory).unwrap();
    blocks.reserved.extend_from_slice(&reserved).unwrap();
    for region in &memory {
        let region = PhysRange::from_size(region.base, region.size).unwrap();
        blocks.ledger.firmware_ram += region.size();
        for (owner, range) in &owned {
            if let Some(part) = range.intersection(region) {
                blocks.ledger.claim(*owner, part).unwrap();
            }
        }
    }
    let layout = Layout::from_regions(&zones, memory, reserved);
    let mut input = Box::new(Frames { blocks, ..Frames::default() });
    input.zones.extend_from_slice(&layout.spans).unwrap();
    if descriptors {
        let section = handoff::SectionRun { first_section: 0, sections: 1, first_frame: 0 };
        input.sections.push(section).unwrap();
        input.descriptors.push(place).unwrap();
    }
    input
}

fn run(input: &Frames, host: &mut HostMachine) -> Result<Box<Zones>, RunError<Error>> {
    let output = host.run::<HandOver<memblock::Store>>("", &encode_to_vec(input).unwrap())?;
    Ok(Box::new(decode(&output).unwrap()))
}

#[test]
fn hands_over_and_closes_the_account() {
    let mut host = HostMachine::default();
    let zones = run(&input(true, 0), &mut host).unwrap();

    // Decoding has checked that every byte is claimed or managed. The rest of the two frames is claimed as such: 0x10 and
    // 0x7d0 bytes around the first reservation; the second ends with its frame. Two maps, and a frame with two pieces.
    assert_eq!(zones.ledger.bytes(Owner::PARTIAL_PAGES), 0x10 + 0x7d0);
    assert_eq!((zones.ledger.bytes(Owner::FRAME_MAPS), zones.table_bytes()), (10 << 12, 10 << 12));
    assert!(host.granted().eq([&zones.tables[..]]));
    assert_eq!(zones.managed_bytes() + zones.ledger.total(Account::Reserved), zones.present_bytes());
    assert_eq!(zones.managed_bytes(), (63 << 20) - (2 << 20) - 0x2000 - 0xa000);
    assert_eq!(
        host.lines(),
        [
            "Node 0, zone DMA: 3840 of 3998 pages managed",
            "Node 0, zone DMA32: 11764 of 12288 pages managed",
            "buddy: 15604 pages handed over in 32 blocks",
            "buddy: 40K of frame maps, 0 sections dormant",
            "Memory: 62416K/65144K available (2728K reserved)",
        ]
    );
}

/// The kernel adopts the allocator, uses it and leaves it to the next one.
#[test]
fn another_kernel_goes_on() {
    let mut host = HostMachine::default();
    let zones = run(&input(true, 0), &mut host).unwrap();
    let tables = host.memory(&zones.tables).unwrap();
    let mut buddy = Buddy::attach(tables, &zones).unwrap();
    assert_eq!(buddy.validate(), Ok(()));
    buddy.take_range(frames(8192 + 512..8192 + 513)).unwrap();
    let again = Box::new(buddy.detach(&zones, zones.ledger.clone()).unwrap());
    assert_eq!(again.zones[1].free(), zones.zones[1].free() - 1);
    let fault = |tables: &mut [u8]| Buddy::attach(tables, &again).and_then(|buddy| buddy.validate()).err();
    assert_eq!(fault(tables), None);
    let wrong = fault(&mut tables[64..]);
    assert!(matches!(wrong, Some(Error::Tables { pieces: 2, .. })), "{wrong:?}");
    assert_eq!(fault(&mut tables[1..]), Some(Error::Tables { pieces: 2, maps: 0 }));
}

/// Without descriptors, sections that nobody reserved a part of stay dormant.
#[test]
fn nothing_is_spent_on_memory_nobody_uses() {
    let mut host = HostMachine::default();
    let zones = run(&input(false, 1 << 10), &mut host).unwrap();
    // 8194 pieces in 17 frames; maps for two zones, the spare one, the section with the tables, rounded up to eight.
    assert_eq!(zones.table_bytes(), (17 + 18) << 12);
    assert_eq!(zones.zones[2].dormant.count, 8191);
    let mut buddy = Buddy::attach(host.memory(&zones.tables).unwrap(), &zones).unwrap();
    assert_eq!(buddy.validate(), Ok(()));
    assert_eq!(buddy.statistics().free_bytes(), zones.managed_bytes());
    assert_eq!(
        buddy.allocate(10).map(|block| block.start_address().as_u64() >> 30),
        Ok(1027),
        "the section with the tables"
    );
}

#[test]
fn memory_that_must_not_be_mapped_has_an_owner() {
    let mut input = input(true, 0);
    let hidden = Region { flags: RegionFlags::NOMAP, base: 60 << 20, size: 4 << 20, nid: 0.into() };
    input.blocks.memory[1].size -= hidden.size;
    input.blocks.memory.push(hidden).unwrap();
    let zones = run(&input, &mut HostMachine::default()).unwrap();
    assert_eq!(zones.ledger.bytes(Owner::NOT_MAPPED), 4 << 20);
}

#[test]
fn tables_out_of_reach() {
    let mut host = HostMachine::refusing();
    let error = run(&input(true, 0), &mut host).unwrap_err();
    assert!(
        matches!(error, RunError::Stage(Error::Grant(GrantError { range })) if range.size() == 10 << 12),
        "{error}"
    );
}

#[test]
fn no_room_for_the_tables() {
    let mut input = input(true, 0);
    // All but one frame is reserved.
    input.blocks.reserved.clear();
    input.blocks.reserved.push(Region::new(0, (64 << 20) - 0x1000)).unwrap();
    let all = PhysRange::new(0x1000, (64 << 20) - 0x1000).unwrap();
    for part in [PhysRange::new(0x1000, 0x9f000).unwrap(), PhysRange::new(0x10_0000, all.end()).unwrap()] {
        input.blocks.ledger.claim(Owner::CRASH, part).unwrap();
    }
    let error = run(&input, &mut HostMachine::default()).unwrap_err();
    assert_eq!(error, RunError::Stage(Error::NoRoom { bytes: 10 << 12 }));
}

/// The stage before says that a zone has more frames than there are.
#[test]
fn zones_and_memory_that_disagree() {
    let mut input = input(true, 0);
    (input.zones[0].present, input.zones[1].present) = (input.zones[0].present + 1, input.zones[1].present - 1);
    let error = run(&input, &mut HostMachine::default()).unwrap_err();
    assert!(matches!(error, RunError::Stage(Error::Count { what: buddy::Counter::Present, .. })), "{error}");
}
