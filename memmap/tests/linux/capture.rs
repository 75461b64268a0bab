// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is needed of a recorded Linux boot, and the comparison with it.
//!
//! The same JSON object stands in the fixtures of this crate and is distilled from a directory of captures.

use crate::early::Early;
use handoff::{
    Direction, FRAME_BYTES, FrameState, Ledger, Level, Log, Message, Nid, Owner, PhysRange, Region, RegionFlags,
};
use memmap::{Layout, Movable, Paging, SparseModel, allocate};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::Path;

/// Distils a capture.
pub(crate) fn distil(directory: &Path) -> Value {
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let expected: Value = serde_json::from_str(&text("expected.json")).unwrap();
    let ops: Vec<Value> = text("replay.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let is = |op: &Value, name: &str| op["op"] == name;

    let init = ops.iter().position(|op| is(op, "init")).unwrap();
    let of_sparse = |op: &&Value| is(op, "alloc") && op["caller"].as_str().unwrap().starts_with("sparse_");
    let vmemmap = |op: &&Value| is(op, "alloc") && op["caller"].as_str().unwrap().starts_with("vmemmap_");
    let requests: Vec<&Value> = ops.iter().filter(|op| of_sparse(op) || vmemmap(op)).collect();
    let first = ops.iter().position(|op| of_sparse(&op)).unwrap();

    // memblock just before: memory as it ends, reservations as they were.
    let mut memory = expected["memory"].clone();
    let mut early = Early::new(vec![], &regions(&ops[init]["reserved"]));
    let (mut limit, mut bottom_up) = (ops[init]["limit"].clone(), ops[init]["bottom_up"].clone());
    let mut node_data = vec![];
    for op in &ops[init + 1..first] {
        let (base, size) = (op["base"].as_u64().unwrap_or(0), op["size"].as_u64().unwrap_or(0));
        match op["op"].as_str().unwrap() {
            "reserve" => early.reserve(base, size),
            "free" => early.reserved = without(&early.reserved, base, base + size),
            "doubled" => early.reserve(base, op["end"].as_u64().unwrap() + 1 - base),
            "alloc" => {
                if let Some(base) = op["result"].as_u64() {
                    early.reserve(base, size);
                    if op["caller"] == "alloc_node_data" {
                        node_data.push(json!([base, size]));
                    }
                }
            }
            "mark_hotplug" => memory.as_array_mut().unwrap().iter_mut().for_each(|m| {
                if (base..base + size).contains(&m[0].as_u64().unwrap()) {
                    m[3] = json!(RegionFlags::HOTPLUG.0);
                }
            }),
            "set_limit" => limit = op["limit"].clone(),
            "set_bottom_up" => bottom_up = op["on"].clone(),
            _ => {}
        }
    }

    let numbers = |op: &Value| {
        let kind = if op["fn"] == "memblock_alloc_exact_nid_raw" { "exact" } else { "try" };
        json!([kind, op["size"], op["align"], op["from"], op["max"], op["nid"], op["result"]])
    };
    let zones = expected["zones"].as_array().unwrap().iter().filter(|z| z["present"].as_u64().unwrap_or(0) > 0);
    let zones: Vec<_> =
        zones.map(|z| json!([z["nid"], z["zone"], z["start_pfn"], z["spanned"], z["present"]])).collect();
    let pairs = |list: &[Region]| list.iter().map(|r| json!([r.base, r.size])).collect::<Vec<_>>();
    json!({
        "release": expected["release"],
        "max_pfn": expected["max_pfn"],
        "memory": memory,
        "reserved": pairs(&early.reserved),
        "node_data": node_data,
        "limit": limit,
        "bottom_up": bottom_up,
        "movable_node": ops[init]["movable_node"],
        "append": append(&text("cmdline.txt")),
        "requests": requests.into_iter().map(numbers).collect::<Vec<_>>(),
        "zones": zones,
        "unavailable": expected["unavailable"],
        "lines": zone_lines(&text("dmesg.txt")),
    })
}

/// Returns the kernel command line.
fn append(cmdline: &str) -> String {
    cmdline.lines().find_map(|line| line.strip_prefix("append: ")).unwrap_or_default().to_owned()
}

/// The lines of the zone report that are ours.
fn zone_lines(dmesg: &str) -> Vec<&str> {
    let lines = dmesg.lines().map(|line| line.split_once("] ").map_or(line, |(_, text)| text));
    let mut report: Vec<_> = lines.skip_while(|line| *line != "Zone ranges:").collect();
    let starts = ["On node ", "Initmem setup node "];
    let last = report.iter().rposition(|line| starts.iter().any(|s| line.starts_with(s))).unwrap();
    report.truncate(last + 1);
    let foreign = ["memblock_", "Initializing node ", "  Device   empty"];
    report.retain(|line| !foreign.iter().any(|s| line.starts_with(s)));
    report
}

fn regions(list: &Value) -> Vec<Region> {
    let number = |v: &Value| v.as_i64().unwrap_or(0);
    let region = |r: &Value| Region {
        nid: Nid(number(&r[2]) as i32),
        flags: RegionFlags(number(&r[3]) as u32),
        ..Region::new(r[0].as_u64().unwrap(), r[1].as_u64().unwrap())
    };
    list.as_array().unwrap().iter().map(region).collect()
}

fn without(regions: &[Region], start: u64, end: u64) -> Vec<Region> {
    let cut = |r: &Region| [(r.base, r.end().min(start)), (r.base.max(end), r.end())];
    let pieces = regions.iter().flat_map(cut).filter(|(from, to)| from < to);
    pieces.map(|(from, to)| Region::new(from, to - from)).collect()
}

#[derive(Clone)]
struct Lines<'a>(&'a RefCell<Vec<String>>);

