// SPDX-License-Identifier: MIT OR Apache-2.0
//! The closing report: where every byte went, as a fold over the ledger.

use crate::adopt::Kernel;
use crate::chain::Outcome;
use crate::clock::{self, Clock};
use crate::console::{Console, Frames, Kind, print};
use crate::paging::{self, ImageBytes};
use crate::smp;
use core::fmt::{self, Write};
use handoff::{Account, FRAME_BYTES, Ledger, Owner, Page, Proof, SECTION_FRAMES, StageId};

/// Everything the report says.
pub(crate) struct Report<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) outcome: &'a Outcome,
    pub(crate) all_cpus: smp::Proof,
    pub(crate) clock: &'a Clock,
    pub(crate) pool_bytes: u64,
    pub(crate) pool_peak_bytes: u64,
    pub(crate) ticks: Ticks,
}

/// The time-stamp counter on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    pub(crate) start: u64,
    /// Before the first stage.
    pub(crate) first_stage: u64,
    /// When boot had adopted the allocator, not counting the time for which it was lent.
    pub(crate) adopted: u64,
    pub(crate) now: u64,
}

/// The sums that must agree.
#[derive(Clone, Copy, Debug)]
struct Sums {
    lost: u64,
    present: u64,
    reserved: u64,
    managed: u64,
    free: u64,
}

