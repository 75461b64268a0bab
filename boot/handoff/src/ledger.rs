// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who took which bytes, and why: the account that every hand-off carries on.

use crate::PhysRange;
use core::fmt;
use heapless::Vec;

/// Claims a ledger can hold.
pub const CLAIMS: usize = 256;

/// Who a piece of memory belongs to. A number, so that an owner from a newer stage survives the round trip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Owner(pub u8);

/// Where in the account an owner's bytes belong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Account {
    /// RAM of the firmware's map that never reached memblock.
    Lost,
    /// Memory that is reserved in memblock.
    Reserved,
}

macro_rules! owners {
    ($($(#[$meta:meta])* $name:ident = $number:literal, $account:ident, $taker:literal, $words:literal;)*) => {
        impl Owner {
            $($(#[$meta])* pub const $name: Self = Self($number);)*

            /// Every owner there is a name for.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the name a reader sees.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* _ => "an unknown owner" }
            }

            /// Returns the name of the program that took the bytes.
            #[must_use]
            pub const fn taken_by(self) -> &'static str {
                match self { $(Self::$name => $taker,)* _ => "unknown" }
            }

            /// Returns where in the account the bytes belong.
            #[must_use]
            pub const fn account(self) -> Account {
                match self { $(Self::$name => Account::$account,)* _ => Account::Reserved }
            }
        }
    };
}

owners! {
    /// The first page and usable memory between 640 KiB and 1 MiB, which belong to the BIOS.
    BIOS = 1, Lost, "e820", "first page and 640K-1M, left to the BIOS";
    /// Taken away by `mem=` or `memmap=`.
    LIMIT = 2, Lost, "e820", "taken away by mem= or memmap=";
    /// Parts of a page at the edge of a firmware entry.
    ROUNDING = 3, Lost, "memblock", "partial pages at the edges of the map";
    /// RAM at addresses that no 4-level page table reaches.
    UNREACHABLE = 4, Lost, "e820", "RAM above 64 TiB, out of reach";
    /// Everything else below 1 MiB.
    LOW_MEMORY = 16, Reserved, "memblock", "low 1 MiB";
    /// The boot program itself.
    BOOT_IMAGE = 17, Reserved, "boot", "boot image";
    /// The stage programs, as the loader placed them.
    STAGE_IMAGES = 18, Reserved, "boot", "stage images";
    /// What the loader tells boot.
    BOOT_INFO = 19, Reserved, "boot", "boot information";
    /// Page tables, stacks and exchange buffers of boot.
    BOOT_POOL = 20, Reserved, "boot", "boot pool";
    /// One block per node for its bookkeeping.
    NODE_DATA = 21, Reserved, "memblock", "node data";
    /// The part of the crash kernel's memory below 4 GiB that `,low` asks for.
    CRASH_LOW = 22, Reserved, "crashkernel", "crash kernel, low";
    /// The crash kernel's memory.
    CRASH = 23, Reserved, "crashkernel", "crash kernel";
    /// Tables that lead from a section to its descriptors.
    SECTIONS = 24, Reserved, "memmap", "section tables";
    /// One descriptor per frame.
    DESCRIPTORS = 25, Reserved, "memmap", "page descriptors";
    /// Page tables that map the descriptors.
    DESCRIPTOR_TABLES = 26, Reserved, "memmap", "descriptor page tables";
    /// What the firmware set aside for a special purpose.
    SOFT_RESERVED = 27, Reserved, "memblock", "soft reserved by the firmware";
    /// The rest of pages that a reservation covers only in part.
    PARTIAL_PAGES = 28, Reserved, "buddy", "rest of partly reserved pages";
    /// Arrays that memblock moved into memory because they were full.
    REGION_ARRAYS = 29, Reserved, "memblock", "memblock arrays";
    /// The page in which the other CPUs start.
    TRAMPOLINE = 32, Reserved, "boot", "start of the other CPUs";
    /// Memory that must not be mapped or belongs to a driver, so that it is never handed over.
    NOT_MAPPED = 30, Reserved, "memblock", "memory not to be mapped";
    /// The page allocator's own tables: which frames are free.
    FRAME_MAPS = 31, Reserved, "buddy", "frame maps";
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

/// One range with its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Claim {
    /// The bytes.
    pub range: PhysRange,
    /// Whose they are.
    pub owner: Owner,
}

/// The account of all memory, carried from stage to stage.
///
/// # Invariants
/// The claims are sorted and disjoint: every byte has at most one owner, the first that claimed it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ledger {
    /// Bytes of memory the machine has, if the firmware says (SMBIOS).
    pub installed: Option<u64>,
    /// Bytes that the firmware's map calls usable.
    pub firmware_ram: u64,
    /// Bytes that `memmap=` calls usable and the firmware does not.
    pub added: u64,
    claims: Vec<Claim, CLAIMS>,
}

/// The error for a ledger that has no room left. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger is full: {CLAIMS} claims")
    }
}

impl core::error::Error for Full {}

impl Ledger {
    /// Returns an empty ledger.
    #[must_use]
    pub const fn new() -> Self {
        Self { installed: None, firmware_ram: 0, added: 0, claims: Vec::new() }
    }

    /// Returns all claims in the order of their addresses.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Returns the bytes that belong to `owner`.
    #[must_use]
    pub fn bytes(&self, owner: Owner) -> u64 {
        self.claims.iter().filter(|c| c.owner == owner).map(|c| c.range.size()).sum()
    }

