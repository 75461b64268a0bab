// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots of Debian kernels, operation by operation: every address, doubling, table, size and page count must be Linux's.
//!
//! `tests/fixtures` holds a few recorded boots. With the environment variable `BOOTMEM_ORACLE` naming a folder of
//! captures, every `replay.jsonl` in it is replayed, and every line of early memory in its `dmesg.txt` compared.

use handoff::{Bounds, Direction, Lines, Nid, PhysRange, Region, RegionFlags, Rules};
use memblock::{Array, ArrayParts, Memblock, Parts, Policy};
use serde_json::Value;
use std::fmt::Debug;
use std::{env, fs, path::Path};

type Machine = Memblock<1024, Lines>;

/// What a replay has checked.
#[derive(Default, Debug)]
struct Checked {
    allocations: usize,
    doublings: usize,
    dumps: usize,
    pages: usize,
}

#[test]
fn recorded_boots() {
    for name in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")).unwrap() {
        let path = name.unwrap().path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            let replay = fs::read_to_string(&path).unwrap();
            let (checked, _) = run(&replay).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(checked.allocations > 5 && checked.dumps == 1 && checked.pages == 1, "{checked:?}");
        }
    }
}

#[test]
fn every_capture() {
    let Some(folder) = env::var_os("BOOTMEM_ORACLE") else { return };
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(replay) = fs::read_to_string(folder.join("replay.jsonl")) else { continue };
        let dmesg = fs::read(folder.join("dmesg.txt")).unwrap();
        count += 1;
        let result = run(&replay).and_then(|(_, said)| compare_lines(&said, &String::from_utf8_lossy(&dmesg), &replay));
        wrong.extend(result.err().map(|error| format!("{}: {error}", folder.display())));
    }
    println!("{count} captures, {} wrong", wrong.len());
    assert!(count > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(replay: &str) -> Result<(Checked, Vec<String>), String> {
    let ops: Vec<Value> = replay.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut checked = Checked::default();
    before_the_first_dump(&ops)?;

    let init = ops.iter().position(|op| op["op"] == "init").ok_or("no first dump")?;
    let log = Lines::default();
    let mut memblock = at_the_first_dump(&ops[0], &ops[init], &log);
    let max_pfn = number(&ops[init]["max_pfn"]);
    let (mut said, mut pages, mut freed_kib) = (Vec::new(), 0, 0);
    let is_6_12 = memblock.policy().rules == Rules::V6_12;

    for (i, op) in ops.iter().enumerate().skip(init + 1) {
        let expect = |ok, what: &str| if ok { Ok(()) } else { Err(format!("line {}: {what}: {op}", i + 1)) };
        match op["op"].as_str().unwrap() {
            "alloc" => {
                let result = allocate(&mut memblock, op);
                expect(result == op["result"].as_u64(), &format!("{result:x?} allocated"))?;
                if is_6_12 && op["caller"].as_str().is_some_and(|c| c.starts_with("__alloc_bootmem_huge_page")) {
                    freed_kib += result.map_or(0, |_| number(&op["size"]) >> 10);
                }
                checked.allocations += 1;
            }
            "doubled" => {
                let (name, max) = (op["type"].as_str().unwrap(), number(&op["max"]));
                let (base, end) = (number(&op["base"]), number(&op["end"]));
                let line = format!("memblock: {name} is doubled to {max} at [{base:#018x}-{end:#018x}]");
                expect(log.all().contains(&line), "not doubled")?;
                checked.doublings += 1;
            }
            "dump" => {
                for (name, array) in [("memory", memblock.parts().memory), ("reserved", memblock.parts().reserved)] {
                    let expected: Vec<_> =
                        op[name].as_array().unwrap().iter().map(|r| printed(&region(r, Nid::NONE))).collect();
                    let actual: Vec<_> = array.regions.iter().map(printed).collect();
                    expect(actual == expected, &difference(&actual, &expected))?;
                    expect(array.total_size == number(&op[format!("{name}_size")]), "size")?;
                }
                memblock.dump_all();
                checked.dumps += 1;
            }
            "handover" => {
                pages = memblock.free_all(max_pfn).unwrap().map(|block| 1 << block.order).sum();
            }
            "freed" => freed_kib += number(&op["kb"]),
            "memory_line" => {
                let kib = |key| number(&op["kb"][key]);
                let later = if is_6_12 { freed_kib } else { 0 }; // 6.12 prints the line when more has been freed
                expect(pages * 4 + later == kib("present") - kib("reserved") - kib("cma"), &format!("{pages} pages"))?;
                checked.pages += 1;
            }
            _ => apply(&mut memblock, op),
        }
        if ops.get(i + 1).is_none_or(|next| next["op"] != "doubled") {
            said.extend(log.take());
        }
    }
    Ok((checked, said))
}

/// Everything up to the first dump: what was reserved in silence, what was printed, the trim.
fn before_the_first_dump(ops: &[Value]) -> Result<(), String> {
    let mut memblock: Machine = Memblock::with_log(policy(&ops[0]), Lines::default());
    memblock.set_current_limit(0x10_0000);
    memblock.set_direction(if memblock.policy().movable_node { Direction::BottomUp } else { Direction::TopDown });
    for op in ops.iter().filter(|op| op["op"] == "silent_reserves") {
        for range in op["ranges"].as_array().unwrap() {
            memblock.reserve(number(&range[0]), number(&range[1])).unwrap();
        }
    }
    for op in ops.iter().take_while(|op| op["op"] != "init").filter(|op| op["phase"] == "pre") {
        match op["op"].as_str().unwrap() {
            "alloc" => _ = allocate(&mut memblock, op),
            "silent_reserves" | "doubled" => {}
            _ => apply(&mut memblock, op),
        }
    }
    memblock.trim_memory(4096).unwrap();

    let init = ops.iter().find(|op| op["op"] == "init").ok_or("no first dump")?;
    let expected = at_the_first_dump(&ops[0], init, &Lines::default());
    let (actual, expected) = (memblock.parts(), expected.parts());
    if actual.memory == expected.memory && actual.reserved == expected.reserved {
        return Ok(());
    }
    Err(format!("first dump: {}", difference(&[actual.memory, actual.reserved], &[expected.memory, expected.reserved])))
}

fn at_the_first_dump(meta: &Value, init: &Value, log: &Lines) -> Machine {
    let none = Nid(init["nid_none"].as_i64().unwrap() as i32);
    let list = |name: &str| -> Vec<Region> { init[name].as_array().unwrap().iter().map(|r| region(r, none)).collect() };
    let (memory, reserved) = (list("memory"), list("reserved"));
    let array = |name: &str, regions| {
        let place = init[format!("{name}_array")].as_array();
        ArrayParts {
            regions,
            max: number(&init[format!("{name}_max")]) as usize,
            total_size: number(&init[format!("{name}_size")]),
            place: place.and_then(|p| PhysRange::from_size(number(&p[0]), number(&p[1]))),
        }
    };
    let parts = Parts {
        memory: array("memory", &memory),
        reserved: array("reserved", &reserved),
        current_limit: number(&init["limit"]),
        direction: if init["bottom_up"] == true { Direction::BottomUp } else { Direction::TopDown },
        policy: policy(meta),
    };
    Memblock::from_parts(&parts, log.clone()).unwrap()
}

fn policy(meta: &Value) -> Policy {
    let rules = if meta["semantics"] == "6.12" { Rules::V6_12 } else { Rules::V6_1 };
    Policy { rules, can_resize: true, ..Policy::from_command_line(meta["cmdline"].as_str().unwrap()) }
}

fn allocate(memblock: &mut Machine, op: &Value) -> Option<u64> {
    let nid = Nid(op["nid"].as_i64().unwrap_or(-1) as i32);
    let (size, align) = (number(&op["size"]), number(&op["align"]));
    let bounds = Bounds { size, align, min: number(&op["from"]), max: number(&op["max"]), nid };
    match op["fn"].as_str().unwrap() {
        "memblock_phys_alloc_range" => memblock.phys_alloc_range(bounds),
        "memblock_phys_alloc_try_nid" => memblock.phys_alloc_try_nid(size, align, nid),
        "memblock_alloc_try_nid" => memblock.alloc_try_nid(bounds),
        "memblock_alloc_try_nid_raw" => memblock.alloc_try_nid_raw(bounds),
        "memblock_alloc_exact_nid_raw" => memblock.alloc_exact_nid_raw(bounds),
        other => panic!("unknown function {other}"),
    }
    .ok()
}

/// Applies an operation that has no result to check.
fn apply(memblock: &mut Machine, op: &Value) {
    let (base, size) = (op["base"].as_u64().unwrap_or(0), op["size"].as_u64().unwrap_or(0));
    let done = match op["op"].as_str().unwrap() {
        "reserve" => memblock.reserve(base, size),
        "free" => memblock.free(base, size),
        "add" => memblock.add(base, size),
        "remove" => memblock.remove(base, size),
        "set_limit" => {
            memblock.set_current_limit(number(&op["limit"]));
            Ok(())
        }
        "set_bottom_up" => {
            memblock.set_direction(if op["on"] == true { Direction::BottomUp } else { Direction::TopDown });
            Ok(())
        }
        "set_nid" => {
            let array = if op["type"] == "memory" { Array::Memory } else { Array::Reserved };
            memblock.set_node(array, base, size, Nid(op["nid"].as_i64().unwrap() as i32))
        }
        "mark_hotplug" => memblock.mark_hotplug(base, size),
        "clear_hotplug" => memblock.clear_hotplug(base, size),
        "mark_mirror" => memblock.mark_mirror(base, size),
        "mark_noinit" => memblock.reserved_mark_noinit(base, size),
        "reserved_take_nids" => memblock.reserved_take_nids(),
        "clear_kernel_node_hotplug" => {
            for block in op["blocks"].as_array().into_iter().flatten() {
                let (start, end, nid) = (number(&block[0]), number(&block[1]), number(&block[2]));
                if memblock.reserved().iter().any(|r| r.nid == Nid(nid as i32)) {
                    memblock.clear_hotplug(start, end - start).unwrap();
                }
            }
            Ok(())
        }
        _ => Ok(()),
    };
    done.unwrap_or_else(|error| panic!("{error}: {op}"));
}

/// Compares what was said from the first dump to the hand-over with the kernel's log, but for the callers' names.
fn compare_lines(said: &[String], dmesg: &str, replay: &str) -> Result<(), String> {
    let words = ["memblock_", "memblock:", "MEMBLOCK", " memory", " reserved", "Could not allocate"];
    let bare = |line: &str| match line.rsplit_once(' ') {
        Some((call, _)) if line.starts_with("memblock_") => call.to_owned(),
        _ => line.to_owned(),
    };
    let lines = dmesg.lines().filter_map(|line| line.split_once("] ").map(|(_, text)| text));
    let after_first_dump =
        lines.skip_while(|line| !line.starts_with("MEMBLOCK")).skip(1).skip_while(|line| line.starts_with(' '));
    let expected: Vec<String> =
        after_first_dump.filter(|line| words.iter().any(|w| line.starts_with(w))).map(bare).collect();
    let said: Vec<String> = said.iter().map(|line| bare(line)).collect();
    let late = replay.lines().filter(|line| line.starts_with(r#"{"op":"late""#)).count();
    match said.len() + late == expected.len() && expected.starts_with(&said) {
        true => Ok(()),
        false => Err(difference(&said, &expected)),
    }
}

fn difference<T: PartialEq + Debug>(actual: &[T], expected: &[T]) -> String {
    let at = actual.iter().zip(expected).take_while(|(a, e)| a == e).count();
    format!("entry {at}: {:x?}, Linux {:x?}", actual.get(at), expected.get(at))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A region `[base, size, nid, flags]`; nid -1 becomes `none`.
fn region(value: &Value, none: Nid) -> Region {
    let nid = match value[2].as_i64().unwrap() {
        -1 => none,
        nid => Nid(nid as i32),
    };
    Region { base: number(&value[0]), size: number(&value[1]), nid, flags: RegionFlags(number(&value[3]) as u32) }
}

/// A region as the dump shows it: the two values for no node look alike.
fn printed(region: &Region) -> Region {
    Region { nid: region.nid.number().map_or(Nid::NONE, Nid::from), ..*region }
}
