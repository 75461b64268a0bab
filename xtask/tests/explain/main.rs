// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bootmem explain` as a user types it.

use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/explain/pc-2g-files");

fn bootmem(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootmem"));
    command.arg("explain").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read its input may be gone by now.
    _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_folder_and_standard_input() {
    let packed = fs_err::read(Path::new(FOLDER).join("dmesg.txt.gz")).unwrap();
    for output in [bootmem(&[FOLDER], b""), bootmem(&["-"], &packed)] {
        assert_eq!(output.status.code(), Some(0));
        let text = text(&output);
        assert!(text.contains("Linux manages 1.81 GiB") && text.contains("1 941 716 992"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours where there is no terminal");
    }
    let coloured = bootmem(&[FOLDER, "--color", "always"], b"");
    assert!(text(&coloured).contains("\u{1b}["));
}

#[test]
fn questions() {
    let answer = text(&bootmem(&[FOLDER, "0x77000000", "crashkernel"], b""));
    assert!(answer.contains("belongs to: Crash kernel"), "{answer}");
    assert!(answer.contains("Reserving 128MB of memory at 1904MB for crashkernel"), "{answer}");
    let changed = text(&bootmem(&[FOLDER, "--crashkernel", "64M"], b""));
    assert!(changed.contains("0x7b000000-0x7f000000"), "{changed}");
}

#[test]
fn programs_get_json() {
    let output = bootmem(&[FOLDER, "--json", "--memory", "64G"], b"");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let last = json["waterfall"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["kind"], &last["bytes"]), (&"total".into(), &1_941_716_992u64.into()));
    let total = json["what_if"].as_array().unwrap().last().unwrap();
    assert!(total["after"]["bytes"].as_u64() > Some(60 << 30), "{total}");
}

#[test]
fn what_cannot_be_explained_says_why() {
    for (arguments, input, status, words) in [
        (&["-"][..], &b""[..], 2, "It is empty"),
        (&["-"], b"\x7fELF\0\0", 2, "no text"),
        (&["no-such-word"], b"", 1, "crashkernel, memmap"),
        (&[FOLDER, FOLDER, "--json"], b"", 1, "one machine only"),
        (&[FOLDER, "--memory", "lots"], b"", 2, "e.g. 64G"),
    ] {
        let output = bootmem(arguments, input);
        let said = text(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
}

/// Whatever machine the tests run on, there is an answer or what to type.
#[test]
fn this_machine() {
    let output = bootmem(&[], b"");
    let text = text(&output);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Managed (MemTotal)") || text.contains("to get it:"), "{text}");
}
