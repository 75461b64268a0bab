// SPDX-License-Identifier: MIT OR Apache-2.0
//! All CPUs at once: they are started, prove the allocator together and are stopped; what one does wrong is noticed.

use crate::machine::{Boot, Run};

fn boot(cpus: u64, arguments: &[&str]) -> Run {
    let boot = Boot::new().with(&["--smp", &cpus.to_string(), "--timeout", "120"]).with(arguments);
    took_part(boot.run().expect(0), cpus)
}

/// Checks that so many CPUs worked, each with some that another one allocated, and that every second free was refused.
fn took_part(run: Run, cpus: u64) -> Run {
    run.expect_identity();
    assert_eq!(run.number("/figures/smp.cpus"), cpus);
    run.expect_words(&[&format!("All {cpus} CPUs at once"), "all given back"]);
    let parts = parts(&run);
    assert_eq!(parts.len() as u64, cpus);
    assert!(parts.iter().all(|part| part.pairs > 100 && part.foreign > 0), "{:#}", run.json["figures"]);
    let last = run.number("/figures/smp.last_blocks");
    assert!(last > 0);
    assert_eq!(run.number("/figures/smp.second_frees"), last * (2 * cpus - 1));
    run
}

/// What a CPU says that it did.
struct Part {
    apic_id: u64,
    node: u64,
    pairs: u64,
    local: u64,
    foreign: u64,
}

/// Reads `APIC id 1 on node 0: 2 pairs, 3 blocks of its node, 4 of other CPUs freed`.
fn parts(run: &Run) -> Vec<Part> {
    let lines = run.json["figures"]["smp.cpu"].as_array().unwrap().iter();
    let parts = lines.map(|line| {
        let words = line.as_str().unwrap().split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let [apic_id, node, pairs, local, foreign] = numbers[..] else { panic!("{line}") };
        Part { apic_id, node, pairs, local, foreign }
    });
    parts.collect()
}

#[test]
fn two_and_four_cpus_by_bios_and_uefi() {
    boot(2, &["--memory", "64M"]);
    boot(4, &["--memory", "512M"]);
    boot(2, &["--memory", "512M", "--uefi"]);
    boot(4, &["--memory", "512M", "--uefi", "--machine", "q35"]);
}

#[test]
#[ignore = "--full"]
fn more_machines() {
    boot(8, &["--memory", "16G", "--machine", "q35"]);
    boot(3, &["--memory", "24M"]);
    boot(4, &["--memory", "64G"]);
    boot(16, &["--memory", "2G"]);
    boot(2, &["--memory", "512M", "--append", "linux=5.4"]);
}

#[test]
fn what_the_heap_costs_is_counted() {
    let run = boot(2, &["--memory", "512M"]);
    let [spans, objects, overhead] =
        ["spans", "objects", "overhead_bytes"].map(|name| run.number(&format!("/figures/heap.{name}")));
    assert!(spans > 0 && objects > 0 && overhead > 0);
    assert_eq!(overhead % spans, 0, "as much for each span");
    assert!(run.number("/figures/heap.span_bytes") >= run.number("/figures/heap.object_bytes"));
    run.expect_words(&["Heap: ", &format!("bitmaps and links {overhead} bytes"), "given back"]);
}

/// The page in which the others start is in the account; with one CPU there is none.
#[test]
fn the_page_to_start_in_is_accounted_for() {
    let run = boot(2, &["--memory", "512M"]);
    run.expect_words(&["- start of the other CPUs", " 4096 ", "boot"]);
    let alone = Boot::new().with(&["--memory", "512M"]).run().expect(0);
    assert!(!alone.stdout.contains("other CPUs"), "{}", alone.stdout);
}

/// Each CPU has blocks of its own node, unless that has none.
#[test]
fn cpus_are_on_their_nodes() {
    let run = boot(4, &["--memory", "3G", "--numa", "2G,1G", "--machine", "q35"]);
    let parts = parts(&run);
    assert!(parts.iter().all(|part| part.local == part.pairs), "{:#}", run.json["figures"]);
    assert!((0..2).all(|node| parts.iter().filter(|part| part.node == node).count() == 2));
    assert!((0..4).all(|id| parts.iter().any(|part| part.apic_id == id)));
}

#[test]
#[ignore = "--full"]
fn a_node_without_memory_has_cpus_too() {
    let run = boot(3, &["--memory", "2G", "--numa", "1G,0,1G"]);
    for part in parts(&run) {
        assert_eq!(part.local, if part.node == 1 { 0 } else { part.pairs });
    }
}

/// Processors that are switched off are not called.
#[test]
fn disabled_processors_stay_off() {
    let run = boot(2, &["--memory", "512M", "--", "-smp", "2,maxcpus=4"]);
    assert!(!run.stdout.contains("does not answer"), "{}", run.stdout);
}

fn misbehaves(kind: &str, status: i32) -> Run {
    let arguments = ["--smp", "3", "--memory", "512M", "--misbehave", &format!("boot=cpu-{kind}"), "--timeout", "120"];
    Boot::new().with(&arguments).run().expect(status)
}

#[test]
fn a_cpu_that_does_not_answer_is_named_and_left() {
    let run = took_part(misbehaves("silent", 0), 2);
    run.expect_words(&["boot: the CPU with APIC id", "does not answer: going on without it"]);
}

#[test]
fn a_fault_a_panic_or_a_hang_names_the_cpu() {
    for (kind, words) in [
        ("fault", "page-fault"),
        ("overflow", "double-fault"),
        ("panic", "misbehave=cpu-panic"),
        ("hang", "the CPU with APIC id"),
    ] {
        let run = misbehaves(kind, 35);
        run.expect_words(&["boot: on the CPU with APIC id", "panicked at boot/src/"]);
        run.expect_words(&[words]);
        assert!(!run.lines().any(|line| line == "bootmem: success"), "{}", run.stdout);
    }
}

#[test]
fn a_block_in_two_hands_is_noticed() {
    misbehaves("keep", 35).expect_words(&["boot: failed check: on the CPU with APIC id"]);
    let run = misbehaves("scribble", 35);
    run.expect_words(&["boot: failed check: on the CPU with APIC id", "lost what was written to it"]);
}