impl Log for Lines<'_> {
    fn line<M: Message>(&self, _: Level, message: M) {
        self.0.borrow_mut().push(message.to_string());
    }
}

/// How many facts of each kind were compared.
#[derive(Default, Debug)]
pub(crate) struct Compared {
    pub(crate) allocations: usize,
    pub(crate) zones: usize,
    pub(crate) lines: usize,
    pub(crate) frames: u64,
}

/// Compares every allocation with its address, every zone and every line.
pub(crate) fn compare(name: &str, boot: &Value, compared: &mut Compared) {
    let memory = regions(&boot["memory"]);
    let movable = Movable::from_command_line(boot["append"].as_str().unwrap());
    let layout = Layout::with_movable(&memory, boot["max_pfn"].as_u64().unwrap(), movable).unwrap();

    let requests = boot["requests"].as_array().unwrap();
    let model = model_of(requests);
    let mut early = Early::new(memory, &regions(&boot["reserved"]));
    early.limit = boot["limit"].as_u64().unwrap();
    early.direction = if boot["bottom_up"] == true { Direction::BottomUp } else { Direction::TopDown };
    early.movable_node = boot["movable_node"] == true;
    let mut ledger = Ledger::new();
    for node_data in regions(&boot["node_data"]) {
        ledger.claim(Owner::NODE_DATA, PhysRange::from_size(node_data.base, node_data.size).unwrap()).unwrap();
    }
    let blocks = allocate(&layout, &model, &mut early, &mut ledger).unwrap();
    let asked: Vec<_> = early
        .requests
        .iter()
        .map(|(kind, b, found)| json!([kind, b.size, b.align, b.min, b.max, b.nid.0, found]))
        .collect();
    assert_eq!(&asked, requests, "{name}: allocations");
    assert_eq!(blocks.iter().map(|b| b.size()).sum::<u64>(), layout.frames() * 64, "{name}: descriptors");
    compared.allocations += asked.len();

    let zones = boot["zones"].as_array().unwrap();
    if !zones.is_empty() {
        let ours: Vec<_> =
            layout.zones().iter().map(|z| json!([z.node, z.kind.name(), z.start_pfn, z.spanned, z.present])).collect();
        assert_eq!(&ours, zones, "{name}: zones");
        compared.zones += ours.len();
    }
    let holes: Vec<_> = layout.unavailable().map(|u| json!([u.node, u.zone.name(), u.frames])).collect();
    assert_eq!(&holes, boot["unavailable"].as_array().unwrap(), "{name}: unavailable ranges");

    let lines = RefCell::new(vec![]);
    let said = boot["lines"].as_array().unwrap();
    let memoryless =
        said.iter().filter_map(|l| l.as_str()?.strip_prefix("Initmem setup node ")?.strip_suffix(" as memoryless"));
    layout.report(&memoryless.map(|n| n.parse().unwrap()), &Lines(&lines));
    assert_eq!(lines.into_inner(), *said, "{name}: log");
    compared.lines += said.len();
}

