// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zone Movable: which memory is kept for what can be moved elsewhere.

use crate::layout::ZONE_ENDS;
use crate::{Layout, MemoryRange};
use handoff::{FRAME_BYTES, RegionFlags, Rules, SECTION_RUNS, memparse, parameters};
use heapless::Vec;

/// Frames in the largest block of the page allocator; zone Movable starts at one. Linux: `MAX_ORDER_NR_PAGES` (6.1).
const BLOCK_FRAMES: u64 = 1 << handoff::MAX_ORDER;
/// Memory below this is the kernel's whether it is mirrored or not.
const MIRROR_FLOOR_PFN: u64 = (4 << 30) / FRAME_BYTES;

/// Which memory goes to zone Movable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Movable {
    /// None.
    #[default]
    None,
    /// On each node what lies behind the first memory that can be unplugged.
    Hotplug,
    /// Above 4 GiB what is not mirrored, if any memory is.
    Unmirrored,
    /// The same, and all of it if none is.
    UnmirroredOrAll,
    /// What the kernel does not need, spread evenly over the nodes. The kernel gets the larger of what the two leave it.
    Rest {
        /// What the kernel needs.
        kernel: Amount,
        /// What is to be movable.
        movable: Amount,
    },
}

/// An amount of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    /// So many frames.
    Frames(u64),
    /// So many hundredths of all memory.
    Percent(u64),
}

impl Amount {
    fn of(text: &str) -> Self {
        let (number, used) = memparse(text.as_bytes());
        if text[used..].starts_with('%') { Self::Percent(number) } else { Self::Frames(number / FRAME_BYTES) }
    }

    /// Returns the frames, of so many.
    fn frames(self, total: u64) -> u64 {
        match self {
            Self::Frames(frames) => frames,
            Self::Percent(percent) => total.saturating_mul(percent) / 100,
        }
    }
}

/// Where zone Movable of a node starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MovableStart {
    /// The node.
    pub node: u16,
    /// The first frame number.
    pub start_pfn: u64,
}

/// By node, in rising order; a node has at least one range of memory.
pub(crate) type Starts = Vec<MovableStart, SECTION_RUNS>;

impl Movable {
    /// Returns what `movable_node`, `kernelcore=` and `movablecore=` on the command line say; the first of these that is
    /// there hides those behind it.
    ///
    /// Linux: `cmdline_parse_kernelcore`, `cmdline_parse_movablecore` (6.1).
    #[must_use]
    pub fn from_command_line(command_line: &str) -> Self {
        let given = |wanted| parameters(command_line).filter(move |(name, _)| *name == wanted);
        let amount = |name| {
            let values = given(name).filter_map(|(_, value)| value).filter(|value| !is_mirror(value));
            values.last().map_or(Amount::Frames(0), Amount::of)
        };
        if given("movable_node").next().is_some() {
            Self::Hotplug
        } else if given("kernelcore").any(|(_, value)| value.is_some_and(is_mirror)) {
            Self::Unmirrored
        } else {
            match (amount("kernelcore"), amount("movablecore")) {
                (Amount::Frames(0), Amount::Frames(0)) => Self::None,
                (kernel, movable) => Self::Rest { kernel, movable },
            }
        }
    }

    /// Returns how a version takes it: 6.1 follows `kernelcore=mirror` without mirrored memory, too.
    #[must_use]
    pub fn by(self, rules: Rules) -> Self {
        if self == Self::Unmirrored && rules < Rules::V6_12 { Self::UnmirroredOrAll } else { self }
    }

