// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a stage says something: typed messages, printed as text on a host and sent as numbers from the image.

use core::fmt;

/// How much a line matters, in the words of `printk`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something was ignored or is not as it should be.
    Warn,
    /// The normal lines of a boot.
    Info,
}

/// One line of a log: `Display` is the exact text of the kernel log.
///
/// Implemented by every type that can be printed (and, with the feature `defmt`, formatted by defmt). Declare a crate's
/// messages with [`messages!`](crate::messages), which writes both.
#[cfg(not(feature = "defmt"))]
pub trait Message: fmt::Display {}
#[cfg(not(feature = "defmt"))]
impl<T: fmt::Display + ?Sized> Message for T {}

/// One line of a log: `Display` is the exact text of the kernel log.
///
/// Implemented by every type that can be printed and formatted by defmt. Declare a crate's messages with
/// [`messages!`](crate::messages), which writes both.
#[cfg(feature = "defmt")]
pub trait Message: fmt::Display + defmt::Format {}
#[cfg(feature = "defmt")]
impl<T: fmt::Display + defmt::Format + ?Sized> Message for T {}

/// A handle to a log. Copies of it write to the same log.
pub trait Log: Clone {
    /// Writes one line.
    fn line<M: Message>(&self, level: Level, message: M);

    /// Writes a normal line.
    fn info<M: Message>(&self, message: M) {
        self.line(Level::Info, message);
    }

    /// Writes a warning.
    fn warn<M: Message>(&self, message: M) {
        self.line(Level::Warn, message);
    }

    /// Writes an error.
    fn error<M: Message>(&self, message: M) {
        self.line(Level::Error, message);
    }
}

/// A log that forgets everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Log for Quiet {
    fn line<M: Message>(&self, _: Level, _: M) {}
}

/// A log that can be switched off: `None` forgets everything.
impl<L: Log> Log for Option<L> {
    fn line<M: Message>(&self, level: Level, message: M) {
        if let Some(log) = self {
            log.line(level, message);
        }
    }
}

/// Declares an enum of messages, each with its text; `Display` and, with the feature `defmt`, `defmt::Format` follow.
///
/// The text is written once, in the subset of format strings that `core` and defmt share: positional `{}` with hints
/// such as `{:#018x}`.
///
/// ```
/// handoff::messages! {
///     /// What this crate says.
///     pub enum Event<'a> {
///         /// A range was reserved.
///         Reserved { base: u64, end: u64, by: &'a str } => ("memblock_reserve: [{:#018x}-{:#018x}] {}", base, end - 1, by);
///     }
/// }
/// # fn main() {
/// let event = Event::Reserved { base: 0x1000, end: 0x2000, by: "low memory" };
/// assert_eq!(event.to_string(), "memblock_reserve: [0x0000000000001000-0x0000000000001fff] low memory");
/// # }
/// ```
#[macro_export]
macro_rules! messages {
    ($(#[$meta:meta])* $vis:vis enum $name:ident $(<$life:lifetime>)? { $(
        $(#[$vmeta:meta])*
        $variant:ident $({ $($field:ident : $ty:ty),* $(,)? })? => ($fmt:tt $(, $arg:expr)* $(,)?);
    )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        $vis enum $name $(<$life>)? { $(
            $(#[$vmeta])*
            $variant $({ $(#[allow(missing_docs, reason = "the text below names them")] $field: $ty),* })?,
        )* }

        impl $(<$life>)? ::core::fmt::Display for $name $(<$life>)? {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match *self { $(
                    Self::$variant $({ $($field),* })? => ::core::write!(f, $fmt $(, $arg)*),
                )* }
            }
        }

        $crate::messages_defmt! { [$(<$life>)?] $name { $(
            $variant [$($($field),*)?] ($fmt $(, $arg)*)
        )* } }
    };
}

#[cfg(feature = "defmt")]
#[doc(hidden)]
#[macro_export]
macro_rules! messages_defmt {
    ([$($life:tt)*] $name:ident { $( $variant:ident [$($field:ident),*] ($fmt:tt $(, $arg:expr)*) )* }) => {
        $crate::messages_defmt! { @impl [$($life)*] $name [$($life)*] { $( $variant [$($field),*] ($fmt $(, $arg)*) )* } }
    };
    (@impl [$($life:tt)*] $name:ident [$($use:tt)*] { $( $variant:ident [$($field:ident),*] ($fmt:tt $(, $arg:expr)*) )* }) => {
        impl $($life)* $crate::defmt::Format for $name $($use)* {
            fn format(&self, f: $crate::defmt::Formatter<'_>) {
                use $crate::defmt;
                match *self { $(
                    Self::$variant { $($field),* } => defmt::write!(f, $fmt $(, $arg)*),
                )* }
            }
        }
    };
}

#[cfg(not(feature = "defmt"))]
#[doc(hidden)]
#[macro_export]
macro_rules! messages_defmt {
    ($($ignored:tt)*) => {};
}
