// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turns the debug channel back into text, in the order it came, and keeps the rest.

use crate::channel::{Kind, Reader};
use crate::decode::{Decoders, Tables};
use crate::faults;
use crate::outcome::ClosingWord;
use crate::programs::Program;
use crate::recording::Recording;
use handoff::StageId;
use std::io::{self, Write};

/// The last line of a guest that found everything as it should be.
const CLOSING_WORD: &str = "bootmem: success";

/// The far end of the debug channel.
#[derive(Debug)]
pub(crate) struct Console<'p, W> {
    reader: Reader,
    decoders: Decoders<'p>,
    programs: &'p [Program],
    output: W,
    line: Vec<u8>,
    figures: Vec<u8>,
    /// A fault report, which ends where another kind of frame starts.
    fault: Option<(StageId, Vec<u8>)>,
    pub(crate) closing_word: ClosingWord,
    pub(crate) recording: Recording,
    /// Whether the guest said anything at all.
    pub(crate) spoke: bool,
}

impl<'p, W: Write> Console<'p, W> {
    pub(crate) fn new(programs: &'p [Program], tables: &'p Tables, output: W) -> Self {
        Self {
            reader: Reader::default(),
            decoders: Decoders::new(tables),
            programs,
            output,
            line: Vec::new(),
            figures: Vec::new(),
            fault: None,
            closing_word: ClosingWord::Missing,
            recording: Recording::default(),
            spoke: false,
        }
    }

    /// Takes the next bytes of the channel.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        for frame in self.reader.feed(bytes) {
            self.spoke = true;
            if frame.kind != Kind::FAULT {
                self.end_of_fault()?;
            }
            match frame.kind {
                Kind::TEXT => self.text(&frame.bytes)?,
                Kind::LOG => {
                    for line in self.decoders.feed(frame.stage, &frame.bytes) {
                        writeln!(self.output, "{line}")?;
                        self.recording.line(&line);
                    }
                }
                Kind::HANDOFF => self.recording.chunk(frame.stage, &frame.bytes),
                Kind::HANDOFF_END => self.recording.end(frame.stage),
                Kind::FIGURES => self.figures.extend(frame.bytes),
                Kind::FAULT => self.fault.get_or_insert((frame.stage, Vec::new())).1.extend(frame.bytes),
                Kind(other) => {
                    writeln!(self.output, "bootmem: {} bytes of unknown kind {other}", frame.bytes.len())?;
                }
            }
        }
        self.output.flush()
    }

    /// The channel is closed: what is left is shown as it is.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.end_of_fault()?;
        self.recording.figures(&String::from_utf8_lossy(&self.figures));
        if !self.line.is_empty() {
            self.text(b"\n")?;
        }
        let rest = self.reader.unfinished();
        if !rest.is_empty() {
            let text = String::from_utf8_lossy(rest);
            writeln!(self.output, "bootmem: the guest was cut off in the middle of a frame: {text:?}")?;
        }
        self.output.flush()
    }

    fn text(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&self.line);
                if line.trim_end().ends_with(CLOSING_WORD) {
                    self.closing_word = ClosingWord::Seen;
                }
                write!(self.output, "{line}")?;
                self.recording.line(&line);
                self.line.clear();
            }
        }
        Ok(())
    }

    fn end_of_fault(&mut self) -> io::Result<()> {
        let Some((stage, report)) = self.fault.take() else { return Ok(()) };
        let report = &String::from_utf8_lossy(&report);
        let place = match self.programs.iter().find(|p| p.stage == stage) {
            Some(program) => faults::locate(report, &program.path),
            None => Some("no program of this image".to_owned()),
        };
        let kind = faults::field(report, "kind").unwrap_or("fault");
        self.recording.fault(stage, kind, report, place.as_deref());
        match place {
            Some(place) => writeln!(self.output, "bootmem: {stage}: {kind} in {place}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stream: &[u8]) -> (String, ClosingWord, bool) {
        let tables = Tables::read(&[]).unwrap();
        let mut output = Vec::new();
        let mut console = Console::new(&[], &tables, &mut output);
        console.feed(stream).unwrap();
        console.close().unwrap();
        let (word, spoke) = (console.closing_word, console.spoke);
        (String::from_utf8(output).unwrap(), word, spoke)
    }

    #[test]
    fn text_is_shown_as_it_is() {
        let line = b"[    1.000000] bootmem: success\n";
        let (first, second) = line.split_at(12);
        let frame = |bytes: &[u8]| [&[1, 0, bytes.len() as u8, 0], bytes].concat();
        let (text, word, spoke) = shown(&[frame(first), frame(second)].concat());
        assert_eq!((text.as_bytes(), word, spoke), (&line[..], ClosingWord::Seen, true));
    }

    #[test]
    fn nothing_is_lost() {
        let (text, word, spoke) = shown(b"\x01\0\x05\0hello\x09\0\x01\0!\x06\x02\x05\0kind=\x06\x02\x07\0overrun\x01");
        let expected = "bootmem: 1 bytes of unknown kind 9\nbootmem: memblock: overrun in no program of this image\n\
                        hello\nbootmem: the guest was cut off in the middle of a frame: \"\\u{1}\"\n";
        assert_eq!((text.as_str(), word, spoke), (expected, ClosingWord::Missing, true));
        assert!(!shown(b"").2);
    }
}
