// SPDX-License-Identifier: MIT OR Apache-2.0
//! The grammar of `crashkernel=`, input by input, for each rule set.

mod fake;

use crashkernel::{LookUp, ParseErrorKind as Kind, Place, Request, look_up, parse};
use fake::{Fake, GIB, MIB, linux};
use handoff::{Ledger, Lines, Rules};

const ALL: [Rules; 3] = [Rules::V5_4, Rules::V6_1, Rules::V6_12];
const OLD: [Rules; 2] = [Rules::V5_4, Rules::V6_1];
const NEW: [Rules; 1] = [Rules::V6_12];
/// The machine of the table: 4 GiB without 200 MiB; 3968 MiB when rounded up to 128 MiB.
const RAM: u64 = 4 * GIB - 200 * MIB;

fn line(value: &str) -> String {
    format!("quiet crashkernel={value} ro")
}

/// Size and base in MiB that the plain look-up reads.
fn value(value: &str, rules: Rules) -> Result<(u64, u64), Kind> {
    let found = look_up(&line(value), LookUp::Normal, RAM, rules).map_err(|e| e.kind)?.expect("an occurrence");
    Ok((found.size >> 20, found.base >> 20))
}

/// What Linux would print about the parameter, on a machine of `RAM` where nothing is free.
fn said(command_line: &str, rules: Rules) -> Vec<String> {
    let mut memory = Fake::new(&[(0, RAM)], &[(0, RAM)]);
    let log = Lines::default();
    let _ = crashkernel::reserve(command_line, rules, &mut memory, &Ledger::new(), &log);
    linux(&log).into_iter().filter(|l| !l.contains("failed") && !l.contains("annot ")).collect()
}

#[test]
fn accepted_values() {
    for (text, expected) in [
        ("256M", (256, 0)),
        ("256M@16M", (256, 16)),
        ("0x10000000@0x1000000", (256, 16)),
        ("256M@", (256, 0)),
        ("256M@foo", (256, 0)),
        ("256M@16Mfoo", (256, 16)),
        ("512M-2G:64M,2G-:128M", (128, 0)),
        ("512M-2G:64M,2G-:128M@256M", (128, 256)),
        ("1G-8G:64M,2G-:8M@16M", (64, 16)),
        ("1G-8G:64M,foo", (64, 0)),
        ("1G-8G:64M,foo@32M", (64, 32)),
        ("1G-8G:64Mx", (64, 0)),
        ("8G-:64M", (0, 0)),
        ("8G-:64M@16M", (0, 0)),
        ("8G-:64Mx1G-:32M", (0, 0)),
        ("1G-:0", (0, 0)),
        ("0", (0, 0)),
        ("16E", (0, 0)),
        ("8G", (8192, 0)),
        ("128M crashkernel=64M", (64, 0)),
        ("64M xcrashkernel=32M", (32, 0)),
    ] {
        for rules in ALL {
            assert_eq!(value(text, rules), Ok(expected), "{text} {rules:?}");
        }
    }
}

#[test]
fn rejected_values() {
    for (text, at, kind, line_old, line_new) in [
        ("256Mx", 4, Kind::UnrecognizedChar('x'), "crashkernel: unrecognized char: x", ""),
        ("256Mé", 4, Kind::UnrecognizedChar('é'), "crashkernel: unrecognized char: é", ""),
        ("256MB", 4, Kind::UnrecognizedChar('B'), "crashkernel: unrecognized char: B", ""),
        ("256M,cma", 4, Kind::UnrecognizedChar(','), "crashkernel: unrecognized char: ,", ""),
        ("512M,highx", 4, Kind::UnrecognizedChar(','), "crashkernel: unrecognized char: ,", ""),
        ("1G-2G", 2, Kind::UnrecognizedChar('-'), "crashkernel: unrecognized char: -", ""),
        ("auto", 0, Kind::ValueExpected, "crashkernel: memory value expected", ""),
        ("", 0, Kind::ValueExpected, "crashkernel: memory value expected", ""),
        ("\"64M\"", 0, Kind::ValueExpected, "crashkernel: memory value expected", ""),
        ("2G-1G:64M", 3, Kind::EndNotAboveStart { start: 2 * GIB, end: GIB }, "crashkernel: end <= start", ""),
        ("1G-1G:64M", 3, Kind::EndNotAboveStart { start: GIB, end: GIB }, "crashkernel: end <= start", ""),
        ("1G:64M", 2, Kind::DashExpected, "crashkernel: '-' expected", ""),
        ("1G-2G,x:64M", 5, Kind::ColonExpected, "crashkernel: ':' expected", ""),
        ("-1M-:64M", 0, Kind::BoundExpected, "crashkernel: Memory value expected", ""),
        ("-:64M,1G-:32M", 0, Kind::BoundExpected, "crashkernel: Memory value expected", ""),
        ("1G-x:64M", 3, Kind::BoundExpected, "crashkernel: Memory value expected", ""),
        ("8G-:64M,", 8, Kind::BoundExpected, "crashkernel: Memory value expected", ""),
        ("8G-:64M,foo", 8, Kind::BoundExpected, "crashkernel: Memory value expected", ""),
        ("1G-:", 4, Kind::SizeExpected, "Memory value expected", "crashkernel: Memory value expected"),
        ("1G-2G:x", 6, Kind::SizeExpected, "Memory value expected", "crashkernel: Memory value expected"),
        (
            "1G-:64M@",
            8,
            Kind::OffsetExpected,
            "Memory value expected after '@'",
            "crahskernel: Memory value expected after '@'",
        ),
    ] {
        for rules in ALL {
            let line = line(text);
            let error = look_up(&line, LookUp::Normal, RAM, rules).expect_err(text);
            assert_eq!((error.kind, error.at, error.occurrence), (kind, 6 + 12 + at, 6), "{text} {rules:?}");
            let new = rules == Rules::V6_12 && !line_new.is_empty();
            assert_eq!(said(&line, rules), [if new { line_new } else { line_old }], "{text} {rules:?}");
        }
    }
}

