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
    raw_record(line).or_else(|| leveled(line)).or_else(|| dated(line)).or_else(|| named(line))
}

/// Returns what stands behind `[    0.000000]` and an optional caller id `[    T0]`, or behind another time of `dmesg`.
/// In front of it may stand what a terminal, a mail or a tool puts there.
fn stamped(line: &str) -> Option<&str> {
    let brackets = line.match_indices('[').take_while(|(at, _)| *at < LONGEST_MARK);
    let (_, text) = brackets.filter_map(|(at, _)| line[at + 1..].split_once(']').map(|split| (at, split))).find_map(
        |(at, (stamp, text))| {
            let is_first = line[..at].trim_start().is_empty();
            (is_stamp(stamp) && (is_first || is_exact(stamp))).then_some((at, text))
        },
    )?;
    // printk puts the caller behind the time, dmesg a blank between.
    let text = match text.trim_start_matches(' ').strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((caller, text)) if is_caller(caller) => text,
        _ => text,
    };
    Some(text.strip_prefix(' ').unwrap_or(text))
}

/// Bytes in which the mark of the kernel ends.
const LONGEST_MARK: usize = 100;

/// Tells times of all kinds: `    0.000000`, `+0.000000`, `Nov22 13:21`, `Fri Nov 22 13:21:07 2024`, and how long it is since
/// the line before, `<    0.000000>`, behind them or alone.
fn is_stamp(stamp: &str) -> bool {
    let (time, since) = stamp.split_once('<').unwrap_or((stamp, ""));
    let is_seconds = |text: &str| {
        let digits = |n: &str| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit());
        text.split_once('.').is_some_and(|(whole, part)| digits(whole.trim_start_matches('+')) && digits(part))
    };
    match time.trim() {
        "" => is_seconds(since.trim_matches([' ', '>'])),
        time => {
            let date = (time.split_whitespace().count(), time.matches(':').count());
            is_seconds(time) || date == (5, 2) || date == (2, 1)
        }
    }
}

/// Tells the kernel's times from other numbers: they are in microseconds.
fn is_exact(stamp: &str) -> bool {
    stamp.contains(':') || stamp.trim_matches([' ', '>']).rsplit('.').next().is_some_and(|part| part.len() == 6)
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

/// Returns what stands behind `<6>`.
fn leveled(line: &str) -> Option<&str> {
    let (level, text) = line.strip_prefix('<')?.split_once('>')?;
    // RFC 5424 goes on with its version.
    let is_level = !level.is_empty() && level.bytes().all(|c| c.is_ascii_digit());
    (is_level && !text.starts_with("1 ")).then_some(text)
}

/// Returns what stands behind the date of `dmesg --time-format iso`: `2024-11-22T13:21:07,000000+00:00`.
fn dated(line: &str) -> Option<&str> {
    let (date, text) = line.split_once(' ')?;
    let is_date = date.len() > 20 && date.contains('T') && date.matches(',').count() == 1;
    (is_date && date.starts_with(|c: char| c.is_ascii_digit())).then_some(text)
}

/// Returns what stands behind date, host and program in a journal or a file of syslog.
fn named(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once(" kernel").filter(|(before, _)| before.len() < LONGEST_MARK)?;
    // Hosts and dates have no colon at their end; other programs do.
    if before.ends_with(':') || before.contains(": ") {
        return None;
    }
    let rest = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |(_, rest)| rest);
    rest.strip_prefix(": ").or_else(|| rest.strip_prefix(" - - - "))
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
            "<6> memory.cnt  = 0x2",
            "<6>[    0.000000][    T0]  memory.cnt  = 0x2",
            "<6>1 2024-11-22T13:21:07.123456+00:00 host kernel - - -  memory.cnt  = 0x2",
            "2024-11-22T13:21:07,123456+00:00  memory.cnt  = 0x2",
            "[<    0.000000>]  memory.cnt  = 0x2",
            "[    0.000000 <    0.000000>]  memory.cnt  = 0x2",
            "[    0.000000 <    0.000000 >] host kernel:  memory.cnt  = 0x2",
            "[Fri Nov 22 13:21:07 2024 <    0.000000>]  memory.cnt  = 0x2",
            "[  +0.000000]  memory.cnt  = 0x2",
            "[Nov22 13:21]  memory.cnt  = 0x2",
            "Nov 22 13:21:07 host kernel[0]:  memory.cnt  = 0x2",
            "1732281667.123456 host kernel:  memory.cnt  = 0x2",
            "Nov 22 13:21:07 [    0.000000]  memory.cnt  = 0x2",
            "host login: [    0.000000]  memory.cnt  = 0x2",
            "> [    0.000000]  memory.cnt  = 0x2",
            " memory.cnt  = 0x2",
        ] {
            assert_eq!(kernel_lines(line).map(|l| l.text).collect::<Vec<_>>(), [" memory.cnt  = 0x2"], "{line}");
        }
    }

    #[test]
    fn other_programs_are_left_out() {
        let log = "GRUB loading.\n[    0.000000] one\nNov 22 13:21:07 host systemd[1]: two\n two\n[    1.5] three\n\
                   Nov 22 13:21:07 host su: [1.5] four\nNov 22 13:21:07 host app: the kernel: five";
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
