// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other settings: what the user wants to know the effect of.

use super::setting::Setting;
use crate::arguments::WhatIf;

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
