// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cost of memory that nobody uses yet: from 16 GiB to 16 TiB a boot takes about the same memory.

use crate::machine::{Boot, Run};

/// Boots, checks the account, and returns what else there is to know.
fn boots(memory: &str, command_line: &str, arguments: &[&str]) -> Run {
    let run = Boot::new().with(&["--memory", memory, "--append", command_line]).with(arguments).run().expect(0);
    run.expect_identity();
    assert_eq!(run.json["ledger"]["installed"].as_u64().unwrap(), run.number("/boot/memory"));
    run
}

/// Returns the bytes that the account gives to an owner.
fn bytes_of(run: &Run, owner: &str) -> u64 {
    let owners = run.json["ledger"]["owners"].as_array().unwrap();
    owners.iter().filter(|o| o["owner"] == owner).map(|o| o["bytes"].as_u64().unwrap()).sum()
}

/// Boots lazily and checks that little memory was taken.
fn lazily(memory: &str, arguments: &[&str]) -> Run {
    let run = boots(memory, "struct_pages=lazy", arguments);
    run.expect_words(&["Page descriptors: none written (struct_pages=lazy)"]);
    assert_eq!(bytes_of(&run, "page descriptors"), 0);
    let maps = bytes_of(&run, "frame maps");
    assert!((1..16 << 20).contains(&maps), "{maps} bytes of frame maps");
    run
}

#[test]
fn sixteen_tebibytes_boot_in_little_memory() {
    lazily("16T", &[]);
}

#[test]
fn one_tebibyte_is_lazy_without_being_asked() {
    let run = boots("1T", "", &["--machine", "q35"]);
    run.expect_words(&["no page descriptors are written at boot; all of them would take 17179869184 bytes"]);
    assert_eq!(bytes_of(&run, "page descriptors"), 0);
}

#[test]
#[ignore = "--full"]
fn four_tebibytes_on_four_uneven_nodes() {
    let arguments = ["--numa", "2T,1T,512G,512G", "--smp", "4", "--distances", "0-3=15"];
    let run = lazily("4T", &arguments);
    run.expect_words(&["Node 0: ", "falls back to 0 3 1 2"]);
}

#[test]
#[ignore = "--full"]
fn sixteen_tebibytes_by_uefi() {
    // The firmware alone takes a minute on a busy host.
    lazily("16T", &["--uefi", "--machine", "q35", "--timeout", "300"]);
}

#[test]
fn eager_or_lazy_is_the_users_choice_on_any_machine() {
    let eager = boots("2G", "struct_pages=eager", &[]);
    assert_eq!(bytes_of(&eager, "page descriptors"), 32 << 20);
    eager.expect_words(&["Page descriptors: 33554432 bytes written (struct_pages=eager)"]);
    let lazy = lazily("2G", &[]);
    let free = |run: &Run| run.number("/figures/free_bytes");
    assert!(free(&lazy) - free(&eager) > 31 << 20, "{} and {}", free(&lazy), free(&eager));

    let run = boots("2G", "struct_pages=later", &[]);
    run.expect_words(&["memmap: struct_pages=later is neither eager nor lazy: taken as eager"]);
}

#[test]
fn zone_movable_is_part_of_the_account() {
    let run = boots("5G", "kernelcore=3G", &[]);
    run.expect_lines(&["Movable zone start for each node", "  Node 0: 0x0000000100400000"]);
    let zones = run.json["handoffs"]["buddy"]["value"]["zones"].as_array().unwrap();
    assert_eq!(zones.len(), 4, "{zones:?}");
    assert_eq!(zones[3]["span"]["kind"], 3);
    assert!(zones[3]["managed"].as_u64().unwrap() > 0);
}

#[test]
fn what_the_host_cannot_show_is_said_before_anything_is_built() {
    let run = Boot::new().with(&["--memory", "64T"]).run().expect(1);
    assert!(run.stderr.contains("64T of memory needs 47 address bits") && run.stderr.contains("take 62T or less"));
    assert!(!run.stderr.contains("Running"), "{}", run.stderr);
}
