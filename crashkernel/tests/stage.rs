// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stage on encoded hand-offs.
#![cfg(feature = "serde")]

mod fake;

use crashkernel::Reserve;
use fake::{Fake, GIB, Lines, MIB};
use handoff::{
    Blocks, Bounds, Crash, EXCHANGE_BYTES, EarlyMemory, EarlyStore, GrantError, Ledger, Log, Machine, Owner, Page,
    PhysRange, Region, decode, encode, parameters, run_encoded,
};

/// Early memory that traces as memblock does, so far as the order of lines goes.
struct Traced<L> {
    fake: Fake,
    log: Option<L>,
}

impl<L: Log> EarlyMemory for Traced<L> {
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64> {
        self.log.info(format_args!("memblock_phys_alloc_range: {} bytes", bounds.size));
        self.fake.alloc_range(bounds)
    }

    fn alloc_try_nid(&mut self, bounds: Bounds) -> Option<u64> {
        self.fake.alloc_try_nid(bounds)
    }

    fn alloc_exact_nid(&mut self, bounds: Bounds) -> Option<u64> {
        self.fake.alloc_exact_nid(bounds)
    }

    fn free(&mut self, base: u64, size: u64) -> bool {
        self.fake.free(base, size)
    }

    fn memory(&self) -> &[Region] {
        self.fake.memory()
    }

    fn reserved(&self) -> &[Region] {
        self.fake.reserved()
    }

    fn memory_size(&self) -> u64 {
        self.fake.memory_size()
    }
}

/// Hands [`Traced`] in and out; `capacity=N` limits the reserved array.
struct Store;

impl EarlyStore for Store {
    type Memory<L: Log> = Traced<L>;

    fn restore<L: Log>(blocks: &Blocks, command_line: &str, log: L) -> Traced<L> {
        let mut fake = Fake::from_regions(blocks.memory.to_vec(), blocks.reserved.to_vec());
        let value = |wanted| parameters(command_line).find(|(name, _)| *name == wanted).and_then(|(_, value)| value);
        fake.capacity = value("capacity").map_or(usize::MAX, |n| n.parse().unwrap());
        Traced { fake, log: value("memblock").map(|_| log) }
    }

    fn save<L: Log>(memory: &Traced<L>, blocks: &mut Blocks) {
        blocks.reserved = memory.reserved().iter().copied().collect();
        blocks.reserved_size = blocks.reserved.iter().map(|r| r.size).sum();
    }
}

#[derive(Default)]
struct Host {
    log: Lines,
}

impl Machine for Host {
    type Log = Lines;

    fn log(&self) -> Lines {
        self.log.clone()
    }

    fn descriptors(&mut self, ranges: &[PhysRange]) -> Result<&mut [Page], GrantError> {
        unreachable!("crashkernel asks for no descriptors: {ranges:?}")
    }
}

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

/// The 16 GiB PC with its account.
fn blocks() -> Blocks {
    let fake = Fake::pc_16g();
    let mut ledger = Ledger::new();
    ledger.firmware_ram = fake.memory_size;
    ledger.claim(Owner::LOW_MEMORY, range(0x1000, 0x9f000)).unwrap();
    ledger.claim(Owner::NODE_DATA, range(0x4_3ffd_5000, 0x4_4000_0000)).unwrap();
    Blocks {
        memory: fake.memory.iter().copied().collect(),
        reserved: fake.reserved.iter().copied().collect(),
        memory_size: fake.memory_size,
        ledger,
        ..Blocks::default()
    }
}

fn run(command_line: &str, blocks: &Blocks) -> (Crash, Lines) {
    let (mut input, mut output) = (vec![0; EXCHANGE_BYTES], vec![0; EXCHANGE_BYTES]);
    let mut host = Host::default();
    let used = encode(blocks, &mut input).unwrap();
    let used = run_encoded::<Reserve<Store>, _>(command_line, &input[..used], &mut output, &mut host).unwrap();
    (decode(&output[..used]).unwrap(), host.log)
}

