// SPDX-License-Identifier: MIT OR Apache-2.0
//! What memory is taken for before the page allocator exists: the lines of the waterfall.

use super::model::Owner;

/// What reserved memory is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Share {
    LowMemory,
    KernelImage,
    Initrd,
    Crash,
    CrashLow,
    Descriptors,
    PerCpu,
    HashTables,
    NodeData,
    Swiotlb,
    Cma,
    HugePages,
    LogBuffer,
    BootServices,
    PageTables,
    Loader,
    Other,
    Rounding,
}

/// What a reader is told about a share.
pub(super) struct About {
    pub(super) label: &'static str,
    pub(super) owner: Owner,
    pub(super) why: &'static str,
    /// What changes it, and whether it gives all of it back.
    pub(super) switch: Option<(&'static str, bool)>,
}

impl Share {
    pub(super) fn about(self) -> About {
        let (label, owner, why, switch) = match self {
            Self::LowMemory => {
                ("Low 1 MiB", Owner::Firmware, "Linux leaves it alone, because firmware may write there.", None)
            }
            Self::KernelImage => (
                "Kernel image",
                Owner::KernelImage,
                "The kernel itself: code, data, and the gaps between them.",
                Some(("a kernel built with less", false)),
            ),
            Self::Initrd => {
                ("Initial RAM disk", Owner::Initrd, "What the loader placed for the start; freed when unpacked.", None)
            }
            Self::Crash => (
                "Crash kernel",
                Owner::CrashKernel,
                "Kept free for a second kernel that saves a dump if this one crashes.",
                Some(("crashkernel=", true)),
            ),
            Self::CrashLow => (
                "Crash kernel, low part",
                Owner::CrashKernel,
                "The part below 4 GiB that devices of the crash kernel need.",
                Some(("crashkernel=SIZE,low", true)),
            ),
            Self::Descriptors => (
                "Page descriptors",
                Owner::PageDescriptors,
                "One struct page of 64 bytes for each page of 4 KiB, in whole sections of 128 MiB, and tables to find them.",
                None,
            ),
            Self::PerCpu => (
                "Per-CPU areas",
                Owner::PerCpu,
                "Variables of which each processor has its own.",
                Some(("nr_cpus=", false)),
            ),
            Self::HashTables => (
                "Hash tables",
                Owner::HashTables,
                "Tables of the file system caches, sized by the memory there is.",
                Some(("dhash_entries= ihash_entries=", false)),
            ),
            Self::NodeData => {
                ("Node data", Owner::NodeData, "The bookkeeping of each NUMA node.", Some(("numa=off", false)))
            }
            Self::Swiotlb => (
                "Bounce buffers (swiotlb)",
                Owner::Swiotlb,
                "For devices that cannot reach all of the memory.",
                Some(("swiotlb=noforce or a smaller swiotlb=", true)),
            ),
            Self::Cma => (
                "Contiguous memory (CMA)",
                Owner::Cma,
                "For devices that need large pieces; movable pages may use it meanwhile.",
                Some(("cma= hugetlb_cma=", false)),
            ),
            Self::HugePages => (
                "Gigantic pages",
                Owner::HugePages,
                "Set aside by hugepages=; nothing else can use them.",
                Some(("hugepages=", false)),
            ),
            Self::LogBuffer => (
                "Kernel log",
                Owner::Memblock,
                "The kernel's own log and its index, which takes three times the text.",
                Some(("log_buf_len=", true)),
            ),
            Self::BootServices => (
                "EFI boot services",
                Owner::Firmware,
                "Still used by firmware while the kernel starts; freed later.",
                None,
            ),
            Self::PageTables => ("Early page tables", Owner::Memblock, "Tables that map the memory.", None),
            Self::Loader => (
                "Left by loader and firmware",
                Owner::Firmware,
                "Tables and data that were there before the kernel.",
                None,
            ),
            Self::Other => {
                ("Other early users", Owner::Memblock, "Everything else that asked before the page allocator.", None)
            }
            Self::Rounding => {
                ("Rest of partly used pages", Owner::Lost, "The page allocator gets whole pages only.", None)
            }
        };
        About { label, owner, why, switch }
    }

    /// Returns what a function of the kernel takes memory for.
    pub(super) fn of_caller(function: &str) -> Self {
        const STARTS: [(&str, Share); 27] = [
            ("sparse_", Share::Descriptors),
            ("vmemmap_", Share::Descriptors),
            ("memory_present", Share::Descriptors),
            ("memblocks_present", Share::Descriptors),
            ("__earlyonly_bootmem_alloc", Share::Descriptors),
            ("alloc_node_mem_map", Share::Descriptors),
            ("pcpu_", Share::PerCpu),
            ("setup_per_cpu", Share::PerCpu),
            ("alloc_large_system_hash", Share::HashTables),
            ("alloc_node_data", Share::NodeData),
            ("numa_alloc_distance", Share::NodeData),
            ("swiotlb_", Share::Swiotlb),
            ("cma_", Share::Cma),
            ("__cma_", Share::Cma),
            ("__alloc_bootmem_huge_page", Share::HugePages),
            ("alloc_bootmem_huge_page", Share::HugePages),
            ("setup_log_buf", Share::LogBuffer),
            ("efi_reserve_boot_services", Share::BootServices),
            ("alloc_low_pages", Share::PageTables),
            ("init_mem_mapping", Share::PageTables),
            ("spp_getpage", Share::PageTables),
            ("reserve_real_mode", Share::LowMemory),
            ("reserve_initrd", Share::Initrd),
            ("reserve_brk", Share::KernelImage),
            ("reserve_crashkernel", Share::Crash),
            ("arch_reserve_crashkernel", Share::Crash),
            ("memblock_x86_reserve_range_setup_data", Share::Loader),
        ];
        STARTS.iter().find(|(start, _)| function.starts_with(start)).map_or(Self::Other, |(_, share)| *share)
    }
}