#[test]
fn a_size_of_all_memory() {
    for (text, size) in [("1G-:4G", 4 * GIB), ("1G-2G:8G,2G-:64M", 8 * GIB), ("1G-:3968M", 3968 * MIB)] {
        for rules in ALL {
            let system_ram = if rules == Rules::V5_4 { RAM } else { 3968 * MIB };
            assert_eq!(value(text, rules), Err(Kind::SizeTooLarge { size, system_ram }), "{text} {rules:?}");
            assert_eq!(said(&line(text), rules), ["crashkernel: invalid size"]);
        }
    }
    // Between the exact total and the rounded one, the versions differ.
    assert_eq!(value("1G-:3900M", Rules::V6_1), Ok((3900, 0)));
    assert!(value("1G-:3900M", Rules::V5_4).is_err());
}

#[test]
fn ranges_see_memory_rounded_up_since_6_0() {
    let big =
        |ram| look_up(&line("1G-4G:128M,4G-:256M"), LookUp::Normal, ram, Rules::V6_1).unwrap().unwrap().size >> 20;
    assert_eq!((big(4000 * MIB), big(3968 * MIB), big(3968 * MIB + 1)), (256, 128, 256));
    let exact =
        |ram| look_up(&line("1G-4G:128M,4G-:256M"), LookUp::Normal, ram, Rules::V5_4).unwrap().unwrap().size >> 20;
    assert_eq!((exact(4000 * MIB), exact(4 * GIB - 4096), exact(4 * GIB)), (128, 128, 256));

    // 4 GiB without 200 MiB rounds to less than 4 GiB: the second entry in every version.
    for rules in ALL {
        assert_eq!(value("4G-:128M,2G-4G:64M@32M", rules), Ok((64, 32)));
    }
}

#[test]
fn no_range_fits() {
    for rules in ALL {
        assert_eq!(said(&line("8G-:64M"), rules), ["crashkernel size resulted in zero bytes"]);
        assert_eq!(said(&line("0"), rules), [""; 0], "a plain 0 is silent");
        assert_eq!(parse(&line("8G-:64M"), RAM, rules), Ok(None));
    }
}

#[test]
fn suffixed_values() {
    for (text, at, kind) in [
        ("512M@16M,high", 4, Kind::UnrecognizedChar('@')),
        ("1G-4G:128M,4G-:256M,high", 2, Kind::UnrecognizedChar('-')),
        ("512M,low,high", 4, Kind::UnrecognizedChar(',')),
        ("512M,high,high", 9, Kind::UnrecognizedChar(',')),
        (",high", 0, Kind::ValueExpected),
        ("x,high", 0, Kind::ValueExpected),
    ] {
        for rules in ALL {
            let error = look_up(&line(text), LookUp::High, RAM, rules).expect_err(text);
            assert_eq!((error.kind, error.at), (kind, 18 + at), "{text}");
            assert_eq!(look_up(&line(text), LookUp::Normal, RAM, rules), Ok(None));
            assert_eq!(said(&line(text), rules).len(), 1, "{text}");
        }
    }
}

fn request(command_line: &str, rules: Rules) -> Result<Option<Request>, Kind> {
    parse(command_line, RAM, rules).map_err(|e| e.kind)
}

