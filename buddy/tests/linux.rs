// SPDX-License-Identifier: MIT OR Apache-2.0
//! The free blocks after the hand-over, against those of stopped Linux kernels.
//!
//! The fixtures are a few recorded boots; with `BOOTMEM_ORACLE` set to a folder of captures all of them are compared.

mod layout;

use buddy::{Buddy, Mode};
use handoff::{Nid, Region, ZoneKind};
use layout::{Layout, pfn};
use serde_json::Value;
use std::path::Path;

/// What the kernel had when `memblock_free_all` returned, and what it made it of.
struct Capture {
    handover: Value,
    memory: Vec<Region>,
    reserved: Vec<Region>,
}

impl Capture {
    fn new(handover: Value, state: &Value) -> Self {
        let regions = |name: &str| {
            let rows = state[name].as_array().unwrap().iter();
            rows.map(|row| Region {
                nid: Nid(row[2].as_i64().unwrap() as i32),
                ..Region::new(number(&row[0]), number(&row[1]))
            })
            .collect()
        };
        Self { handover, memory: regions("memory"), reserved: regions("reserved_at_handover") }
    }

    /// Hands the same memory over and compares; returns the free blocks compared.
    fn check(self, name: &str, mode: Mode) -> usize {
        let nodes = self.handover["nodes"].as_array().unwrap();
        let zones_of = |node: &Value| node["zones"].as_array().unwrap().clone();
        let mut zones = Vec::new();
        for node in nodes {
            for zone in zones_of(node) {
                let start = number(&zone["zone_start_pfn"]);
                zones.push((number(&node["nid"]) as u16, kind(&zone["zone"]), start..start + number(&zone["spanned"])));
            }
        }
        let mut layout = Layout::from_regions(&zones, self.memory, self.reserved);
        layout.mode = mode;
        let buddy: Buddy = layout.started();
        buddy.validate().unwrap_or_else(|e| panic!("{name}: {e}"));

        let mut compared = 0;
        for node in nodes {
            // Linux hands the frames from here on over later, in threads.
            let deferred = node["first_deferred_pfn"].as_u64().filter(|pfn| *pfn != 0).unwrap_or(u64::MAX);
            for zone in zones_of(node) {
                let (nid, kind) = (number(&node["nid"]) as u16, kind(&zone["zone"]));
                let what = format!("{name}: node {nid}, zone {kind}");
                let index = buddy.zones().iter().position(|z| (z.span.node, z.span.kind) == (nid, kind)).unwrap();
                let state = &buddy.zones()[index];
                assert_eq!(state.span.present, number(&zone["present"]), "{what}: present");
                assert_eq!(state.managed, state.free(), "{what}: everything managed is free");

                let mut free = 0;
                for order in zone["free"].as_array().unwrap() {
                    let lists = order["lists"].as_object().unwrap().values();
                    let mut theirs: Vec<u64> = lists.flat_map(|list| list.as_array().unwrap()).map(number).collect();
                    theirs.sort_unstable();
                    let order = number(&order["order"]) as u8;
                    let ours: Vec<u64> =
                        buddy.free_blocks(index, order).map(pfn).filter(|pfn| *pfn < deferred).collect();
                    free += (ours.len() as u64) << order;
                    compared += ours.len();

                    assert_eq!(ours, theirs, "{what}: free blocks of order {order}");
                }
                assert_eq!(free, number(&zone["managed"]), "{what}: managed");
            }
        }
        compared
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn kind(value: &Value) -> ZoneKind {
    (0..4).map(ZoneKind).find(|kind| kind.name() == value.as_str().unwrap()).unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn free_lists_equal_linux() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut captures = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let fixture = read(&path);
        let capture =
            |mode| Capture::new(fixture["handover"].clone(), &fixture).check(&path.display().to_string(), mode);
        let blocks = capture(Mode::Eager);
        assert_eq!(capture(Mode::Lazy), blocks);
        assert!(blocks > 20, "{}: only {blocks} blocks", path.display());
        captures += 1;
    }
    assert!(captures >= 4, "the fixtures are missing");
}

#[test]
fn every_capture_of_the_oracle() {
    let Some(folder) = std::env::var_os("BOOTMEM_ORACLE") else { return };
    let mut compared = 0;
    for entry in std::fs::read_dir(Path::new(&folder).join("captures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // With mirrored memory, zones of a node overlap.
        if !path.join("handover.json").exists() || name == "efi-mirror" {
            continue;
        }
        for mode in [Mode::Eager, Mode::Lazy] {
            compared +=
                Capture::new(read(&path.join("handover.json")), &read(&path.join("expected.json"))).check(&name, mode);
        }
    }
    println!("{compared} free blocks compared");
    assert!(compared > 1000);
}
