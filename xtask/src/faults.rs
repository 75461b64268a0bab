// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where in the source a stage was stopped.

use crate::cargo::workspace;
use addr2line::Loader;
use std::path::Path;

/// Returns what boot's fault report says about `name` in `key=value` words.
pub(crate) fn field<'a>(report: &'a str, name: &str) -> Option<&'a str> {
    report.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// What a stage was stopped for in a system call: the instruction is the one before that at `rip`.
const IN_A_CALL: [&str; 6] =
    ["invalid-handoff", "bad-grant", "bad-log", "bad-system-call", "oversize-output", "bad-exit"];

/// Returns function and source line of the address in a fault report, the innermost inlined function first; says so if
/// there is none. `None` for a panic, whose message names file and line.
pub(crate) fn locate(report: &str, program: &Path) -> Option<String> {
    (field(report, "kind") != Some("panic")).then(|| place(report, program))
}

fn place(report: &str, program: &Path) -> String {
    let Some(address) = field(report, "rip").and_then(parse_hex) else {
        return "the report names no instruction".to_owned();
    };
    let in_a_call = field(report, "kind").is_some_and(|kind| IN_A_CALL.contains(&kind));
    let address = address.saturating_sub(u64::from(in_a_call));
    let own = own_code(frames(program, address).unwrap_or_default());
    if !own.is_empty() {
        return own.join(", called from ");
    }
    let from = field(report, "return").and_then(parse_hex).and_then(|from| frames(program, from.saturating_sub(1)));
    match own_code(from.unwrap_or_default()) {
        from if from.is_empty() => format!("{address:#x}, which is no code of the program"),
        from => format!("{address:#x}, which is no code of the program, come from {}", from.join(", called from ")),
    }
}

/// Leaves out the frames of Rust's own library, unless there are no others.
fn own_code(frames: Vec<String>) -> Vec<String> {
    let own = |frame: &&String| !frame.contains(" at /rustc/");
    if frames.iter().any(|frame| own(&frame)) {
        frames.into_iter().filter(|frame| own(&frame)).collect()
    } else {
        frames
    }
}

fn parse_hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

fn frames(program: &Path, address: u64) -> Option<Vec<String>> {
    let loader = Loader::new(program).ok()?;
    let mut frames = loader.find_frames(address).ok()?;
    let mut found = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.and_then(|f| Some(f.demangle().ok()?.into_owned()));
        let function = function.or_else(|| loader.find_symbol(address).map(demangled)).unwrap_or("?".to_owned());
        let place = frame.location.and_then(|l| Some((l.file?.to_owned(), l.line.unwrap_or(0))));
        found.push(match place {
            Some((file, line)) => format!("{} at {}:{line}", without_hash(&function), relative(&file)),
            None => without_hash(&function).to_owned(),
        });
    }
    Some(found)
}

/// Returns a symbol as the source spells it.
fn demangled(symbol: &str) -> String {
    addr2line::demangle_auto(symbol.into(), None).into_owned()
}

/// Drops the hash that ends a mangled name: `main::h0123456789abcdef`.
fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => name,
        _ => function,
    }
}

/// Returns a path of the workspace as one sees it from there.
fn relative(file: &str) -> String {
    let root = fs_err::canonicalize(workspace()).unwrap_or_default();
    Path::new(file).strip_prefix(root).unwrap_or(Path::new(file)).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let report = "stage=2 kind=page-fault rip=0x40001000 address=0x100000";
        assert_eq!(field(report, "rip"), Some("0x40001000"));
        assert_eq!(field(report, "addr"), None);
        assert_eq!(without_hash("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(without_hash("a::b::hello"), "a::b::hello");
        assert_eq!(demangled("_ZN7hostile11instruction17hb5d0fcab72c81376E"), "hostile::instruction");
    }

    #[test]
    fn an_address_leads_to_its_line() {
        let program = std::env::current_exe().unwrap();
        let elf = fs_err::read(&program).unwrap();
        let elf = object::File::parse(&elf[..]).unwrap();
        let symbol = object::Object::symbols(&elf)
            .find(|s| object::ObjectSymbol::name(s).is_ok_and(|name| name.contains("an_address_leads_to_its_line")))
            .unwrap();
        let place = locate(&format!("rip={:#x}", object::ObjectSymbol::address(&symbol)), &program).unwrap();
        assert!(place.contains("xtask/src/faults.rs:"), "{place}");
    }

    #[test]
    fn an_address_outside_says_so() {
        let program = std::env::current_exe().unwrap();
        assert!(locate("rip=0xfffffffffffff000", &program).unwrap().contains("is no code of the program"));
        assert!(locate("kind=overrun", &program).unwrap().contains("names no instruction"));
        assert_eq!(locate("kind=panic rip=0x40000000", &program), None);
    }
}
