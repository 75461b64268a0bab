// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two kernels in one image: the second goes on with the live allocator where the first stopped, and hands it back.

use crate::machine::{Boot, Run, image_toml};

/// Returns a number of what the second kernel says it did.
fn proof(run: &Run, name: &str) -> u64 {
    run.number(&format!("/handoffs/successor/value/proof/{name}"))
}

/// Boots and checks that a second kernel wrote to the highest memory there is and had a heap.
fn goes_on(memory: &str, arguments: &[&str]) -> Run {
    let run = Boot::new().with(&["--memory", memory, "--timeout", "120"]).with(arguments).run().expect(0);
    run.expect_identity();
    assert_ne!(run.program("boot"), run.program("successor"));

    let free = run.json["handoffs"]["buddy"]["value"]["zones"].as_array().unwrap().iter().map(frames_of).sum::<u64>();
    run.expect_words(&["successor: attached to ", &format!(" with {} free pages", free - 2)]);
    run.expect_words(&["successor: freed the inherited block of order 1 at 0x", "a second free was refused"]);
    assert!(proof(&run, "blocks") > 1000 && proof(&run, "frames") > proof(&run, "blocks"));

    let top = proof(&run, "top");
    let owners = run.json["ledger"]["claims"].as_array().unwrap();
    let is_claimed = |at: u64| {
        owners.iter().any(|claim| claim["start"].as_u64().unwrap() <= at && at < claim["end"].as_u64().unwrap())
    };
    let regions = run.json["handoffs"]["memmap"]["value"]["blocks"]["memory"].as_array().unwrap();
    let end = |region: &serde_json::Value| region["base"].as_u64().unwrap() + region["size"].as_u64().unwrap();
    let end = regions.iter().map(end).max().unwrap();
    assert!(!is_claimed(top), "{top:#x} belongs to somebody");
    assert!((top + 4096..end).step_by(4096).all(is_claimed), "more is free above {top:#x}");
    run.expect_words(&[&format!("the frame at {top:#x} keeps what is written to it")]);

    let [objects, bytes, overhead] =
        ["heap_objects", "heap_bytes", "heap_overhead_bytes"].map(|name| proof(&run, name));
    assert!(objects > 100 && bytes > 100_000 && (1..bytes).contains(&overhead), "{objects} {bytes} {overhead}");
    run.expect_words(&[&format!("heap: {objects} objects in {bytes} bytes, bitmaps and links {overhead} bytes")]);
    run
}

/// Returns the frames that a zone manages, all of which are free when the allocator is handed over.
fn frames_of(zone: &serde_json::Value) -> u64 {
    zone["managed"].as_u64().unwrap()
}

#[test]
fn a_second_kernel_goes_on_where_the_first_stopped() {
    let run = goes_on("512M", &[]);
    // What it gave back is what it was lent, and that the inherited block is free again: all that is managed.
    let zones = |stage: &str| run.json.pointer(&format!("/handoffs/{stage}/value/zones")).unwrap().as_array().unwrap();
    for (before, after) in zones("buddy").iter().zip(zones("successor")) {
        assert_eq!(before["span"], after["span"]);
        assert_eq!(before["managed"], after["managed"]);
        let blocks = |zone: &serde_json::Value| -> Vec<u64> {
            zone["free_area"].as_array().unwrap().iter().map(|area| area["blocks"].as_u64().unwrap()).collect()
        };
        assert_eq!(blocks(before), blocks(after));
    }
    assert_eq!(proof(&run, "refused"), 0);
}

#[test]
fn little_memory_and_much() {
    goes_on("24M", &[]);
    goes_on("16T", &[]);
}

#[test]
#[ignore = "--full"]
fn other_machines() {
    goes_on("3.5G", &["--machine", "q35"]);
    goes_on("5G", &["--uefi", "--machine", "q35"]);
    goes_on("4G", &["--numa", "4"]);
    goes_on("2G", &["--append", "struct_pages=lazy crashkernel=256M,high"]);
    goes_on("1T", &[]);
    goes_on("4T", &["--numa", "2T,1T,512G,512G"]);
}

#[test]
fn an_image_without_a_second_kernel_says_that_nothing_was_tested() {
    let normal = Boot::new().with(&["--memory", "512M"]).run().expect(0);
    // The same stages as finished files. Not boot: another test may have built it in another way since.
    let boot = Boot::new();
    let whole = image_toml();
    let (five, _) = whole.split_once("# A second kernel,").unwrap();
    let mut manifest = five.to_owned();
    for name in ["e820", "memblock", "crashkernel", "memmap", "buddy"] {
        boot.file(&format!("{name}.elf"), &fs_err::read(normal.program(name)).unwrap());
        let built = format!("package = \"bootmem-stages\"\nbin = \"{name}\"");
        manifest = manifest.replace(&built, &format!("elf = \"{name}.elf\""));
    }
    assert!(!manifest.contains("bootmem-stages"), "{manifest}");
    let path = boot.file("image.toml", manifest.as_bytes());
    let run = boot.with(&["--memory", "512M", "--manifest", path.to_str().unwrap()]).run().expect(0);
    run.expect_words(&["Self-test: none, since the image has no second kernel"]);
    run.expect_identity();
}