    /// Returns where zone Movable starts, for the nodes that have one.
    ///
    /// Linux: `find_zone_movable_pfns_for_nodes` (6.1).
    pub(crate) fn starts(self, layout: &Layout) -> Starts {
        let memory = layout.memory();
        let mirrored = |r: &MemoryRange| r.flags.contains(RegionFlags::MIRROR);
        let mut starts = match self {
            Self::None => Starts::new(),
            Self::Hotplug => lowest(layout, |r| r.flags.contains(RegionFlags::HOTPLUG)),
            Self::Unmirrored if !memory.iter().any(mirrored) => Starts::new(),
            Self::Unmirrored | Self::UnmirroredOrAll => {
                lowest(layout, |r| !mirrored(r) && r.start_pfn >= MIRROR_FLOOR_PFN)
            }
            Self::Rest { kernel, movable } => {
                let total = layout.present();
                match movable.frames(total).checked_next_multiple_of(BLOCK_FRAMES).unwrap_or(total).min(total) {
                    0 => spread(layout, kernel.frames(total)),
                    movable => spread(layout, kernel.frames(total).max(total - movable)),
                }
            }
        };
        starts.retain_mut(|start| {
            start.start_pfn = start.start_pfn.next_multiple_of(BLOCK_FRAMES);
            start.start_pfn != 0 && layout.node_span(start.node).is_some_and(|(_, end)| start.start_pfn < end)
        });
        starts
    }
}

fn is_mirror(value: &str) -> bool {
    value.split(',').any(|word| word == "mirror")
}

/// Returns the lowest frame of the ranges that belong, by node.
fn lowest(layout: &Layout, belongs: impl Fn(&MemoryRange) -> bool) -> Starts {
    let start = |node| {
        let start_pfn = layout.memory().iter().find(|r| r.node() == node && belongs(r))?.start_pfn;
        Some(MovableStart { node, start_pfn })
    };
    layout.nodes().filter_map(start).collect()
}

/// Spreads what the kernel needs, in frames, evenly over the nodes. What a node lacks the others must give.
fn spread(layout: &Layout, mut required: u64) -> Starts {
    if required == 0 || required >= layout.present() {
        return Starts::new();
    }
    let mut starts: Starts = layout.nodes().map(|node| MovableStart { node, start_pfn: 0 }).collect();
    let usable = usable_pfn(layout);
    let mut sharing = starts.len() as u64;
    while sharing > 0 {
        let mut share = required / sharing;
        for start in &mut starts {
            if required < share {
                share = required / sharing;
            }
            required -= take(layout, start, usable, share).min(required);
        }
        sharing -= 1;
        if required <= sharing {
            break;
        }
    }
    starts
}

/// Moves the start of a node's zone Movable up behind a share for the kernel; returns how many frames the kernel gets.
fn take(layout: &Layout, start: &mut MovableStart, usable: u64, share: u64) -> u64 {
    let (mut left, mut taken) = (share, 0);
    for range in layout.memory().iter().filter(|r| r.node() == start.node) {
        let mut first = range.start_pfn.max(start.start_pfn);
        if first >= range.end_pfn {
            continue;
        }
        // What lies below the zone that is split is the kernel's in any case.
        if first < usable {
            let kernel = range.end_pfn.min(usable) - first;
            left -= kernel.min(left);
            taken += kernel;
            if range.end_pfn <= usable {
                start.start_pfn = range.end_pfn;
                continue;
            }
            first = usable;
        }
        let size = (range.end_pfn - first).min(left);
        start.start_pfn = first + size;
        taken += size;
        left -= size;
        if left == 0 {
            break;
        }
    }
    taken
}

