// SPDX-License-Identifier: MIT OR Apache-2.0
//! OVMF, the UEFI firmware for QEMU.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Where distributions keep OVMF: code and variables, or both in one file.
const OVMF: [(&str, Option<&str>); 9] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", Some("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    ("/usr/share/OVMF/OVMF_CODE.fd", Some("/usr/share/OVMF/OVMF_VARS.fd")),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", Some("/usr/share/edk2/ovmf/OVMF_VARS.fd")),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", Some("/usr/share/edk2/x64/OVMF_VARS.4m.fd")),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", Some("/usr/share/edk2-ovmf/x64/OVMF_VARS.fd")),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", Some("/usr/share/qemu/ovmf-x86_64-vars.bin")),
    ("/usr/share/ovmf/OVMF.fd", None),
    ("/usr/share/OVMF/OVMF.fd", None),
    ("/usr/share/qemu/OVMF.fd", None),
];

/// Returns the firmware's code and variables, if they are installed.
pub(crate) fn find() -> Option<(PathBuf, Option<PathBuf>)> {
    let there = |path: &str| Path::new(path).is_file();
    let (code, variables) = OVMF.into_iter().find(|(code, vars)| there(code) && vars.is_none_or(there))?;
    Some((code.into(), variables.map(PathBuf::from)))
}

/// Returns the arguments by which QEMU starts the firmware; what it writes to its variables goes to `directory`.
pub(crate) fn arguments(directory: &Path) -> Result<Vec<String>> {
    let (code, variables) = find().context("no OVMF firmware found")?;
    let Some(variables) = variables else {
        return Ok(vec!["-bios".to_owned(), code.display().to_string()]);
    };
    let copy = directory.join("variables.fd");
    fs_err::write(&copy, fs_err::read(variables)?)?;
    let flash = |path: &Path, mode: &str| {
        // QEMU reads a doubled comma as a comma.
        let path = path.display().to_string().replace(',', ",,");
        ["-drive".to_owned(), format!("if=pflash,format=raw{mode},file={path}")]
    };
    Ok([flash(&code, ",readonly=on"), flash(&copy, "")].concat())
}
