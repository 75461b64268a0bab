// SPDX-License-Identifier: MIT OR Apache-2.0
//! defmt: one stream per stage, decoded with the table in that stage's own ELF.

use crate::programs::Program;
use anyhow::{Context as _, Result};
use defmt_decoder::{DecodeError, StreamDecoder, Table};
use handoff::StageId;
use std::collections::BTreeMap;

/// The tables of the programs that have one.
#[derive(Debug)]
pub(crate) struct Tables(BTreeMap<StageId, Table>);

impl Tables {
    /// Reads the tables.
    pub(crate) fn read(programs: &[Program]) -> Result<Self> {
        let mut tables = BTreeMap::new();
        // boot speaks plain text; a program without messages has symbols that look like messages to the parser.
        for program in programs.iter().filter(|program| program.stage != StageId::BOOT) {
            let table =
                Table::parse(&program.whole).with_context(|| format!("defmt table of {}", program.path.display()))?;
            tables.extend(table.map(|table| (program.stage, table)));
        }
        Ok(Self(tables))
    }
}

/// The streams of all stages.
pub(crate) struct Decoders<'t>(BTreeMap<StageId, Box<dyn StreamDecoder + Send + Sync + 't>>);

impl std::fmt::Debug for Decoders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'t> Decoders<'t> {
    pub(crate) fn new(tables: &'t Tables) -> Self {
        Self(tables.0.iter().map(|(stage, table)| (*stage, table.new_stream_decoder())).collect())
    }

    /// Takes the next bytes of a stage's stream and returns the lines they complete. What cannot be decoded becomes a
    /// line that says so.
    pub(crate) fn feed(&mut self, stage: StageId, bytes: &[u8]) -> Vec<String> {
        let Some(decoder) = self.0.get_mut(&stage) else {
            return vec![format!("bootmem: {stage}: {} bytes of log, but its program has no defmt table", bytes.len())];
        };
        decoder.received(bytes);
        let mut lines = Vec::new();
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let stamp = frame.display_timestamp().map(|t| timestamp(&t.to_string())).unwrap_or_default();
                    let message = frame.display_message().to_string();
                    lines.extend(message.lines().map(|line| format!("{stamp}{line}")));
                }
                Err(DecodeError::UnexpectedEof) => return lines,
                Err(DecodeError::Malformed) => lines.push(format!("bootmem: {stage}: a log line was damaged")),
            }
        }
    }
}

/// Writes a timestamp as `printk` does. `text` is microseconds, or seconds with a fraction, since power-on.
fn timestamp(text: &str) -> String {
    let (seconds, fraction) = match text.split_once('.') {
        Some((seconds, fraction)) => (seconds.parse().ok(), format!("{fraction:0<6.6}")),
        None => {
            let micros: Option<u64> = text.parse().ok();
            (micros.map(|m| m / 1_000_000), format!("{:06}", micros.unwrap_or(0) % 1_000_000))
        }
    };
    seconds.map_or_else(|| format!("[{text}] "), |seconds: u64| format!("[{seconds:5}.{fraction}] "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_look_like_printk() {
        for (text, expected) in [
            ("0", "[    0.000000] "),
            ("1234567", "[    1.234567] "),
            ("0.001234", "[    0.001234] "),
            ("12.5", "[   12.500000] "),
            ("soon", "[soon] "),
        ] {
            assert_eq!(timestamp(text), expected);
        }
    }

    #[test]
    fn a_log_without_a_table_is_not_lost_silently() {
        let tables = Tables(BTreeMap::new());
        let lines = Decoders::new(&tables).feed(StageId::E820, &[1, 2, 3]);
        assert_eq!(lines, ["bootmem: e820: 3 bytes of log, but its program has no defmt table"]);
    }
}
