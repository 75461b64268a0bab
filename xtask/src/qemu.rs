// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask qemu`: build the image, boot it, show what it says and tell how it ended.

use crate::arguments::QemuArgs;
use crate::capacity;
use crate::cargo::image_directory;
use crate::console::Console;
use crate::decode::Tables;
use crate::explain::own_boot::{self, Pictures};
use crate::guest::Guest;
use crate::image;
use crate::install::{self, Tool};
use crate::outcome::Outcome;
use crate::programs::{self, Program};
use crate::watchdog::{Event, Watched};
use crate::{guest::Firmware, progress};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::io::{Write as _, stdout};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a boot may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Builds, boots and judges.
pub(crate) fn run(args: &QemuArgs) -> Result<Outcome> {
    capacity::check(args.memory, &args.more)?;
    let tools = if args.firmware() == Firmware::Uefi { Tool::ALL } else { Tool::BIOS };
    install::ensure(tools, args.image.no_install)?;
    let programs = programs::build(&args.image)?;
    let tables = Tables::read(&programs)?;

    let work = image::work_directory()?;
    let (iso, serial) = (work.path().join("bootmem.iso"), work.path().join("serial.txt"));
    image::pack(&args.image, &programs, work.path(), &iso)?;

    let guest = Guest {
        machine: args.machine,
        firmware: args.firmware(),
        memory: args.memory,
        smp: args.image.smp,
        numa: &args.numa,
        distances: &args.distances,
        iso: &iso,
        serial: &serial,
        more: &args.more,
    };
    let mut command = guest.command(work.path())?;
    if args.gdb {
        command.args(["-s", "-S"]);
        progress::step("Waiting", gdb_line(&programs));
    }
    if let Some(warning) = guest.doubt() {
        progress::step("Warning", warning);
    }
    progress::step("Booting", progress::shell(&command));

    let mut console = Console::new(&programs, &tables, stdout().lock());
    let outcome = boot(&mut command, limit(args), &mut console)?;
    if !console.spoke && outcome != Outcome::QemuRefused {
        show_serial(&serial)?;
    }
    let _ = fs_err::copy(&serial, image_directory()?.join("serial.txt"));
    if let Some(file) = &args.json {
        let boot = json!({
            "memory": args.memory.0, "machine": args.machine.to_string(), "firmware": format!("{:?}", args.firmware()),
            "smp": args.image.smp, "numa": args.numa.to_string(), "command_line": image::command_line(&args.image), "status": outcome.status(), "outcome": outcome.to_string(),
        });
        let mut json = console.recording.json(&boot);
        json["programs"] = programs.iter().map(|p| (p.stage.name(), json!(p.path))).collect();
        fs_err::write(file, serde_json::to_string_pretty(&json)? + "\n")?;
    }
    if args.html.is_some() || args.svg.is_some() {
        let firmware = if args.firmware() == Firmware::Uefi { "UEFI" } else { "BIOS" };
        let title = format!("bootmem on a QEMU {} with {firmware} and {}", args.machine, args.memory);
        let pictures = Pictures::draw(&own_boot::explain(title, &console.recording));
        for (file, text) in [(&args.html, pictures.html), (&args.svg, pictures.svg)] {
            if let Some(file) = file {
                fs_err::write(file, text)?;
            }
        }
    }
    if let Some(directory) = &args.record {
        console.recording.write_handoffs(directory)?;
    }
    progress::step(if outcome == Outcome::Success { "Finished" } else { "Failed" }, outcome);
    Ok(outcome)
}

fn limit(args: &QemuArgs) -> Option<Duration> {
    let asked = args.timeout.map(Duration::from_secs);
    if args.gdb { asked } else { Some(asked.unwrap_or(TIMEOUT)) }
}

/// Runs the guest to its end.
fn boot<W: std::io::Write>(
    command: &mut Command,
    limit: Option<Duration>,
    console: &mut Console<'_, W>,
) -> Result<Outcome> {
    let mut guest = Watched::start(command, limit).context("QEMU does not start")?;
    let outcome = loop {
        match guest.next()? {
            Event::Output(bytes) => console.feed(&bytes)?,
            Event::Ended(status) => break Ok(status),
            Event::TimedOut => break Err(Outcome::Timeout(limit.unwrap_or_default())),
        }
    };
    console.close()?;
    Ok(outcome.map_or_else(|timeout| timeout, |status| Outcome::new(status, console.closing_word)))
}

/// Shows what came over COM1, for a guest that died before it could speak on the debug channel: the firmware's and
/// GRUB's messages, without the terminal's control sequences.
fn show_serial(serial: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&fs_err::read(serial).unwrap_or_default()).into_owned();
    let plain = without_controls(&text);
    let lines: Vec<_> = plain.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        progress::step("Silent", "the guest said nothing, neither on the debug channel nor on COM1");
    }
    let mut output = stdout().lock();
    for line in lines {
        writeln!(output, "COM1: {line}")?;
    }
    Ok(())
}

/// Drops carriage returns and the escape sequences of a terminal.
fn without_controls(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == '\x1b' {
            // `ESC [ parameters letter` or `ESC character`.
            if characters.next() == Some('[') {
                let _ = characters.find(|c| ('@'..='~').contains(c));
            }
        } else if c == '\n' || !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

fn gdb_line(programs: &[Program]) -> String {
    let boot = programs.first().map(|p| p.path.display().to_string()).unwrap_or_default();
    format!("type in another terminal: gdb {boot} -ex 'target remote :1234'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_go() {
        assert_eq!(without_controls("\x1b[2J\x1b[01;01Herror: out\r of\x1b7 memory.\r\n"), "error: out of memory.\n");
        assert_eq!(without_controls("\x1b["), "");
    }
}