#[test]
fn areas_are_reserved_and_claimed() {
    for version in ["linux=5.4", "linux=6.1", "linux=6.12", ""] {
        let (crash, _) = run(&format!("crashkernel=128M,high crashkernel=64M,low {version}"), &blocks());
        assert_eq!(crash.main, PhysRange::from_size(17264 * MIB, 128 * MIB));
        assert_eq!(crash.low, PhysRange::from_size(2992 * MIB, 64 * MIB));
        assert_eq!(crash.blocks.ledger.bytes(Owner::CRASH), 128 * MIB);
        assert_eq!(crash.blocks.ledger.bytes(Owner::CRASH_LOW), 64 * MIB);
        assert_eq!(crash.blocks.ledger.owner_of(17264 * MIB), Some(Owner::CRASH));
        assert_eq!(crash.blocks.reserved.len(), 4);
    }
}

#[test]
fn the_command_line_chooses_the_rules() {
    let said = |version: &str| run(&format!("crashkernel=128M@5G linux={version}"), &blocks()).1.linux();
    assert_eq!(said("5.4")[0], "Reserving 256MB of low memory at 2800MB for crashkernel (System low RAM: 3071MB)");
    assert_eq!(said("6.1")[0], "Reserving 256MB of low memory at 2800MB for crashkernel (low RAM limit: 4096MB)");
    assert_eq!(said("6.12"), ["crashkernel reserved: 0x0000000140000000 - 0x0000000148000000 (128 MB)"]);
}

#[test]
fn a_failure_leaves_everything_as_it_was() {
    for line in ["", "crashkernel=foo", "crashkernel=20G", "crashkernel=64M@3G", "crashkernel=64M,low", "crashkernel=0"]
    {
        for version in ["linux=5.4", "linux=6.1", "linux=6.12"] {
            let mut expected = blocks();
            expected.reserved_size = expected.reserved.iter().map(|r| r.size).sum();
            let (crash, _) = run(&format!("{line} {version}"), &expected);
            assert_eq!((crash.main, crash.low), (None, None), "{line} {version}");
            assert_eq!(crash.blocks, expected, "{line} {version}");
        }
    }
}

#[test]
fn an_area_that_cannot_be_given_back_has_an_owner() {
    let (crash, log) = run("crashkernel=128M,high capacity=3", &blocks());
    assert_eq!((crash.main, crash.low), (None, None));
    assert_eq!(crash.blocks.ledger.bytes(Owner::CRASH), 128 * MIB);
    assert!(log.text().contains("stays reserved without use"));
}

#[test]
fn a_full_ledger_takes_the_reservation_back() {
    let mut blocks = blocks();
    for i in blocks.ledger.claims().len()..handoff::CLAIMS {
        // Alternating owners outside memory: they do not fuse, and they do not count.
        let at = 100 * GIB + 4096 * i as u64;
        blocks.ledger.claim([Owner::BIOS, Owner::LIMIT][i % 2], range(at, at + 4096)).unwrap();
        blocks.ledger.firmware_ram += 4096;
    }
    let (crash, log) = run("crashkernel=128M", &blocks);
    assert_eq!((crash.main, &crash.blocks), (None, &blocks));
    assert!(log.text().ends_with("nothing is reserved: the ledger has no room beyond 256 claims\n"), "{}", log.text());
}

#[test]
fn trace_lines_come_where_linux_has_them() {
    let (_, log) = run("memblock=debug crashkernel=128M,high crashkernel=x,low", &blocks());
    let text = log.text();
    let starts: Vec<_> = text.lines().filter(|l| !l.starts_with("  ")).map(|l| &l[..20]).collect();
    assert_eq!(
        starts,
        [
            "memblock_phys_alloc_", // the main area
            "crashkernel: memory ", // `,low` is read now
            "crashkernel: a size ",
            "crashkernel: the def",
            "memblock_phys_alloc_", // the low part
            "Reserving 256MB of l",
            "Reserving 128MB of m",
        ]
    );
}
