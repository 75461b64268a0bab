// SPDX-License-Identifier: MIT OR Apache-2.0
//! The decision over `crashkernel=` as a slow, literal walk over bytes, written from the description of its behaviour.

use super::Fake;
use handoff::{Bounds, EarlyMemory, Nid, Rules};

/// Nothing there, or wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum No {
    Absent,
    Wrong,
}

/// What was decided: the lines and the two areas as (base, size).
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Decision {
    pub(crate) lines: Vec<String>,
    pub(crate) main: Option<(u64, u64)>,
    pub(crate) low: Option<(u64, u64)>,
}

/// A text that ends in zeros, as in C.
struct Text(Vec<u8>);

impl Text {
    fn at(&self, i: usize) -> u8 {
        self.0.get(i).copied().unwrap_or(0)
    }

    fn has(&self, i: usize, what: &str) -> bool {
        (0..what.len()).all(|k| self.at(i + k) == what.as_bytes()[k])
    }

    /// The number at `i` and where it ends.
    fn number(&self, mut i: usize) -> (u64, usize) {
        let mut base = 10;
        if self.at(i) == b'0' {
            base = 8;
            if (self.at(i + 1) | 32) == b'x' && self.at(i + 2).is_ascii_hexdigit() {
                base = 16;
                i += 2;
            }
        }
        let mut number = 0u64;
        loop {
            let digit = match self.at(i) {
                c @ b'0'..=b'9' => u64::from(c - b'0'),
                c @ b'a'..=b'f' => u64::from(c - b'a') + 10,
                c @ b'A'..=b'F' => u64::from(c - b'A') + 10,
                _ => 99,
            };
            if digit >= base {
                break;
            }
            number = number.wrapping_mul(base).wrapping_add(digit);
            i += 1;
        }
        let shift = match self.at(i) | 32 {
            b'k' => 10,
            b'm' => 20,
            b'g' => 30,
            b't' => 40,
            b'p' => 50,
            b'e' => 60,
            _ => return (number, i),
        };
        // A lone unit is taken too, as a number of 0.
        (number << shift, i + 1)
    }

    /// Where the value of the last occurrence of a kind starts.
    fn last(&self, suffix: &str) -> Option<usize> {
        let mut found = None;
        for p in 0..self.0.len() {
            if !self.has(p, "crashkernel=") {
                continue;
            }
            let mut end = p;
            while self.at(end) != b' ' && self.at(end) != 0 {
                end += 1;
            }
            let ends_in = |what: &str| self.has(end - what.len(), what);
            let wanted = if suffix.is_empty() { !ends_in(",high") && !ends_in(",low") } else { ends_in(suffix) };
            if wanted {
                found = Some(p + 12);
            }
        }
        found
    }

    fn character(&self, i: usize) -> char {
        String::from_utf8_lossy(&self.0[i..]).chars().next().unwrap()
    }
}

fn look_up(text: &Text, suffix: &str, ram: u64, rules: Rules, lines: &mut Vec<String>) -> Result<(u64, u64), No> {
    let start = text.last(suffix).ok_or(No::Absent)?;
    let mut wrong = |line: &str| {
        lines.push(line.to_string());
        Err(No::Wrong)
    };

    let mut ranges = false;
    let mut i = start;
    while suffix.is_empty() && text.at(i) != b' ' && text.at(i) != 0 {
        ranges |= text.at(i) == b':';
        i += 1;
    }

    if !ranges {
        let (size, mut i) = text.number(start);
        if i == start {
            return wrong("crashkernel: memory value expected");
        }
        if suffix.is_empty() && text.at(i) == b'@' {
            return Ok((size, text.number(i + 1).0));
        }
        if !suffix.is_empty() && text.has(i, suffix) {
            i += suffix.len();
        }
        if text.at(i) != b' ' && text.at(i) != 0 {
            return wrong(&format!("crashkernel: unrecognized char: {}", text.character(i)));
        }
        return Ok((size, 0));
    }

    let mut total = ram;
    while rules != Rules::V5_4 && !total.is_multiple_of(128 << 20) {
        total += 4096 - total % 4096;
    }
    let mut i = start;
    let mut found = 0;
    loop {
        let (low, next) = text.number(i);
        if next == i {
            return wrong("crashkernel: Memory value expected");
        }
        i = next;
        if text.at(i) != b'-' {
            return wrong("crashkernel: '-' expected");
        }
        i += 1;
        let mut high = u64::MAX;
        if text.at(i) != b':' {
            let (end, next) = text.number(i);
            if next == i {
                return wrong("crashkernel: Memory value expected");
            }
            if end <= low {
                return wrong("crashkernel: end <= start");
            }
            (high, i) = (end, next);
        }
        if text.at(i) != b':' {
            return wrong("crashkernel: ':' expected");
        }
        i += 1;
        let (size, next) = text.number(i);
        if next == i {
            let new = rules == Rules::V6_12;
            return wrong(if new { "crashkernel: Memory value expected" } else { "Memory value expected" });
        }
        i = next;
        if size >= total {
            return wrong("crashkernel: invalid size");
        }
        if low <= total && total < high {
            found = size;
            break;
        }
        if text.at(i) != b',' {
            break;
        }
        i += 1;
    }
    if found == 0 {
        lines.push("crashkernel size resulted in zero bytes".to_string());
        return Ok((0, 0));
    }
    while text.at(i) != b' ' && text.at(i) != b'@' && text.at(i) != 0 {
        i += 1;
    }
    if text.at(i) != b'@' {
        return Ok((found, 0));
    }
    let (base, next) = text.number(i + 1);
    if next == i + 1 {
        let new = rules == Rules::V6_12;
        return wrong(if new {
            "crahskernel: Memory value expected after '@'"
        } else {
            "Memory value expected after '@'"
        });
    }
    Ok((found, base))
}

