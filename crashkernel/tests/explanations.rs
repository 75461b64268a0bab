// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole logs, with what is said on top of Linux's lines.

mod fake;

use expect_test::{Expect, expect};
use fake::{Fake, GIB, MIB, text};
use handoff::{Ledger, Lines, Owner, PhysRange, Region, Rules};

fn claim(ledger: &mut Ledger, owner: Owner, start: u64, end: u64) {
    ledger.claim(owner, PhysRange::new(start, end).unwrap()).unwrap();
}

/// The 2 GiB PC with its account: low memory, image, a node's block at the top, and memory that was limited away.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new();
    claim(&mut ledger, Owner::LOW_MEMORY, 0x1000, 0x9f000);
    claim(&mut ledger, Owner::BOOT_IMAGE, 0x100_0000, 0x381_1000);
    claim(&mut ledger, Owner::LIMIT, 0x8000_0000, 0xc000_0000);
    claim(&mut ledger, Owner::NODE_DATA, 0x7ffb_5000, 0x7ffe_0000);
    ledger
}

fn check(line: &str, rules: Rules, memory: &Fake, ledger: &Ledger, expected: &Expect) {
    let log = Lines::default();
    let _ = crashkernel::reserve(line, rules, &mut memory.clone(), ledger, &log);
    expected.assert_eq(&text(&log));
}

fn on_2g(line: &str, rules: Rules, expected: &Expect) {
    check(line, rules, &Fake::pc_2g(), &ledger(), expected);
}

