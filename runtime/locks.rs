//! The locks: what threads share, and how they start, comes in by this door.
//!
//! ```text
//!   std::sync ----> locks ----> inbox, answer, pool: all that crosses threads; join_error; study/lane
//!   loom::sync ---> tests/loom.rs builds the same files with these in place of the door
//! ```
//!
//! So a model checker can try every order in which two threads can meet, on the code as it is.
//!
//! Promises: nothing here but names. A floor test sees to it that no other file takes a lock, a condition
//! variable or an atomic from elsewhere. (Values that are computed once are std's own affair.)

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
pub(crate) use std::thread::Builder as ThreadBuilder;

/// A `static` that all threads share, or a table of such. (A model makes a new one for each run.)
macro_rules! shared {
    ($(#[$doc:meta])* static $name:ident: [$type:ty; $len:expr] = $value:expr) => {
        $(#[$doc])*
        static $name: [$type; $len] = [const { $value }; $len];
    };
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr) => {
        $(#[$doc])*
        static $name: $type = $value;
    };
}
pub(crate) use shared;
