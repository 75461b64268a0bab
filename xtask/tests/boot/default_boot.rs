// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot of a plain `cargo xtask qemu`.

use crate::machine::Boot;
use handoff::HostMachine;
use xtask::run_chain;

const COMMAND_LINE: &str = "memblock=debug crashkernel=128M,high crashkernel=128M,low";

#[test]
fn says_what_linux_says_and_adds_up() {
    let run = Boot::new().run().expect(0);
    run.expect_lines(&[
        "BIOS-provided physical RAM map:",
        "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
        "BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved",
        "BIOS-e820: [mem 0x00000000000f0000-0x00000000000fffff] reserved",
        "BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable",
        "BIOS-e820: [mem 0x00000000bffe0000-0x00000000bfffffff] reserved",
        "BIOS-e820: [mem 0x00000000fffc0000-0x00000000ffffffff] reserved",
        "BIOS-e820: [mem 0x0000000100000000-0x000000043fffffff] usable",
        "MEMBLOCK configuration:",
        "Reserving 128MB of low memory at 2928MB for crashkernel (low RAM limit: 4096MB)",
        "Reserving 128MB of memory at 17264MB for crashkernel (System RAM: 16383MB)",
    ]);
    assert!(run.stdout.trim_end().ends_with("bootmem: success"), "{}", run.stdout);

    run.expect_identity();
    assert_eq!(run.number("/ledger/installed"), 16 << 30);
    let descriptors = run.json["ledger"]["owners"].as_array().unwrap();
    let descriptors = descriptors.iter().find(|o| o["owner"] == "page descriptors").unwrap();
    assert_eq!(descriptors["bytes"], 256 << 20);
    assert!(run.number("/figures/pool_bytes") <= 2 << 20, "boot's pool is at most 2 MiB");
    assert!(run.json["faults"].as_array().unwrap().is_empty());
}

#[test]
fn the_page_tells_what_the_closing_table_does() {
    let folder = tempfile::tempdir().unwrap();
    let (html, svg) = (folder.path().join("boot.html"), folder.path().join("boot.svg"));
    let run = Boot::new().with(&["--html", html.to_str().unwrap(), "--svg", svg.to_str().unwrap()]).run().expect(0);
    let page = fs_err::read_to_string(html).unwrap();
    let free = run.number("/figures/free_bytes").to_string();
    let grouped: Vec<_> = free.as_bytes().rchunks(3).rev().map(|digits| str::from_utf8(digits).unwrap()).collect();
    assert!(page.contains(&grouped.join(" ")), "{free} is not on the page");
    assert!(!page.contains("Unexplained"), "the lines do not add up");
    assert!(roxmltree::Document::parse(&fs_err::read_to_string(svg).unwrap()).is_ok());
}

#[test]
fn leaves_the_bytes_that_the_same_chain_leaves_on_the_host() {
    let run = Boot::new().run().expect(0);
    let handoffs = run_chain(COMMAND_LINE, &run.handoff("firmware"), &mut HostMachine::default()).unwrap();
    for (stage, bytes) in handoffs {
        assert!(bytes == run.handoff(stage.name()), "{stage} leaves other bytes on the host than in the image");
    }
}

#[test]
fn every_line_of_the_log_is_decoded_and_stamped() {
    let run = Boot::new().run().expect(0);
    for complaint in ["was damaged", "no defmt table", "unknown kind", "middle of a frame"] {
        assert!(!run.stdout.contains(complaint), "{complaint}:\n{}", run.stdout);
    }
    let stamps: Vec<f64> =
        run.stdout.lines().filter_map(|line| line.strip_prefix('[')?.split_once("] ")?.0.trim().parse().ok()).collect();
    assert!(stamps.len() > 50 && stamps.is_sorted(), "{} stamps\n{}", stamps.len(), run.stdout);
}
