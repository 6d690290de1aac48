//! The context: which loop this thread is inside of.
//!
//! Promises: one thread-local points to the loop; entering a loop inside a loop is refused; whatever
//! way a loop is left, by return or by panic, the thread is as it was.
//! Does not know: how the loop runs.

use std::any::Any;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use crate::driver::Driver;
use crate::home;
use crate::observer::{self, Actor, Watch};
use crate::scheduler::Scheduler;
use crate::task::{Doorway, Tasks};

/// The parts of a loop that tasks reach for.
pub(crate) struct Parts {
    pub(crate) scheduler: Scheduler,
    pub(crate) driver: Rc<Driver>,
    pub(crate) watch: Option<Watch>,
}

thread_local! {
    /// Without a destructor: a loop that is itself dropped by a thread-local's destructor still finds
    /// it. It holds something only while the thread is inside a loop. Whoever looks takes it out and puts
    /// it back.
    static CURRENT: ManuallyDrop<Cell<Option<Rc<Parts>>>> = const { ManuallyDrop::new(Cell::new(None)) };
}

/// The loop this thread is inside of. Otherwise panics: `what` needs it, and the message says the cure.
#[track_caller]
#[inline]
pub(crate) fn current(what: &str) -> Rc<Parts> {
    match try_current() {
        Some(parts) => parts,
        None => needs_a_loop(what),
    }
}

/// The tasks of the loop this thread is inside of, or a panic as by [`current`].
#[track_caller]
#[inline]
pub(crate) fn tasks(what: &str) -> Rc<Tasks> {
    match home::tasks() {
        Some(tasks) => tasks,
        None => needs_a_loop(what),
    }
}

/// The driver of the loop this thread is inside of, or a panic as by [`current`].
#[track_caller]
#[inline]
pub(crate) fn driver(what: &str) -> Rc<Driver> {
    match look(|parts| parts.driver.clone()) {
        Some(driver) => driver,
        None => needs_a_loop(what),
    }
}

/// Whether this thread is inside a loop, and not in the one of `driver`.
pub(crate) fn is_in_another(driver: &Rc<Driver>) -> bool {
    look(|parts| !Rc::ptr_eq(&parts.driver, driver)) == Some(true)
}

/// The loop this thread is inside of, if any.
#[inline]
pub(crate) fn try_current() -> Option<Rc<Parts>> {
    look(Rc::clone)
}

/// What `question` finds about the loop this thread is inside of. It calls nobody.
#[inline]
fn look<T>(question: impl FnOnce(&Rc<Parts>) -> T) -> Option<T> {
    let parts = set(None);
    let answer = parts.as_ref().map(question);
    set(parts);
    answer
}

#[inline]
fn set(parts: Option<Rc<Parts>>) -> Option<Rc<Parts>> {
    CURRENT.with(|current| current.replace(parts))
}

#[cold]
#[track_caller]
fn needs_a_loop(what: &str) -> ! {
    panic!("{what} needs a running loop: call it inside block_on(), in `async {{ .. }}`, or in a task of the loop")
}

/// Enters a loop to run it.
///
/// # Panics
///
/// If the thread is inside a loop already: `what` was called there.
#[track_caller]
pub(crate) fn enter(parts: &Rc<Parts>, what: &str) -> Inside {
    if look(|_| ()).is_some() {
        panic!(
            "{what} was called inside a running loop, which would stop that loop: \
             await the future instead, or call {what} in a thread of its own, by to_thread()"
        );
    }
    // What was said outside, or by a root that panicked, is not said by the first task.
    observer::take_waits();
    enter_anywhere(parts)
}

/// Enters a loop wherever that happens, inside another loop too: to run its destructors, not its tasks.
#[inline]
pub(crate) fn enter_anywhere(parts: &Rc<Parts>) -> Inside {
    Inside { before: install(Some(parts.clone())), actor: observer::set_actor(Actor::Outside) }
}

impl Doorway for Parts {
    fn enter(self: Rc<Self>) -> Option<Box<dyn Any>> {
        if home::is(self.scheduler.tasks().address()) {
            return None;
        }
        Some(Box::new(enter_anywhere(&self)))
    }
}

/// While it lives, this thread is inside the loop.
pub(crate) struct Inside {
    before: Option<Rc<Parts>>,
    actor: Actor,
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        install(self.before.take());
        observer::set_actor(self.actor);
    }
}

/// Fills the thread-locals for a loop, or for none; returns the loop of before.
#[inline]
fn install(parts: Option<Rc<Parts>>) -> Option<Rc<Parts>> {
    home::set(parts.as_ref().map(|parts| parts.scheduler.tasks().clone()));
    observer::watch(parts.as_ref().and_then(|parts| parts.watch.clone()));
    set(parts)
}
