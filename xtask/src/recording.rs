// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a boot left behind besides text: encoded hand-offs, figures, faults; and the JSON made of it.

use anyhow::Result;
use handoff::{
    Blocks, Claim, Crash, Firmware, Frames, Handoff, HostMachine, Ledger, MemoryMap, Owner, PhysRange, StageId,
    Succession, Zones, decode,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything a boot left behind.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// The encoded hand-off each stage made.
    handoffs: BTreeMap<StageId, Vec<u8>>,
    pending: BTreeMap<StageId, Vec<u8>>,
    figures: Map<String, Value>,
    faults: Vec<Value>,
    /// What was shown of boot's text and the stages' logs.
    lines: Vec<String>,
}

impl Recording {
    /// Returns what a chain that ran in this process leaves behind.
    pub(crate) fn of_chain(firmware: &[u8], handoffs: Vec<(StageId, Vec<u8>)>, machine: &HostMachine) -> Self {
        let handoffs = handoffs.into_iter().chain([(StageId::BOOT, firmware.to_vec())]).collect();
        Self { handoffs, lines: machine.lines(), ..Self::default() }
    }

    /// Takes the next bytes of the hand-off that `stage` made.
    pub(crate) fn chunk(&mut self, stage: StageId, bytes: &[u8]) {
        self.pending.entry(stage).or_default().extend_from_slice(bytes);
    }

    /// The hand-off of `stage` is complete.
    pub(crate) fn end(&mut self, stage: StageId) {
        self.handoffs.insert(stage, self.pending.remove(&stage).unwrap_or_default());
    }

    /// Takes a line of the log.
    pub(crate) fn line(&mut self, line: &str) {
        self.lines.push(line.trim_end().to_owned());
    }

    /// Returns the lines of the log.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Returns the hand-off that `stage` made, if it is one.
    pub(crate) fn handoff<H: Handoff>(&self, stage: StageId) -> Option<H> {
        decode(self.handoffs.get(&stage)?).ok()
    }

    /// Returns a figure that came once and is a number.
    pub(crate) fn figure(&self, name: &str) -> Option<u64> {
        self.figures.get(name)?.as_u64()
    }

    /// Returns why the stage of that name was stopped, if it was.
    pub(crate) fn fault_of(&self, stage: &str) -> Option<String> {
        let fault = self.faults.iter().find(|fault| fault["stage"] == stage)?;
        let place = fault["place"].as_str().map(|place| format!(" in {place}")).unwrap_or_default();
        Some(format!("the stage was stopped: {}{place}", fault["kind"].as_str()?))
    }

    /// Returns who owned what when boot had given back what it no longer needs; none if it did not come that far.
    pub(crate) fn claims(&self) -> Option<Vec<Claim>> {
        let list = self.figures.get("claim")?;
        let texts = list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice);
        texts.iter().map(|text| claim(text.as_str()?)).collect()
    }

    /// Takes lines `key=value`; a number becomes one, and a key that comes again makes a list.
    pub(crate) fn figures(&mut self, text: &str) {
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let number = value.trim().parse::<u64>().map(Value::from);
            let value = number.unwrap_or_else(|_| Value::from(value.trim()));
            match self.figures.get_mut(key.trim()) {
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::from(vec![first.take(), value]),
                None => drop(self.figures.insert(key.trim().to_owned(), value)),
            }
        }
    }

    /// Takes a fault report and where in the source it happened.
    pub(crate) fn fault(&mut self, stage: StageId, kind: &str, report: &str, place: Option<&str>) {
        let report = report.trim_end();
        self.faults.push(json!({ "stage": stage.name(), "kind": kind, "report": report, "place": place }));
    }

    /// Writes each hand-off to a file `firmware.bin`, `e820.bin`, ... named for what made it.
    pub(crate) fn write_handoffs(&self, directory: &Path) -> Result<()> {
        fs_err::create_dir_all(directory)?;
        for (stage, bytes) in &self.handoffs {
            fs_err::write(directory.join(format!("{}.bin", maker(*stage))), bytes)?;
        }
        Ok(())
    }

    /// Returns all of it as JSON, with `boot` - how it was booted and how it ended - on top.
    pub(crate) fn json(&self, boot: &Value) -> Value {
        let handoffs: Vec<_> = self.handoffs.iter().map(|(stage, bytes)| (*stage, decoded(*stage, bytes))).collect();
        let last = handoffs.iter().rev().find_map(|(_, value)| ledger(value));
        let handoffs = handoffs.into_iter().map(|(stage, value)| {
            let bytes = self.handoffs[&stage].len();
            (maker(stage).to_owned(), json!({ "bytes": bytes, "value": value }))
        });
        json!({
            "boot": boot,
            "ledger": last,
            "figures": self.figures,
            "handoffs": handoffs.collect::<Map<_, _>>(),
            "faults": self.faults,
        })
    }
}

