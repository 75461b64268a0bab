// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way in which bytes can fail to be a hand-off is an error of its own; none is a panic.
#![cfg(feature = "serde")]

use handoff::{
    Blocks, Crash, DecodeError, EXCHANGE_BYTES, Firmware, Frames, Handoff, MemoryKind, MemoryMap, RawEntry, Zones,
    decode, encode,
};
use proptest::prelude::*;

fn encoded() -> Vec<u8> {
    let mut firmware = Firmware::default();
    firmware.map.push(RawEntry { addr: 0, size: 0x9_fc00, kind: MemoryKind::RAM }).unwrap();
    let mut buffer = [0; EXCHANGE_BYTES];
    let used = encode(&firmware, &mut buffer).unwrap();
    buffer[..used].to_vec()
}

fn error(bytes: &[u8]) -> DecodeError {
    decode::<Firmware>(bytes).unwrap_err()
}

#[test]
fn each_defect_has_its_error() {
    let good = encoded();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let (length, last) = (good.len() - 12, good.len() - 1);

    assert_eq!(error(&[]), DecodeError::Short { len: 0 });
    assert_eq!(error(&good[..11]), DecodeError::Short { len: 11 });
    assert_eq!(error(&with(0, b'X')), DecodeError::Magic { found: *b"XTMM" });
    assert_eq!(error(&with(4, 9)), DecodeError::Version { found: 9, expected: Firmware::VERSION });
    assert_eq!(error(&with(6, 3)), DecodeError::Edge { found: 3, expected: Firmware::EDGE });
    assert_eq!(error(&good[..last]), DecodeError::Length { found: length, expected: length - 1 });
    assert!(matches!(error(&with(14, good[14] ^ 1)), DecodeError::Crc { .. }));
    assert!(matches!(error(&with(last, good[last] ^ 1)), DecodeError::Crc { .. }));
    assert_eq!(decode::<MemoryMap>(&good), Err(DecodeError::Edge { found: 0, expected: 1 }));
}

#[test]
fn a_full_value_fits_and_a_small_buffer_is_an_error() {
    let mut firmware = Firmware::default();
    while firmware.map.push(RawEntry { addr: u64::MAX, size: u64::MAX, kind: MemoryKind(u32::MAX) }).is_ok() {}
    let mut buffer = vec![0; Firmware::MAX_BYTES];
    let used = encode(&firmware, &mut buffer).unwrap();
    assert!(encode(&firmware, &mut buffer[..used - 1]).is_err());
    assert!(encode(&firmware, &mut [0; 3]).is_err());
}

/// Bytes that pass the envelope but are not the value: the CRC is made to fit.
fn sealed<H: Handoff>(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"BTMM".to_vec();
    bytes.extend(H::VERSION.to_le_bytes());
    bytes.extend([H::EDGE, 0]);
    bytes.extend((payload.len() as u32 + 4).to_le_bytes());
    bytes.extend(payload);
    bytes.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(payload).to_le_bytes());
    bytes
}

#[test]
fn a_value_that_breaks_an_invariant_is_refused_when_read() {
    let map = MemoryMap { max_pfn: 5, low_max_pfn: 6, ..MemoryMap::default() };
    let mut payload = [0; 64];
    let payload = postcard::to_slice(&map, &mut payload).unwrap();
    let rule = map.validate().unwrap_err();
    assert_eq!(decode::<MemoryMap>(&sealed::<MemoryMap>(payload)), Err(DecodeError::Invalid { rule }));
    payload[0] = 0xff;
    assert_eq!(decode::<MemoryMap>(&sealed::<MemoryMap>(payload)), Err(DecodeError::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_panic(payload in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode::<Firmware>(&payload);
        let _ = decode::<Firmware>(&sealed::<Firmware>(&payload));
        let _ = decode::<MemoryMap>(&sealed::<MemoryMap>(&payload));
        let _ = decode::<Blocks>(&sealed::<Blocks>(&payload));
        let _ = decode::<Crash>(&sealed::<Crash>(&payload));
        let _ = decode::<Frames>(&sealed::<Frames>(&payload));
        let _ = decode::<Zones>(&sealed::<Zones>(&payload));
    }
}