#[test]
fn a_mistake_is_marked() {
    on_2g(
        "ro crashkernel=256Mx quiet",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: unrecognized char: x
          crashkernel=256Mx
                          ^
        crashkernel: after the size only K, M, G, T, P or E, then `@BASE`, `,high` or `,low` may follow
    "#]],
    );
    on_2g(
        "crashkernel=auto",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: memory value expected
          crashkernel=auto
                      ^
        crashkernel: `auto` is a distribution's word that the kernel does not know; name a size such as 256M
    "#]],
    );
    on_2g(
        "crashkernel=512M-2G:64M,4G-2G:128M",
        Rules::V6_12,
        &expect![[r#"
        crashkernel: end <= start
          crashkernel=512M-2G:64M,4G-2G:128M
                                     ^
        crashkernel: a range must end above its start, 4096 MB; leave the end out for all larger sizes
    "#]],
    );
    on_2g(
        "crashkernel=1G-8G:64M@",
        Rules::V6_12,
        &expect![[r#"
        crahskernel: Memory value expected after '@'
          crashkernel=1G-8G:64M@
                                ^
        crashkernel: an address is expected here, such as 16M; or leave the `@` out
    "#]],
    );
    on_2g(
        "crashkernel=1G-8G:4G",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: invalid size
          crashkernel=1G-8G:4G
                            ^
        crashkernel: 4096 MB is not smaller than the system's 2048 MB of RAM; nothing is reserved
    "#]],
    );
    on_2g(
        "crashkernel=1G-4G:128M,4G-:256M,high",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: unrecognized char: -
          crashkernel=1G-4G:128M,4G-:256M,high
                        ^
        crashkernel: `,high` and `,low` take one size, not ranges
    "#]],
    );
}

#[test]
fn a_long_value_is_cut_around_the_mark() {
    let ranges: String = (4..20).map(|i| format!("{i}G-{}G:{i}M,", i + 1)).collect();
    on_2g(
        &format!("crashkernel={ranges}é-1G:64M,2G-:1M,3G-:2M,4G-:3M"),
        Rules::V6_1,
        &expect![[r#"
        crashkernel: Memory value expected
          16G-17G:16M,17G-18G:17M,18G-19G:18M,19G-20G:19M,é-1G:64M,2G-:1M,3G-:2M,4
                                                          ^
        crashkernel: a range is START-END:SIZE or START-:SIZE, with numbers such as 512M or 2G
    "#]],
    );
}

#[test]
fn no_room_on_a_small_machine() {
    on_2g(
        "crashkernel=3G",
        Rules::V6_1,
        &expect![[r#"
        crashkernel reservation failed - No suitable area found.
        crashkernel: [mem 0x0000000001000000-0x00000000ffffffff] has 2031 MB of memory, 1991 MB of it free
        crashkernel:   largest hole [mem 0x0000000003811000-0x000000007ffb4fff] takes 1983 MB when aligned to 16 MB
        crashkernel:   40 MB taken: boot image
        crashkernel:   172 KB taken: node data
        crashkernel: [mem 0x0000000001000000-0x00003fffffffffff] has 2031 MB of memory, 1991 MB of it free
        crashkernel: crashkernel=1983M would fit
    "#]],
    );
    on_2g(
        "crashkernel=2000M,high",
        Rules::V6_12,
        &expect![[r#"
        cannot allocate crashkernel (size:0x7d000000)
        crashkernel: [mem 0x0000000100000000-0x00003fffffffffff] has 0 MB of memory, 0 MB of it free
        crashkernel:   no hole is large enough to be aligned
        crashkernel: [mem 0x0000000000000000-0x00000000ffffffff] has 2047 MB of memory, 2006 MB of it free
        crashkernel:   largest hole [mem 0x0000000003811000-0x000000007ffb4fff] takes 1983 MB when aligned to 16 MB
        crashkernel:   40 MB taken: boot image
        crashkernel:   632 KB taken: low 1 MiB
        crashkernel:   172 KB taken: node data
        crashkernel: crashkernel=1983M,high would fit
    "#]],
    );
}

#[test]
fn all_of_memory_is_never_advised_where_it_is_refused() {
    let memory = Fake::new(&[(16 * MIB, 80 * MIB), (112 * MIB, 144 * MIB)], &[]);
    check(
        "crashkernel=1G,high",
        Rules::V6_12,
        &memory,
        &Ledger::new(),
        &expect![[r#"
          crashkernel=1G,high
                      ^
        crashkernel: 1024 MB is not smaller than the system's 96 MB of RAM; nothing is reserved
        crashkernel: [mem 0x0000000100000000-0x00003fffffffffff] has 0 MB of memory, 0 MB of it free
        crashkernel:   no hole is large enough to be aligned
        crashkernel: [mem 0x0000000000000000-0x00000000ffffffff] has 96 MB of memory, 96 MB of it free
        crashkernel:   largest hole [mem 0x0000000001000000-0x0000000004ffffff] takes 64 MB when aligned to 16 MB
        crashkernel: crashkernel=64M,high would fit
    "#]],
    );
    let memory = Fake::new(&[(16 * MIB, 80 * MIB)], &[]);
    check(
        "crashkernel=1G",
        Rules::V6_12,
        &memory,
        &Ledger::new(),
        &expect![[r#"
              crashkernel=1G
                          ^
            crashkernel: 1024 MB is not smaller than the system's 64 MB of RAM; nothing is reserved
            crashkernel: [mem 0x0000000000000000-0x00000000ffffffff] has 64 MB of memory, 64 MB of it free
            crashkernel:   largest hole [mem 0x0000000001000000-0x0000000004ffffff] takes 64 MB when aligned to 16 MB
            crashkernel: [mem 0x0000000100000000-0x00003fffffffffff] has 0 MB of memory, 0 MB of it free
            crashkernel:   no hole is large enough to be aligned
            crashkernel: crashkernel=63M would fit
        "#]],
    );
    check(
        "crashkernel=1G",
        Rules::V6_1,
        &memory,
        &Ledger::new(),
        &expect![[r#"
        crashkernel reservation failed - No suitable area found.
        crashkernel: [mem 0x0000000001000000-0x00000000ffffffff] has 64 MB of memory, 64 MB of it free
        crashkernel:   largest hole [mem 0x0000000001000000-0x0000000004ffffff] takes 64 MB when aligned to 16 MB
        crashkernel: [mem 0x0000000001000000-0x00003fffffffffff] has 64 MB of memory, 64 MB of it free
        crashkernel: crashkernel=64M would fit
    "#]],
    );
}

#[test]
fn no_room_below_4_gib() {
    let mut memory = Fake::pc_16g();
    memory.reserved.insert(1, Region::new(16 * MIB, 0xbffe_0000 - 48 * MIB));
    let mut ledger = Ledger::new();
    claim(&mut ledger, Owner::BOOT_POOL, 16 * MIB, GIB);
    check(
        "crashkernel=512M,high",
        Rules::V6_1,
        &memory,
        &ledger,
        &expect![[r#"
        Cannot reserve 256MB crashkernel low memory, please try smaller size.
        crashkernel: [mem 0x0000000000000000-0x00000000ffffffff] has 3071 MB of memory, 47 MB of it free
        crashkernel:   largest hole [mem 0x00000000bdfe0000-0x00000000bffdffff] takes 31 MB when aligned to 16 MB
        crashkernel:   2016 MB taken: reserved, owner unknown
        crashkernel:   1008 MB taken: boot pool
        crashkernel: crashkernel=31M,low would fit
    "#]],
    );
    check(
        "crashkernel=4000M",
        Rules::V6_12,
        &memory,
        &ledger,
        &expect![[r#"
        cannot allocate crashkernel low memory (size:0x10000000).
        crashkernel: [mem 0x0000000000000000-0x00000000ffffffff] has 3071 MB of memory, 47 MB of it free
        crashkernel:   largest hole [mem 0x00000000bdfe0000-0x00000000bffdffff] takes 31 MB when aligned to 16 MB
        crashkernel:   2016 MB taken: reserved, owner unknown
        crashkernel:   1008 MB taken: boot pool
        crashkernel: crashkernel=31M,low beside crashkernel=SIZE,high would fit
    "#]],
    );
    check(
        "crashkernel=20G",
        Rules::V6_1,
        &memory,
        &ledger,
        &expect![[r#"
            crashkernel reservation failed - No suitable area found.
            crashkernel: [mem 0x0000000001000000-0x00000000ffffffff] has 3055 MB of memory, 32 MB of it free
            crashkernel:   largest hole [mem 0x00000000bdfe0000-0x00000000bffdffff] takes 31 MB when aligned to 16 MB
            crashkernel:   2015 MB taken: reserved, owner unknown
            crashkernel:   1008 MB taken: boot pool
            crashkernel: [mem 0x0000000001000000-0x00003fffffffffff] has 16367 MB of memory, 13343 MB of it free
            crashkernel:   largest hole [mem 0x0000000100000000-0x000000043ffd4fff] takes 13311 MB when aligned to 16 MB
            crashkernel:   2016 MB taken: reserved, owner unknown
            crashkernel:   1008 MB taken: boot pool
            crashkernel: crashkernel=13311M,high crashkernel=31M,low would fit
            crashkernel: crashkernel=31M would fit
        "#]],
    );
}

#[test]
fn a_wanted_place_that_is_taken() {
    on_2g(
        "crashkernel=64M@16M",
        Rules::V6_1,
        &expect![[r#"
        crashkernel reservation failed - memory is in use.
        crashkernel:   40 MB taken: boot image
        crashkernel: without @BASE a place of that size would be found
    "#]],
    );
    on_2g(
        "crashkernel=64M@2000M",
        Rules::V6_1,
        &expect![[r#"
        crashkernel reservation failed - memory is in use.
        crashkernel: [mem 0x000000007d000000-0x0000000080ffffff] is not all memory, 16 MB are missing
        crashkernel:   172 KB taken: node data
        crashkernel: crashkernel=47M@0x7d000000 would fit
        crashkernel: without @BASE a place of that size would be found
    "#]],
    );
    on_2g(
        "crashkernel=100M@100M",
        Rules::V6_12,
        &expect![[r#"
        crashkernel reservation failed - memory is in use.
        crashkernel: 0x6400000 is not a multiple of 16 MB
        crashkernel: without @BASE a place of that size would be found
    "#]],
    );
}

#[test]
fn what_linux_is_silent_about() {
    on_2g(
        "crashkernel=64M,low",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: `,low` alone reserves nothing; it goes with crashkernel=SIZE,high
    "#]],
    );
    on_2g(
        "crashkernel=0",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: a size of 0 reserves nothing
    "#]],
    );
    on_2g(
        "crashkernel=8G-:64M",
        Rules::V6_1,
        &expect![[r#"
        crashkernel size resulted in zero bytes
        crashkernel: no range contains 2048 MB, which is this system's RAM as ranges see it; nothing is reserved
    "#]],
    );
    on_2g(
        "crashkernel=1G-:0",
        Rules::V6_1,
        &expect![[r#"
        crashkernel size resulted in zero bytes
        crashkernel: a size of 0 reserves nothing
    "#]],
    );
    on_2g(
        "crashkernel=8G",
        Rules::V6_12,
        &expect![[r#"
              crashkernel=8G
                          ^
            crashkernel: 8192 MB is not smaller than the system's 2047 MB of RAM; nothing is reserved
            crashkernel: [mem 0x0000000000000000-0x00000000ffffffff] has 2047 MB of memory, 2006 MB of it free
            crashkernel:   largest hole [mem 0x0000000003811000-0x000000007ffb4fff] takes 1983 MB when aligned to 16 MB
            crashkernel:   40 MB taken: boot image
            crashkernel:   632 KB taken: low 1 MiB
            crashkernel:   172 KB taken: node data
            crashkernel: [mem 0x0000000100000000-0x00003fffffffffff] has 0 MB of memory, 0 MB of it free
            crashkernel:   no hole is large enough to be aligned
            crashkernel: crashkernel=1983M would fit
        "#]],
    );
    on_2g(
        "crashkernel=64M@foo",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: no number after `@`: a place will be found
        Reserving 64MB of memory at 1968MB for crashkernel (System RAM: 2047MB)
    "#]],
    );
    on_2g(
        "crashkernel=64M@256M! crashkernel=1M,high",
        Rules::V6_1,
        &expect![[r#"
          crashkernel=64M@256M!
                              ^
        crashkernel: ignored from here on
        crashkernel: `,high` is not used: the plain crashkernel= goes before it
        Reserving 64MB of memory at 256MB for crashkernel (System RAM: 2047MB)
    "#]],
    );
    on_2g(
        "crashkernel=64M crashkernel=96M",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: 1 earlier of the same form ignored, crashkernel=96M counts
        Reserving 96MB of memory at 1936MB for crashkernel (System RAM: 2047MB)
    "#]],
    );
    on_2g(
        "crashkernel=64M crashkernel=96M mycrashkernel=32M",
        Rules::V6_1,
        &expect![[r#"
            crashkernel: 2 earlier of the same form ignored, crashkernel=32M counts
              mycrashkernel=32M
                ^
            crashkernel: found inside another word, which counts
            Reserving 32MB of memory at 2000MB for crashkernel (System RAM: 2047MB)
        "#]],
    );
    on_2g(
        "crashkernel=5000 crashkernel=32M,low",
        Rules::V6_12,
        &expect![[r#"
        crashkernel: `,low` is not used: it goes with crashkernel=SIZE,high
        crashkernel: 0x1388 bytes are not a multiple of 4K; the rest of the last page is lost
        crashkernel reserved: 0x000000007f000000 - 0x000000007f001388 (0 MB)
    "#]],
    );
    on_2g(
        "crashkernel=foo crashkernel=64M,high crashkernel=x,low",
        Rules::V6_1,
        &expect![[r#"
        crashkernel: memory value expected
          crashkernel=foo
                      ^
        crashkernel: a size is expected here, such as 256M
        Reserving 64MB of memory at 1968MB for crashkernel (System RAM: 2047MB)
        crashkernel: `,low` is not used: the area lies below 4 GiB already
    "#]],
    );
}
