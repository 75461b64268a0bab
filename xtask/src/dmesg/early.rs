// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of `memblock=debug`.

use super::event::{Array, Call, Event, Function, Request};
use super::scan::Scan;

pub(super) fn parse(text: &str) -> Option<Event<'_>> {
    call(text)
        .or_else(|| add_node(text))
        .or_else(|| request(text))
        .or_else(|| growth(text))
        .or_else(|| dump(text))
        .or_else(|| text.starts_with("Could not allocate ").then(|| not_mirrored(text))?)
}

fn call(text: &str) -> Option<Event<'_>> {
    const FUNCTIONS: [(&str, Function); 7] = [
        ("memblock_reserve: ", Function::Reserve),
        ("memblock_add: ", Function::Add),
        ("memblock_phys_free: ", Function::Free),
        ("   memblock_free: ", Function::Free),
        ("memblock_free: ", Function::Free),
        ("memblock_remove: ", Function::Remove),
        ("memblock_free_late: ", Function::FreeLate),
    ];
    let (mut scan, function) = FUNCTIONS.iter().find_map(|(name, f)| Some((Scan::after(text, name)?, *f)))?;
    scan.lit("[")?;
    let (base, last) = scan.span()?;
    scan.lit(" ")?;
    Some(Event::Call(Call { function, base, last, node: None, caller: scan.word()? }))
}

fn add_node(text: &str) -> Option<Event<'_>> {
    let mut scan = Scan::after(text, "memblock_add_node: [")?;
    let (base, last) = scan.span()?;
    scan.lit(" nid=")?;
    let nid = scan.int()?;
    scan.lit(" flags=")?;
    let flags = u32::try_from(scan.bare_hex()?).ok()?;
    scan.lit(" ")?;
    Some(Event::Call(Call { function: Function::Add, base, last, node: Some((nid, flags)), caller: scan.word()? }))
}

fn request(text: &str) -> Option<Event<'_>> {
    const FUNCTIONS: [&str; 4] = [
        "memblock_phys_alloc_range",
        "memblock_alloc_try_nid",
        "memblock_alloc_try_nid_raw",
        "memblock_alloc_exact_nid_raw",
    ];
    let mut scan = Scan(text);
    let function = scan.until(": ")?;
    let function = FUNCTIONS.into_iter().find(|name| *name == function)?;
    let size = scan.dec()?;
    scan.lit(" bytes align=")?;
    let align = scan.hex()?;
    let nid = match scan.lit(" nid=") {
        Some(()) => scan.int()?,
        None if function == FUNCTIONS[0] => -1,
        None => return None,
    };
    scan.lit(" from=")?;
    let from = scan.hex()?;
    scan.lit(" max_addr=")?;
    let max = scan.hex()?;
    scan.lit(" ")?;
    Some(Event::Request(Request { function, size, align, nid, from, max, caller: scan.word()? }))
}

fn growth(text: &str) -> Option<Event<'_>> {
    let mut scan = Scan::after(text, "memblock: ")?;
    if text.starts_with("memblock: Failed to double ") {
        return Some(Event::DoubleFailed);
    }
    let array = array(&mut scan)?;
    scan.lit(" is doubled to ")?;
    let max = scan.dec()?;
    scan.lit(" at [")?;
    let (base, last) = scan.span()?;
    Some(Event::Doubled { array, max, base, last })
}

