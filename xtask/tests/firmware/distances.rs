// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SLIT.

use crate::affinity::{acpi, table};
use crate::slit::distances;
use proptest::prelude::*;

fn slit(count: u64, matrix: &[u8]) -> Vec<u8> {
    table(*b"SLIT", &[&count.to_le_bytes()[..], matrix].concat())
}

fn read(slit: Vec<u8>, domains: &[u32]) -> Result<Vec<u8>, &'static str> {
    distances(acpi(&[slit]), domains).map(|distances| distances.rows().to_vec())
}

#[test]
fn distances_are_between_the_domains_of_the_nodes() {
    let three = || slit(3, &[10, 20, 30, 21, 10, 31, 22, 32, 10]);
    assert_eq!(read(three(), &[0, 1, 2]).unwrap(), [10, 20, 30, 21, 10, 31, 22, 32, 10]);
    assert_eq!(read(three(), &[2, 0]).unwrap(), [10, 22, 30, 10]);
    // A domain that the table does not know is as far as any.
    assert_eq!(read(three(), &[1, 7]).unwrap(), [10, 20, 20, 10]);
    assert_eq!(read(three(), &[1, u32::MAX]).unwrap(), [10, 20, 20, 10]);
    assert_eq!(read(three(), &[]).unwrap(), []);
    // What lies behind the matrix is not part of it.
    assert_eq!(read(slit(1, &[10, 3, 4]), &[0]).unwrap(), [10]);
}

#[test]
fn without_a_table_all_are_equally_far() {
    assert_eq!(read(table(*b"SRAT", &[0; 12]), &[3, 4]).unwrap(), [10, 20, 20, 10]);
    let mut wrong_sum = slit(2, &[10, 30, 30, 10]);
    wrong_sum[20] ^= 1;
    assert_eq!(read(wrong_sum, &[0, 1]).unwrap(), [10, 20, 20, 10]);
}

#[test]
fn a_table_that_cannot_be_true_says_nothing() {
    let wrong = Err("a domain is not 10 from itself, or another is as near");
    assert_eq!(read(slit(2, &[10, 20, 20, 11]), &[0, 1]), wrong);
    assert_eq!(read(slit(2, &[10, 10, 20, 10]), &[0, 1]), wrong);
    assert_eq!(read(slit(2, &[10, 0, 20, 10]), &[0, 1]), wrong);
    for count in [2, 1 << 16, 1 << 32, 3 << 62, u64::MAX] {
        assert_eq!(read(slit(count, &[10, 20, 20]), &[0]), Err("it is smaller than it says"), "{count}");
    }
    assert_eq!(read(table(*b"SLIT", &[1; 7]), &[0]), Err("it has no size"));
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(
        body in prop::collection::vec(any::<u8>(), 0..300),
        domains in prop::collection::vec(any::<u32>(), 0..20),
    ) {
        let _ = read(table(*b"SLIT", &body), &domains);
    }

    #[test]
    fn what_is_read_is_valid(
        count in 0..6_u64,
        matrix in prop::collection::vec(prop::sample::select(vec![9_u8, 10, 11, 20, 255]), 0..40),
        domains in prop::collection::vec(0..7_u32, 0..18),
    ) {
        if let Ok(read) = distances(acpi(&[slit(count, &matrix)]), &domains) {
            prop_assert!(read.is_valid());
            prop_assert_eq!(read.nodes(), domains.len().min(handoff::MAX_NODES));
        }
    }
}
