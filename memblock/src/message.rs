// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of memblock, as Linux prints them.

use core::panic::Location;

handoff::messages! {
    /// A line of memblock. Where Linux names a caller as symbol and offset, file and line stand here.
    pub enum Line {
        /// Memory was added.
        Add { base: u64, last: u64, caller: &'static Location<'static> }
            => ("memblock_add: [{:#018x}-{:#018x}] {}:{}", base, last, caller.file(), caller.line());
        /// Memory was added with node and flags.
        AddNode { base: u64, last: u64, nid: i32, flags: u32, caller: &'static Location<'static> }
            => ("memblock_add_node: [{:#018x}-{:#018x}] nid={} flags={:x} {}:{}", base, last, nid, flags, caller.file(), caller.line());
        /// Memory was removed.
        Remove { base: u64, last: u64, caller: &'static Location<'static> }
            => ("memblock_remove: [{:#018x}-{:#018x}] {}:{}", base, last, caller.file(), caller.line());
        /// A range was reserved.
        Reserve { base: u64, last: u64, caller: &'static Location<'static> }
            => ("memblock_reserve: [{:#018x}-{:#018x}] {}:{}", base, last, caller.file(), caller.line());
        /// A range was freed.
        Free { base: u64, last: u64, caller: &'static Location<'static> }
            => ("memblock_phys_free: [{:#018x}-{:#018x}] {}:{}", base, last, caller.file(), caller.line());
        /// A range was freed, in the words of 5.4.
        Free54 { base: u64, last: u64, caller: &'static Location<'static> }
            => ("   memblock_free: [{:#018x}-{:#018x}] {}:{}", base, last, caller.file(), caller.line());
        /// An allocation on any node was asked for.
        PhysAllocRange { size: u64, align: u64, from: u64, max: u64, caller: &'static Location<'static> }
            => ("memblock_phys_alloc_range: {} bytes align=0x{:x} from={:#018x} max_addr={:#018x} {}:{}",
                size, align, from, max, caller.file(), caller.line());
        /// An allocation on a node was asked for.
        AllocNid { name: &'static str, size: u64, align: u64, nid: i32, from: u64, max: u64, caller: &'static Location<'static> }
            => ("{}: {} bytes align=0x{:x} nid={} from={:#018x} max_addr={:#018x} {}:{}",
                name, size, align, nid, from, max, caller.file(), caller.line());
        /// An array grew.
        Doubled { array: &'static str, entries: usize, base: u64, last: u64 }
            => ("memblock: {} is doubled to {} at [{:#018x}-{:#018x}]", array, entries, base, last);
        /// There is no place for a larger array.
        DoubleFailed { array: &'static str, from: usize, to: usize }
            => ("memblock: Failed to double {} array from {} to {} entries !", array, from, to);
        /// No mirrored memory is left.
        NotMirrored { size: u64 }
            => ("Could not allocate {:#018x} bytes of mirrored memory", size);
        /// A request names node 1024 where it means any.
        DeprecatedNid
            => ("Usage of MAX_NUMNODES is deprecated. Use NUMA_NO_NODE instead");
        /// A request has alignment 0.
        NoAlignment { align: u64, caller: &'static Location<'static> }
            => ("memblock: alignment 0 taken as {} at {}:{}", align, caller.file(), caller.line());
        /// There is nothing to cap.
        NothingToCap
            => ("memblock_cap_memory_range: No memory registered yet");
        /// The first line of the dump.
        Configuration
            => ("MEMBLOCK configuration:");
        /// The sizes.
        Sizes { memory: u64, reserved: u64 }
            => (" memory size = {:#018x} reserved size = {:#018x}", memory, reserved);
        /// How many regions an array has.
        Count { array: &'static str, count: usize }
            => (" {}.cnt  = {:#x}", array, count);
        /// A region without node.
        Region { array: &'static str, index: usize, base: u64, last: u64, size: u64, flags: u32 }
            => (" {}[{:#x}]\t[{:#018x}-{:#018x}], {:#018x} bytes flags: {:#x}", array, index, base, last, size, flags);
        /// A region with its node.
        RegionOnNode { array: &'static str, index: usize, base: u64, last: u64, size: u64, nid: i32, flags: u32 }
            => (" {}[{:#x}]\t[{:#018x}-{:#018x}], {:#018x} bytes on node {} flags: {:#x}", array, index, base, last, size, nid, flags);
    }
}

/// Returns the last address that a line names: not capped, and wrapping for size 0, as Linux prints it.
pub(crate) const fn last(base: u64, size: u64) -> u64 {
    base.wrapping_add(size).wrapping_sub(1)
}
