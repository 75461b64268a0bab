// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hostile program in a stage's place, or a processor, does wrong.

use clap::ValueEnum;
use std::str::FromStr;

/// A stage and what the program in its place does wrong.
#[derive(Clone, Debug)]
pub(crate) struct Misbehave {
    pub(crate) stage: String,
    pub(crate) kind: Misbehaviour,
}

/// What a hostile program knows to do, by its name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Misbehaviour {
    WriteKernel,
    ReadKernel,
    ExecuteData,
    Privileged,
    Spin,
    DeepRecursion,
    GarbageOutput,
    OversizeOutput,
    BadGrant,
    BadLog,
    BadSyscall,
    BadExit,
    Read,
    Write,
    Jump,
    Log,
    Grant,
    Window,
    Interrupt,
    Instruction,
    Flags,
    Stack,
    Forge,
    CpuSilent,
    CpuFault,
    CpuOverflow,
    CpuPanic,
    CpuHang,
    CpuKeep,
    CpuScribble,
    LieOfRam,
    LieOfImages,
    LieOfNodes,
    LieOfAccount,
    LieOfReservation,
    LieOfCrash,
    LieOfPlace,
    LieOfOwn,
    LieOfCycle,
    LieOfLink,
    LieOfBlock,
    LieOfZone,
    LieOfSection,
    LieOfLedger,
    LieOfOwner,
    LieOfFrame,
    LieOfKept,
    LieOfManaged,
    LieOfKernel,
    LieOfTables,
    Panic,
}

impl FromStr for Misbehave {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (stage, kind) = text.split_once('=').ok_or("expected STAGE=KIND")?;
        let names = || Misbehaviour::value_variants().iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
        let kind = Misbehaviour::from_str(kind, false).map_err(|_| format!("`{kind}` is none of {}", names()))?;
        Ok(Self { stage: stage.to_owned(), kind })
    }
}

impl Misbehaviour {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misbehave_names_what_it_knows() {
        let parsed: Misbehave = "memblock=write-kernel".parse().unwrap();
        assert_eq!((parsed.stage.as_str(), parsed.kind.name().as_str()), ("memblock", "write-kernel"));
        assert!("memblock".parse::<Misbehave>().is_err());
        assert!("memblock=nice".parse::<Misbehave>().unwrap_err().contains("deep-recursion"));
    }
}
