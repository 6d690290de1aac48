//! Keeping a waker for later; and counting those that somebody else keeps.
//!
//! A task that is asked what it waits for is polled with a waker whose clones are counted. What a primitive of this
//! runtime keeps is not among them: it wakes the task when its own wait is over, and not otherwise. Whoever else keeps
//! one may wake the task from anywhere.
//!
//! Promises: a clone is counted on whichever thread it is made.
//! Does not know: whose the wakers are.

use std::cell::Cell;
use std::task::Waker;

use crate::locks::{AtomicUsize, Ordering, shared};

thread_local! {
    /// Whether a task of this thread is just being asked.
    static ASKING: Cell<bool> = const { Cell::new(false) };
    /// Whether a primitive of this runtime is just keeping a waker.
    static KEEPING: Cell<bool> = const { Cell::new(false) };
}

shared! {
    /// The clones made of wakers that ask, but for those that this runtime keeps itself. Of all threads, for the
    /// task that is asked may have another one make its clone.
    static STRAY: AtomicUsize = AtomicUsize::new(0)
}

/// A clone of `waker` that a primitive of this runtime keeps, and wakes when its own wait is over.
#[inline]
pub(crate) fn keep(waker: &Waker) -> Waker {
    if ASKING.get() { keep_while_asked(waker) } else { waker.clone() }
}

#[cold]
fn keep_while_asked(waker: &Waker) -> Waker {
    KEEPING.set(true);
    let kept = waker.clone();
    KEEPING.set(false);
    kept
}

/// Counts a clone of a waker that asks.
pub(crate) fn count_stray() {
    if !KEEPING.get() {
        STRAY.fetch_add(1, Ordering::SeqCst);
    }
}

/// How many clones were made while `asked` ran, by others than this runtime.
pub(crate) fn strays_during<T>(asked: impl FnOnce() -> T) -> (T, usize) {
    /// Also when the poll of the root panics, and leaves through here.
    struct Asking;
    impl Drop for Asking {
        fn drop(&mut self) {
            ASKING.set(false);
        }
    }
    // A foreign waker's clone that panicked may have left this behind.
    KEEPING.set(false);
    ASKING.set(true);
    let _asking = Asking;
    let before = STRAY.load(Ordering::SeqCst);
    let answer = asked();
    (answer, STRAY.load(Ordering::SeqCst) - before)
}
