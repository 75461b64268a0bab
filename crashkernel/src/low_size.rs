// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much goes below 4 GiB when nobody says.

use handoff::{Rules, parameters, strtoull};

/// Bytes of one slab of the software I/O TLB. Linux: `IO_TLB_SHIFT` (6.1).
const SLAB_BYTES: u64 = 2 << 10;
/// Slabs come in segments. Linux: `IO_TLB_SEGSIZE` (6.1).
const SEGMENT_SLABS: u64 = 128;
const DEFAULT_SLABS: u64 = (64 << 20) / SLAB_BYTES;

/// Returns the bytes a crash kernel above 4 GiB gets below it by default: room for its software I/O TLB and 8 MiB
/// more, at least 256 MiB.
///
/// Linux: `DEFAULT_CRASH_KERNEL_LOW_SIZE` (6.12), the same sum in `reserve_crashkernel_low` (5.4, 6.1).
#[must_use]
pub fn default_low_size(command_line: &str, rules: Rules) -> u64 {
    swiotlb_size(command_line, rules).wrapping_add(8 << 20).max(256 << 20)
}

/// Returns the bytes of the software I/O TLB that `swiotlb=SLABS[,AREAS]` asks for; wraps as Linux does.
///
/// Linux: `setup_io_tlb_npages` and `swiotlb_size_or_default` (6.1; 5.4 has no areas and takes 0 as the default).
fn swiotlb_size(command_line: &str, rules: Rules) -> u64 {
    let mut slabs = DEFAULT_SLABS;
    for value in parameters(command_line).filter_map(|(name, value)| value.filter(|_| name == "swiotlb")) {
        let (number, taken) = number(value);
        slabs = number.map_or(slabs, |n| n.wrapping_add(SEGMENT_SLABS - 1) & !(SEGMENT_SLABS - 1));

        let rest = &value[taken..];
        if let (Some(areas), _) = self::number(rest.strip_prefix(',').unwrap_or(rest))
            && rules >= Rules::V6_1
        {
            let wanted = slabs.max(power_of_two(areas).wrapping_mul(SEGMENT_SLABS));
            slabs = power_of_two(wanted);
        }
    }
    if slabs == 0 && rules == Rules::V5_4 { 64 << 20 } else { slabs.wrapping_mul(SLAB_BYTES) }
}

fn number(text: &str) -> (Option<u64>, usize) {
    let (number, taken) = strtoull(text.as_bytes());
    ((taken > 0).then_some(number), taken)
}

fn power_of_two(number: u64) -> u64 {
    number.checked_next_power_of_two().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_mib() {
        for (command_line, old, new) in [
            ("", 256, 256),
            ("swiotlb=65536,force", 256, 256),
            ("swiotlb=126976", 256, 256),
            ("swiotlb=126977", 256, 256),
            ("swiotlb=131072", 264, 264),
            ("swiotlb=0x20000", 264, 264),
            ("swiotlb=131072 swiotlb=force", 264, 264),
            ("swiotlb=262144 swiotlb=131072", 264, 264),
            ("xswiotlb=262144", 256, 256),
            ("swiotlb=0", 256, 256),
            ("swiotlb=131200,4", 264, 520),
            ("swiotlb=,2048", 256, 520),
            ("swiotlb=131072,2000,force", 264, 520),
        ] {
            assert_eq!(default_low_size(command_line, Rules::V5_4) >> 20, old, "5.4 {command_line}");
            assert_eq!(default_low_size(command_line, Rules::V6_1) >> 20, new, "6.1 {command_line}");
            assert_eq!(default_low_size(command_line, Rules::V6_12) >> 20, new, "6.12 {command_line}");
        }
        assert_eq!(default_low_size("swiotlb=131073", Rules::V6_1), (264 << 20) + 128 * 2048);
        assert_eq!(default_low_size("swiotlb=18446744073709551615,18446744073709551615", Rules::V6_1) >> 20, 256);
    }
}
