// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the many ways to keep a log put in front of the kernel's words.

/// A line of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Its number in the file, from 1.
    pub(super) number: usize,
    /// The kernel's words, leading blanks included.
    pub(super) text: &'a str,
}

/// Returns the kernel's lines. If any line of a log has a mark of the kernel, those without one are somebody else's: a
/// loader's, another program's, or the rest of a record of several lines.
pub(super) fn kernel_lines(log: &str) -> impl Iterator<Item = Line<'_>> {
    let marked = log.lines().any(|line| kernel_text(clean(line)).is_some());
    log.lines().enumerate().filter_map(move |(i, line)| {
        let line = clean(line);
        let text = if marked { kernel_text(line)? } else { line };
        Some(Line { number: i + 1, text })
    })
}

fn clean(line: &str) -> &str {
    line.trim_matches(|c| matches!(c, '\r' | '\n' | '\0' | '\u{feff}'))
}

/// Returns what stands behind the mark of the kernel, if there is one.
fn kernel_text(line: &str) -> Option<&str> {
    if let Some(text) = stamped(line) {
        // journalctl -o short-monotonic has the host and the program behind the time.
        let is_host = |host: &str| host.strip_suffix(' ').map_or(host.is_empty(), |host| !host.contains(' '));
        let named = text.split_once("kernel: ").filter(|(host, _)| is_host(host));
        return Some(named.map_or(text, |(_, text)| text));
    }
    if let Some(record) = raw_record(line) {
        return Some(record);
    }
    // `dmesg -x` and `<6>`.
    if let Some(text) = line.split_once(": [").and_then(|(head, _)| stamped(&line[head.len() + 2..]))
        && line.split(':').take(2).all(|word| word.trim_end().chars().all(|c| c.is_ascii_alphanumeric()))
    {
        return Some(text);
    }
    if let Some(text) = line.strip_prefix('<').and_then(|l| l.split_once('>')).and_then(|(_, text)| stamped(text)) {
        return Some(text);
    }
    // journalctl and syslog: date, host, `kernel:`.
    let (before, text) = line.split_once(" kernel: ")?;
    (before.len() < 100).then(|| stamped(text).unwrap_or(text))
}

/// Returns what stands behind `[    0.000000]` and an optional caller id `[    T0]`, or behind the date of `dmesg -T`.
fn stamped(line: &str) -> Option<&str> {
    let (stamp, text) = line.strip_prefix('[')?.split_once(']')?;
    let seconds = stamp.trim_start();
    let is_time = seconds.split_once('.').is_some_and(|(whole, part)| {
        !whole.is_empty() && !part.is_empty() && [whole, part].iter().all(|n| n.bytes().all(|c| c.is_ascii_digit()))
    });
    let is_date = stamp.split(' ').filter(|w| !w.is_empty()).count() == 5 && stamp.matches(':').count() == 2;
    if !is_time && !is_date {
        return None;
    }
    // printk puts the caller behind the time, dmesg a blank between.
    let text = match text.trim_start_matches(' ').strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((caller, text)) if is_caller(caller) => text,
        _ => text,
    };
    Some(text.strip_prefix(' ').unwrap_or(text))
}

fn is_caller(id: &str) -> bool {
    let id = id.trim_start();
    id.starts_with(['T', 'C']) && id[1..].bytes().all(|c| c.is_ascii_digit())
}

/// Returns the words of a record of `/dev/kmsg`: `6,339,5140900,-;words`.
fn raw_record(line: &str) -> Option<&str> {
    let (head, text) = line.split_once(';')?;
    let mut fields = head.split(',');
    let numbers = fields.by_ref().take(3).filter(|f| !f.is_empty() && f.bytes().all(|c| c.is_ascii_digit())).count();
    (numbers == 3 && fields.next().is_some()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_keep_a_log() {
        for line in [
            "[    0.000000]  memory.cnt  = 0x2",
            "[    0.000000][    T0]  memory.cnt  = 0x2",
            "[    0.000000] [    T0]  memory.cnt  = 0x2",
            "\r[    0.000000]  memory.cnt  = 0x2\r",
            "<6>[    0.000000]  memory.cnt  = 0x2",
            "kern  :info  : [    0.000000]  memory.cnt  = 0x2",
            "[Fri Nov 22 13:21:07 2024]  memory.cnt  = 0x2",
            "[Sun Dec  1 13:21:07 2024]  memory.cnt  = 0x2",
            "6,339,0,-; memory.cnt  = 0x2",
            "Nov 22 13:21:07 host kernel:  memory.cnt  = 0x2",
            "2024-11-22T13:21:07+01:00 host kernel: [    0.000000]  memory.cnt  = 0x2",
            "[    0.000000] host kernel:  memory.cnt  = 0x2",
            "[    0.000000] kernel:  memory.cnt  = 0x2",
            " memory.cnt  = 0x2",
        ] {
            assert_eq!(kernel_lines(line).map(|l| l.text).collect::<Vec<_>>(), [" memory.cnt  = 0x2"], "{line}");
        }
    }

    #[test]
    fn other_programs_are_left_out() {
        let log = "GRUB loading.\n[    0.000000] one\nNov 22 13:21:07 host systemd[1]: two\n two\n[    1.5] three";
        let lines: Vec<_> = kernel_lines(log).map(|l| (l.number, l.text)).collect();
        assert_eq!(lines, [(2, "one"), (5, "three")]);
    }

    #[test]
    fn without_marks_every_line_is_the_kernels() {
        assert_eq!(kernel_lines("one\n\ntwo").map(|l| l.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(kernel_lines("[x] y").next().unwrap().text, "[x] y");
        assert_eq!(kernel_lines("[ 0.0] crashkernel: no").next().unwrap().text, "crashkernel: no");
    }
}