fn dump(text: &str) -> Option<Event<'_>> {
    if text.starts_with("MEMBLOCK configuration:") {
        return Some(Event::DumpHeading);
    }
    let mut scan = Scan::after(text, " ")?;
    if scan.lit("memory size = ").is_some() {
        let memory = scan.hex()?;
        scan.lit(" reserved size = ")?;
        let reserved = scan.hex()?;
        return scan.end().map(|()| Event::DumpSizes { memory, reserved });
    }
    let array = array(&mut scan)?;
    if scan.lit(".cnt  = ").is_some() {
        scan.hex()?;
        return scan.end().map(|()| Event::DumpCount);
    }
    scan.lit("[")?;
    scan.hex()?;
    scan.lit("]")?;
    scan.0 = scan.0.trim_start();
    scan.lit("[")?;
    let (base, last) = scan.span()?;
    scan.lit(", ")?;
    let size = scan.hex()?;
    scan.lit(" bytes")?;
    let nid = match scan.lit(" on node ") {
        Some(()) => Some(u16::try_from(scan.dec()?).ok()?),
        None => None,
    };
    scan.lit(" flags: ")?;
    let flags = u32::try_from(scan.hex()?).ok()?;
    scan.end().map(|()| Event::DumpRegion { array, base, last, size, nid, flags })
}

fn not_mirrored(text: &str) -> Option<Event<'_>> {
    let mut scan = Scan::after(text, "Could not allocate ")?;
    scan.hex()?;
    scan.lit(" bytes of mirrored memory").map(|()| Event::NotMirrored)
}

fn array(scan: &mut Scan<'_>) -> Option<Array> {
    [("memory", Array::Memory), ("reserved", Array::Reserved)].into_iter().find_map(|(name, array)| {
        scan.lit(name)?;
        Some(array)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_requests() {
        let call = |function, base, last, node| Event::Call(Call { function, base, last, node, caller: "f+0x1/0x2" });
        for (text, event) in [
            ("memblock_reserve: [0x1000-0x1fff] f+0x1/0x2", call(Function::Reserve, 0x1000, 0x1fff, None)),
            ("   memblock_free: [0x1000-0x1fff] f+0x1/0x2", call(Function::Free, 0x1000, 0x1fff, None)),
            ("memblock_reserve: [0x1000-0xfff] f+0x1/0x2", call(Function::Reserve, 0x1000, 0xfff, None)),
            ("memblock_add_node: [0x0-0xf] nid=2 flags=1 f+0x1/0x2", call(Function::Add, 0, 0xf, Some((2, 1)))),
            (
                "memblock_alloc_try_nid: 64 bytes align=0x40 nid=-1 from=0x0 max_addr=0x10 f+0x1/0x2",
                Event::Request(Request {
                    function: "memblock_alloc_try_nid",
                    size: 64,
                    align: 0x40,
                    nid: -1,
                    from: 0,
                    max: 0x10,
                    caller: "f+0x1/0x2",
                }),
            ),
        ] {
            assert_eq!(parse(text), Some(event), "{text}");
        }
        assert!(matches!(parse("memblock_reserve: [0x1000-0xfff] f"), Some(Event::Call(c)) if c.size() == 0));
    }

    #[test]
    fn dumps() {
        let text =
            " reserved[0x1f]\t[0x0000000000001000-0x0000000000001fff], 0x0000000000001000 bytes on node 3 flags: 0x10";
        let (array, nid) = (Array::Reserved, Some(3));
        let region = Event::DumpRegion { array, base: 0x1000, last: 0x1fff, size: 0x1000, nid, flags: 16 };
        assert_eq!(parse(text), Some(region));
        assert_eq!(parse(" memory.cnt  = 0x2"), Some(Event::DumpCount));
        assert_eq!(parse(" memory size = 0x1 reserved size = 0x2"), Some(Event::DumpSizes { memory: 1, reserved: 2 }));
    }

    #[test]
    fn half_a_line_is_none() {
        for text in [
            "memblock_reserve: [0x1000-0x1fff]",
            "memblock_reserve: [0x1000-0x1fff] ",
            "memblock_alloc_try_nid: 64 bytes align=0x40 from=0x0 max_addr=0x10 f+0x1/0x2",
            "memblock_alloc_try_nid: 64 bytes align=0x40 nid=-1 from=0x0 max_ad",
            " memory[0x0]\t[0x1000-0x1fff], 0x1000 bytes",
            " memory.cnt  = ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
