// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools that cargo does not bring: found, or installed after saying so, or asked for in one line.

use crate::cargo::{BARE_METAL, workspace};
use crate::{ovmf, progress};
use anyhow::{Context as _, Result, bail, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names of the program that makes a rescue ISO, by distribution.
pub(crate) const GRUB_MKRESCUE: &[&str] = &["grub-mkrescue", "grub2-mkrescue"];

/// Something that must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    GrubMkrescue,
    GrubBios,
    GrubEfi,
    Xorriso,
    Mtools,
    Qemu,
    Ovmf,
    Chromium,
}

/// Names of the browser that the tests of the pictures open.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

impl Tool {
    /// Everything that booting needs.
    pub(crate) const ALL: &'static [Self] =
        &[Self::GrubMkrescue, Self::GrubBios, Self::GrubEfi, Self::Xorriso, Self::Mtools, Self::Qemu, Self::Ovmf];
    /// What booting by BIOS needs.
    pub(crate) const BIOS: &'static [Self] = Self::ALL.split_at(6).0;
    /// What building the image needs.
    pub(crate) const IMAGE: &'static [Self] = Self::ALL.split_at(5).0;

    fn is_there(self) -> bool {
        let grub = |platform: &str| {
            let places = ["/usr/lib/grub", "/usr/lib/grub2", "/usr/share/grub2"];
            places.iter().any(|place| Path::new(place).join(platform).join("moddep.lst").is_file())
        };
        match self {
            Self::GrubMkrescue => find(GRUB_MKRESCUE).is_some(),
            Self::GrubBios => grub("i386-pc"),
            Self::GrubEfi => grub("x86_64-efi"),
            Self::Xorriso => find(&["xorriso"]).is_some(),
            Self::Mtools => find(&["mformat"]).is_some(),
            Self::Qemu => find(&["qemu-system-x86_64"]).is_some(),
            Self::Ovmf => ovmf::find().is_some(),
            Self::Chromium => find(CHROMIUM).is_some(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::GrubMkrescue => "grub-mkrescue",
            Self::GrubBios => "GRUB for BIOS (i386-pc)",
            Self::GrubEfi => "GRUB for UEFI (x86_64-efi)",
            Self::Xorriso => "xorriso",
            Self::Mtools => "mtools",
            Self::Qemu => "qemu-system-x86_64",
            Self::Ovmf => "OVMF (UEFI firmware for QEMU)",
            Self::Chromium => "chromium",
        }
    }

    fn package(self, manager: Manager) -> &'static str {
        let [apt, dnf, pacman, zypper, apk] = match self {
            Self::GrubMkrescue => ["grub-common", "grub2-tools-extra", "grub", "grub2", "grub"],
            Self::GrubBios => ["grub-pc-bin", "grub2-pc-modules", "grub", "grub2-i386-pc", "grub-bios"],
            Self::GrubEfi => ["grub-efi-amd64-bin", "grub2-efi-x64-modules", "grub", "grub2-x86_64-efi", "grub-efi"],
            Self::Xorriso => ["xorriso", "xorriso", "libisoburn", "xorriso", "xorriso"],
            Self::Mtools => ["mtools"; 5],
            Self::Qemu => ["qemu-system-x86", "qemu-system-x86", "qemu-system-x86", "qemu-x86", "qemu-system-x86_64"],
            Self::Ovmf => ["ovmf", "edk2-ovmf", "edk2-ovmf", "qemu-ovmf-x86_64", "ovmf"],
            Self::Chromium => ["chromium"; 5],
        };
        match manager {
            Manager::Apt => apt,
            Manager::Dnf => dnf,
            Manager::Pacman => pacman,
            Manager::Zypper => zypper,
            Manager::Apk => apk,
        }
    }
}

/// A package manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Zypper,
    Apk,
}

impl Manager {
    const ALL: [(Self, &str); 5] = [
        (Self::Apt, "apt-get"),
        (Self::Dnf, "dnf"),
        (Self::Pacman, "pacman"),
        (Self::Zypper, "zypper"),
        (Self::Apk, "apk"),
    ];

    fn of_this_machine() -> Option<Self> {
        Self::ALL.into_iter().find(|(_, program)| find(&[program]).is_some()).map(|(manager, _)| manager)
    }

    /// Returns the command that installs the packages without asking.
    fn install(self) -> &'static str {
        match self {
            Self::Apt => "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends",
            Self::Dnf => "dnf install -y --setopt=install_weak_deps=False",
            Self::Pacman => "pacman -S --needed --noconfirm",
            Self::Zypper => "zypper --non-interactive install --no-recommends",
            Self::Apk => "apk add",
        }
    }

    /// Returns the command that fetches the package lists, where `install` does not do that itself.
    fn refresh(self) -> Option<&'static str> {
        match self {
            Self::Apt => Some("apt-get update"),
            Self::Pacman => Some("pacman -Sy"),
            Self::Apk => Some("apk update"),
            Self::Dnf | Self::Zypper => None,
        }
    }
}

/// Sees to it that `tools` and the bare-metal target are there.
///
/// # Errors
/// The line to type, if something is missing and cannot or, with `forbidden`, must not be installed.
pub(crate) fn ensure(tools: &[Tool], forbidden: bool) -> Result<()> {
    ensure_target(forbidden)?;
    ensure_tools(tools, forbidden)
}