fn some(size_mib: u64, place: Place, low_mib: u64) -> Result<Option<Request>, Kind> {
    Ok(Some(Request { size: size_mib * MIB, place, low_size: low_mib * MIB }))
}

#[test]
fn the_look_ups_together() {
    use Place::{Anywhere, At, High};
    for (text, old, new) in [
        ("", Ok(None), Ok(None)),
        ("crashkernel=128M", some(128, Anywhere, 256), some(128, Anywhere, 256)),
        ("crashkernel=128M@5G", some(128, At(5 * GIB), 256), some(128, At(5 * GIB), 0)),
        ("crashkernel=128M@0", some(128, Anywhere, 256), some(128, Anywhere, 256)),
        ("crashkernel=512M,high", some(512, High, 256), some(512, High, 256)),
        ("crashkernel=512M,high crashkernel=64M,low", some(512, High, 64), some(512, High, 64)),
        ("crashkernel=0,low crashkernel=512M,high", some(512, High, 0), some(512, High, 0)),
        ("crashkernel=512M,high crashkernel=x,low", some(512, High, 256), Err(Kind::ValueExpected)),
        ("crashkernel=128M crashkernel=512M,high", some(128, Anywhere, 256), some(128, Anywhere, 256)),
        ("crashkernel=512M,high crashkernel=128M", some(128, Anywhere, 256), some(128, Anywhere, 256)),
        ("crashkernel=128M crashkernel=64M,low", some(128, Anywhere, 64), some(128, Anywhere, 256)),
        ("crashkernel=128M crashkernel=x,low", some(128, Anywhere, 256), some(128, Anywhere, 256)),
        ("crashkernel=64M,low", Ok(None), Ok(None)),
        ("crashkernel=0", Ok(None), Ok(None)),
        ("crashkernel=0,high", Ok(None), Ok(None)),
        ("crashkernel=0 crashkernel=512M,high", some(512, High, 256), Ok(None)),
        ("crashkernel=8G-:1M crashkernel=512M,high", some(512, High, 256), Ok(None)),
        ("crashkernel=foo crashkernel=512M,high", some(512, High, 256), Err(Kind::ValueExpected)),
        ("crashkernel=foo crashkernel=x,high", Err(Kind::ValueExpected), Err(Kind::ValueExpected)),
        ("crashkernel=foo crashkernel=0,high", Err(Kind::ValueExpected), Err(Kind::ValueExpected)),
        ("crashkernel=foo", Err(Kind::ValueExpected), Err(Kind::ValueExpected)),
        ("crashkernel=8G", some(8192, Anywhere, 256), Err(Kind::ExceedsRam { size: 8 * GIB, system_ram: RAM })),
        ("crashkernel=8G,high", some(8192, High, 256), Err(Kind::ExceedsRam { size: 8 * GIB, system_ram: RAM })),
        ("crashkernel=128M,high swiotlb=262144", some(128, High, 520), some(128, High, 520)),
    ] {
        for rules in OLD {
            assert_eq!(request(text, rules), old, "{text} {rules:?}");
        }
        for rules in NEW {
            assert_eq!(request(text, rules), new, "{text} {rules:?}");
        }
    }
}

#[test]
fn a_size_equal_to_memory_is_refused_since_6_11() {
    let whole = format!("crashkernel={RAM}");
    assert!(parse(&whole, RAM, Rules::V6_12).is_err());
    assert!(parse(&whole, RAM + 1, Rules::V6_12).is_ok_and(|r| r.is_some()));
    assert!(parse(&whole, RAM, Rules::V6_1).is_ok_and(|r| r.is_some()));
    assert_eq!(said(&whole, Rules::V6_12), [""; 0], "Linux says nothing");
}

#[test]
fn which_mistakes_are_reported() {
    let both = "crashkernel=foo crashkernel=1x,high crashkernel=2y,low";
    assert_eq!(
        said(both, Rules::V6_1),
        ["crashkernel: memory value expected", "crashkernel: unrecognized char: x"],
        "`,low` is read only when it is needed"
    );
    assert_eq!(said(both, Rules::V6_12), ["crashkernel: memory value expected"], "the first mistake is final");
    assert_eq!(said("crashkernel=1M,high crashkernel=2y,low", Rules::V6_12), ["crashkernel: unrecognized char: y"]);
    assert_eq!(said("crashkernel=0,high crashkernel=2y,low", Rules::V6_12), [""; 0]);
    assert_eq!(said("crashkernel=1M crashkernel=x,high", Rules::V6_1), [""; 0], "not looked at");
}
