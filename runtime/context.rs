//! The context: which loop this thread is inside of.
//!
//! Promises: one thread-local points to the loop; entering a loop inside a loop is refused; whatever
//! way a loop is left, by return or by panic, the thread is as it was.
//! Does not know: how the loop runs.

use std::any::Any;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use crate::driver::Driver;
use crate::home;
use crate::observer::{self, Actor, Observer};
use crate::scheduler::Scheduler;
use crate::task::{Doorway, Tasks};

/// The parts of a loop that tasks reach for.
pub(crate) struct Parts {
    pub(crate) scheduler: Scheduler,
    pub(crate) driver: Rc<Driver>,
    pub(crate) observer: Option<Rc<dyn Observer>>,
}

thread_local! {
    /// Without a destructor: a loop that is itself dropped by a thread-local's destructor still finds
    /// it. It holds something only while the thread is inside a loop.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<Parts>>>> = const { ManuallyDrop::new(RefCell::new(None)) };
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
    match CURRENT.with(|current| current.borrow().as_ref().map(|parts| parts.driver.clone())) {
        Some(driver) => driver,
        None => needs_a_loop(what),
    }
}

/// Whether this thread is inside a loop, and not in the one of `driver`.
pub(crate) fn is_in_another(driver: &Rc<Driver>) -> bool {
    CURRENT.with(|current| current.borrow().as_ref().is_some_and(|parts| !Rc::ptr_eq(&parts.driver, driver)))
}

/// The loop this thread is inside of, if any.
#[inline]
pub(crate) fn try_current() -> Option<Rc<Parts>> {
    CURRENT.with(|current| current.borrow().clone())
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
    if CURRENT.with(|current| current.borrow().is_some()) {
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
pub(crate) fn enter_anywhere(parts: &Rc<Parts>) -> Inside {
    let here = Surroundings {
        parts: Some(parts.clone()),
        home: Some(parts.scheduler.tasks().clone()),
        observer: parts.observer.clone(),
        actor: Actor::Outside,
    };
    Inside { before: Some(here.install()) }
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
    before: Option<Surroundings>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            before.install();
        }
    }
}

/// What the thread-locals hold for one loop, or for none.
struct Surroundings {
    parts: Option<Rc<Parts>>,
    home: Option<Rc<Tasks>>,
    observer: Option<Rc<dyn Observer>>,
    actor: Actor,
}

impl Surroundings {
    /// Puts these in place and returns what was there.
    fn install(self) -> Surroundings {
        Surroundings {
            parts: CURRENT.with(|current| current.replace(self.parts)),
            home: home::set(self.home),
            observer: observer::watch(self.observer),
            actor: observer::set_actor(self.actor),
        }
    }
}
