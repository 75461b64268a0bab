// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage on encoded hand-offs, as the image and the host run it.
#![cfg(feature = "serde")]

mod layout;

use buddy::{Buddy, Error, HandOver};
use handoff::{
    Account, Blocks, EXCHANGE_BYTES, Frames, GrantError, Level, Log, Machine, Message, Owner, Page, PhysRange, Region,
    RegionFlags, RunError, ZoneKind, Zones, decode, encode, run_encoded,
};
use layout::{Layout, frames};
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Clone, Default)]
struct Lines(Rc<RefCell<Vec<String>>>);

impl Log for Lines {
    fn line<M: Message>(&self, _: Level, message: M) {
        self.0.borrow_mut().push(message.to_string());
    }
}

/// A machine whose descriptors are granted or not.
struct Host {
    log: Lines,
    granted: Option<Vec<Page>>,
}

impl Machine for Host {
    type Log = Lines;

    fn log(&self) -> Lines {
        self.log.clone()
    }

    fn descriptors(&mut self, ranges: &[PhysRange]) -> Result<&mut [Page], GrantError> {
        self.granted.as_deref_mut().ok_or(GrantError { range: ranges[0] })
    }
}

/// 64 MiB in two zones; descriptors at 32 MiB, odd reservations above them.
fn input() -> (Frames, Vec<Page>) {
    let zones = [(0, ZoneKind::DMA, 1..4096), (0, ZoneKind::DMA32, 4096..16384)];
    let memory = vec![Region::new(0x1000, 0x9e000), Region::new(0x10_0000, (64 << 20) - 0x10_0000)]
        .into_iter()
        .map(|region| Region { nid: 0.into(), ..region })
        .collect::<Vec<_>>();
    let descriptors = PhysRange::from_size(32 << 20, 2 << 20).unwrap();
    let owned = [
        (Owner::LOW_MEMORY, PhysRange::new(0, 0x10_0000).unwrap()),
        (Owner::DESCRIPTORS, descriptors),
        (Owner::NODE_DATA, PhysRange::from_size((48 << 20) + 0x10, 0x20).unwrap()),
        (Owner::NODE_DATA, PhysRange::from_size((48 << 20) + 0x800, 0x1800).unwrap()),
    ];
    let reserved: Vec<_> = owned.iter().map(|(_, r)| Region::new(r.start(), r.size())).collect();

    let mut blocks = Blocks { max_pfn: 16384, ..Blocks::default() };
    blocks.memory.extend_from_slice(&memory).unwrap();
    blocks.reserved.extend_from_slice(&reserved).unwrap();
    for region in &memory {
        let region = PhysRange::from_size(region.base, region.size).unwrap();
        blocks.ledger.firmware_ram += region.size();
        for (owner, range) in owned {
            if let Some(part) = range.intersection(region) {
                blocks.ledger.claim(owner, part).unwrap();
            }
        }
    }
    let layout = Layout::from_regions(&zones, memory, reserved);
    let mut input = Frames { blocks, ..Frames::default() };
    input.zones.extend_from_slice(&layout.spans).unwrap();
    input.sections.extend_from_slice(&layout.sections).unwrap();
    input.descriptors.push(descriptors).unwrap();
    (input, layout.pages)
}

fn run(input: &Frames, host: &mut Host) -> Result<Zones, RunError<Error>> {
    let (mut bytes, mut output) = (vec![0; EXCHANGE_BYTES], vec![0; EXCHANGE_BYTES]);
    let used = encode(input, &mut bytes).unwrap();
    let left = run_encoded::<HandOver, _>("", &bytes[..used], &mut output, host)?;
    Ok(decode(&output[..left]).unwrap())
}

#[test]
fn hands_over_and_closes_the_account() {
    let (input, pages) = input();
    let mut host = Host { log: Lines::default(), granted: Some(pages) };
    let zones = run(&input, &mut host).unwrap();

    // Decoding has checked that every byte is claimed or managed. The rest of the two frames is claimed as such: 0x10 and
    // 0x7d0 bytes around the first reservation; the second ends with its frame.
    assert_eq!(zones.ledger.bytes(Owner::PARTIAL_PAGES), 0x10 + 0x7d0);
    assert_eq!(zones.managed_bytes() + zones.ledger.total(Account::Reserved), zones.present_bytes());
    assert_eq!(zones.managed_bytes(), (63 << 20) - (2 << 20) - 0x2000);
    assert_eq!(
        *host.log.0.borrow(),
        [
            "Node 0, zone DMA: 3840 of 3998 pages managed",
            "Node 0, zone DMA32: 11774 of 12288 pages managed",
            "buddy: 15614 pages handed over in 25 blocks",
            "Memory: 62456K/65144K available (2688K reserved)",
        ]
    );

    let mut pages = host.granted.unwrap();
    let mut buddy = Buddy::attach(&mut pages, &zones).unwrap();
    assert_eq!(buddy.validate(), Ok(()));
    buddy.take_range(frames(8192 + 512..8192 + 513)).unwrap();
    let again = buddy.detach(zones.descriptors.clone(), zones.distances.clone(), zones.ledger.clone());
    assert_eq!(again.zones[1].free(), zones.zones[1].free() - 1);
    assert_eq!(Buddy::attach(&mut pages, &again).unwrap().validate(), Ok(()));
}

#[test]
fn memory_that_must_not_be_mapped_has_an_owner() {
    let (mut input, mut pages) = input();
    let hidden = Region { flags: RegionFlags::NOMAP, base: 60 << 20, size: 4 << 20, nid: 0.into() };
    input.blocks.memory[1].size -= hidden.size;
    input.blocks.memory.push(hidden).unwrap();
    pages[60 << 8..64 << 8].iter_mut().for_each(|page| page.set_state(handoff::FrameState::Reserved));
    let mut host = Host { log: Lines::default(), granted: Some(pages) };
    let zones = run(&input, &mut host).unwrap();
    assert_eq!(zones.ledger.bytes(Owner::NOT_MAPPED), 4 << 20);
}

#[test]
fn descriptors_out_of_reach() {
    let (input, _) = input();
    let mut host = Host { log: Lines::default(), granted: None };
    let range = input.descriptors[0];
    assert_eq!(run(&input, &mut host), Err(RunError::Stage(Error::Grant(GrantError { range }))));
}

/// The stage before left a frame reserved that its hand-off calls free.
#[test]
fn descriptors_and_blocks_that_disagree() {
    let (input, mut pages) = input();
    pages[0x400].set_state(handoff::FrameState::Reserved);
    let mut host = Host { log: Lines::default(), granted: Some(pages) };
    assert_eq!(run(&input, &mut host), Err(RunError::Stage(Error::Reserved { pfn: 0x400 })));
}
