// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots as they were recorded.

use crate::{captures, fixture, fixtures, one};
use clap::Parser as _;
use std::path::Path;
use xtask::{Capture, Cli, Fact, Verdict, replay, run};

#[test]
fn every_decision_is_equal() {
    let captures = captures(&fixtures());
    assert!(captures.len() >= 60, "fixtures are missing");
    captures.iter().for_each(is_equal);
}

/// The whole collection, where there is one.
#[test]
fn every_decision_of_the_collection_is_equal() {
    let Some(folder) = std::env::var_os("BOOTMEM_ORACLE") else { return };
    let captures = captures(Path::new(&folder));
    captures.iter().for_each(is_equal);
    println!("{} captures", captures.len());
}

/// Equal with everything that was kept of the machine, and with nothing but the log.
fn is_equal(capture: &Capture) {
    let alone = Capture::from_log(format!("{}, its log alone", capture.name), capture.dmesg.clone());
    for capture in [capture, &alone] {
        let report = one(capture);
        assert_eq!(report.verdict(), Verdict::Equal, "{report}");
        for (fact, least) in [
            (Fact::MapLines, 10),
            (Fact::Operations, 40),
            (Fact::Allocations, 30),
            (Fact::Dumps, 2),
            (Fact::DumpLines, 16),
            (Fact::CrashDecisions, 1),
            (Fact::MemoryMapRequests, 4),
            (Fact::ZoneLines, 9),
            (Fact::Pairs, 30),
            (Fact::Totals, 2),
        ] {
            assert!(report.count(fact) >= least, "{fact:?}: {report}");
        }
    }
}

#[test]
fn what_is_rare_is_among_the_fixtures() {
    let captures = captures(&fixtures());
    assert!(captures.iter().filter(|c| one(c).count(Fact::NodeLines) > 0).count() > 50);
    let all = |fact| captures.iter().map(|c| one(c).count(fact)).sum::<usize>();
    assert!(all(Fact::Doublings) > 0 && all(Fact::FailedAllocations) > 3);
    let with = |file: fn(&Capture) -> bool| captures.iter().filter(|c| file(c)).count();
    assert!(with(|c| c.synth.is_some()) > 10 && with(|c| c.srat.is_some()) > 8);
}

/// A boot whose map differs from what the loader passed is not one of this machine.
#[test]
fn the_files_beside_a_log_count() {
    let mut capture = fixture("pc-2g-plain");
    capture.boot_params = fixture("pc-64g").boot_params;
    assert_eq!(one(&capture).verdict(), Verdict::Different);

    let mut capture = fixture("srat-interleave");
    capture.srat = fixture("srat-slit").srat;
    assert_eq!(one(&capture).verdict(), Verdict::Different);

    let mut capture = fixture("sd-nodes");
    capture.synth = None;
    assert_eq!(one(&capture).verdict(), Verdict::Equal, "what was left in memory is told by the log as well");
}

/// 0 equal, 1 different, 2 could not be used; a difference outranks the rest.
#[test]
fn exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let log = fixture("pc-2g-plain").dmesg;
    let equal = file("equal", &log);
    let altered = String::from_utf8(log).unwrap().replace("last_pfn = 0x7ffe0", "last_pfn = 0x7ffe1");
    let different = file("different", altered.as_bytes());
    let empty = file("empty", b"");

    let status = |paths: &[&String]| {
        let arguments = ["xtask", "replay", "-q"].into_iter().chain(paths.iter().map(|p| p.as_str()));
        run(&Cli::try_parse_from(arguments).unwrap()).unwrap()
    };
    let nowhere = String::from("/no/such/file");
    assert_eq!(status(&[&equal]), 0);
    assert_eq!(status(&[&different]), 1);
    assert_eq!(status(&[&empty]), 2);
    assert_eq!(status(&[&nowhere]), 2);
    assert_eq!(status(&[&equal, &empty]), 2);
    assert_eq!(status(&[&equal, &empty, &different]), 1);
}

/// A serial console keeps several boots; each is judged.
#[test]
fn two_boots_in_one_file() {
    let log = [fixture("pc-2g-plain").dmesg, fixture("crash612-8g").dmesg].concat();
    let reports = replay(&Capture::from_log("console", log));
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|r| r.verdict() == Verdict::Equal), "{}{}", reports[0], reports[1]);
}
