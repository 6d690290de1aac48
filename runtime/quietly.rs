//! Running other people's destructors and wakers where nobody is there to hear their panics.
//!
//! Promises: whatever panics, whoever called goes on.

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

/// Runs destructors whose panics nobody is there to hear (the panic hook has printed them).
#[inline]
pub(crate) fn quietly(drop: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(drop)) {
        forget_about(payload);
    }
}

#[cold]
fn forget_about(payload: Box<dyn Any + Send>) {
    // The payload's own destructor may panic too; then it is leaked rather than fatal.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| mem::drop(payload))).map_err(mem::forget);
}