/// Returns where the highest zone that has memory starts: that one is split.
///
/// Linux: `find_usable_zone_for_movable` (6.1).
fn usable_pfn(layout: &Layout) -> u64 {
    let highest = layout.memory().last().map_or(0, |r| r.end_pfn);
    let lowest = layout.memory().first().map_or(0, |r| r.start_pfn);
    ZONE_ENDS.iter().map(|(_, end)| *end).filter(|end| *end < highest).max().unwrap_or(lowest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::{Nid, Region};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn the_command_line() {
        let frames = Amount::Frames;
        let rest = |kernel, movable| Movable::Rest { kernel, movable };
        for (command_line, expected) in [
            ("quiet", Movable::None),
            ("kernelcore=", Movable::None),
            ("kernelcore=512M", rest(frames(1 << 17), frames(0))),
            ("movablecore=1G movablecore=2G", rest(frames(0), frames(1 << 19))),
            ("kernelcore=25% movablecore=10%", rest(Amount::Percent(25), Amount::Percent(10))),
            ("kernelcore=mirror movablecore=1G", Movable::Unmirrored),
            ("kernelcore=1G movable_node", Movable::Hotplug),
        ] {
            assert_eq!(Movable::from_command_line(command_line), expected, "{command_line}");
        }
    }

    /// Where zone Movable of each node starts, in MiB; memory is (node, start, end, flags) in MiB.
    fn starts(memory: &[(i32, u64, u64, RegionFlags)], command_line: &str) -> Vec<(u16, u64)> {
        let region = |&(node, start, end, flags): &(i32, u64, u64, RegionFlags)| Region {
            nid: Nid(node),
            flags,
            ..Region::new(start << 20, (end - start) << 20)
        };
        let memory: Vec<_> = memory.iter().map(region).collect();
        let movable = Movable::from_command_line(command_line);
        let layout = Layout::with_movable(&memory, 0, movable).unwrap();
        layout.movable_starts().iter().map(|start| (start.node, start.start_pfn >> 8)).collect()
    }

    #[test]
    fn what_the_kernel_needs_is_spread_over_the_nodes() {
        let none = RegionFlags::NONE;
        let two = [(0, 0, 2048, none), (1, 4096, 8192, none)];
        for (memory, command_line, expected) in [
            // One node: everything behind the first GiB.
            (&[(0, 0, 3072, none)][..], "kernelcore=1G", vec![(0, 1024)]),
            (&[(0, 0, 3072, none)], "movablecore=1G", vec![(0, 2048)]),
            (&[(0, 0, 3072, none)], "kernelcore=50%", vec![(0, 1536)]),
            // The larger demand of the kernel counts.
            (&[(0, 0, 3072, none)], "kernelcore=512M movablecore=1G", vec![(0, 2048)]),
            // More than there is, or all: no zone.
            (&[(0, 0, 3072, none)], "kernelcore=3G", vec![]),
            (&[(0, 0, 3072, none)], "kernelcore=100%", vec![]),
            // The zone that is split is Normal, so that all below 4 GiB is the kernel's.
            (&two, "kernelcore=1G", vec![(1, 4096)]),
            (&two, "kernelcore=4G", vec![(1, 4096 + 2048)]),
            // A start is rounded up to a block of 4 MiB.
            (&[(0, 0, 3072, none)], "kernelcore=1025M", vec![(0, 1028)]),
        ] {
            assert_eq!(starts(memory, command_line), expected, "{command_line}");
        }
    }

    #[test]
    fn memory_that_can_be_unplugged_and_memory_that_is_not_mirrored() {
        let (none, hotplug, mirror) = (RegionFlags::NONE, RegionFlags::HOTPLUG, RegionFlags::MIRROR);
        let plugged = [(0, 0, 2048, none), (1, 4096, 5120, hotplug), (1, 5120, 6144, none)];
        assert_eq!(starts(&plugged, "movable_node"), [(1, 4096)]);
        assert!(starts(&plugged, "").is_empty());
        let mirrored = [(0, 0, 2048, none), (0, 4096, 5120, mirror), (0, 5120, 6144, none)];
        assert_eq!(starts(&mirrored, "kernelcore=mirror"), [(0, 5120)]);
        assert!(starts(&plugged, "kernelcore=mirror").is_empty(), "nothing is mirrored");
        assert_eq!(Movable::Unmirrored.by(Rules::V6_1), Movable::UnmirroredOrAll);
        assert_eq!(Movable::Unmirrored.by(Rules::V6_12), Movable::Unmirrored);
    }
}
