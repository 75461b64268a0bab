// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of a log as text: one line for each of the kernel's, without colours.

use serde_json::{Deserializer, Value};
use std::borrow::Cow;

/// Returns the text of a log: UTF-8 or UTF-16, plain or as the JSON of `dmesg --json` and `journalctl -o json`.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let text = decoded(bytes);
    let text = records(&text).map_or(text, Cow::Owned);
    if text.contains('\x1b') { anstream::adapter::strip_str(&text).to_string().into() } else { text }
}

fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Returns the kernel's messages among JSON records, each as a line.
fn records(text: &str) -> Option<String> {
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        return None;
    }
    let mut lines = String::new();
    for record in Deserializer::from_str(text.trim_start_matches('\u{feff}')).into_iter::<Value>().map_while(Result::ok)
    {
        let is_kernels = record.get("SYSLOG_IDENTIFIER").is_none_or(|program| program == "kernel");
        let journal = record.get("MESSAGE").filter(|_| is_kernels);
        let dmesg = record.get("dmesg").and_then(Value::as_array).into_iter().flatten();
        for message in dmesg.filter_map(|entry| entry.get("msg")).chain(journal) {
            lines += &format!("[0.000000] {}\n", message.as_str().unwrap_or_default().replace('\n', " "));
        }
    }
    Some(lines).filter(|lines| !lines.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let wide = |unit: fn(u16) -> [u8; 2]| "\u{feff}a\n".encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        assert_eq!(text(&wide(u16::to_le_bytes)), "a\n");
        assert_eq!(text(&wide(u16::to_be_bytes)), "a\n");
        assert_eq!(text(b"\x1b[32m[    0.000000] \x1b[0m\x1b[33mx: \x1b[0my\n"), "[    0.000000] x: y\n");
        assert_eq!(text(b"{ no JSON"), "{ no JSON");
        assert_eq!(text(b"\xff\xfe\0"), "", "half a character");
    }

    #[test]
    fn json() {
        let dmesg =
            br#"{"dmesg": [ {"pri": 5, "time": 0.0, "msg": "one"}, {"pri": 6, "time": 0.0, "msg": "two\nlines"} ]}"#;
        assert_eq!(text(dmesg), "[0.000000] one\n[0.000000] two lines\n");
        let journal = b"{\"MESSAGE\":\"one\",\"SYSLOG_IDENTIFIER\":\"kernel\"}\n{\"MESSAGE\":\"no\",\"SYSLOG_IDENTIFIER\":\"su\"}\n{\"MESS";
        assert_eq!(text(journal), "[0.000000] one\n");
    }
}
