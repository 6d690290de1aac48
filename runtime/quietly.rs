//! Running other people's destructors and wakers where nobody is there to hear their panics.
//!
//! Promises: whatever panics, whoever called goes on; who listens on this thread is shown what was caught.

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static LISTENER: Cell<Option<Listener>> = const { Cell::new(None) };
}

/// Is shown the payload of a panic that nobody hears.
pub(crate) type Listener = fn(&(dyn Any + Send));

/// Has somebody shown what is caught on this thread from now on; returns who was before.
pub(crate) fn set_listener(listener: Option<Listener>) -> Option<Listener> {
    LISTENER.replace(listener)
}

/// Runs destructors whose panics nobody is there to hear (the panic hook has printed them).
#[inline]
pub(crate) fn quietly(drop: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(drop)) {
        forget_about(payload);
    }
}

#[cold]
fn forget_about(payload: Box<dyn Any + Send>) {
    if let Some(listener) = LISTENER.get() {
        listener(&*payload);
    }
    // The payload's own destructor may panic too; then it is leaked rather than fatal.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| mem::drop(payload))).map_err(mem::forget);
}
