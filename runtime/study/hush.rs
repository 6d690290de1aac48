//! Hush: panics of this thread are noted instead of printed, for as long as a guard lives.
//!
//! Who runs a program a thousand times, to see it fail, does not want to read a thousand times that it did.
//!
//! Promises: other threads, and this one afterwards, panic as loudly as before.
//! Does not know: who catches the panic.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;
use std::thread;

use crate::join_error::panic_text;

thread_local! {
    static HUSHED: Cell<bool> = const { Cell::new(false) };
    static NOTED: RefCell<Vec<Panic>> = const { RefCell::new(Vec::new()) };
}

/// More panics than this in one run are not told apart.
const MOST: usize = 1_000;

/// A panic as the hook saw it.
#[derive(Clone, Debug)]
pub(crate) struct Panic {
    pub(crate) text: String,
    /// The line that panicked.
    pub(crate) site: String,
}

/// While it lives, panics of this thread are noted.
#[derive(Debug)]
pub(crate) struct Hush {
    before: bool,
}

impl Hush {
    pub(crate) fn new() -> Hush {
        install();
        NOTED.take();
        Hush { before: HUSHED.replace(true) }
    }

    /// What was noted so far.
    pub(crate) fn take(&self) -> Vec<Panic> {
        NOTED.take()
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        HUSHED.set(self.before);
    }
}

/// Puts a hook before the one that is there. It stays: of two threads that each put back what they found, the
/// slower would undo what a third one set meanwhile.
fn install() {
    static ONCE: Once = Once::new();
    // A hook cannot be set by who is panicking.
    if ONCE.is_completed() || thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !HUSHED.get() {
                return before(info);
            }
            let text = panic_text(info.payload()).into_owned();
            let site = info.location().map(ToString::to_string).unwrap_or_default();
            NOTED.with_borrow_mut(|noted| {
                if noted.len() < MOST {
                    noted.push(Panic { text, site });
                }
            });
        }));
    });
}
