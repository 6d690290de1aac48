//! The inquest: nothing happens any more, and the loop asks each of its tasks why.
//!
//! ```text
//!   poll every task once, with a waker like no other     -> each says what it waits for, and keeps the waker anew
//!   a task moved, or woke another?                          something moves: go on
//!   somebody else kept the waker, or it says nothing?       unknown: it may be woken from anywhere
//!   otherwise                                               a deadlock, and the census knows whose
//! ```
//!
//! Nobody has to keep account of waits while all is well: a future must allow a poll at any time, so the
//! question can be asked when it comes up. It costs a healthy program nothing.
//!
//! Promises: what was not said is not guessed; a task that moves when asked has moved for good.
//! Does not know: sockets, timers, threads: whoever holds an inquest has looked at them.

use std::rc::Rc;

use crate::context::Parts;
use crate::observer::{self, Observer, Waits};
use crate::scheduler::{Asked, PollRoot};
use crate::study::census::{Resident, Stage, Taker, Wait};
use crate::study::deadlock::Deadlock;
use crate::wakers;

/// What came out.
pub(crate) enum Finding {
    /// A task was not stuck after all.
    SomethingMoves,
    /// A task waits for something that this runtime does not know.
    Unknown,
    /// The future given to `block_on` is done.
    RootFinished,
    Deadlock(Deadlock),
}

/// Asks every task of the loop, which this thread is inside of.
pub(crate) fn hold(parts: &Parts, poll_root: PollRoot<'_>) -> Finding {
    let taker = Rc::new(Taker::default());
    let _watch = WatchToo::new(parts, taker.clone());
    let tasks = parts.scheduler.tasks();
    for info in tasks.all() {
        taker.0.borrow_mut().admit(info.id, info.name.map(Into::into), info.site, info.polls, Stage::Waiting);
    }
    tasks.tell_members();
    for key in tasks.keys() {
        let stray = wakers::stray();
        match parts.scheduler.ask(key, poll_root) {
            Asked::RootFinished => return Finding::RootFinished,
            Asked::Finished | Asked::Nobody => return Finding::SomethingMoves,
            Asked::Waits => {}
        }
        if !tasks.is_idle() || tasks.address().has_mail() {
            return Finding::SomethingMoves;
        }
        if wakers::stray() != stray || !taker.0.borrow().task(tasks.id(key)).is_some_and(waits_for_us_only) {
            return Finding::Unknown;
        }
    }
    Finding::Deadlock(Deadlock::of(&taker.0.borrow()))
}

/// Whether a task says what it waits for, and that is in the hands of the other tasks.
fn waits_for_us_only(task: &Resident) -> bool {
    let of_the_world = |wait: &Wait| matches!(wait.resource.kind, Waits::Socket | Waits::Thread);
    !task.waits.is_empty() && !task.waits.iter().any(of_the_world)
}

/// While it lives, somebody else hears what the loop's observer hears.
struct WatchToo<'a>(&'a Parts);

impl WatchToo<'_> {
    fn new(parts: &Parts, too: Rc<dyn Observer>) -> WatchToo<'_> {
        let all = parts.observer.iter().cloned().chain([too]);
        observer::watch(observer::all_of(all.collect()));
        WatchToo(parts)
    }
}

impl Drop for WatchToo<'_> {
    fn drop(&mut self) {
        observer::watch(self.0.observer.clone());
    }
}
