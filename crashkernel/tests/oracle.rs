// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every decision of a whole collection of recorded boots, when `BOOTMEM_ORACLE` names its folder.
//!
//! Early memory answers with what Linux's answered, so that this needs no memory state: each search must be the one
//! that Linux made. Searches on real memory are `linux.rs`.

mod fake;

use fake::linux;
use handoff::{Bounds, EarlyMemory, Ledger, Lines, Region, Rules};
use serde_json::Value;
use std::path::Path;

/// Answers as recorded.
struct Recorded {
    memory_size: u64,
    searches: std::vec::IntoIter<Value>,
}

impl EarlyMemory for Recorded {
    fn alloc_range(&mut self, bounds: Bounds) -> Option<u64> {
        let search = self.searches.next().unwrap_or_else(|| panic!("Linux did not search {bounds:?}"));
        let expected = ["size", "align", "from", "max"].map(|key| search[key].as_u64().unwrap());
        assert_eq!([bounds.size, bounds.align, bounds.min, bounds.max], expected);
        search["result"].as_u64()
    }

    fn alloc_try_nid(&mut self, _: Bounds) -> Option<u64> {
        unreachable!()
    }

    fn alloc_exact_nid(&mut self, _: Bounds) -> Option<u64> {
        unreachable!()
    }

    fn free(&mut self, _: u64, _: u64) -> bool {
        true
    }

    fn memory(&self) -> &[Region] {
        &[]
    }

    fn reserved(&self) -> &[Region] {
        &[]
    }

    fn memory_size(&self) -> u64 {
        self.memory_size
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_recorded_boot() {
    let Some(oracle) = std::env::var_os("BOOTMEM_ORACLE") else { return };
    let captures = Path::new(&oracle).join("captures");
    let mut seen = 0;

    for entry in std::fs::read_dir(captures).unwrap() {
        let folder = entry.unwrap().path();
        let meta: Value = serde_json::from_str(read(&folder.join("replay.jsonl")).lines().next().unwrap()).unwrap();
        let crash = serde_json::from_str::<Value>(&read(&folder.join("expected.json"))).unwrap()["crash"].take();
        let rules = if meta["semantics"] == "6.12" { Rules::V6_12 } else { Rules::V6_1 };
        let mut memory = Recorded {
            memory_size: crash["memblock_memory_size"].as_u64().unwrap(),
            searches: crash["requests"].as_array().unwrap().clone().into_iter(),
        };

        let log = Lines::default();
        let line = meta["cmdline"].as_str().unwrap();
        let found = crashkernel::reserve(line, rules, &mut memory, &Ledger::new(), &log).ok().flatten();
        let area = |range: Option<handoff::PhysRange>| range.map_or(Value::Null, |r| vec![r.start(), r.size()].into());
        let messages: Vec<_> =
            linux(&log).into_iter().filter(|l| !l.contains("eserv") || l.contains("failed")).collect();

        assert_eq!(memory.searches.next(), None, "{}: a search is missing", folder.display());
        assert_eq!(area(found.map(|f| f.main)), crash["main"], "{}", folder.display());
        assert_eq!(area(found.and_then(|f| f.low)), crash["low"], "{}", folder.display());
        assert_eq!(Value::from(messages), crash["messages"], "{}", folder.display());
        let dmesg = read(&folder.join("dmesg.txt"));
        for line in linux(&log) {
            assert!(dmesg.contains(&format!("] {line}\n")), "{}: {line}", folder.display());
        }
        seen += 1;
    }
    assert!(seen > 0);
}
