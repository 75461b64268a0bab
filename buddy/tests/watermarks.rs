// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watermarks, protection and the order of nodes, against those of recorded kernels.
//!
//! `tests/zoneinfo` has a few; with `BOOTMEM_ORACLE` set to a folder of captures all of them are compared. A file holds
//! the lines of `/proc/zoneinfo` that matter; `freed`: frames that the kernel gave to a zone after it had set the watermarks;
//! `distance`: a row of the matrix; and what it printed as the fall-back order.

use buddy::{Buddy, Distances, FallbackOrder, FullZoneInfo, WatermarkPolicy};
use handoff::{FRAME_BYTES, ZoneKind, ZoneSpan, ZoneState};
use std::fmt::Write;
use std::path::Path;

/// A zone as recorded: what it was made of, and what came out.
struct Recorded {
    zone: ZoneState,
    marks: [u64; 3],
    protection: [u64; 4],
}

struct Record {
    zones: Vec<Recorded>,
    matrix: Vec<u8>,
    orders: Vec<String>,
}

fn kind(name: &str) -> ZoneKind {
    // Memory of devices is a zone that this crate does not have; it is always empty here.
    (0..4).map(ZoneKind).find(|kind| kind.name() == name).unwrap_or(ZoneKind(4))
}

impl Record {
    fn parse(text: &str) -> Self {
        let mut record = Self { zones: Vec::new(), matrix: Vec::new(), orders: Vec::new() };
        let mut boost = 0;
        for line in text.lines() {
            let words: Vec<&str> = line.split([' ', ',', '(', ')']).filter(|word| !word.is_empty()).collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "Node" => {
                    let span =
                        ZoneSpan { node: number(1) as u16, kind: kind(words[3]), start_pfn: 0, spanned: 0, present: 0 };
                    record.zones.push(Recorded { zone: ZoneState::new(span), marks: [0; 3], protection: [0; 4] });
                }
                "freed" => {
                    let mut zones = record.zones.iter_mut();
                    let freed =
                        zones.find(|z| z.zone.span.node == number(1) as u16 && z.zone.span.kind == kind(words[2]));
                    freed.unwrap().zone.managed -= number(3);
                    continue;
                }
                "distance" => {
                    record.matrix.extend(words[1..].iter().map(|word| word.parse::<u8>().unwrap()));
                    continue;
                }
                "Fallback" => {
                    record.orders.push(format!("{} ", line.trim_end()));
                    continue;
                }
                _ => {}
            }
            let last = record.zones.last_mut().unwrap();
            match words[0] {
                // A boost is temporary, and part of the marks as they are printed.
                "boost" => boost = number(1),
                "min" => last.marks[0] = number(1) - boost,
                "low" => last.marks[1] = number(1) - boost,
                "high" => last.marks[2] = number(1) - boost,
                "spanned" => last.zone.span.spanned = number(1),
                "present" => last.zone.span.present = number(1),
                "managed" => last.zone.managed = number(1),
                "start_pfn:" => last.zone.span.start_pfn = number(1),
                "protection:" => last.protection = [number(1), number(2), number(3), number(4)],
                _ => {}
            }
        }
        record.zones.retain(|zone| zone.zone.managed > 0);
        record
    }

    /// Compares; returns how many zones.
    fn check(&self, name: &str) -> usize {
        let zones: Vec<_> = self.zones.iter().map(|zone| zone.zone).collect();
        let mut buddy = Buddy::<100>::from_parts(&mut [], &mut [], &zones, &[], &[]).unwrap();
        assert!(buddy.watermarks().iter().all(|marks| marks.promo == 0));
        buddy.set_watermarks(&WatermarkPolicy::default());
        for (recorded, marks) in self.zones.iter().zip(buddy.watermarks()) {
            let span = &recorded.zone.span;
            let what = format!("{name}: node {}, zone {}", span.node, span.kind);
            assert_eq!([marks.min, marks.low, marks.high], recorded.marks, "{what}");
            assert_eq!(marks.promo, marks.high + (marks.low - marks.min), "{what}");
            assert_eq!(marks.lowmem_reserve, recorded.protection, "{what}");
        }

        let nodes: Vec<u16> = (0..self.matrix.len().isqrt() as u16).collect();
        buddy.set_distances(&nodes, Distances::new(nodes.len(), &self.matrix).unwrap()).unwrap();
        // Linux 6.1 starts with the node itself even if that has no memory, which changes nothing.
        let has_memory = |node: &&str| node.parse().is_ok_and(|node: u16| zones.iter().any(|z| z.span.node == node));
        for (line, node) in self.orders.iter().zip(0..) {
            let (start, order) = line.split_once(": ").unwrap();
            let order: Vec<&str> = order.split_whitespace().filter(has_memory).collect();
            assert_eq!(FallbackOrder(&buddy, node).to_string(), format!("{start}: {} ", order.join(" ")), "{name}");
        }
        zones.len()
    }
}

#[test]
fn recorded_kernels() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoneinfo");
    let mut zones = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let record = Record::parse(&std::fs::read_to_string(&path).unwrap());
        assert!(!record.zones.is_empty(), "{}", path.display());
        zones += record.check(&path.display().to_string());
    }
    assert!(zones >= 20, "{zones} zones");
}

