// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in lines of which others need only the words.

use super::scan::Scan;
use handoff::PhysRange;

/// Returns node and range of a line of the zone report that names memory: `  node   0: [mem 0x…-0x…]`.
pub(crate) fn node_memory(text: &str) -> Option<(u32, PhysRange)> {
    let mut scan = Scan::after(text, "  node ")?;
    scan.0 = scan.0.trim_start();
    let node = u32::try_from(scan.int()?).ok()?;
    scan.lit(": ")?;
    let (start, last) = scan.mem()?;
    Some((node, PhysRange::new(start, last.checked_add(1)?)?))
}

/// An area for a crash kernel, as told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CrashArea {
    /// Up to 6.7 to the MiB.
    pub(crate) range: PhysRange,
    /// Whether it is the part below 4 GiB of an area above.
    pub(crate) is_low: bool,
}

/// Returns the area that a line of success names.
pub(crate) fn crash_area(text: &str) -> Option<CrashArea> {
    if let Some(mut scan) = Scan::after(text, "Reserving ") {
        let size_mib = scan.dec()?;
        scan.lit("MB of ")?;
        let is_low = scan.lit("low ").is_some();
        scan.lit("memory at ")?;
        let base_mib = scan.dec()?;
        scan.lit("MB for crashkernel (")?;
        let range = PhysRange::from_size(base_mib.checked_mul(1 << 20)?, size_mib.checked_mul(1 << 20)?)?;
        return Some(CrashArea { range, is_low });
    }
    let mut scan = Scan::after(text, "crashkernel ")?;
    let is_low = scan.lit("low memory ").is_some();
    scan.lit("reserved: ")?;
    let start = scan.hex()?;
    scan.lit(" - ")?;
    Some(CrashArea { range: PhysRange::new(start, scan.hex()?)?, is_low })
}

/// Returns the parts of the kernel, in bytes, from the line that sums memory up: code, data, read-only data, freed after
/// the start, and zeroed data.
pub(crate) fn kernel_parts(text: &str) -> Option<[(&'static str, u64); 5]> {
    const PARTS: [(&str, &str); 5] = [
        ("code", "K kernel code"),
        ("data", "K rwdata"),
        ("read-only data", "K rodata"),
        ("init code and data, freed after the start", "K init"),
        ("zeroed data (bss)", "K bss"),
    ];
    let (_, inside) = text.strip_prefix("Memory: ")?.split_once('(')?;
    let kib = |unit| inside.split(", ").find_map(|part| part.strip_suffix(unit)?.parse::<u64>().ok());
    let mut parts = PARTS.map(|(name, _)| (name, 0));
    for (part, (_, unit)) in parts.iter_mut().zip(PARTS) {
        part.1 = kib(unit)?.checked_mul(1024)?;
    }
    Some(parts)
}

/// Returns what memory was freed: `initrd` of `Freeing initrd memory: 1304K`.
pub(crate) fn freed(text: &str) -> Option<&str> {
    Some(text.strip_prefix("Freeing ")?.split_once(" memory: ")?.0)
}

/// Returns the name of a hash table.
pub(crate) fn hash_table(text: &str) -> Option<&str> {
    Some(text.split_once(" hash table entries: ")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let range = |start, end| PhysRange::new(start, end).unwrap();
        assert_eq!(node_memory("  node   0: [mem 0x1000-0x1fff]"), Some((0, range(0x1000, 0x2000))));
        assert_eq!(node_memory("  node   0: [mem 0x1000-0xffffffffffffffff]"), None);
        for (text, is_low) in [
            ("Reserving 128MB of memory at 256MB for crashkernel (System RAM: 2047MB)", false),
            ("crashkernel low memory reserved: 0x10000000 - 0x18000000 (128 MB)", true),
        ] {
            assert_eq!(crash_area(text), Some(CrashArea { range: range(0x1000_0000, 0x1800_0000), is_low }), "{text}");
        }
        let line = "Memory: 1K/2K available (3K kernel code, 4K rwdata, 5K rodata, 6K init, 7K bss, 8K reserved)";
        assert_eq!(kernel_parts(line).unwrap().map(|(_, bytes)| bytes / 1024), [3, 4, 5, 6, 7]);
        assert_eq!(kernel_parts("Memory: 1K/2K available (3K kernel code, 4K rwda"), None);
        assert_eq!(freed("Freeing initrd memory: 1304K"), Some("initrd"));
    }
}
