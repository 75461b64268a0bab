// SPDX-License-Identifier: MIT OR Apache-2.0
//! The debug channel: what the guest writes to port 0xe9, as frames `[kind u8][stage u8][length u16 LE][bytes]`.

use handoff::StageId;

/// What a frame carries. A number, so that a frame of a newer guest is skipped and not misread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    /// Lines of text with their own timestamps.
    pub(crate) const TEXT: Self = Self(1);
    /// Bytes of a stage's defmt stream.
    pub(crate) const LOG: Self = Self(2);
    /// The next bytes of the hand-off a stage made.
    pub(crate) const HANDOFF: Self = Self(3);
    /// The end of that hand-off.
    pub(crate) const HANDOFF_END: Self = Self(4);
    /// Lines `key=value`.
    pub(crate) const FIGURES: Self = Self(5);
    /// `kind=word rip=hex address=hex`: why a stage was stopped.
    pub(crate) const FAULT: Self = Self(6);
}

/// A frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) stage: StageId,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes of the channel that are not a whole frame yet.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pending: Vec<u8>,
}

impl Reader {
    /// Takes the next bytes and returns the frames they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.pending.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut rest = &self.pending[..];

        while let Some((&[kind, stage, low, high], body)) = rest.split_first_chunk()
            && let Some((bytes, after)) = body.split_at_checked(usize::from(u16::from_le_bytes([low, high])))
        {
            frames.push(Frame { kind: Kind(kind), stage: StageId(stage), bytes: bytes.to_vec() });
            rest = after;
        }

        self.pending.drain(..self.pending.len() - rest.len());
        frames
    }

    /// Returns the bytes of a frame that never ended.
    pub(crate) fn unfinished(&self) -> &[u8] {
        &self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_may_arrive_in_any_pieces() {
        let stream = [1, 0, 2, 0, b'h', b'i', 4, 5, 0, 0, 9, 1, 1, 0, 7, 2, 1];
        let expected = [
            Frame { kind: Kind::TEXT, stage: StageId::BOOT, bytes: b"hi".to_vec() },
            Frame { kind: Kind::HANDOFF_END, stage: StageId::BUDDY, bytes: vec![] },
            Frame { kind: Kind(9), stage: StageId::E820, bytes: vec![7] },
        ];
        for size in 1..=stream.len() {
            let mut reader = Reader::default();
            let frames: Vec<_> = stream.chunks(size).flat_map(|chunk| reader.feed(chunk)).collect();
            assert_eq!(frames, expected, "pieces of {size}");
            assert_eq!(reader.unfinished(), [2, 1]);
        }
    }
}
