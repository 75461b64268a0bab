// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks and atomic bytes; in models those of loom, which tries every order in which CPUs can use them.

#[cfg(not(all(test, loom)))]
pub(crate) use {
    core::sync::atomic::AtomicU8,
    spin::{Mutex, MutexGuard},
};
#[cfg(all(test, loom))]
pub(crate) use {loom::sync::MutexGuard, loom::sync::atomic::AtomicU8, model::Mutex};

#[cfg(all(test, loom))]
mod model {
    use loom::sync::MutexGuard;

    /// Loom's lock with the methods of `spin`'s.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}
