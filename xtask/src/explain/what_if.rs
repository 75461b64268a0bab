// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other settings: what the user wants to know the effect of.

use super::amount;
use super::setting::Setting;
use clap::Args;

/// What to change, on paper only.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WhatIf {
    /// What if there were so much memory, e.g. 64G?
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "What if")]
    memory: Option<u64>,
    /// What if crashkernel= were this, e.g. 512M,high? Empty for none
    #[arg(long, value_name = "VALUE", help_heading = "What if")]
    crashkernel: Option<String>,
    /// What if the command line had this too?
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true, help_heading = "What if")]
    append: Option<String>,
    /// What if a page descriptor had so many bytes instead of 64?
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=4096), help_heading = "What if")]
    descriptor: Option<u64>,
    /// What if descriptors were made only where memory is used?
    #[arg(long, help_heading = "What if")]
    lazy: bool,
}

fn size(text: &str) -> Result<u64, String> {
    amount::parse(text)
        .filter(|bytes| *bytes >= 1 << 20)
        .ok_or_else(|| "expected a size from 1M on, e.g. 64G".to_owned())
}

impl WhatIf {
    /// Returns whether anything is asked.
    pub(super) fn is_asked(&self) -> bool {
        self.memory.is_some()
            || self.crashkernel.is_some()
            || self.append.is_some()
            || self.descriptor.is_some()
            || self.lazy
    }

    /// Returns the setting as it would be.
    pub(super) fn apply(&self, setting: &Setting) -> Setting {
        let mut setting = setting.clone();
        // What stands behind `--` is not the kernel's.
        let line = setting.command_line.split(" -- ").next().unwrap_or_default().to_owned();
        let is_crash = |word: &&str| word.starts_with("crashkernel=");
        let mut words: Vec<String> = match &self.crashkernel {
            Some(_) => line.split(' ').filter(|word| !is_crash(word)).map(str::to_owned).collect(),
            None => vec![line],
        };
        let asked = self.crashkernel.as_ref().filter(|value| !value.is_empty());
        words.extend(asked.map(|value| format!("crashkernel={}", value.trim_start_matches("crashkernel="))));
        words.extend(self.append.clone());
        setting.command_line = words.join(" ");
        setting.descriptor_bytes = self.descriptor.unwrap_or(setting.descriptor_bytes);
        setting.lazy |= self.lazy;
        match self.memory {
            Some(bytes) => setting.with_memory(bytes),
            None => setting,
        }
    }
}
