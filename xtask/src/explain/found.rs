// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found, in words: the title, the sentence, and what is missing.

use super::amount::human;
use super::facts::Facts;
use super::model::{Line, Source, SourceState};
use super::proc::free_total_mib;
use super::record::{DMI, FIRMWARE_MAP, FREE, LOG, Record};
use super::terminal::{owners, words};
use super::waterfall::MEM_TOTAL;
use crate::dmesg::Event;

/// Returns what the machine is called.
pub(super) fn title(facts: &Facts<'_>) -> String {
    let hardware = facts.entries.iter().find_map(|e| match e.event {
        Event::Hardware(name) => Some(name.split(", BIOS ").next().unwrap_or(name)),
        _ => None,
    });
    let release = facts.release.as_deref().map(|release| format!("Linux {release}"));
    let parts = [Some(facts.record.name.as_str()), hardware, release.as_deref()];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Returns the answer in a sentence or two.
pub(super) fn summary(facts: &Facts<'_>, lines: &[Line]) -> String {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else {
        return format!("{} What to type is listed below.", nothing(facts.record));
    };
    if lines.len() == 1 || last.label != MEM_TOTAL {
        return format!(
            "{}: {}. The record does not say how much of it Linux manages; what would is listed below.",
            first.label,
            human(first.bytes)
        );
    }
    let percent = last.bytes as f64 * 100.0 / first.bytes.max(1) as f64;
    let what = match first.label.as_str() {
        "Installed" => "that are installed",
        "RAM in the firmware's map" => "of RAM that the firmware offers",
        _ => "of memory",
    };
    let mut text = format!(
        "Of {} {what}, Linux manages {} ({percent:.1} %): this is what `free` calls total.",
        human(first.bytes),
        human(last.bytes)
    );
    let shares = owners(lines);
    let rest: u64 = first.bytes.saturating_sub(last.bytes);
    let named = shares.iter().take(3);
    let named: Vec<String> = named.map(|(owner, bytes)| format!("{} {}", words(*owner), human(*bytes))).collect();
    if !named.is_empty() {
        text += &format!(" The largest parts of the other {}: {}.", human(rest), named.join(", "));
    }
    text
}

/// Returns why there is no answer.
fn nothing(record: &Record) -> String {
    let log = &record.dmesg;
    let text = crate::dmesg::text(log);
    let why = if log.is_empty() && !record.sources.is_empty() {
        "There is no kernel log to read, and nothing else says how much memory there is."
    } else if log.iter().all(u8::is_ascii_whitespace) {
        "It is empty."
    } else if text.contains('\0') {
        "This is no text, so it is no kernel log."
    } else if text.contains("Booting Linux on physical CPU") || text.contains("Machine model:") {
        "This is the log of a machine that is no PC: only x86 has the e820 map that the answer starts from."
    } else {
        "No line of this is one of a kernel about memory."
    };
    why.to_owned()
}

/// Completes what is known of the sources by what was in them.
pub(super) fn sources(facts: &Facts<'_>) -> Vec<Source> {
    let record = facts.record;
    let mut sources = record.sources.clone();
    sources.retain(|source| source.name != LOG.name);
    // What another source says as well is not missed.
    let told = |source: &Source| source.name == FIRMWARE_MAP.name && !facts.firmware.is_empty();
    sources.retain(|source| source.state == SourceState::Found || !told(source));
    sources.insert(0, log(facts));
    sources.extend(disagreement(facts));
    if facts.modules.is_empty() {
        let source = sources.iter_mut().find(|s| s.name == DMI.name && s.state == SourceState::Found);
        if let Some(source) = source {
            source.state = SourceState::Partial;
            source.detail = "it lists no memory module, so what is installed is not known".into();
        }
    }
    sources
}

/// Returns a note if `free` and `/proc/meminfo` do not say the same. `free` cuts off or rounds to the MiB.
fn disagreement(facts: &Facts<'_>) -> Option<Source> {
    let (shown, _) = free_total_mib(&facts.record.free)?;
    let (total, _) = facts.mem_total.as_ref()?;
    let agrees = [total >> 20, total.saturating_add(1 << 19) >> 20].contains(&shown);
    let detail = format!("shows {shown} MiB, but MemTotal is {} MiB: not of the same boot?", total >> 20);
    (!agrees).then(|| Source { name: FREE.name.into(), state: SourceState::Partial, detail, remedy: None })
}

/// Returns how complete the log is.
fn log(facts: &Facts<'_>) -> Source {
    let has = |wanted: fn(&Event<'_>) -> bool| facts.entries.iter().any(|e| wanted(&e.event));
    let name = LOG.name.to_owned();
    let remedy = |text: &str| Some(text.to_owned());
    let (state, detail, remedy) = if facts.entries.is_empty() {
        let old = facts.record.sources.iter().find(|source| source.name == LOG.name);
        let why = old.filter(|s| s.state != SourceState::Found).map(|s| s.detail.clone());
        (SourceState::Missing, why.unwrap_or_else(|| nothing(facts.record)), remedy(LOG.remedy))
    } else if !has(|e| matches!(e, Event::Version(_))) || facts.firmware.is_empty() {
        let detail = "its beginning is missing: newer lines have overwritten it".into();
        (SourceState::Partial, detail, remedy("journalctl -k -b > dmesg.txt, or boot with log_buf_len=4M"))
    } else if facts.handover.is_none() && facts.mem_total.is_none() {
        (SourceState::Partial, "it ends before memory is handed over".into(), remedy(LOG.remedy))
    } else if !facts.debug() {
        let detail = format!(
            "{} lines about memory, without memblock=debug: estimates where nothing is told",
            facts.entries.len()
        );
        (SourceState::Found, detail, remedy("boot with memblock=debug log_buf_len=4M for an account to the byte"))
    } else {
        (SourceState::Found, format!("{} lines about memory, with memblock=debug", facts.entries.len()), None)
    };
    Source { name, state, detail, remedy }
}

/// Returns the note that something was not computed.
pub(super) fn not_computed(what: &str, why: &str) -> Source {
    Source { name: what.to_owned(), state: SourceState::Missing, detail: why.to_owned(), remedy: None }
}
