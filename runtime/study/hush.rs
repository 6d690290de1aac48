//! Hush: panics of this thread are noted instead of printed, for as long as a guard lives.
//!
//! Who runs a program a thousand times, to see it fail, does not want to read a thousand times that it did.
//!
//! Promises: other threads, and this one afterwards, panic as loudly as before; a hook that somebody else has set
//! since then hears one panic, which says what it is for.
//! Does not know: who catches the panic.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic;
use std::thread;

use crate::join_error::panic_text;
use crate::locks::{Mutex, PoisonError};
use crate::quietly::{Listener, set_listener};

thread_local! {
    static HUSHED: Cell<bool> = const { Cell::new(false) };
    static NOTED: RefCell<Vec<Panic>> = const { RefCell::new(Vec::new()) };
    static UNHEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
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
    listener: Option<Listener>,
}

impl Hush {
    pub(crate) fn new() -> Hush {
        NOTED.take();
        UNHEARD.take();
        Hush { before: HUSHED.replace(true), listener: set_listener(Some(note_unheard)) }
    }

    /// What was noted so far.
    pub(crate) fn take(&self) -> Vec<Panic> {
        NOTED.take()
    }

    /// What those panics said so far that the runtime caught and gave to nobody, such as of a destructor.
    pub(crate) fn unheard(&self) -> Vec<String> {
        UNHEARD.take()
    }
}

fn note_unheard(payload: &(dyn Any + Send)) {
    UNHEARD.with_borrow_mut(|unheard| {
        if unheard.len() < MOST {
            unheard.push(panic_text(payload).into_owned());
        }
    });
}

impl Drop for Hush {
    fn drop(&mut self) {
        HUSHED.set(self.before);
        set_listener(self.listener);
    }
}

/// Puts a hook before the one that is there, unless ours is in place. It stays: of two threads that each put back what
/// they found, the slower would undo what a third one set meanwhile. To be called before an exploration, for somebody
/// may have set another hook since the last one.
pub(crate) fn install() {
    // A hook cannot be set by who is panicking.
    if thread::panicking() {
        return;
    }
    // Nothing that runs under this lock can leave it half done.
    let mut was_installed = WAS_INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*was_installed || !is_in_place() {
        put_in_place();
        *was_installed = true;
    }
}

static WAS_INSTALLED: Mutex<bool> = Mutex::new(false);

/// Whether our hook hears panics: one is made to see. (To look at the hook it would have to be taken out, and other
/// threads would panic past it meanwhile.)
fn is_in_place() -> bool {
    // Where no panic can be caught, none is told of either.
    if !cfg!(panic = "unwind") {
        return true;
    }
    let hush = Hush::new();
    drop(panic::catch_unwind(|| panic!("a panic to see whether the hook that explore() has set is still there")));
    !hush.take().is_empty()
}

fn put_in_place() {
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
}