impl Report<'_> {
    /// Prints everything.
    ///
    /// # Errors
    /// The sum that does not add up.
    pub(crate) fn print(&self) -> Result<(), &'static str> {
        let sums = self.sums();
        self.table(&sums);
        self.descriptors();
        self.memory_line(&sums);
        self.free_line(&sums);
        self.nodes();
        self.times();
        self.figures(&sums);
        self.check(&sums)
    }

    fn ledger(&self) -> &Ledger {
        &self.kernel.ledger
    }

    fn sums(&self) -> Sums {
        let zones = self.kernel.buddy.zones();
        let bytes = |frames: u64| frames * FRAME_BYTES;
        Sums {
            lost: self.ledger().total(Account::Lost),
            present: bytes(zones.iter().map(|zone| zone.span.present).sum()),
            reserved: self.ledger().total(Account::Reserved),
            managed: bytes(zones.iter().map(|zone| zone.managed).sum()),
            free: bytes(zones.iter().map(handoff::ZoneState::free).sum()),
        }
    }

    /// Checks the identity: every byte is in exactly one line.
    fn check(&self, sums: &Sums) -> Result<(), &'static str> {
        let ledger = self.ledger();
        if ledger.firmware_ram + ledger.added != sums.lost + sums.present {
            Err("RAM of the map is not memory plus what was lost")
        } else if sums.present != sums.reserved + sums.managed {
            Err("memory is not what is reserved plus what is managed")
        } else if sums.managed != sums.free + self.kernel.tables {
            Err("managed memory is not what is free plus boot's page tables")
        } else {
            Ok(())
        }
    }

    fn table(&self, sums: &Sums) {
        let ledger = self.ledger();
        let whole = ledger.installed.unwrap_or(ledger.firmware_ram);
        let line = |sign, what: &dyn fmt::Display, bytes, who| print!("{}", Line { sign, what, bytes, whole, who });
        let owners = |account| {
            Owner::ALL
                .iter()
                .filter(move |owner| owner.account() == account)
                .map(|owner| (owner, ledger.bytes(*owner)))
                .filter(|(_, bytes)| *bytes > 0)
        };

        print!("");
        print!("Where the memory went:                                  bytes    share  who");
        match ledger.installed {
            Some(installed) => {
                line(' ', &"installed", installed, "SMBIOS");
                match installed.checked_sub(ledger.firmware_ram) {
                    Some(kept) => line('-', &"kept by the firmware", kept, "firmware"),
                    None => line('+', &"in the map and not in SMBIOS", ledger.firmware_ram - installed, "firmware"),
                }
            }
            None => print!("  installed: the firmware does not say (no SMBIOS); shares are of RAM in its map"),
        }
        line('=', &"RAM in the firmware's map", ledger.firmware_ram, "firmware");
        if ledger.added > 0 {
            line('+', &"called RAM by memmap=", ledger.added, "e820");
        }
        owners(Account::Lost).for_each(|(owner, bytes)| line('-', owner, bytes, owner.taken_by()));
        line('=', &"memory", sums.present, "memblock");
        owners(Account::Reserved).for_each(|(owner, bytes)| line('-', owner, bytes, owner.taken_by()));
        line('=', &"managed by the page allocator", sums.managed, "buddy");
        line(' ', &"  of which boot gave back", self.kernel.returned, "boot");
        line('-', &"boot page tables", self.kernel.tables, "boot");
        line('=', &"free", sums.free, "");
    }

    /// What the descriptors cost, and what they would cost the other way (`struct_pages=`).
    fn descriptors(&self) {
        let zones = &self.outcome.zones;
        let frames: u64 = zones.sections.iter().map(|run| u64::from(run.sections) * SECTION_FRAMES).sum();
        let all = frames * size_of::<Page>() as u64;
        print!("");
        if zones.descriptors.is_empty() {
            print!("Page descriptors: none written (struct_pages=lazy); all of them would take {all} bytes (eager)");
        } else {
            print!("Page descriptors: {all} bytes written (struct_pages=eager); without them boot is faster (lazy)");
        }
    }

    /// Linux: `mem_init_print_info` (6.1).
    fn memory_line(&self, sums: &Sums) {
        let kib = |bytes: u64| bytes >> 10;
        let ImageBytes { code, constants, data, zeroed } = paging::image_bytes();
        print!("");
        print!(
            "Memory: {}K/{}K available ({}K kernel code, {}K rwdata, {}K rodata, 0K init, {}K bss, {}K reserved, 0K cma-reserved)",
            kib(sums.free),
            kib(sums.present),
            kib(code),
            kib(data),
            kib(constants),
            kib(zeroed),
            kib(sums.present - sums.managed)
        );
    }

    fn free_line(&self, sums: &Sums) {
        let mib = |bytes: u64| bytes >> 20;
        print!("");
        print!("               total        used        free      shared  buff/cache   available");
        print!(
            "Mem:     {:>11} {:>11} {:>11}           0           0 {:>11}",
            mib(sums.managed),
            mib(sums.managed - sums.free),
            mib(sums.free),
            mib(sums.free)
        );
    }

    /// What each node has, how far the others are and in which order it falls back to them. One node needs no line.
    fn nodes(&self) {
        let distances = &self.outcome.zones.distances;
        if distances.nodes() < 2 {
            return;
        }
        print!("");
        for (node, row) in (0..).zip(distances.rows().chunks(distances.nodes())) {
            let buddy = &self.kernel.buddy;
            let zones = buddy.zones();
            let zones = zones.iter().filter(|zone| zone.span.node == node);
            let (managed, free) = zones.fold((0, 0), |(m, f), zone| (m + zone.managed, f + zone.free()));
            let (managed, free) = (managed * FRAME_BYTES, free * FRAME_BYTES);
            let _ = write!(Console, "Node {node}: {managed} bytes managed, {free} free; distances");
            row.iter().for_each(|distance| _ = write!(Console, " {distance}"));
            let _ = write!(Console, "; falls back to");
            buddy.fallback_order(node).for_each(|node| _ = write!(Console, " {node}"));
            print!("");
        }
    }

    fn times(&self) {
        let whole = self.ticks.now - self.ticks.start;
        let stages: u64 = self.outcome.ticks.iter().map(|(_, ticks)| ticks).sum();
        let line = |who: &dyn fmt::Display, ticks: u64| {
            let microseconds = clock::microseconds(ticks, self.clock.tsc_hz);
            print!(
                "  {who:<12} {ticks:>14} ticks {:>7}.{:03} ms  {:>6}",
                microseconds / 1000,
                microseconds % 1000,
                Share(ticks, whole)
            );
        };
        print!("");
        print!("Time, of a time-stamp counter at {} MHz:", self.clock.tsc_hz / 1_000_000);
        self.outcome.ticks.iter().for_each(|(stage, ticks)| line(&stage.name(), *ticks));
        line(&"boot", whole.saturating_sub(stages));
        line(&"all", whole);
        line(&"to allocator", self.ticks.adopted - self.ticks.first_stage);

        print!("");
        self.proof();
        print!("Boot pool: {}K, {}K used at most; given back", self.pool_bytes >> 10, self.pool_peak_bytes >> 10);
        self.all_cpus.print();
    }

    /// What the second kernel did, in its own figures.
    fn proof(&self) {
        let Some(proof) = self.outcome.proof else {
            print!("Self-test: none, since the image has no second kernel");
            return;
        };
        let Proof { blocks, refused, frames, top, heap_objects, heap_bytes, heap_overhead_bytes } = proof;
        print!(
            "Self-test of a second kernel: {blocks} blocks of order 0 to 10, {frames} frames checked, {refused} requests refused"
        );
        print!("  top of memory: the frame at {top:#x} keeps what is written to it");
        print!(
            "  heap: {heap_objects} objects in {heap_bytes} bytes, bitmaps and links {heap_overhead_bytes} bytes; all given back"
        );
    }

    fn figures(&self, sums: &Sums) {
        let mut out = Frames(Kind::Figures, StageId::BOOT);
        let _ = writeln!(
            out,
            "tsc_hz={}\nticks.all={}\nticks.to_allocator={}\npool_bytes={}\npool_peak_bytes={}\nreturned_bytes={}\npage_table_bytes={}\n\
             present_bytes={}\nreserved_bytes={}\nmanaged_bytes={}\nfree_bytes={}",
            self.clock.tsc_hz,
            self.ticks.now - self.ticks.start,
            self.ticks.adopted - self.ticks.first_stage,
            self.pool_bytes,
            self.pool_peak_bytes,
            self.kernel.returned,
            self.kernel.tables,
            sums.present,
            sums.reserved,
            sums.managed,
            sums.free
        );
        self.all_cpus.figures();
        for (stage, ticks) in &self.outcome.ticks {
            let _ = writeln!(out, "ticks.{stage}={ticks}");
        }
        for claim in self.ledger().claims() {
            let (start, end) = (claim.range.start(), claim.range.end());
            let _ = writeln!(out, "claim={start:#x}-{end:#x} {}", claim.owner);
        }
    }
}

/// One line of the table.
struct Line<'a> {
    sign: char,
    what: &'a dyn fmt::Display,
    bytes: u64,
    whole: u64,
    who: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = Share(self.bytes, self.whole);
        write!(f, "{} {:<42} {:>17} {share:>8}  {}", self.sign, self.what, self.bytes, self.who)
    }
}

/// A share in percent with two digits.
struct Share(u64, u64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0.saturating_mul(10_000) / self.1.max(1);
        let mut text = heapless::String::<16>::new();
        write!(text, "{}.{:02} %", hundredths / 100, hundredths % 100)?;
        f.pad(&text)
    }
}
