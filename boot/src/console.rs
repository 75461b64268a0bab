// SPDX-License-Identifier: MIT OR Apache-2.0
//! What boot says: plain text on COM1, and the same with everything else as tagged frames on the debug port.
//!
//! A frame is `[kind, stage, length low, length high]` and that many bytes.

use crate::{port, smp};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use handoff::StageId;
use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550Tty};

/// What a frame on the debug port carries.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Text of boot.
    Text = 1,
    /// defmt bytes of a stage.
    Defmt = 2,
    /// A part of the hand-off that a stage left.
    Handoff = 3,
    /// The end of that hand-off.
    HandoffEnd = 4,
    /// `key=value` lines.
    Figures = 5,
    /// How a stage was stopped, as `key=value` words.
    Fault = 6,
}

/// How often COM1 is tried while another CPU has it.
const PATIENCE: u32 = 1 << 20;

static SERIAL: Mutex<Option<Uart16550Tty<PioBackend>>> = Mutex::new(None);

/// Opens COM1, if there is one.
pub(crate) fn open() {
    // SAFETY: 0x3f8 is COM1 on every PC, and boot is the only program with access to ports.
    *SERIAL.lock() = unsafe { Uart16550Tty::new_port(0x3f8, Config::default()) }.ok();
}

/// Sends bytes to the debug port.
pub(crate) fn frame(kind: Kind, stage: StageId, bytes: &[u8]) {
    for part in bytes.chunks(usize::from(u16::MAX)) {
        let [low, high] = (part.len() as u16).to_le_bytes();
        port::debug(&[kind as u8, stage.0, low, high]);
        port::debug(part);
    }
}

/// Sends a whole hand-off to the debug port.
pub(crate) fn handoff(stage: StageId, bytes: &[u8]) {
    frame(Kind::Handoff, stage, bytes);
    port::debug(&[Kind::HandoffEnd as u8, stage.0, 0, 0]);
}

/// Text to the debug port only, as frames of one kind.
pub(crate) struct Frames(pub(crate) Kind, pub(crate) StageId);

impl Write for Frames {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        frame(self.0, self.1, text.as_bytes());
        Ok(())
    }
}

/// Text to COM1 and the debug port.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Frames of two CPUs must not mix; but a panic inside the lock must not wait for itself.
        let mut serial = (0..PATIENCE).find_map(|_| SERIAL.try_lock());
        frame(Kind::Text, StageId::BOOT, text.as_bytes());
        serial.as_mut().and_then(|serial| serial.as_mut()).map_or(Ok(()), |serial| serial.write_str(text))
    }
}

/// Writes a line with a time stamp, as the kernel log has it.
macro_rules! say {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Console, "{}{}", $crate::clock::Stamp, format_args!($($text)*));
    }};
}

/// Writes a line as it is.
macro_rules! print {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Console, $($text)*);
    }};
}

pub(crate) use {print, say};

/// Whether a CPU has panicked: then it speaks, and no other.
static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    if !PANICKED.swap(true, Ordering::AcqRel) {
        #[cfg(feature = "smp")]
        say!("boot: {}", info.message());
        // Where, and not why: the words of every panic that there can be would be 7 KiB of the 128 that the usual program may have.
        match info.location() {
            Some(place) => say!("boot: {}panicked at {}:{}", smp::Here, place.file(), place.line()),
            None => say!("boot: {}panicked", smp::Here),
        }
        port::exit(port::Exit::FailedCheck);
    }
    port::stop()
}
