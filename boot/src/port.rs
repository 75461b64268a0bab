// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few I/O ports boot uses.

use x86_64::instructions::port::Port;

/// How boot ends, as QEMU's isa-debug-exit device gets it; the shell sees `2 * value + 1`.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done and every check held: 33.
    Success = 0x10,
    /// A check failed: 35.
    FailedCheck = 0x11,
    /// A stage failed: 37.
    FailedStage = 0x12,
}

/// Ends the machine; on one that cannot be ended so, stops the CPU for good.
pub(crate) fn exit(how: Exit) -> ! {
    write(0xf4, how as u8);
    stop()
}

/// Stops this CPU for good.
pub(crate) fn stop() -> ! {
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}

/// Sends bytes to the debug port, where QEMU's isa-debugcon listens; elsewhere they go nowhere.
pub(crate) fn debug(bytes: &[u8]) {
    // SAFETY: (1) port 0xe9 belongs to no device of a PC but the debug console, so writing has no other effect. (2) The
    // instruction reads exactly `bytes`, and nothing else in memory.
    unsafe {
        core::arch::asm!("rep outsb", inout("rsi") bytes.as_ptr() => _, inout("rcx") bytes.len() => _, in("dx") 0xe9_u16,
            options(nostack, readonly, preserves_flags));
    }
}

/// Writes a byte to a port of a device that boot owns: 8259, 8254, debug exit.
pub(crate) fn write(port: u16, value: u8) {
    debug_assert!(matches!(port, 0x20 | 0x21 | 0xa0 | 0xa1 | 0x40..=0x43 | 0x61 | 0xf4));
    // SAFETY: boot is the only program in ring 0, and these devices cannot touch memory.
    unsafe { Port::new(port).write(value) }
}

/// Reads a byte from a port of such a device.
pub(crate) fn read(port: u16) -> u8 {
    debug_assert!(matches!(port, 0x40..=0x43 | 0x61));
    // SAFETY: as for `write`.
    unsafe { Port::new(port).read() }
}
