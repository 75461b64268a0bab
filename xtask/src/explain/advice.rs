// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user could do about it.

use super::amount::human;
use super::compute::Computed;
use super::facts::Facts;
use super::model::{Advice, Line, LineKind};
use super::proc::meminfo;
use super::share::Share;
use handoff::{PhysRange, parameters};

/// What a crash kernel needs, by the end of the sizes of memory: what distributions recommend.
const CRASH_NEEDS: [(u64, u64); 2] = [(64 << 30, 256 << 20), (u64::MAX, 512 << 20)];
/// A log that is larger than this is worth a word.
const LARGE_LOG: u64 = 8 << 20;
const FOUR_GIB: u64 = 4 << 30;

/// Returns what is not as good as it could be.
pub(super) fn advice(facts: &Facts<'_>, lines: &[Line], computed: Option<&Computed>) -> Vec<Advice> {
    let ram = facts.present().map_or(0, |(bytes, _)| bytes);
    let mut advice = Vec::new();
    advice.extend(crash_failed(facts, computed));
    advice.extend(crash_idle(facts));
    advice.extend(crash_large(facts, ram));
    advice.extend(crash_in_the_way(facts, ram));
    advice.extend(limit(lines));
    advice.extend(kept(facts, lines));
    advice.extend(large_log(lines));
    advice.extend(idle_huge_pages(facts));
    advice
}

fn say(finding: String, action: impl Into<String>, gain_bytes: Option<u64>) -> Advice {
    Advice { finding, action: action.into(), gain_bytes }
}

fn crash_bytes(facts: &Facts<'_>) -> u64 {
    facts.crash.iter().map(|(area, _)| area.range.size()).sum()
}

fn asks_for_crash(facts: &Facts<'_>) -> bool {
    parameters(&facts.command_line).any(|(name, value)| name == "crashkernel" && value.is_some())
}

/// The crate that reserves says more about a failure than Linux does.
fn crash_failed(facts: &Facts<'_>, computed: Option<&Computed>) -> Option<Advice> {
    let reached = facts.handover.is_some() || !facts.areas.is_empty();
    if !asks_for_crash(facts) || !facts.crash.is_empty() || !reached {
        return None;
    }
    let hints = computed.into_iter().flat_map(|c| &c.lines).filter_map(|line| line.strip_prefix("crashkernel: "));
    let hints: Vec<&str> = hints.filter(|hint| !hint.starts_with(' ')).collect();
    let action = if hints.is_empty() { "Ask for less, or for SIZE,high.".to_owned() } else { hints.join("; ") + "." };
    Some(say("crashkernel= asks for memory and got none: a crash would leave no dump.".into(), action, None))
}

fn crash_idle(facts: &Facts<'_>) -> Option<Advice> {
    let bytes = crash_bytes(facts);
    (bytes > 0 && facts.record.crash_loaded == Some(false)).then(|| {
        let finding = format!("{} are kept for a crash kernel, but none is loaded.", human(bytes));
        say(finding, "Set up kdump, or take crashkernel= off the command line.", Some(bytes))
    })
}

fn crash_large(facts: &Facts<'_>, ram: u64) -> Option<Advice> {
    let bytes = crash_bytes(facts);
    let (_, needed) = CRASH_NEEDS.into_iter().find(|(end, _)| ram <= *end)?;
    (bytes > needed * 2).then(|| {
        let finding =
            format!("The crash kernel has {}; distributions use {} for {}.", human(bytes), human(needed), human(ram));
        let action =
            format!("crashkernel={}M is enough for most; `kdumpctl estimate` tells for this machine.", needed >> 20);
        say(finding, action, Some(bytes - needed))
    })
}

/// Memory below 4 GiB is scarce where there is more above.
fn crash_in_the_way(facts: &Facts<'_>, ram: u64) -> Option<Advice> {
    let below = PhysRange::new(0, FOUR_GIB)?;
    let low: u64 = facts.memory.iter().filter_map(|(_, m)| m.range.intersection(below)).map(PhysRange::size).sum();
    let (area, _) = facts.crash.iter().find(|(area, _)| !area.is_low && area.range.end() <= FOUR_GIB)?;
    (ram > FOUR_GIB && area.range.size() >= low / 8).then(|| {
        let size = area.range.size();
        let finding = format!(
            "The crash kernel splits the memory below 4 GiB, which some devices need, and takes {} of {}.",
            human(size),
            human(low)
        );
        let action = format!("crashkernel={}M,high takes it from the top and a small part below.", size >> 20);
        say(finding, action, None)
    })
}

fn limit(lines: &[Line]) -> Option<Advice> {
    let line = lines.iter().find(|l| l.label == super::lost::LIMIT)?;
    let finding = format!("mem= or memmap= on the command line leaves {} unused.", human(line.bytes));
    Some(say(finding, "Take it off if you do not need it.", Some(line.bytes)))
}

/// What the firmware keeps may be as much as a module.
fn kept(facts: &Facts<'_>, lines: &[Line]) -> Option<Advice> {
    let smallest = facts.modules.iter().map(|m| m.bytes).min()?;
    let kept = lines.iter().find(|l| l.label == super::waterfall::KEPT).map(|l| l.bytes)?;
    (kept >= smallest || kept >= 1 << 30).then(|| {
        let finding = format!("The firmware keeps {}; the smallest module has {}.", human(kept), human(smallest));
        say(finding, "Look for memory remapping or the graphics unit's memory in the firmware's setup.", Some(kept))
    })
}

fn large_log(lines: &[Line]) -> Option<Advice> {
    let label = Share::LogBuffer.about().label;
    let line = lines.iter().find(|l| l.label == label && l.kind == LineKind::Taken && l.bytes > LARGE_LOG)?;
    let finding = format!("The kernel's log and its index take {}.", human(line.bytes));
    Some(say(finding, "Each byte of log_buf_len= costs 4.5.", Some(line.bytes)))
}

fn idle_huge_pages(facts: &Facts<'_>) -> Option<Advice> {
    let meminfo_text = &facts.record.meminfo;
    let count = meminfo_text.lines().find_map(|l| l.strip_prefix("HugePages_Free:")?.trim().parse::<u64>().ok())?;
    let (size, _) = meminfo(meminfo_text, "Hugepagesize")?;
    let bytes = size.saturating_mul(count);
    (bytes > 0).then(|| {
        let finding = format!("{} are set aside as huge pages that nobody uses.", human(bytes));
        say(finding, "Set aside fewer: hugepages= or vm.nr_hugepages.", Some(bytes))
    })
}
