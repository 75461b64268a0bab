// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the stage on the bytes of a hand-off.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod any;

use e820::{Error, Sanitize};
use handoff::{
    Account, EXCHANGE_BYTES, Firmware, GrantError, Handoff, Lines, Machine, MemoryMap, PhysRange, RawEntry, RunError,
    decode, encode, run_encoded,
};

struct Host(Lines);

impl Machine for Host {
    type Log = Lines;

    fn log(&self) -> Lines {
        self.0.clone()
    }

    fn memory(&mut self, ranges: &[PhysRange]) -> Result<&mut [u8], GrantError> {
        Err(GrantError { range: ranges[0] })
    }
}

/// Returns what the stage makes of a firmware's map, and what it says.
pub(crate) fn run(raw: &[RawEntry], command_line: &str) -> (Result<MemoryMap, RunError<Error>>, Lines) {
    let lines = Lines::default();
    let firmware = Firmware { map: raw.iter().copied().collect(), ..Firmware::default() };
    let (mut input, mut output) = (vec![0; EXCHANGE_BYTES], vec![0; EXCHANGE_BYTES]);
    let used = encode(&firmware, &mut input).unwrap();
    let used = run_encoded::<Sanitize, _>(command_line, &input[..used], &mut output, &mut Host(lines.clone()));
    (used.map(|used| decode(&output[..used]).unwrap()), lines)
}

/// Fails unless every byte of RAM is in the map or lost to a named owner.
pub(crate) fn assert_balanced(map: &MemoryMap) {
    assert_eq!(map.validate(), Ok(()));
    let ram: u64 = map.map.iter().filter(|e| e.kind.is_ram()).map(|e| e.range.size()).sum();
    assert_eq!(map.ledger.firmware_ram + map.ledger.added, map.ledger.total(Account::Lost) + ram);
    let in_map = |r: PhysRange| map.map.iter().any(|e| e.kind.is_ram() && e.range.overlaps(r));
    assert!(map.ledger.claims().iter().all(|c| !in_map(c.range)), "what is lost is not RAM");
}
