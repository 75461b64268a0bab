// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that misbehaves in a stage's place is stopped, named and located; boot goes on to report it.

use crate::machine::Boot;

const STAGES: [&str; 6] = ["e820", "memblock", "crashkernel", "memmap", "buddy", "successor"];

/// What the program does, what boot calls it, and the address that must be shown.
const KINDS: [(&str, &str, &str); 12] = [
    ("write-kernel", "page-fault", "0x100000"),
    ("read-kernel", "page-fault", "0x100000"),
    ("execute-data", "page-fault", "0x58000000"),
    ("privileged", "general-protection", ""),
    ("spin", "overrun", ""),
    ("deep-recursion", "stack-overflow", ""),
    ("garbage-output", "invalid-handoff", ""),
    ("oversize-output", "oversize-output", ""),
    ("bad-grant", "bad-grant", "0x100000"),
    ("bad-log", "bad-log", "0x100000"),
    ("bad-syscall", "bad-system-call", ""),
    ("panic", "panic", ""),
];

fn is_stopped(stage: &str, (kind, word, address): (&str, &str, &str)) {
    let run = Boot::new().with(&["--memory", "512M", "--misbehave", &format!("{stage}={kind}")]).run().expect(37);
    run.expect_words(&[&format!("stage {stage} failed"), address]);
    assert!(!run.lines().any(|line| line == "bootmem: success"), "{}", run.stdout);
    assert!(run.stderr.contains("a stage failed"), "{}", run.stderr);

    let fault = &run.json["faults"][0];
    assert_eq!(fault["stage"], stage);
    assert_eq!(fault["kind"], word);
    if kind == "panic" {
        run.expect_words(&["panicked at boot/rt/examples/hostile.rs:"]);
        run.expect_words(&["misbehave=panic is not a kind"]);
        return;
    }
    let place = fault["place"].as_str().unwrap();
    run.expect_words(&[&format!("bootmem: {stage}: {word} in {place}")]);
    match kind {
        // There is no code where it jumped to, but where it came from there is.
        "execute-data" => {
            let words = ["0x58000000", "come from ", " at boot/rt/examples/hostile.rs:"];
            assert!(words.iter().all(|word| place.contains(word)), "{place}");
        }
        // Stopped in the system call: its line, in the function that asked for it or inlined into it.
        "garbage-output" | "oversize-output" | "bad-grant" | "bad-log" => assert!(place.contains(".rs:"), "{place}"),
        _ => assert!(place.contains(" at boot/rt/examples/hostile.rs:"), "{place}"),
    }
}

#[test]
fn every_kind_in_the_place_of_memblock() {
    KINDS.into_iter().for_each(|kind| is_stopped("memblock", kind));
}

#[test]
fn one_kind_in_the_place_of_every_stage() {
    STAGES.into_iter().for_each(|stage| is_stopped(stage, KINDS[0]));
}

#[test]
#[ignore = "--full"]
fn every_kind_in_the_place_of_every_stage() {
    STAGES.into_iter().for_each(|stage| KINDS.into_iter().for_each(|kind| is_stopped(stage, kind)));
}

#[test]
fn the_run_after_it_is_normal() {
    is_stopped("buddy", KINDS[0]);
    Boot::new().with(&["--memory", "512M"]).run().expect(0);
}

#[test]
fn a_stage_there_is_not_cannot_misbehave() {
    let run = Boot::new().with(&["--misbehave", "e821=spin"]).run().expect(1);
    assert!(run.stderr.contains("no stage `e821`, there are e820, memblock"), "{}", run.stderr);
}