/// Returns who made the hand-off of that number; boot passes on what the firmware says.
fn maker(stage: StageId) -> &'static str {
    if stage == StageId::BOOT { "firmware" } else { stage.name() }
}

/// Reads `0x1000-0x3000 boot pool`.
fn claim(text: &str) -> Option<Claim> {
    let (range, words) = text.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let owner = Owner::ALL.iter().find(|owner| owner.words() == words)?;
    Some(Claim { range: PhysRange::new(number(start)?, number(end)?)?, owner: *owner })
}

fn decoded(stage: StageId, bytes: &[u8]) -> Value {
    fn value<H: Handoff>(bytes: &[u8]) -> Result<Value> {
        Ok(serde_json::to_value(decode::<H>(bytes)?)?)
    }
    let result = match stage {
        StageId::BOOT => value::<Firmware>(bytes),
        StageId::E820 => value::<MemoryMap>(bytes),
        StageId::MEMBLOCK => value::<Blocks>(bytes),
        StageId::CRASHKERNEL => value::<Crash>(bytes),
        StageId::MEMMAP => value::<Frames>(bytes),
        StageId::BUDDY => value::<Zones>(bytes),
        StageId::SUCCESSOR => value::<Succession>(bytes),
        other => Err(anyhow::anyhow!("no hand-off has the number {}", other.0)),
    };
    result.unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// Returns the ledger of a decoded hand-off, with the owners' names and sums.
fn ledger(value: &Value) -> Option<Value> {
    let ledger = value.get("ledger").or_else(|| value.pointer("/blocks/ledger"))?;
    let ledger: Ledger = serde_json::from_value(ledger.clone()).ok()?;
    let mut owners: Vec<_> = ledger.claims().iter().map(|c| c.owner).collect();
    owners.sort();
    owners.dedup();
    let owners = owners.into_iter().map(|owner| {
        json!({ "owner": owner.words(), "account": format!("{:?}", owner.account()), "bytes": ledger.bytes(owner) })
    });
    let claims = ledger
        .claims()
        .iter()
        .map(|c| json!({ "start": c.range.start(), "end": c.range.end(), "owner": c.owner.words() }));
    Some(json!({
        "installed": ledger.installed,
        "firmware_ram": ledger.firmware_ram,
        "added": ledger.added,
        "owners": owners.collect::<Vec<_>>(),
        "claims": claims.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::encode;

    #[test]
    fn claims_and_faults_are_read_back() {
        let mut recording = Recording::default();
        assert_eq!(recording.claims(), None);
        recording.figures("claim=0x1000-0x3000 boot pool\nfree_bytes=4096\n");
        let range = PhysRange::new(0x1000, 0x3000).unwrap();
        assert_eq!(recording.claims(), Some(vec![Claim { range, owner: Owner::BOOT_POOL }]));
        assert_eq!((recording.figure("free_bytes"), recording.figure("claim")), (Some(4096), None));
        recording.fault(StageId::MEMMAP, "page fault", "", Some("main"));
        assert_eq!(recording.fault_of("memmap").as_deref(), Some("the stage was stopped: page fault in main"));
        assert_eq!(recording.fault_of("buddy"), None);
        recording.figures("claim=0x3000-0x4000 nobody\n");
        assert_eq!(recording.claims(), None);
    }

    #[test]
    fn a_handoff_is_decoded_and_its_ledger_named() {
        let mut firmware = Firmware::default();
        firmware.ledger.firmware_ram = 1 << 20;
        firmware.ledger.claim(Owner::BOOT_POOL, PhysRange::new(0x1000, 0x3000).unwrap()).unwrap();
        let mut buffer = vec![0; Firmware::MAX_BYTES];
        let used = encode(&firmware, &mut buffer).unwrap();

        let mut recording = Recording::default();
        recording.chunk(StageId::BOOT, &buffer[..5]);
        recording.chunk(StageId::BOOT, &buffer[5..used]);
        recording.end(StageId::BOOT);
        recording.chunk(StageId::E820, b"garbage");
        recording.end(StageId::E820);
        recording.figures("tsc_hz=1000000000\npool=a b\nno figure\nclaim=1\nclaim=x\nclaim=3\n");
        let json = recording.json(&json!({ "status": 0 }));

        assert_eq!(json["handoffs"]["firmware"]["bytes"], used);
        assert_eq!(json["handoffs"]["firmware"]["value"]["ledger"]["firmware_ram"], 1 << 20);
        assert_eq!(json["handoffs"]["e820"]["value"]["error"], "7 bytes are too few for a hand-off (12 and more)");
        assert_eq!(json["ledger"]["owners"], json!([{ "owner": "boot pool", "account": "Reserved", "bytes": 0x2000 }]));
        assert_eq!(json["ledger"]["claims"][0]["start"], 0x1000);
        assert_eq!(json["figures"], json!({ "tsc_hz": 1_000_000_000, "pool": "a b", "claim": [1, "x", 3] }));
    }
}
