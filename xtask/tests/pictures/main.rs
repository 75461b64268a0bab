// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page of a machine, opened in a browser: it answers who owns an address, and breaks none of its own rules.
//!
//! Without Chromium nothing is opened; `cargo xtask test` installs it, or says that these tests were skipped.

mod browser;

use browser::Browser;
use handoff::{EXCHANGE_BYTES, Firmware, Image, MemoryKind, Owner, PhysRange, RawEntry, encode};
use xtask::{Pictures, draw_chain};

/// Draws a PC of 6 GiB with 256 MiB above and 64 MiB below 4 GiB set aside for a crash kernel.
fn pictures(title: &str) -> Pictures {
    let mut firmware = Firmware::default();
    for (addr, end, kind) in [
        (0, 0x9_fc00, MemoryKind::RAM),
        (0x9_fc00, 0xa_0000, MemoryKind::RESERVED),
        (0x10_0000, 0xbffe_0000, MemoryKind::RAM),
        (0xbffe_0000, 0xc000_0000, MemoryKind::RESERVED),
        (0x1_0000_0000, 0x1_c000_0000, MemoryKind::RAM),
    ] {
        firmware.map.push(RawEntry { addr, size: end - addr, kind }).unwrap();
        firmware.ledger.firmware_ram += if kind == MemoryKind::RAM { end - addr } else { 0 };
    }
    let range = PhysRange::new(0x10_0000, 0x18_0000).unwrap();
    firmware.images.push(Image { range, owner: Owner::BOOT_IMAGE }).unwrap();

    let mut encoded = vec![0; EXCHANGE_BYTES];
    let used = encode(&firmware, &mut encoded).unwrap();
    draw_chain(title, "crashkernel=256M,high crashkernel=64M,low memblock=debug", &encoded[..used]).unwrap()
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

#[test]
fn the_picture_is_xml() {
    let svg = pictures("<a> & \"b\"").svg;
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let title = picture.descendants().find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")));
    assert_eq!(title.and_then(|node| node.text()), Some("Where the memory went: <a> & \"b\""));
}
