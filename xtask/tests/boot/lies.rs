// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hand-offs that are well-formed and not true: boot finds out before it believes them.

use crate::machine::Boot;

/// Checks that boot refuses what a stage leaves, or finds it when it adopts the allocator.
fn is_found((program, status, words): (&str, i32, &str)) {
    let run = Boot::new().with(&["--memory", "512M", "--misbehave", program]).run().expect(status);
    let stage = program.split('=').next().unwrap();
    match status {
        37 => run.expect_words(&[&format!("boot: stage {stage} failed: "), words]),
        _ => run.expect_words(&["boot: failed check: what the last stage left: ", words]),
    }
    run.expect_words(&["boot: own code and constants unchanged"]);
}

/// One lie of each stage.
#[test]
fn lies_are_found() {
    [
        ("e820=lie-of-ram", 37, "it calls RAM what neither the firmware nor the command line does"),
        ("crashkernel=lie-of-reservation", 37, "it calls free what belongs to boot or to a stage"),
        ("memmap=lie-of-own", 37, "it calls its own descriptors free"),
        ("buddy=lie-of-frame", 35, "is called free, and a part of it was not free before"),
        ("successor=lie-of-kept", 37, "2 frames are taken already, by nobody"),
        ("successor=lie-of-kernel", 37, "is called free, and a part of it was not free before"),
        ("buddy=lie-of-cycle", 35, "neighbours on a ring do not lead to each other"),
    ]
    .into_iter()
    .for_each(is_found);
}

#[test]
#[ignore = "--full"]
fn all_lies_are_found() {
    [
        ("e820=lie-of-images", 37, "it changed what boot knows of memory"),
        ("e820=lie-of-nodes", 37, "it changed what boot knows of memory"),
        ("crashkernel=lie-of-account", 37, "its account forgets what the one before it said"),
        ("crashkernel=lie-of-crash", 37, "it gives the crash kernel what belongs to another"),
        ("memmap=lie-of-place", 37, "its descriptors are not what it was granted"),
        ("buddy=lie-of-link", 35, "there is no such piece or map"),
        ("buddy=lie-of-block", 35, "a block does not end where the next one starts"),
        ("buddy=lie-of-zone", 37, "its zones and sections are not those of its input"),
        ("buddy=lie-of-section", 37, "its zones and sections are not those of its input"),
        ("buddy=lie-of-ledger", 37, "its account forgets what the one before it said"),
        ("successor=lie-of-managed", 37, "it changed more of the zones than what is free"),
        ("successor=lie-of-tables", 37, "the frame maps are corrupt"),
        ("buddy=lie-of-owner", 37, "its account forgets what the one before it said"),
    ]
    .into_iter()
    .for_each(is_found);
}
