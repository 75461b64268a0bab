// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page of a machine, opened in a browser: it answers who owns an address, and breaks none of its own rules.
//!
//! Without Chromium nothing is opened; `cargo xtask test` installs it, or says that these tests were skipped.

mod browser;
#[path = "../pc/mod.rs"]
mod pc;

use browser::Browser;
use handoff::encode_to_vec;
use std::path::Path;
use std::process::Command;
use xtask::{Pictures, draw_chain};

/// Draws a PC of 6 GiB with 256 MiB above and 64 MiB below 4 GiB set aside for a crash kernel.
fn pictures(title: &str) -> Pictures {
    let firmware = encode_to_vec(&pc::firmware(6)).unwrap();
    draw_chain(title, "crashkernel=256M,high crashkernel=64M,low memblock=debug", &firmware).unwrap()
}

/// Returns what stands in the answer of a page, and sees to it that the browser had nothing to complain of.
fn answer(browser: &Browser, address: &str) -> String {
    let opened = browser.open(address);
    let complaints = ["Content Security Policy", "Uncaught"];
    assert!(complaints.iter().all(|words| !opened.log.contains(words)), "{address}: {}", opened.log);
    let (_, rest) = opened.document.split_once("id=\"answer\"").expect("the page has an answer");
    rest.split_once("</div>").expect("the answer ends").0.to_owned()
}

/// The name of the machine tries to break out of its place, as a line of a log might.
#[test]
fn an_address_is_searched_and_answered() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let title = "</title></script><script>document.getElementById('answer').textContent='broken into'</script>";
    fs_err::write(&file, pictures(title).html).unwrap();

    std::thread::scope(|scope| {
        for (fragment, expected) in [
            ("0xbc000000", ["<strong>crash kernel, low</strong>", "0xbb000000-0xbeffffff"]),
            ("3154116608", ["<strong>crash kernel, low</strong>", "<code>0xbc000000</code>"]),
            ("1.5G", ["<strong>free for programs</strong>", "<code>0x60000000</code>"]),
            ("e0000000", ["is in a hole", "No memory is there"]),
            ("0x10000000000000000", ["Type a physical address", "or press a piece of the map"]),
        ] {
            let (browser, address) = (&browser, format!("file://{}#{fragment}", file.display()));
            scope.spawn(move || {
                let answer = answer(browser, &address);
                assert!(expected.iter().all(|words| answer.contains(words)), "{fragment}: {answer}");
            });
        }
    });
}

/// Boots of Linux: small, with a crash kernel high and low, with many holes, with nodes, with slots for more memory.
#[test]
fn a_recorded_boot_is_searched_and_answered() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for (capture, fragment, expected) in [
            ("pc-128m", "0x1000000", "Kernel image"),
            ("crash-high-low", "0x21f000000", "<strong>Crash kernel"),
            ("numa4-dist", "2176M", "of node 2"),
            ("hotplug-slots", "0x200000000", "is in a hole"),
        ] {
            let (browser, file) = (&browser, folder.path().join(capture).with_extension("html"));
            scope.spawn(move || {
                explain(capture, "--html", &file);
                let answer = answer(browser, &format!("file://{}#{fragment}", file.display()));
                assert!(answer.contains(expected), "{capture} {fragment}: {answer}");
            });
        }
    });
}

#[test]
fn a_log_that_says_nothing_makes_a_page_that_says_so() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (log, file) = (folder.path().join("empty.txt"), folder.path().join("page.html"));
    fs_err::write(&log, "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bootmem")).arg("explain").arg(log).arg("--html").arg(&file).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    let answer = answer(&browser, &format!("file://{}#0x37000000", file.display()));
    assert!(answer.contains("Type a physical address"), "{answer}");
}

/// Has the command explain a recorded boot.
fn explain(capture: &str, option: &str, file: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(capture);
    let output = Command::new(env!("CARGO_BIN_EXE_bootmem")).arg("explain").arg(fixture).arg(option).arg(file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{capture}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_recorded_boot_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.svg");
    for capture in fs_err::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")).unwrap() {
        let name = capture.unwrap().file_name().into_string().unwrap();
        explain(&name, "--svg", &file);
        let svg = fs_err::read_to_string(&file).unwrap();
        let picture = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(picture.descendants().any(|node| node.attribute("data-span").is_some()), "{name} has no map");
    }
}

#[test]
fn the_picture_is_xml() {
    let svg = pictures("<a> & \"b\"").svg;
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let title = picture.descendants().find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")));
    assert_eq!(title.and_then(|node| node.text()), Some("Where the memory went: <a> & \"b\""));
}
