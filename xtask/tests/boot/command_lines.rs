// SPDX-License-Identifier: MIT OR Apache-2.0
//! Command lines that ask for nonsense: a clear message and a booted machine.

use crate::machine::Boot;

fn boots(command_line: &str, memory: &str, words: &[&str]) {
    let run = Boot::new().with(&["--memory", memory, "--append", command_line]).run().expect(0);
    run.expect_words(words);
    run.expect_identity();
}

#[test]
fn crashkernel_is_no_size() {
    boots("crashkernel=foo", "1G", &["crashkernel: memory value expected"]);
}

#[test]
fn crashkernel_has_an_inverted_range() {
    boots("crashkernel=1G-512M:64M", "1G", &["crashkernel", "end <= start"]);
}

#[test]
fn crashkernel_is_larger_than_the_machine() {
    boots("crashkernel=8G", "2G", &["crashkernel reservation failed"]);
}

#[test]
fn mem_leaves_nothing() {
    boots("mem=0", "1G", &["mem"]);
}

#[test]
fn memmap_is_junk() {
    boots("memmap=junk", "1G", &["memmap"]);
}

/// A memory module that the firmware's map does not list, as one that was plugged in later, and the user who knows of it.
#[test]
fn memmap_adds_memory_above_all_that_the_firmware_knows() {
    let run = Boot::new().with(&["--memory", "1G", "--append", "memmap=256M@4G"]);
    let module = ["-object", "memory-backend-ram,id=module,size=256M", "-device", "pc-dimm,memdev=module"];
    let run = run.with(&["--", "-m", "1G,slots=1,maxmem=8G"]).with(&module).run().expect(0);
    run.expect_lines(&["user: [mem 0x0000000100000000-0x000000010fffffff] usable"]);
    run.expect_identity();
    assert_eq!(run.number("/ledger/added"), 256 << 20);
}

#[test]
fn memmap_adds_memory_that_is_not_there() {
    let run = Boot::new().with(&["--memory", "1G", "--append", "memmap=256M@4G"]).run().expect(37);
    run.expect_words(&["stage memmap failed", "there is no memory, whatever the firmware or memmap= says"]);
}

#[test]
fn four_thousand_characters() {
    let long: String = (0..).map(|i| format!("word{i}=value ")).take(400).collect();
    let long = format!("{long:.3970} crashkernel=64M");
    assert!(long.len() >= 3980, "{}", long.len());
    boots(&long, "1G", &["Reserving 64MB of memory at"]);
}

#[test]
fn words_arrive_as_they_were_typed() {
    arrives("memmap=64K$0x10000000,4K#0x20000000 a;b h&i |j (k) {l} <m> #n *? --");
}

#[test]
fn quotes_arrive_as_they_were_typed() {
    arrives("'c' d=\"e\" f\\g");
}

fn arrives(line: &str) {
    let run = Boot::new().with(&["--memory", "1G", "--append", line]).run().expect(0);
    run.expect_lines(&[&format!("Command line: {line}")]);
}
