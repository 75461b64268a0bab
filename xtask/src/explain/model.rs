// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the memory of a machine went: what is found out once and shown in the terminal, as SVG, HTML and JSON.
//!
//! Sizes are bytes, ranges half-open. Texts may quote a log and so may hold anything.

use serde::Serialize;

/// The answer for one boot of one machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub(crate) struct Explanation {
    /// Whose memory this is, e.g. `QEMU Standard PC (i440FX + PIIX, 1996), Linux 6.1.0`.
    pub(crate) title: String,
    /// The answer in one sentence, for someone who knows none of the words below.
    pub(crate) summary: String,
    pub(crate) sources: Vec<Source>,
    /// From the memory that is installed to the memory that Linux manages.
    ///
    /// # Invariants
    /// Starts and ends with a total. Each total but the first is the one before it, minus the [`LineKind::Taken`] and
    /// plus the [`LineKind::Returned`] lines between them, to the byte.
    pub(crate) waterfall: Vec<Line>,
    /// Sorted by lane, then address; the spans of a lane are disjoint and may leave holes.
    pub(crate) map: Vec<Span>,
    /// What our crates come to from the firmware's map and the command line alone.
    pub(crate) predictions: Vec<Prediction>,
    /// What other settings would change; empty if none were asked for.
    pub(crate) what_if: Vec<Change>,
    pub(crate) advice: Vec<Advice>,
    /// The words used above, sorted.
    pub(crate) terms: Vec<Term>,
}

/// Something to read, and whether it could be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Source {
    /// A path, or what it is, e.g. `/proc/iomem` or `kernel log`.
    pub(crate) name: String,
    pub(crate) state: SourceState,
    /// What it gave, or why it gave nothing.
    pub(crate) detail: String,
    /// What to type to get it, if it is not complete.
    pub(crate) remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SourceState {
    Found,
    /// Some of it, e.g. a log without its beginning.
    Partial,
    Missing,
}

/// A bar of the waterfall.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    /// e.g. `Page descriptors`.
    pub(crate) label: String,
    pub(crate) bytes: u64,
    /// Of the first total, 0 to 100.
    pub(crate) percent: f64,
    pub(crate) owner: Owner,
    /// One sentence: what it is for.
    pub(crate) why: String,
    pub(crate) evidence: Vec<Evidence>,
    /// What the user can set to change it, e.g. `crashkernel=256M`.
    pub(crate) switch: Option<String>,
    /// Bytes the switch would give back.
    pub(crate) gain_bytes: Option<u64>,
    /// What the line is made of, in bytes, largest first; their sum is at most `bytes`.
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LineKind {
    /// A state of the memory, e.g. installed, known to the kernel, managed.
    Total,
    /// Goes away on the way to the next total.
    Taken,
    /// Comes back on the way to the next total: freed after boot, or added by the user.
    Returned,
}

/// A part of a line, e.g. the bytes of one caller.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) label: String,
    pub(crate) bytes: u64,
    /// How many allocations or ranges.
    pub(crate) count: u64,
}

/// Who has the memory; a colour of the pictures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Owner {
    /// Everything up to here, or nobody yet.
    All,
    Firmware,
    /// Cut off: rounding to pages, `mem=`, holes.
    Lost,
    KernelImage,
    Initrd,
    CrashKernel,
    PageDescriptors,
    PerCpu,
    HashTables,
    NodeData,
    Swiotlb,
    Cma,
    HugePages,
    /// Others that asked memblock.
    Memblock,
    /// Managed by the page allocator.
    Managed,
    Unexplained,
}

/// Where a figure comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Evidence {
    /// A path or `kernel log`; `computed` if our crates worked it out.
    pub(crate) source: String,
    /// Line in it, from 1.
    pub(crate) line: Option<usize>,
    /// The words there, as they stand.
    pub(crate) text: String,
}

/// A piece of physical memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Span {
    pub(crate) lane: Lane,
    pub(crate) start: u64,
    /// Exclusive; the last byte of the address space cannot be in a span.
    pub(crate) end: u64,
    pub(crate) owner: Owner,
    /// e.g. `Crash kernel`, `usable`, `Normal`.
    pub(crate) label: String,
    pub(crate) node: Option<u32>,
    pub(crate) evidence: Option<Evidence>,
}

/// A view of the memory, in the order in which Linux comes to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lane {
    /// The firmware's map as it came.
    Firmware,
    /// The map after Linux's and the user's changes.
    E820,
    /// What memblock has reserved, and memory it has not.
    Memblock,
    /// The areas for the crash kernel.
    Crashkernel,
    /// The zones that the descriptors describe.
    Memmap,
    /// What the page allocator was given.
    Buddy,
}

/// A figure that our crates predict, next to what the machine said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Prediction {
    /// e.g. `Node 0, zone DMA32: present`.
    pub(crate) name: String,
    pub(crate) predicted: Figure,
    /// None if the record does not say.
    pub(crate) actual: Option<Figure>,
    /// Predicted minus actual, in bytes; None for ranges, or without an actual figure.
    pub(crate) difference: Option<i64>,
    pub(crate) equal: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub(crate) enum Figure {
    Bytes {
        bytes: u64,
    },
    /// Half-open.
    Range {
        start: u64,
        end: u64,
    },
    /// e.g. no such area.
    None,
}

/// A row of the before/after table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) name: String,
    /// As the settings are; both sides are computed, so that they compare.
    pub(crate) before: Figure,
    pub(crate) after: Figure,
    /// After minus before, in bytes.
    pub(crate) difference: Option<i64>,
}

/// What the user could do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Advice {
    /// One sentence: what is not as good as it could be.
    pub(crate) finding: String,
    /// What to do about it.
    pub(crate) action: String,
    /// Bytes it gives back, if it does.
    pub(crate) gain_bytes: Option<u64>,
}

/// A word and what it means.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Term {
    pub(crate) word: String,
    /// At most five lines.
    pub(crate) meaning: Vec<String>,
    /// Lines of this machine's record about it.
    pub(crate) evidence: Vec<Evidence>,
}
