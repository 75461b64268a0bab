// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines with several nodes: what each has, how far the others are, and in which order it falls back to them.

use crate::machine::{Boot, Run};

/// Boots a machine with a processor on each node and returns what the report says of them.
fn boots(memory: &str, numa: &str, distances: &str) -> (Run, Vec<Node>) {
    let processors = numa.split(',').count().to_string();
    let arguments = ["--memory", memory, "--numa", numa, "--smp", &processors, "--append", ""];
    let mut boot = Boot::new().with(&arguments);
    if !distances.is_empty() {
        boot = boot.with(&["--distances", distances]);
    }
    let run = boot.run().expect(0);
    run.expect_identity();
    let nodes = run.lines().filter_map(Node::parse).collect();
    (run, nodes)
}

/// A line of the report.
#[derive(PartialEq, Eq, Debug)]
struct Node {
    managed: u64,
    free: u64,
    distances: String,
    order: String,
}

impl Node {
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.strip_prefix("Node ")?.split_once(": ")?;
        let (bytes, rest) = rest.split_once("; distances ")?;
        let (distances, order) = rest.split_once("; falls back to ")?;
        let (managed, free) = bytes.strip_suffix(" free")?.split_once(" bytes managed, ")?;
        let number = |text: &str| text.parse().unwrap();
        Some(Self { managed: number(managed), free: number(free), distances: distances.into(), order: order.into() })
    }
}

fn orders(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.order.as_str()).collect()
}

#[test]
fn two_uneven_nodes() {
    let (run, nodes) = boots("4G", "3G,1G", "");
    assert_eq!(orders(&nodes), ["0 1", "1 0"]);
    assert!(nodes.iter().all(|node| node.free <= node.managed));
    // 64 bytes of each 4 KiB are descriptors, and they lie on the node whose frames they describe.
    for (node, size) in nodes.iter().zip([3_u64 << 30, 1 << 30]) {
        let lost = size - size / 64 - node.managed;
        assert!(lost < 8 << 20, "{lost} bytes of {size} are not managed");
    }
    assert_eq!(nodes.iter().map(|node| node.managed).sum::<u64>(), run.number("/figures/managed_bytes"));
    assert_eq!(nodes.iter().map(|node| node.free).sum::<u64>(), run.number("/figures/free_bytes"));
}

#[test]
fn distances_change_the_order_of_four_uneven_nodes() {
    let sizes = "1G,512M,256M,2304M";
    let (_, even) = boots("4G", sizes, "");
    assert_eq!(orders(&even), ["0 1 2 3", "1 2 3 0", "2 3 0 1", "3 0 1 2"]);

    let (_, nodes) = boots("4G", sizes, "0-1=31,0-2=21,0-3=41,1-2=41,1-3=15,2-3=31");
    assert_eq!(orders(&nodes), ["0 2 1 3", "1 3 0 2", "2 0 3 1", "3 1 2 0"]);
    let rows: Vec<_> = nodes.iter().map(|node| node.distances.as_str()).collect();
    assert_eq!(rows, ["10 31 21 41", "31 10 41 15", "21 41 10 31", "41 15 31 10"]);
}

#[test]
fn a_node_without_memory_falls_back_to_the_nearest() {
    let (run, nodes) = boots("2G", "1536M,512M,0", "0-1=21,0-2=41,1-2=15");
    run.expect_lines(&["Initmem setup node 2 as memoryless"]);
    assert_eq!(orders(&nodes), ["0 1", "1 0", "1 0"]);
    assert_eq!((nodes[2].managed, nodes[2].distances.as_str()), (0, "41 15 10"));
}

#[test]
fn without_nodes_there_is_nothing_to_say() {
    assert!(boots("1G", "1", "").1.is_empty());
    let off = Boot::new().with(&["--memory", "1G", "--numa", "2", "--append", "numa=off"]).run().expect(0);
    assert!(off.lines().filter_map(Node::parse).next().is_none(), "{}", off.stdout);
}

#[test]
#[ignore = "--full"]
fn uefi_says_the_same() {
    let arguments = ["--uefi", "--machine", "q35", "--memory", "2G", "--numa", "1G,0,1G", "--smp", "3"];
    let run = Boot::new().with(&arguments).with(&["--distances", "0-1=12,0-2=40,1-2=30"]).run().expect(0);
    let nodes: Vec<_> = run.lines().filter_map(Node::parse).collect();
    assert_eq!(orders(&nodes), ["0 2", "0 2", "2 0"]);
}

#[test]
fn sizes_and_distances_that_make_no_machine_are_errors() {
    let run = Boot::new().with(&["--memory", "4G", "--numa", "3G,2G"]).run().expect(1);
    assert!(run.stderr.contains("--numa 3G,2G makes 5G of memory, --memory says 4G"), "{}", run.stderr);
    let run = Boot::new().with(&["--memory", "4G", "--numa", "2", "--distances", "0-2=30"]).run().expect(1);
    assert!(run.stderr.contains("there is no node 2, there are 2"), "{}", run.stderr);
}
