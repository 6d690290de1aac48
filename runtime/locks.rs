//! The locks: every lock, atomic and thread start of the library comes in by this door.
//!
//! ```text
//!   std::sync ----> locks ----> inbox, answer, pool, handle: all that crosses threads
//!   loom::sync ---> tests/loom.rs builds the same three files with these in place of the door
//! ```
//!
//! So a model checker can try every order in which two threads can meet, on the code as it is.
//!
//! Promises: nothing here but names. A floor test sees to it that no other file takes locks from elsewhere.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
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
