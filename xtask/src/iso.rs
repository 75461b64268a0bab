// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ISO: GRUB for BIOS and UEFI, the boot program, the stages and the command line.

use crate::install::GRUB_MKRESCUE;
use crate::programs::Program;
use crate::progress;
use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The most bytes of the ISO.
const ISO_BYTES: u64 = 10 << 20;

/// The modules GRUB needs; all of them would triple the ISO.
const MODULES: &str = "normal iso9660 part_msdos part_gpt search search_fs_uuid configfile multiboot2 boot serial \
                       terminal echo test iorw";

/// Writes the ISO to `iso`; `directory` is for the files that go into it.
pub(crate) fn write(programs: &[Program], command_line: &str, directory: &Path, iso: &Path) -> Result<()> {
    fs_err::create_dir_all(directory.join("boot/grub"))?;
    for program in programs {
        fs_err::write(directory.join("boot").join(file_name(program)), &program.stripped)?;
    }
    fs_err::write(directory.join("boot/grub/grub.cfg"), configuration(programs, command_line))?;

    let tool = crate::install::find(GRUB_MKRESCUE).context("grub-mkrescue is not installed")?;
    let mut command = Command::new(tool);
    command.arg("-o").arg(iso).arg(format!("--install-modules={MODULES}"));
    let output = command.args(["--locales=", "--fonts=", "--themes="]).arg(directory).output()?;
    ensure!(output.status.success(), "grub-mkrescue failed:\n{}", String::from_utf8_lossy(&output.stderr));

    let size = fs_err::metadata(iso)?.len();
    progress::step("Packed", format_args!("{} ({:.1} MiB)", iso.display(), size as f64 / f64::from(1 << 20)));
    ensure!(size < ISO_BYTES, "the ISO has {size} bytes, the limit is {ISO_BYTES}");
    Ok(())
}

fn file_name(program: &Program) -> String {
    format!("{}.elf", program.stage)
}

/// Returns GRUB's script. Whatever cannot be loaded ends QEMU with a status of its own; on a real machine, which has
/// nothing at that port, GRUB's message and prompt stay.
fn configuration(programs: &[Program], command_line: &str) -> String {
    let mut script = "# SPDX-License-Identifier: MIT OR Apache-2.0\n\
        set timeout=0\n\
        set pager=0\n\
        serial --unit=0 --speed=115200\n\
        terminal_input console serial\n\
        terminal_output console serial\n\
        function fail {\n\
        \x20 echo \"bootmem: GRUB could not load $1\"\n\
        \x20 outb 0xf4 0x13\n\
        }\n"
    .to_owned();
    let (mut last, mut open) = ("multiboot2", 0);
    for program in programs {
        let line = if open == 0 { command_line } else { &program.line };
        let words: String = line.split_ascii_whitespace().map(|word| format!(" {}", quoted(word))).collect();
        let file = file_name(program);
        let _ = writeln!(script, "if ! {last} /boot/{file}{words}; then fail {file}; else");
        (last, open) = ("module2", open + 1);
    }
    let _ = writeln!(script, "boot\nfail 'the image'");
    script.push_str(&"fi\n".repeat(open));
    script
}

/// Quotes a word for GRUB's shell, where nothing but `'` is special between `'` and `'`.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::StageId;

    fn program(stage: StageId, line: &str) -> Program {
        Program { stage, path: "x".into(), whole: vec![], stripped: vec![], line: line.into() }
    }

    #[test]
    fn words_are_quoted() {
        for (word, expected) in
            [("a", "'a'"), ("memmap=1G$2G,x;y", "'memmap=1G$2G,x;y'"), ("it's", r"'it'\''s'"), ("\"", "'\"'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn a_module_that_does_not_load_is_not_left_out_silently() {
        let programs = [program(StageId::BOOT, ""), program(StageId::E820, "e820 stack_kib=1 budget_ms=2 grants")];
        let script = configuration(&programs, "mem=1G  memmap=4K$8K");
        let commands = script.split_once("}\n").unwrap().1;
        assert_eq!(
            commands,
            "if ! multiboot2 /boot/boot.elf 'mem=1G' 'memmap=4K$8K'; then fail boot.elf; else\n\
             if ! module2 /boot/e820.elf 'e820' 'stack_kib=1' 'budget_ms=2' 'grants'; then fail e820.elf; else\n\
             boot\nfail 'the image'\nfi\nfi\n"
        );
    }
}
