// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our reading of recorded logs against another one: `replay.jsonl` beside a log holds its operations, as a parser that
//! shares no code with ours found them.

use super::{Array, Call, Edit, Entry, Event, Function, Log, parse};
use crate::replay::Capture;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};

#[test]
fn fixtures() {
    let read = compare_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"));
    assert!(read >= 8, "{read}");
}

#[test]
fn the_collection() {
    if let Some(folder) = std::env::var_os("BOOTMEM_ORACLE") {
        println!("{} logs", compare_all(&PathBuf::from(folder)));
    }
}

fn compare_all(folder: &Path) -> usize {
    let with_operations =
        Capture::find(folder).unwrap().into_iter().filter_map(|path| Some((operations_of(&path)?, path)));
    let compared = with_operations.map(|(theirs, path)| {
        let capture = Capture::read(&path).unwrap();
        let text = String::from_utf8_lossy(&capture.dmesg).into_owned();
        let logs = parse(&text);
        assert_eq!(logs.len(), 1, "{}", path.display());
        assert!(logs[0].unknown.is_empty(), "{}: {:?}", path.display(), logs[0].unknown);
        let ours = our_operations(&logs[0]);
        for i in 0..ours.len().max(theirs.len()) {
            assert_eq!(ours.get(i), theirs.get(i), "{}: operation {i}: ours, theirs", path.display());
        }
    });
    compared.count()
}

/// Reads the operations that a line tells of; what was inferred is none of the parser's business.
fn operations_of(folder: &Path) -> Option<Vec<String>> {
    let mut text = String::new();
    let packed = folder.join("replay.jsonl.gz");
    if packed.is_file() {
        GzDecoder::new(std::fs::File::open(packed).unwrap()).read_to_string(&mut text).unwrap();
    } else {
        text = std::fs::read_to_string(folder.join("replay.jsonl")).ok()?;
    }
    let operations = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Some(operations.filter(|op| op["inferred"] != true).flat_map(|op| their_operation(&op)).collect())
}

fn their_operation(op: &Value) -> Vec<String> {
    let n = |key: &str| op[key].as_u64().unwrap_or_else(|| panic!("{key} of {op}"));
    let kind = op["op"].as_str().unwrap();
    let text = match kind {
        "e820_map" => {
            let who = op["who"].as_str().unwrap();
            let entry = |e: &Value| {
                format!(
                    "map {who} {:x} {:x} {}",
                    e[0].as_u64().unwrap(),
                    e[1].as_u64().unwrap(),
                    e[2].as_str().unwrap()
                )
            };
            return op["entries"].as_array().unwrap().iter().map(entry).collect();
        }
        "e820_update" => format!("update {:x} {:x} {} {}", n("start"), n("end"), op["from"], op["to"]),
        "e820_remove" => format!("remove {:x} {:x} {}", n("start"), n("end"), op["type"]),
        "last_pfn" => format!("last_pfn {:x} {:x}", n("last_pfn"), n("max_arch_pfn")),
        "reserve" | "free" | "remove" => format!("{kind} {:x} {:x} {}", n("base"), n("size"), op["caller"]),
        "add" => format!("add {:x} {:x} {}", n("base"), n("size"), op["caller"]),
        "alloc" => {
            // That of a node's bookkeeping got its node and caller from a later line.
            let result = op["result"].as_u64();
            let (function, nid) = (op["fn"].as_str().unwrap(), &op["nid"]);
            format!(
                "{function} {} {:x} {nid} {:x} {:x} {} {result:x?}",
                n("size"),
                n("align"),
                n("from"),
                n("max"),
                op["caller"]
            )
        }
        "doubled" => format!("doubled {} {} {:x} {:x}", op["type"].as_str().unwrap(), n("max"), n("base"), n("end")),
        "init" | "dump" => {
            let mut text = format!("dump {:x} {:x}", n("memory_size"), n("reserved_size"));
            for array in ["memory", "reserved"] {
                for r in op[array].as_array().unwrap() {
                    let (base, size) = (r[0].as_u64().unwrap(), r[1].as_u64().unwrap());
                    text += &format!(" {array} {base:x} {size:x} {} {}", r[2], r[3]);
                }
            }
            text
        }
        "srat" => format!("srat {} {:x} {:x} {}", n("nid"), n("start"), n("end"), op["hotplug"]),
        "numa_dummy" => "numa_dummy".into(),
        "numa_emu" => format!("numa_emu {} {:x} {:x}", n("nid"), n("start"), n("end")),
        "ramdisk" => format!("ramdisk {:x} {:x}", n("start"), n("end")),
        "nosave" => format!("nosave {:x} {:x}", n("start"), n("end")),
        "efi_mem" => format!("efi {:x} {:x} {}", n("start"), n("end"), op["mirror"]),
        "freed" => format!("freed {}", n("kb")),
        "memory_line" => {
            let kb = |key: &str| op["kb"][key].as_u64().unwrap();
            format!("memory {} {} {} {}", kb("available"), kb("present"), kb("reserved"), kb("cma"))
        }
        "late" => format!("late {}", op["fn"].as_str().unwrap()),
        _ => return Vec::new(),
    };
    vec![text]
}

