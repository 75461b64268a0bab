// SPDX-License-Identifier: MIT OR Apache-2.0
//! Node ids of recorded boots: the stage must give memory the nodes, and say the words, that Linux did.
//!
//! As in `replay.rs`, `BOOTMEM_ORACLE` adds every capture of a folder to those in `tests/fixtures`.
#![cfg(feature = "serde")]

use handoff::{Affinity, HostMachine, Ledger, MapEntry, MemoryKind, MemoryMap, PhysRange, Stage};
use memblock::Assemble;
use serde_json::Value;
use std::{env, fs, path::Path};

#[test]
fn recorded_nodes() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            count += usize::from(check(&fs::read_to_string(&path).unwrap(), None));
        }
    }
    assert!(count >= 5, "{count}");
}

#[test]
fn every_capture() {
    let Some(folder) = env::var_os("BOOTMEM_ORACLE") else { return };
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(replay) = fs::read_to_string(folder.join("replay.jsonl")) else { continue };
        let dmesg = fs::read(folder.join("dmesg.txt")).unwrap();
        count += usize::from(check(&replay, Some(&String::from_utf8_lossy(&dmesg))));
    }
    println!("{count} captures");
    assert!(count > 0);
}

/// Runs the stage on the memory and the SRAT of a capture; returns whether it is one that can be compared.
fn check(replay: &str, dmesg: Option<&str>) -> bool {
    let ops: Vec<Value> = replay.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let command_line = ops[0]["cmdline"].as_str().unwrap();
    // What the stage is not told: mirrored memory, invented nodes.
    if ops.iter().any(|op| op["op"] == "mark_mirror" || op["op"] == "numa_emu") {
        return false;
    }
    let init = ops.iter().find(|op| op["op"] == "init").unwrap();
    let dump = ops.iter().find(|op| op["op"] == "dump").unwrap();

    let mut input = MemoryMap { ledger: Ledger::new(), max_pfn: number(&init["max_pfn"]), ..MemoryMap::default() };
    for region in init["memory"].as_array().unwrap() {
        let range = PhysRange::from_size(number(&region[0]), number(&region[1])).unwrap();
        input.map.push(MapEntry { range, kind: MemoryKind::RAM }).unwrap();
    }
    for srat in ops.iter().filter(|op| op["op"] == "srat") {
        let range = PhysRange::new(number(&srat["start"]), number(&srat["end"])).unwrap();
        let (node, hotplug) = (number(&srat["nid"]) as u16, srat["hotplug"] == true);
        input.affinity.push(Affinity { range, node, hotplug }).unwrap();
    }

    let rules = if ops[0]["semantics"] == "6.12" { "linux=6.12" } else { "linux=6.1" };
    let mut machine = HostMachine::refusing();
    let blocks = Assemble::run(&format!("{command_line} {rules}"), input, &mut machine).unwrap();
    let actual: Vec<_> = blocks.memory.iter().map(|r| (r.base, r.size, r.nid.0.into(), r.flags.0.into())).collect();
    let expected = dump["memory"].as_array().unwrap().iter();
    let expected: Vec<_> =
        expected.map(|r| (number(&r[0]), number(&r[1]), r[2].as_i64().unwrap(), number(&r[3]))).collect();
    assert_eq!(actual, expected, "{command_line}");

    let words = ["NUMA", "No NUMA", "Faking", "Warning: node", "node "];
    let distances = "NUMA: Initialized distance table"; // not memblock's
    let about_nodes = |line: &&str| words.iter().any(|word| line.starts_with(word)) && !line.starts_with(distances);
    if let Some(dmesg) = dmesg {
        let said = machine.lines();
        let said: Vec<&str> = said.iter().map(String::as_str).filter(about_nodes).collect();
        let lines = dmesg.lines().filter_map(|line| line.split_once("] ").map(|(_, text)| text));
        let linux: Vec<&str> = lines.take_while(|line| !line.starts_with("Zone ranges")).filter(about_nodes).collect();
        assert_eq!(said, linux, "{command_line}");
    }
    true
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}