    /// Returns the bytes of an account.
    #[must_use]
    pub fn total(&self, account: Account) -> u64 {
        self.claims.iter().filter(|c| c.owner.account() == account).map(|c| c.range.size()).sum()
    }

    /// Returns the owner of the byte at `address`.
    #[must_use]
    pub fn owner_of(&self, address: u64) -> Option<Owner> {
        self.claims.iter().find(|c| c.range.contains(address)).map(|c| c.owner)
    }

    /// Gives the bytes of `range` that nobody owns yet to `owner`.
    ///
    /// # Errors
    /// [`Full`] if there is no room for all the pieces; then nothing was changed.
    pub fn claim(&mut self, owner: Owner, range: PhysRange) -> Result<(), Full> {
        let mut changed = self.clone();
        let mut rest = Some(range);

        while let Some(piece) = rest {
            let at = changed.claims.partition_point(|c| c.range.end() <= piece.start());
            let taken = changed.claims.get(at).map(|c| c.range).filter(|t| t.overlaps(piece));
            if let Some(own) = PhysRange::new(piece.start(), taken.map_or(piece.end(), PhysRange::start)) {
                changed.insert(at, Claim { range: own, owner })?;
            }
            rest = taken.and_then(|t| PhysRange::new(t.end(), piece.end()));
        }

        *self = changed;
        Ok(())
    }

    /// Takes the bytes of `range` back from whoever owns them.
    ///
    /// # Errors
    /// [`Full`] if a claim had to be split and there is no room; then nothing was changed.
    pub fn release(&mut self, range: PhysRange) -> Result<(), Full> {
        let mut kept = Vec::new();
        for claim in &self.claims {
            let below = PhysRange::new(claim.range.start(), claim.range.end().min(range.start()));
            let above = PhysRange::new(claim.range.start().max(range.end()), claim.range.end());
            for piece in [below, above].into_iter().flatten() {
                kept.push(Claim { range: piece, ..*claim }).map_err(|_| Full)?;
            }
        }
        self.claims = kept;
        Ok(())
    }

    /// Returns whether the invariants hold.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.claims.is_sorted_by(|a, b| a.range.end() <= b.range.start())
    }

    fn insert(&mut self, at: usize, claim: Claim) -> Result<(), Full> {
        let touching = |a: &Claim, b: &Claim| a.owner == b.owner && a.range.end() == b.range.start();
        let below = at.checked_sub(1).filter(|&i| touching(&self.claims[i], &claim));
        let above = self.claims.get(at).filter(|next| touching(&claim, next)).map(|next| next.range.end());
        let start = below.map_or(claim.range.start(), |i| self.claims[i].range.start());
        let end = above.unwrap_or(claim.range.end());
        let merged = Claim { range: PhysRange::new(start, end).unwrap_or(claim.range), ..claim };

        match (below, above) {
            (Some(i), Some(_)) => {
                self.claims[i] = merged;
                self.claims.remove(at);
            }
            (Some(i), None) => self.claims[i] = merged,
            (None, Some(_)) => self.claims[at] = merged,
            (None, None) => self.claims.insert(at, merged).map_err(|_| Full)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(start, end).unwrap()
    }

    #[test]
    fn the_first_claim_wins_and_equal_neighbours_fuse() {
        let mut ledger = Ledger::new();
        ledger.claim(Owner::CRASH, range(20, 30)).unwrap();
        ledger.claim(Owner::LOW_MEMORY, range(10, 40)).unwrap();
        ledger.claim(Owner::LOW_MEMORY, range(40, 50)).unwrap();
        let claims: std::vec::Vec<_> = ledger.claims().iter().map(|c| (c.range, c.owner)).collect();
        assert_eq!(
            claims,
            [(range(10, 20), Owner::LOW_MEMORY), (range(20, 30), Owner::CRASH), (range(30, 50), Owner::LOW_MEMORY)]
        );
        assert_eq!(ledger.bytes(Owner::LOW_MEMORY), 30);
        assert_eq!(ledger.total(Account::Reserved), 40);
        assert_eq!(ledger.owner_of(29), Some(Owner::CRASH));
        assert!(ledger.is_valid());
    }

    #[test]
    fn release_splits() {
        let mut ledger = Ledger::new();
        ledger.claim(Owner::CRASH, range(0, 30)).unwrap();
        ledger.release(range(10, 20)).unwrap();
        assert_eq!(ledger.bytes(Owner::CRASH), 20);
        assert_eq!(ledger.owner_of(10), None);
    }

    #[test]
    fn a_full_ledger_loses_nothing() {
        let mut ledger = Ledger::new();
        for i in 0..CLAIMS as u64 {
            ledger.claim(Owner::CRASH, range(4 * i, 4 * i + 1)).unwrap();
        }
        let before = ledger.clone();
        assert_eq!(ledger.claim(Owner::LOW_MEMORY, range(0, 9)), Err(Full));
        assert_eq!(ledger.release(range(1, 2)), Ok(()));
        assert_eq!(ledger, before);
    }

    #[test]
    fn every_owner_has_its_own_number() {
        for (i, a) in Owner::ALL.iter().enumerate() {
            assert!(Owner::ALL[i + 1..].iter().all(|b| a != b), "{a}");
        }
    }
}