fn our_operations(log: &Log<'_>) -> Vec<String> {
    let handed_over = log.entries.iter().position(|e| matches!(e.event, Event::SlabUp | Event::Memory { .. }));
    let late = |at: usize| handed_over.is_some_and(|handed_over| at > handed_over);
    let all = log.entries.iter().enumerate();
    all.filter_map(|(at, entry)| our_operation(&log.entries, at, entry, late(at))).collect()
}

fn our_operation(entries: &[Entry<'_>], at: usize, entry: &Entry<'_>, late: bool) -> Option<String> {
    let quoted = |text: &str| format!("\"{text}\"");
    let end = |last: u64| last + 1;
    Some(match entry.event {
        Event::MapEntry { who, start, last, kind } => format!("map {who} {start:x} {last:x} {kind}"),
        Event::Edit(Edit::Update { start, last, old, new }) => {
            format!("update {start:x} {last:x} {} {}", quoted(old), quoted(new))
        }
        Event::Edit(Edit::Remove { start, last, kind }) => {
            format!("remove {start:x} {last:x} {}", kind.map_or("null".into(), quoted))
        }
        Event::LastPfn { last_pfn, max_arch_pfn } => format!("last_pfn {last_pfn:x} {max_arch_pfn:x}"),
        Event::Call(call) if late || call.function == Function::FreeLate => {
            let words = entry.text.split(':').next()?;
            format!("late {words}")
        }
        Event::Call(call)
            if call.caller.starts_with("memblock_alloc_range_nid")
                || call.caller.starts_with("memblock_double_array") =>
        {
            return None;
        }
        Event::Call(call) => {
            let name = match call.function {
                Function::Add => "add",
                Function::Remove => "remove",
                Function::Free => "free",
                _ => "reserve",
            };
            format!("{name} {:x} {:x} {}", call.base, call.size(), quoted(call.caller))
        }
        Event::Request(r) => {
            let result = answer(&entries[at + 1..], r.size);
            let (function, caller) = (r.function, quoted(r.caller));
            format!("{function} {} {:x} {} {:x} {:x} {caller} {result:x?}", r.size, r.align, r.nid, r.from, r.max)
        }
        Event::Doubled { array, max, base, last } => format!("doubled {} {max} {base:x} {last:x}", name(array)),
        Event::DumpHeading => dump(&entries[at + 1..]),
        Event::Srat { nid, start, last, hotplug } => format!("srat {nid} {start:x} {:x} {hotplug}", end(last)),
        Event::NumaDummy => "numa_dummy".into(),
        Event::EmulatedNode { nid, start, last } => format!("numa_emu {nid} {start:x} {:x}", end(last)),
        Event::Ramdisk { start, last } => format!("ramdisk {start:x} {:x}", end(last)),
        Event::Nosave { start, last } => format!("nosave {start:x} {:x}", end(last)),
        Event::EfiRange { mirrored, start, last, .. } => format!("efi {start:x} {:x} {mirrored}", end(last)),
        Event::Freed { kib } => format!("freed {kib}"),
        Event::Memory { available, present, reserved, cma } => format!("memory {available} {present} {reserved} {cma}"),
        _ => return None,
    })
}

/// Returns the address a request was answered with, unless the next one comes first.
fn answer(rest: &[Entry<'_>], size: u64) -> Option<u64> {
    rest.iter()
        .map_while(|e| match e.event {
            Event::Request(_) => None,
            Event::Call(call) => Some(Some(call)),
            _ => Some(None),
        })
        .flatten()
        .next()
        .and_then(|call: Call<'_>| {
            (call.caller.starts_with("memblock_alloc_range_nid") && call.size() == size).then_some(call.base)
        })
}

fn dump(lines: &[Entry<'_>]) -> String {
    let mut text = String::from("dump");
    for line in lines {
        match line.event {
            Event::DumpSizes { memory, reserved } => text += &format!(" {memory:x} {reserved:x}"),
            Event::DumpRegion { array, base, size, nid, flags, .. } => {
                let nid = nid.map_or(-1, i32::from);
                text += &format!(" {} {base:x} {size:x} {nid} {flags}", name(array));
            }
            Event::DumpCount => {}
            _ => break,
        }
    }
    text
}

const fn name(array: Array) -> &'static str {
    match array {
        Array::Memory => "memory",
        Array::Reserved => "reserved",
    }
}