/// Sees to it that `tools` are there.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_tools(tools: &[Tool], forbidden: bool) -> Result<()> {
    let missing: Vec<_> = tools.iter().copied().filter(|tool| !tool.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }

    let names = missing.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ");
    let Some(manager) = Manager::of_this_machine() else {
        bail!("missing: {names}; please install them with this system's package manager");
    };
    let install = format!("{} {}", manager.install(), packages(&missing, manager).join(" "));
    let refresh = manager.refresh().filter(|_| !has_package_lists(manager));
    let advice =
        || format!("missing: {names}; type:\n{}", typed(refresh.into_iter().chain([install.as_str()]), is_root()));
    let prefix = match privilege() {
        Some(prefix) if !forbidden => prefix,
        _ => bail!(advice()),
    };

    progress::step("Missing", &names);
    if let Some(command) = refresh {
        privileged(prefix, command).with_context(advice)?;
    }
    if privileged(prefix, &install).is_err() {
        // Most often the lists are older than the mirror.
        let refresh = manager.refresh().filter(|_| refresh.is_none());
        privileged(prefix, refresh.with_context(advice)?).with_context(advice)?;
        privileged(prefix, &install).with_context(advice)?;
    }
    let still: Vec<_> = missing.iter().filter(|t| !t.is_there()).map(|t| t.name()).collect();
    ensure!(still.is_empty(), "still missing after the installation: {}", still.join(", "));
    Ok(())
}

/// Returns the packages that bring `tools`, each once.
fn packages(tools: &[Tool], manager: Manager) -> Vec<&'static str> {
    let mut packages: Vec<_> = tools.iter().map(|t| t.package(manager)).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Returns commands as one line to type.
fn typed<'a>(commands: impl Iterator<Item = &'a str>, root: bool) -> String {
    let sudo = if root { "" } else { "sudo " };
    commands.map(|command| format!("{sudo}{command}")).collect::<Vec<_>>().join(" && ")
}

fn has_package_lists(manager: Manager) -> bool {
    let lists = |directory: &str, ending: &str| {
        let files = fs_err::read_dir(directory).into_iter().flatten().flatten();
        files.into_iter().any(|file| file.file_name().to_string_lossy().contains(ending))
    };
    match manager {
        Manager::Apt => lists("/var/lib/apt/lists", "_Packages"),
        Manager::Pacman => lists("/var/lib/pacman/sync", ".db"),
        Manager::Apk => lists("/var/cache/apk", "APKINDEX"),
        Manager::Dnf | Manager::Zypper => true,
    }
}

/// Returns the words that make a command privileged: none for root, `sudo -n` if that asks for no password.
fn privilege() -> Option<&'static [&'static str]> {
    if is_root() {
        return Some(&[]);
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    sudo.is_ok_and(|status| status.success()).then_some(&["sudo", "-n"])
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn privileged(prefix: &[&str], command: &str) -> Result<()> {
    let mut words = prefix.iter().copied().chain(command.split(' '));
    run(Command::new(words.next().unwrap_or_default()).args(words))
}

/// Prints and runs a command; its output goes to standard error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let text = progress::shell(command);
    progress::step("Installing", &text);
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status()?;
    ensure!(status.success(), "{text} failed ({status})");
    Ok(())
}

/// Sees to it that rustc can compile for the image. rust-toolchain.toml names the target, but rustup may be told not to
/// install by itself.
fn ensure_target(forbidden: bool) -> Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(workspace()).output();
    let output = output.context("cannot run rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if sysroot.join("lib/rustlib").join(BARE_METAL).join("lib").is_dir() {
        return Ok(());
    }

    let line = format!("rustup target add {BARE_METAL}");
    ensure!(!forbidden && find(&["rustup"]).is_some(), "Rust's target {BARE_METAL} is missing; type:\n{line}");
    run(Command::new("rustup").args(["target", "add", BARE_METAL]).current_dir(workspace()))
}

/// Returns the path of the first of these programs that is installed.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    names.iter().find_map(|name| directories.iter().map(|d| d.join(name)).find(|file| file.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_named_once() {
        assert_eq!(
            packages(Tool::ALL, Manager::Pacman),
            ["edk2-ovmf", "grub", "libisoburn", "mtools", "qemu-system-x86"]
        );
        assert_eq!(packages(&[Tool::Ovmf, Tool::Qemu], Manager::Apt), ["ovmf", "qemu-system-x86"]);
        assert!(Tool::ALL.iter().all(|t| Manager::ALL.iter().all(|(m, _)| !t.package(*m).is_empty())));
    }

    #[test]
    fn sets_grow() {
        assert!(!Tool::IMAGE.contains(&Tool::Qemu) && Tool::BIOS.contains(&Tool::Qemu));
        assert!(!Tool::BIOS.contains(&Tool::Ovmf) && Tool::ALL.contains(&Tool::Ovmf));
    }

    #[test]
    fn the_advice_is_one_line() {
        let commands = ["apt-get update", "apt-get install -y xorriso"];
        assert_eq!(typed(commands.into_iter(), true), "apt-get update && apt-get install -y xorriso");
        assert_eq!(typed(commands.into_iter(), false), "sudo apt-get update && sudo apt-get install -y xorriso");
    }

    #[test]
    fn programs_are_found() {
        assert!(find(&["no-such-program", "sh"]).is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find(&["no-such-program"]), None);
    }
}