const M: u64 = 1 << 20;
const LOW: u64 = 4 << 30;
const HIGH: u64 = 64 << 40;

fn alloc(memory: &mut Fake, size: u64, align: u64, min: u64, max: u64) -> Option<u64> {
    memory.alloc_range(Bounds { size, align, min, max, nid: Nid::NONE })
}

/// Decides as 5.4 and 6.1 do, or as 6.12 does. There is no `swiotlb=`.
pub(crate) fn decide(line: &str, rules: Rules, memory: &mut Fake) -> Decision {
    let text = Text(line.as_bytes().to_vec());
    let mut d = Decision::default();
    if rules == Rules::V6_12 {
        new(&text, memory, &mut d)
    } else {
        old(&text, rules, memory, &mut d)
    };
    d
}

fn old(text: &Text, rules: Rules, memory: &mut Fake, d: &mut Decision) -> Option<()> {
    let ram = memory.memory_size;
    let mut high = false;
    let mut found = look_up(text, "", ram, rules, &mut d.lines);
    if !matches!(found, Ok((size, _)) if size > 0) {
        found = look_up(text, ",high", ram, rules, &mut d.lines);
        high = true;
    }
    let (size, base) = found.ok().filter(|(size, _)| *size > 0)?;

    let at = if base == 0 {
        let mut at = None;
        if !high {
            at = alloc(memory, size, 16 * M, 16 * M, LOW);
        }
        if at.is_none() {
            at = alloc(memory, size, 16 * M, 16 * M, HIGH);
        }
        if at.is_none() {
            d.lines.push("crashkernel reservation failed - No suitable area found.".to_string());
        }
        at?
    } else {
        let at = alloc(memory, size, M, base, base.wrapping_add(size));
        if at != Some(base) {
            d.lines.push("crashkernel reservation failed - memory is in use.".to_string());
            return None;
        }
        base
    };

    if at >= LOW {
        let low = look_up(text, ",low", ram, rules, &mut d.lines).map_or(256 * M, |(size, _)| size);
        if low > 0 {
            let Some(low_at) = alloc(memory, low, 16 * M, 0, LOW) else {
                let mb = low >> 20;
                d.lines.push(format!("Cannot reserve {mb}MB crashkernel low memory, please try smaller size."));
                memory.free(at, size);
                return None;
            };
            d.low = Some((low_at, low));
            let mut tail = format!("low RAM limit: {}MB", ram.min(LOW) >> 20);
            if rules == Rules::V5_4 {
                let page = |address: u64| (address / 4096).min(1 << 20);
                let pages = memory.memory.iter().map(|m| page(m.end()).saturating_sub(page(m.base + 4095)));
                tail = format!("System low RAM: {}MB", (pages.sum::<u64>() * 4096) >> 20);
            }
            d.lines.push(format!(
                "Reserving {}MB of low memory at {}MB for crashkernel ({tail})",
                low >> 20,
                low_at >> 20
            ));
        }
    }
    d.main = Some((at, size));
    let (size, at, ram) = (size >> 20, at >> 20, ram >> 20);
    d.lines.push(format!("Reserving {size}MB of memory at {at}MB for crashkernel (System RAM: {ram}MB)"));
    Some(())
}

fn new(text: &Text, memory: &mut Fake, d: &mut Decision) -> Option<()> {
    let rules = Rules::V6_12;
    let ram = memory.memory_size;
    let (mut high, mut low) = (false, 0);
    let (size, base) = match look_up(text, "", ram, rules, &mut d.lines) {
        Err(No::Absent) => {
            let found = look_up(text, ",high", ram, rules, &mut d.lines).ok().filter(|(size, _)| *size > 0)?;
            low = match look_up(text, ",low", ram, rules, &mut d.lines) {
                Ok((low, _)) => low,
                Err(No::Absent) => 256 * M,
                Err(No::Wrong) => return None,
            };
            high = true;
            found
        }
        found => found.ok()?,
    };
    if size == 0 || size >= ram {
        return None;
    }

    let at = if base != 0 {
        let at = alloc(memory, size, 16 * M, base, base.wrapping_add(size));
        if at.is_none() {
            d.lines.push("crashkernel reservation failed - memory is in use.".to_string());
        }
        at?
    } else {
        let (first, second) = if high { ((LOW, HIGH), (0, LOW)) } else { ((0, LOW), (LOW, HIGH)) };
        let mut at = alloc(memory, size, 16 * M, first.0, first.1);
        if at.is_none() {
            if !high {
                low = 256 * M;
            }
            at = alloc(memory, size, 16 * M, second.0, second.1);
        }
        if at.is_none() {
            d.lines.push(format!("cannot allocate crashkernel (size:0x{size:x})"));
        }
        at?
    };

    if at >= LOW && low > 0 {
        let Some(low_at) = alloc(memory, low, 16 * M, 0, LOW) else {
            d.lines.push(format!("cannot allocate crashkernel low memory (size:0x{low:x})."));
            memory.free(at, size);
            return None;
        };
        d.low = Some((low_at, low));
        let (end, mb) = (low_at + low, low >> 20);
        d.lines.push(format!("crashkernel low memory reserved: 0x{low_at:08x} - 0x{end:08x} ({mb} MB)"));
    }
    d.main = Some((at, size));
    d.lines.push(format!("crashkernel reserved: 0x{at:016x} - 0x{:016x} ({} MB)", at + size, size >> 20));
    Some(())
}
