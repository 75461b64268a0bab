// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole chain on the host, through the encoded hand-offs, on the map of a QEMU machine of 16 GiB.

mod pc;

use handoff::{Crash, Frames, HostMachine, PhysRange, StageId, Zones, decode, encode_to_vec};
use xtask::run_chain;

const COMMAND_LINE: &str = "memblock=debug crashkernel=128M,high crashkernel=128M,low";

fn run(command_line: &str) -> (Vec<(StageId, Vec<u8>)>, HostMachine) {
    let mut machine = HostMachine::default();
    let handoffs = run_chain(command_line, &encode_to_vec(&pc::firmware(16)).unwrap(), &mut machine).unwrap();
    (handoffs, machine)
}

#[test]
fn a_machine_of_16_gib_says_what_linux_says() {
    let (handoffs, machine) = run(COMMAND_LINE);
    let lines = machine.lines();
    for expected in [
        "BIOS-provided physical RAM map:",
        "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
        "BIOS-e820: [mem 0x0000000100000000-0x000000043fffffff] usable",
        "MEMBLOCK configuration:",
        "Reserving 128MB of low memory at 2928MB for crashkernel (low RAM limit: 4096MB)",
        "Reserving 128MB of memory at 17264MB for crashkernel (System RAM: 16383MB)",
    ] {
        assert!(lines.iter().any(|line| line == expected), "no line {expected:?} in\n{}", lines.join("\n"));
    }

    let crash: Crash = decode(&handoffs[2].1).unwrap();
    let mib = |range: Option<PhysRange>| range.map(|r| (r.start() >> 20, r.size() >> 20));
    assert_eq!((mib(crash.low), mib(crash.main)), (Some((2928, 128)), Some((17264, 128))));
    let frames: Frames = decode(&handoffs[3].1).unwrap();
    assert_eq!(frames.descriptors.iter().map(|r| r.size()).sum::<u64>(), 256 << 20);
}

#[test]
fn every_byte_is_accounted_for() {
    for command_line in
        ["", COMMAND_LINE, "mem=2G", "memmap=1G$5G crashkernel=256M", "crashkernel=foo", "mem=0", "memmap=junk"]
    {
        let (handoffs, machine) = run(command_line);
        assert_eq!(handoffs.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let zones: Zones = decode(&handoffs[4].1).unwrap();
        let claimed: u64 = zones.ledger.claims().iter().map(|claim| claim.range.size()).sum();
        let (ram, added) = (zones.ledger.firmware_ram, zones.ledger.added);
        assert_eq!(claimed + zones.managed_bytes(), ram + added, "{command_line:?}: {:#?}", machine.lines());
        assert_eq!(ram, pc::firmware(16).ledger.firmware_ram);
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(run(COMMAND_LINE).0, run(COMMAND_LINE).0);
}

#[test]
fn the_stage_that_fails_is_named() {
    let mut bytes = encode_to_vec(&pc::firmware(16)).unwrap();
    bytes[20] ^= 1;
    let error = run_chain("", &bytes, &mut HostMachine::default()).unwrap_err();
    assert_eq!(error.stage, StageId::E820);
    assert!(error.to_string().contains("CRC"), "{error}");
}
