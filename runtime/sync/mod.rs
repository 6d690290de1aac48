//! asyncio's primitives, for the tasks of one thread.
//!
//! ```text
//!   Lock  Semaphore  Event  Condition  Barrier  Queue  OnceCell      oneshot
//!      \      \        |        |        /       /       /              |
//!       `------`-------`----- the wait list ----'-------'        two wakers in cells
//! ```
//!
//! All of them may be made outside a loop, are shared by reference or by `Rc`, and work under any
//! executor of the same thread. None is `Sync`.
//!
//! Promises: what is free is taken without giving the turn away; what is not is handed out in order of
//! arrival, and nobody overtakes; a future that is dropped at any moment loses neither permit, nor
//! wake-up, nor item; one that is leaked (`mem::forget`) keeps its place in line.
//! Does not know: tasks, timers, sockets. A wait is limited by [`timeout`](crate::timeout) and ended by
//! dropping it.

mod barrier;
mod condition;
mod event;
mod lock;
mod once_cell;
pub mod oneshot;
mod queue;
mod semaphore;

pub use barrier::{Barrier, BarrierTurn, BarrierWait};
pub use condition::Condition;
pub use event::{Event, EventWait};
pub use lock::{AcquireLock, Lock, LockGuard};
pub use once_cell::OnceCell;
pub use queue::{Get, Join, Put, Queue, Shutdown, TryGetError, TryPutError};
pub use semaphore::{Acquire, Closed, Permit, Semaphore};
