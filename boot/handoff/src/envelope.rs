// SPDX-License-Identifier: MIT OR Apache-2.0
//! The envelope a hand-off travels in: magic, version, edge, length; then postcard with a CRC-32.

use core::fmt;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes of one exchange buffer; every hand-off fits.
pub const EXCHANGE_BYTES: usize = 64 * 1024;

/// Bytes before the encoded hand-off.
pub const HEADER_BYTES: usize = 12;

const MAGIC: [u8; 4] = *b"BTMM";
/// Without a table, which would be a KiB in each program: hand-offs are short.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Returns the CRC-32 that hand-offs carry (ISO HDLC, that of zip and Ethernet), of any bytes.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// A value that one stage leaves for the next.
///
/// postcard is positional: any change of the struct must raise [`VERSION`](Self::VERSION).
pub trait Handoff: Serialize + DeserializeOwned {
    /// The edge of the chain, 0 to 6.
    const EDGE: u8;
    /// The version of the struct.
    const VERSION: u16;
    /// The largest encoded size in bytes, envelope included.
    const MAX_BYTES: usize;

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The invariant that does not hold, in words.
    fn validate(&self) -> Result<(), &'static str>;
}

/// Why bytes are not a hand-off. Each variant shows what was there and what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer bytes than an envelope has.
    Short {
        /// Bytes there are.
        len: usize,
    },
    /// The first bytes are not a hand-off's.
    Magic {
        /// What is there.
        found: [u8; 4],
    },
    /// Another version of the struct.
    Version {
        /// What is there.
        found: u16,
        /// What this program knows.
        expected: u16,
    },
    /// The hand-off of another edge of the chain.
    Edge {
        /// What is there.
        found: u8,
        /// What this stage takes.
        expected: u8,
    },
    /// The length is not that of the bytes.
    Length {
        /// What the envelope says.
        found: usize,
        /// What there is.
        expected: usize,
    },
    /// The bytes were changed on the way.
    Crc {
        /// What the bytes add up to.
        found: u32,
        /// What the envelope says.
        expected: u32,
    },
    /// The bytes are not such a value.
    Malformed,
    /// The value breaks an invariant.
    Invalid {
        /// The invariant.
        rule: &'static str,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Short { len } => write!(f, "{len} bytes are too few for a hand-off ({HEADER_BYTES} and more)"),
            Self::Magic { found } => {
                let [found, magic] = [found, MAGIC].map(u32::from_be_bytes);
                write!(f, "not a hand-off: starts with {found:#010x}, not {magic:#010x}")
            }
            Self::Version { found, expected } => write!(f, "hand-off version {found}, expected {expected}"),
            Self::Edge { found, expected } => write!(f, "hand-off of edge {found}, expected {expected}"),
            Self::Length { found, expected } => write!(f, "hand-off says {found} bytes, there are {expected}"),
            Self::Crc { found, expected } => write!(f, "hand-off CRC is {found:#010x}, expected {expected:#010x}"),
            Self::Malformed => f.write_str("hand-off bytes do not decode"),
            Self::Invalid { rule } => write!(f, "hand-off is invalid: {rule}"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why a value cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small.
    Buffer {
        /// Bytes of the buffer.
        len: usize,
    },
    /// The value breaks an invariant, so nobody could decode it.
    Invalid {
        /// The invariant.
        rule: &'static str,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Buffer { len } => write!(f, "hand-off does not fit into {len} bytes"),
            Self::Invalid { rule } => write!(f, "hand-off would be invalid: {rule}"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Writes `value` into `buffer` and returns the number of bytes used.
///
/// # Errors
/// [`EncodeError`] if the value is invalid or does not fit.
pub fn encode<H: Handoff>(value: &H, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    const { assert!(H::MAX_BYTES <= EXCHANGE_BYTES, "the largest hand-off must fit the exchange buffer") };
    value.validate().map_err(|rule| EncodeError::Invalid { rule })?;

    let error = EncodeError::Buffer { len: buffer.len() };
    let used = postcard::to_slice(value, buffer.get_mut(HEADER_BYTES..).ok_or(error)?).map_err(|_| error)?.len();
    close(buffer, used, H::EDGE, H::VERSION).ok_or(error)
}

/// Puts the envelope of an edge and a version around so many bytes; returns the size of all.
fn close(buffer: &mut [u8], used: usize, edge: u8, version: u16) -> Option<usize> {
    let (header, payload) = buffer.split_at_mut_checked(HEADER_BYTES)?;
    let (body, behind) = payload.split_at_mut_checked(used)?;
    behind.get_mut(..4)?.copy_from_slice(&crc32(body).to_le_bytes());

    header[0..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&version.to_le_bytes());
    header[6] = edge;
    header[7] = 0;
    header[8..12].copy_from_slice(&(used as u32 + 4).to_le_bytes());
    Some(HEADER_BYTES + used + 4)
}

/// Reads a value that [`encode`] wrote. `bytes` must be exactly the bytes it used.
///
/// # Errors
/// [`DecodeError`], one variant per way in which bytes can be wrong.
pub fn decode<H: Handoff>(bytes: &[u8]) -> Result<H, DecodeError> {
    let body = open(bytes, H::EDGE, H::VERSION)?;
    let (value, rest) = postcard::take_from_bytes::<H>(body).map_err(|_| DecodeError::Malformed)?;
    if !rest.is_empty() {
        return Err(DecodeError::Malformed);
    }
    value.validate().map_err(|rule| DecodeError::Invalid { rule })?;
    Ok(value)
}

/// Returns what is in the envelope of an edge and a version.
fn open(bytes: &[u8], edge: u8, version: u16) -> Result<&[u8], DecodeError> {
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or(DecodeError::Short { len: bytes.len() })?;
    let found = [header[0], header[1], header[2], header[3]];
    if found != MAGIC {
        return Err(DecodeError::Magic { found });
    }
    if header[6] != edge {
        return Err(DecodeError::Edge { found: header[6], expected: edge });
    }
    let found = u16::from_le_bytes([header[4], header[5]]);
    if found != version {
        return Err(DecodeError::Version { found, expected: version });
    }
    let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
    if length != payload.len() {
        return Err(DecodeError::Length { found: length, expected: payload.len() });
    }
    let (body, crc) = payload.split_last_chunk::<4>().ok_or(DecodeError::Short { len: bytes.len() })?;
    let (found, expected) = (crc32(body), u32::from_le_bytes(*crc));
    if found != expected {
        return Err(DecodeError::Crc { found, expected });
    }
    Ok(body)
}