/// The sizes of that kernel follow from its first requests.
fn model_of(requests: &[Value]) -> SparseModel {
    let model = SparseModel::default();
    let array = requests[0][1].as_u64().unwrap();
    [(16, Paging::FourLevel), (32, Paging::FourLevel), (16, Paging::FiveLevel)]
        .map(|(entry_bytes, paging)| SparseModel { entry_bytes, paging, ..model })
        .into_iter()
        .find(|model| model.root_array_bytes() == array)
        .unwrap()
}

/// Compares zone, node and reservation of each descriptor with what stood in the stopped kernel's.
pub(crate) fn compare_pages(name: &str, directory: &Path, compared: &mut Compared) {
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let (dump, handover) = (text("handover_pages.txt"), text("handover.json"));
    let expected: Value = serde_json::from_str(&text("expected.json")).unwrap();
    if dump.is_empty() {
        return;
    }
    let handover: Value = serde_json::from_str(&handover).unwrap();
    let deferred = |node: u16| {
        let node = handover["nodes"].as_array().unwrap().iter().find(|n| n["nid"] == node);
        node.and_then(|n| n["first_deferred_pfn"].as_u64()).filter(|pfn| *pfn != 0).unwrap_or(u64::MAX)
    };
    let reserved_bit = if expected["release"].as_str().unwrap().starts_with("6.12") { 1 << 13 } else { 1 << 12 };

    // Not `expected`: at the end of a boot nothing is marked as pluggable any more.
    let boot = distil(directory);
    let movable = Movable::from_command_line(boot["append"].as_str().unwrap());
    let layout = Layout::with_movable(&regions(&boot["memory"]), 0, movable).unwrap();
    let first_node = layout.nodes().next().unwrap();
    let reserved = regions(&expected["reserved_at_handover"]);
    let touched =
        |from: u64, to: u64| reserved.iter().any(|r| r.base < to * FRAME_BYTES && from * FRAME_BYTES < r.end());
    let mut ours = vec![];
    layout.frame_runs(&reserved, |run| ours.push(run));
    let mut frames = 0;
    for line in dump.lines().filter(|l| !l.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (start, end) = words.next().unwrap().split_once('-').unwrap();
        let hex = |word: &str| u64::from_str_radix(word, 16).unwrap();
        let (start, end, flags) = (hex(start), hex(end), hex(words.next().unwrap()));
        frames += end - start;

        let first = ours.partition_point(|run| run.end_pfn <= start);
        let mut at = start;
        for run in ours[first..].iter().take_while(|run| run.start_pfn < end) {
            assert!(run.start_pfn <= at, "{name}: no descriptor for frame {at:#x}");
            at = run.end_pfn;
            let (from, to) = (run.start_pfn.max(start), run.end_pfn.min(end));
            // Where Linux defers, it writes the descriptors of reserved frames anew, and takes those that are no memory for
            // frames of the first node. We do not defer.
            let rewritten = run.state == FrameState::Hole && from >= deferred(first_node) && touched(from, to);
            if from < deferred(run.node) && !rewritten {
                let linux = (flags >> 54, flags >> 51 & 7, flags & reserved_bit != 0);
                let ours = (u64::from(run.node), u64::from(run.zone.0), run.state != FrameState::Body);
                assert_eq!(ours, linux, "{name}: {run:x?} is {line}");
                compared.frames += to.min(deferred(run.node)) - from;
            }
        }
        assert!(end <= at, "{name}: no descriptor for frame {at:#x}");
    }
    assert_eq!(frames, layout.frames(), "{name}: descriptors");
    assert_eq!(frames * FRAME_BYTES % (128 << 20), 0);
}
