// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether this host can show a guest so much memory: the guest may have more than the host, but not at more addresses.

use crate::memory_size::MemorySize;
use anyhow::{Result, bail};
use std::fs;

/// The room for devices below 4 GiB, at most.
const DEVICES: u64 = 2 << 30;
/// What AMD processors use below 1 TiB. Memory that does not fit below it starts above, as QEMU places it.
const HYPERTRANSPORT: u64 = 0xfd_0000_0000;
/// Address bits of QEMU's emulated processor, and the most it is asked for.
const USUAL_BITS: u32 = 40;
pub(crate) const WIDE_BITS: u32 = 46;

/// Returns how many address bits a guest with so much memory needs.
fn bits_needed(memory: MemorySize) -> u32 {
    let end = memory.0 + DEVICES;
    let end = if end > HYPERTRANSPORT { end + (1 << 40) } else { end };
    u64::BITS - (end - 1).leading_zeros()
}

/// Returns whether the guest needs more address bits than QEMU's emulated processor has unless asked for more.
pub(crate) fn is_wide(memory: MemorySize) -> bool {
    bits_needed(memory) > USUAL_BITS
}

/// What of the host matters.
#[derive(Debug, Default)]
struct Host {
    /// /proc/cpuinfo.
    cpuinfo: String,
    /// /proc/sys/vm/overcommit_memory.
    overcommit: String,
    /// /proc/meminfo.
    meminfo: String,
}

/// Checks that a guest with so much memory, and these arguments for QEMU, can start here.
///
/// # Errors
/// Why not, and what to do.
pub(crate) fn check(memory: MemorySize, more: &[String]) -> Result<()> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let [cpuinfo, overcommit, meminfo] = ["/proc/cpuinfo", "/proc/sys/vm/overcommit_memory", "/proc/meminfo"].map(read);
    Host { cpuinfo, overcommit, meminfo }.check(memory, more)
}

impl Host {
    fn check(&self, memory: MemorySize, more: &[String]) -> Result<()> {
        let needed = bits_needed(memory);
        if needed > WIDE_BITS {
            bail!(
                "{memory} of memory needs {needed} address bits, QEMU's processor gets {WIDE_BITS}: take 62T or less"
            );
        }
        // With KVM the guest's addresses are the processor's own, whatever `phys-bits` says.
        let kvm = more.iter().any(|word| word.contains("kvm"));
        if let Some(bits) = self.physical_bits().filter(|bits| kvm && *bits < needed) {
            bail!(
                "{memory} of memory needs {needed} address bits, this host's processor has {bits}, and KVM cannot add any: \
                 leave KVM out (an emulated processor has as many as are needed)"
            );
        }
        if self.overcommit.trim() == "2" && self.memory_bytes().is_some_and(|there| memory.0 > there) {
            bail!(
                "{memory} is more memory than this host has, and it is set not to promise what it has not: \
                 type `sysctl vm.overcommit_memory=1`, or take less"
            );
        }
        Ok(())
    }

    /// Returns the physical address bits of the processor.
    fn physical_bits(&self) -> Option<u32> {
        let line = self.cpuinfo.lines().find(|line| line.starts_with("address sizes"))?;
        line.split_once(':')?.1.split_ascii_whitespace().next()?.parse().ok()
    }

    fn memory_bytes(&self) -> Option<u64> {
        let line = self.meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_bits() {
        for (memory, bits) in
            [("16G", 35), ("900G", 40), ("1010G", 40), ("1012G", 41), ("1T", 42), ("16T", 45), ("62T", 46)]
        {
            assert_eq!(bits_needed(memory.parse().unwrap()), bits, "{memory}");
        }
        assert!(!is_wide("1010G".parse().unwrap()) && is_wide("1T".parse().unwrap()));
    }

    #[test]
    fn what_the_host_cannot_do_is_said_with_what_to_do() {
        let host = |cpuinfo: &str, overcommit: &str| Host {
            cpuinfo: cpuinfo.into(),
            overcommit: overcommit.into(),
            meminfo: "MemTotal:       24576000 kB\n".into(),
        };
        let narrow = "model name\t: x\naddress sizes\t: 39 bits physical, 48 bits virtual\n";
        let says = |host: &Host, memory: &str, more: &[&str]| {
            let more: Vec<_> = more.iter().map(|word| (*word).to_owned()).collect();
            host.check(memory.parse().unwrap(), &more).map_err(|error| error.to_string())
        };
        assert_eq!(says(&host(narrow, "0\n"), "16T", &[]), Ok(()));
        assert_eq!(says(&host(narrow, "0\n"), "16G", &["-accel", "kvm"]), Ok(()));
        let error = says(&host(narrow, "0\n"), "1T", &["-accel", "kvm"]).unwrap_err();
        assert!(error.contains("needs 42 address bits") && error.contains("has 39"), "{error}");
        assert!(says(&host("", "0\n"), "1T", &["-enable-kvm"]).is_ok(), "nothing is known of the processor");
        assert!(says(&Host::default(), "63T", &[]).unwrap_err().contains("take 62T or less"));
        assert!(says(&host("", "2\n"), "64G", &[]).unwrap_err().contains("vm.overcommit_memory=1"));
        assert_eq!(says(&host("", "2\n"), "16G", &[]), Ok(()));
    }
}
