// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nodes of the machine QEMU shows the guest: how much memory each has, and how far they are from each other.

use crate::memory_size::MemorySize;
use anyhow::{Result, ensure};
use std::fmt;
use std::str::FromStr;

/// Nodes begin and end at multiples of this, where that is possible.
const UNIT: u64 = 1 << 20;
/// The distance of nodes when nobody says another one.
const REMOTE: u8 = 20;

/// How memory is spread over nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Numa {
    /// Evenly over so many. With one the firmware does not mention nodes.
    Even(u16),
    /// So much on each; 0 makes a node without memory.
    Sizes(Vec<u64>),
}

impl FromStr for Numa {
    type Err = String;

    /// Reads `4`, or sizes as in `3G,1G,0`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(nodes) = text.parse() {
            return if nodes > 0 { Ok(Self::Even(nodes)) } else { Err("expected at least one node".to_owned()) };
        }
        let size = |size: &str| if size == "0" { Ok(0) } else { size.parse::<MemorySize>().map(|size| size.0) };
        text.split(',').map(size).collect::<Result<_, _>>().map(Self::Sizes)
    }
}

impl fmt::Display for Numa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Even(nodes) => write!(f, "{nodes}"),
            Self::Sizes(sizes) => {
                f.write_str(&sizes.iter().map(|s| MemorySize(*s).to_string()).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl Numa {
    /// Returns the bytes of memory on each node.
    ///
    /// # Errors
    /// The sizes do not make up the memory.
    pub(crate) fn sizes(&self, memory: MemorySize) -> Result<Vec<u64>> {
        match self {
            Self::Even(nodes) => {
                let nodes = u64::from(*nodes);
                let even = memory.0 / nodes / UNIT * UNIT;
                Ok((1..nodes).map(|_| even).chain([memory.0 - (nodes - 1) * even]).collect())
            }
            Self::Sizes(sizes) => {
                let sum = MemorySize(sizes.iter().sum());
                ensure!(sum == memory, "--numa {self} makes {sum} of memory, --memory says {memory}");
                Ok(sizes.clone())
            }
        }
    }
}

/// How far two nodes are from each other, both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Distance {
    pub(crate) nodes: (u16, u16),
    pub(crate) distance: u8,
}

impl FromStr for Distance {
    type Err = String;

    /// Reads `0-1=21`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not of the form 0-1=21, with a distance from 11 to 255");
        let (nodes, distance) = text.split_once('=').ok_or_else(expected)?;
        let (from, to) = nodes.split_once('-').ok_or_else(expected)?;
        match (from.parse(), to.parse(), distance.parse()) {
            (Ok(from), Ok(to), Ok(distance)) if distance > 10 && from != to => Ok(Self { nodes: (from, to), distance }),
            _ => Err(expected()),
        }
    }
}

/// Returns QEMU's arguments for all distances between so many nodes: all or none must be given.
///
/// # Errors
/// A distance is that of a node there is not.
pub(crate) fn distance_arguments(nodes: usize, given: &[Distance]) -> Result<Vec<String>> {
    for Distance { nodes: (a, b), .. } in given {
        let last = usize::from(*a.max(b));
        ensure!(last < nodes, "--distances {a}-{b}: there is no node {last}, there are {nodes} (--numa)");
    }
    let mut arguments = Vec::new();
    for to in 0..if given.is_empty() { 0 } else { nodes as u16 } {
        for from in 0..to {
            let between = |d: &&Distance| d.nodes == (from, to) || d.nodes == (to, from);
            let distance = given.iter().rev().find(between).map_or(REMOTE, |d| d.distance);
            arguments.extend(["-numa".to_owned(), format!("dist,src={from},dst={to},val={distance}")]);
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_even_or_as_they_are_said_to_be() {
        let sizes = |numa: &str, memory: &str| {
            let numa = numa.parse::<Numa>().unwrap();
            numa.sizes(memory.parse().unwrap()).map(|sizes| sizes.iter().map(|s| s >> 20).collect::<Vec<_>>())
        };
        assert_eq!(sizes("1", "16G").unwrap(), [16 << 10]);
        assert_eq!(sizes("3", "10G").unwrap(), [3413, 3413, 3414]);
        assert_eq!(sizes("3G,0,1G", "4G").unwrap(), [3 << 10, 0, 1 << 10]);
        let error = sizes("3G,512M", "4G").unwrap_err().to_string();
        assert_eq!(error, "--numa 3G,512M makes 3584M of memory, --memory says 4G");
        for text in ["0", "", "1G,x", "-1"] {
            assert!(text.parse::<Numa>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_distances_are_given_or_none() {
        let line = |nodes, given: &[&str]| {
            let given: Vec<Distance> = given.iter().map(|d| d.parse().unwrap()).collect();
            distance_arguments(nodes, &given).map(|arguments| arguments.join(" "))
        };
        assert_eq!(line(4, &[]).unwrap(), "");
        assert_eq!(
            line(3, &["2-0=31", "0-2=41"]).unwrap(),
            "-numa dist,src=0,dst=1,val=20 -numa dist,src=0,dst=2,val=41 -numa dist,src=1,dst=2,val=20"
        );
        assert!(line(2, &["0-2=31"]).unwrap_err().to_string().contains("there is no node 2, there are 2"));
        for text in ["", "0-1", "0=20", "0-1=10", "0-1=256", "1-1=20"] {
            assert!(text.parse::<Distance>().is_err(), "{text}");
        }
    }
}
