// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the stage on the bytes of a hand-off.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod any;

use e820::{Error, Sanitize};
use handoff::{
    Account, Firmware, Handoff, HostMachine, Lines, Machine, MemoryMap, PhysRange, RawEntry, RunError, decode,
    encode_to_vec,
};

/// Returns what the stage makes of a firmware's map, and what it says.
pub(crate) fn run(raw: &[RawEntry], command_line: &str) -> (Result<MemoryMap, RunError<Error>>, Lines) {
    let firmware = Firmware { map: raw.iter().copied().collect(), ..Firmware::default() };
    let mut machine = HostMachine::refusing();
    let output = machine.run::<Sanitize>(command_line, &encode_to_vec(&firmware).unwrap());
    (output.map(|bytes| decode(&bytes).unwrap()), machine.log())
}

/// Fails unless every byte of RAM is in the map or lost to a named owner.
pub(crate) fn assert_balanced(map: &MemoryMap) {
    assert_eq!(map.validate(), Ok(()));
    let ram: u64 = map.map.iter().filter(|e| e.kind.is_ram()).map(|e| e.range.size()).sum();
    assert_eq!(map.ledger.firmware_ram + map.ledger.added, map.ledger.total(Account::Lost) + ram);
    let in_map = |r: PhysRange| map.map.iter().any(|e| e.kind.is_ram() && e.range.overlaps(r));
    assert!(map.ledger.claims().iter().all(|c| !in_map(c.range)), "what is lost is not RAM");
}
