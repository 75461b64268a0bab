// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words, each in five lines at most, with this machine's lines about it.

use super::facts::{Facts, log};
use super::model::{Evidence, Term};
use super::share::Share;
use super::tally::Tally;

/// What a word means, and how its lines of the log begin.
type Word = (&'static str, &'static str, &'static [&'static str]);

const WORDS: [Word; 22] = [
    (
        "installed",
        "The memory modules in the machine, as the firmware lists them (SMBIOS).\nA little of it is never offered to the kernel.",
        &[],
    ),
    (
        "firmware",
        "BIOS or UEFI: runs before Linux, keeps some memory for itself and for devices,\nand hands over a map of the rest (e820).",
        &["BIOS-e820: "],
    ),
    (
        "e820",
        "The firmware's map of memory, named after the BIOS call that returns it.\nEach entry is a range with a type; only `usable` ones become memory.\nmem= and memmap= on the command line change the map.",
        &["BIOS-e820: ", "e820: "],
    ),
    (
        "memblock",
        "Linux's list of memory and of what is reserved in it, before there is a page allocator.\nWhoever needs memory that early takes it from here and mostly keeps it.\nmemblock=debug on the command line logs each of them.",
        &["memblock_", "MEMBLOCK"],
    ),
    (
        "crashkernel",
        "Memory kept free for a second kernel that starts when the first one crashes and saves a dump.\ncrashkernel=SIZE takes it below 4 GiB if it fits; SIZE,high takes it from the top and a low part for devices.\nIt is out of use until a crash. Without kdump, leave the parameter out.",
        &["Reserving ", "crashkernel"],
    ),
    (
        "memmap",
        "Two things: the array of page descriptors (struct page), 64 bytes for each page of 4 KiB,\nand the parameter memmap=SIZE@START, $START or !START, which changes the firmware's map.",
        &["user: [mem"],
    ),
    (
        "descriptors",
        "One struct page for each page of memory: who uses it, how often, and for what.\n64 bytes for 4096: 1.6 % of all memory, whatever it is used for.",
        &["  node "],
    ),
    (
        "buddy",
        "The page allocator: gives out blocks of 1, 2, 4, ... 1024 pages and joins free neighbours again.\nWhat memblock did not keep is handed over to it; from then on it is `managed`.",
        &["Memory: "],
    ),
    (
        "managed",
        "Pages that the page allocator gives out: the MemTotal of /proc/meminfo and the total of free.",
        &["Memory: "],
    ),
    (
        "memtotal",
        "The pages that Linux manages. What was reserved before is not in it, so it is less than what is installed.",
        &["Memory: "],
    ),
    (
        "zone",
        "Memory below a limit that some devices need: DMA below 16 MiB, DMA32 below 4 GiB, Normal above.\nspanned: from the first to the last page; present: without holes; managed: without what is reserved.",
        &["  DMA", "  Normal"],
    ),
    (
        "node",
        "A part of the memory that is near to some processors (NUMA). Most machines have one.",
        &["NODE_DATA", "  node ", "ACPI: SRAT: Node"],
    ),
    (
        "initrd",
        "Files for the start, which the loader puts into memory. Freed when they are unpacked.",
        &["RAMDISK", "Freeing initrd"],
    ),
    (
        "swiotlb",
        "Bounce buffers below 4 GiB for devices that cannot reach the memory above. 64 MiB if there is any above.\nA larger or smaller one: swiotlb=SLOTS of 2 KiB.",
        &["software IO TLB"],
    ),
    (
        "cma",
        "An area for devices that need large pieces. Movable pages may use it until then, so it counts as managed.",
        &["cma: "],
    ),
    (
        "hugepages",
        "Pages of 2 MiB or 1 GiB that were set aside. free counts them as used, though nothing else can use them.",
        &["HugeTLB: registered"],
    ),
    (
        "percpu",
        "Variables of which each processor has its own. More possible processors take more: nr_cpus= limits them.",
        &["percpu: "],
    ),
    (
        "hash",
        "Tables that find cached directory entries and files. Their size follows from the memory there is.",
        &["Dentry cache", "Inode-cache"],
    ),
    (
        "reserved",
        "Memory that memblock does not hand over. `Reserved` in /proc/iomem is something else: the firmware's.",
        &[" reserved size", "Memory: "],
    ),
    (
        "kernel",
        "The image: code, read-only data, data, zeroed data (bss), and gaps so that each starts at whole 2 MiB.\nWhat is for the start only is freed when it is over.",
        &["Memory: ", "Freeing unused kernel"],
    ),
    (
        "mtrr",
        "Registers of the processor that say which memory it may cache. What they leave out is too slow to use.",
        &["e820: update", "modified: [mem"],
    ),
    (
        "log_buf_len",
        "The size of the kernel's own log. With its index it takes 4.5 times as much.",
        &["printk: log_buf_len", "log_buf_len"],
    ),
];

/// Returns every word there is an explanation for.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(word, _, _)| *word)
}

/// Returns the words and what they mean, sorted, for a boot without a record of Linux.
pub(super) fn meanings() -> Vec<Term> {
    sorted(WORDS.iter().map(|word| term(word, Vec::new())))
}

/// Returns the words and the lines of this machine about them, sorted.
pub(super) fn terms(facts: &Facts<'_>, tally: Option<&Tally>) -> Vec<Term> {
    sorted(WORDS.iter().map(|word| {
        let told = facts.entries.iter().filter(|e| word.2.iter().any(|start| e.text.starts_with(start)));
        let mut evidence: Vec<_> = told.take(3).map(log).collect();
        if evidence.is_empty() {
            let share = share(word.0).and_then(|share| tally?.0.get(&share));
            evidence.extend(share.into_iter().flat_map(|amount| amount.evidence.iter().take(2).cloned()));
        }
        term(word, evidence)
    }))
}

fn term((word, meaning, _): &Word, evidence: Vec<Evidence>) -> Term {
    Term { word: (*word).to_owned(), meaning: meaning.lines().map(str::to_owned).collect(), evidence }
}

fn sorted(terms: impl Iterator<Item = Term>) -> Vec<Term> {
    let mut terms: Vec<_> = terms.collect();
    terms.sort_by(|a, b| a.word.cmp(&b.word));
    terms
}

fn share(word: &str) -> Option<Share> {
    Some(match word {
        "crashkernel" => Share::Crash,
        "memmap" | "descriptors" => Share::Descriptors,
        "swiotlb" => Share::Swiotlb,
        "cma" => Share::Cma,
        "hugepages" => Share::HugePages,
        "percpu" => Share::PerCpu,
        "hash" => Share::HashTables,
        "initrd" => Share::Initrd,
        "kernel" => Share::KernelImage,
        _ => return None,
    })
}