/// The text is the kernel's, line for line, as far as this crate has the numbers.
#[test]
fn prints_zoneinfo_as_linux_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoneinfo/numa4-dist.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let record = Record::parse(&text);
    let mut zones: Vec<_> = record.zones.iter().map(|zone| zone.zone).collect();
    let mut buddy = Buddy::<8>::from_parts(&mut [], &mut [], &zones, &[], &[]).unwrap();
    buddy.set_watermarks(&WatermarkPolicy::default());
    let watermarks = buddy.watermarks().to_vec();
    zones.iter_mut().for_each(|zone| zone.free_area[0].blocks = 7);
    assert_eq!(watermarks.len(), zones.len());

    let ours = FullZoneInfo(&buddy).to_string();
    let same = ["min", "low", "high", "spanned", "present", "protection:", "cma"];
    let wanted = |line: &&str| same.contains(&line.split_whitespace().next().unwrap_or(""));
    let mut lines = ours.lines().filter(wanted);
    let mut compared = 0;
    let mut populated = false;
    for block in text.split("Node ").filter(|block| block.contains("managed")) {
        populated = !block.contains("managed  0\n");
        for line in block.lines().filter(wanted).filter(|_| populated) {
            assert_eq!(lines.next(), Some(line));
            compared += 1;
        }
    }
    assert!(compared >= 6 * zones.len() && !populated, "{compared} lines");
}

/// Writes what `parse` reads from a capture; `None` if memory came that the log does not give by zone.
fn distil(capture: &Path) -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(capture.join(name)).ok();
    let dmesg = read("dmesg.txt")?;
    let gigantic = |line: &str| line.contains("1.00 GiB page size, pre-allocated") && !line.contains("pre-allocated 0");
    if dmesg.lines().any(|line| gigantic(line) || line.contains("Freeing EFI boot services")) {
        return None;
    }
    let keep =
        ["Node", "boost", "min", "low", "high", "spanned", "present", "managed", "cma", "protection:", "start_pfn:"];
    let wanted = |line: &&str| keep.contains(&line.split_whitespace().next().unwrap_or(""));
    let mut text = String::new();
    read("zoneinfo.txt")?.lines().filter(wanted).for_each(|line| writeln!(text, "{line}").unwrap());

    let zones = Record::parse(&text).zones;
    let expected: serde_json::Value = serde_json::from_str(&read("expected.json")?).unwrap();
    let zone_at = |address: u64| {
        let mut memory = expected["memory"].as_array().unwrap().iter();
        let node = memory
            .rfind(|row| row[0].as_u64().unwrap() <= address)
            .map_or(0, |row| row[2].as_i64().unwrap().max(0) as u16);
        let frame = address / FRAME_BYTES;
        let inside = |z: &&Recorded| (z.zone.span.start_pfn..z.zone.span.end_pfn()).contains(&frame);
        zones.iter().filter(inside).find(|z| z.zone.span.node == node).map(|z| (z.zone.span.node, z.zone.span.kind))
    };
    let image = zone_at(16 << 20).unwrap();
    let operations = read("replay.jsonl")?;
    let operations = operations.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut ramdisk = None;
    for operation in operations {
        match operation["op"].as_str() {
            Some("ramdisk") => ramdisk = operation["start"].as_u64().and_then(zone_at),
            Some("freed") if operation["what"] != "SMP alternatives" => {
                let place = if operation["what"] == "initrd" { ramdisk.unwrap_or(image) } else { image };
                writeln!(text, "freed {} {} {}", place.0, place.1, operation["kb"].as_u64().unwrap() / 4).unwrap();
            }
            _ => {}
        }
    }

    let nodes = read("nodes.txt").unwrap_or_default();
    let mut rows: Vec<(u32, &str)> = nodes
        .lines()
        .filter_map(|line| {
            let (head, row) = line.strip_prefix("node")?.split_once(" distance ")?;
            Some((head.split_whitespace().next()?.parse().ok()?, row))
        })
        .collect();
    rows.sort_unstable();
    rows.iter().for_each(|(_, row)| writeln!(text, "distance {row}").unwrap());
    let orders = dmesg.lines().filter_map(|line| line.find("Fallback order").map(|at| &line[at..]));
    orders.for_each(|line| writeln!(text, "{}", line.trim_end()).unwrap());
    Some(text)
}

#[test]
fn every_capture_of_the_oracle() {
    let Some(folder) = std::env::var_os("BOOTMEM_ORACLE") else { return };
    let (mut captures, mut zones) = (0, 0);
    for entry in std::fs::read_dir(Path::new(&folder).join("captures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match distil(&path) {
            Some(text) => (captures, zones) = (captures + 1, zones + Record::parse(&text).check(&name)),
            None => println!("{name}: not compared"),
        }
    }
    println!("{captures} captures, {zones} zones");
    assert!(captures > 100);
}

/// Distils the fixtures anew: `cargo test -p bootmem-buddy --test watermarks -- --ignored`, with `BOOTMEM_ORACLE` set.
#[test]
#[ignore = "writes tests/zoneinfo"]
fn distil_the_fixtures() {
    let oracle = std::env::var_os("BOOTMEM_ORACLE").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoneinfo");
    std::fs::create_dir_all(&folder).unwrap();
    for name in
        ["pc-128m", "pc-1g", "pc-64g", "numa4-dist", "numa2-fake4", "srat-unaligned", "movablecore-1g", "fuzz-03"]
    {
        let text = distil(&Path::new(&oracle).join("captures").join(name)).unwrap();
        std::fs::write(folder.join(format!("{name}.txt")), text).unwrap();
    }
}
