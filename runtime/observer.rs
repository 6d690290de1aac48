//! The first seam: an [`Observer`] is told what the loop does, as it does it.
//!
//! ```text
//!   Spawned -> Woken -> PollStarted -> Waiting(for what) -> PollEnded -> Woken(by whom) -> ... -> Finished
//!                                      Parked -> Unparked, Fired
//!                                      Acquired, Released
//!                                      Opened, Closed (a socket)   Submitted, Answered (a thread's closure)
//! ```
//!
//! The file also keeps two small facts of this thread that others ask for: who acts just now (the
//! cause of the next wake), and what the current task said it waits for.
//!
//! A guard is an observer that wants a few events only: turns, the root's end, a panic that nobody reads, the
//! loop's closing. Under a guard alone no other event is put together, and no primitive is given a number.
//!
//! Promises: with nobody watching, an event costs one branch; an observer is called with no borrow
//! and no lock of the runtime held.
//! Does not know: how any of the events come about.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::Rc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::clock::Instant;

// Named from here, so that a model that builds this file finds it as well.
#[path = "observer/label.rs"]
mod label;

pub(crate) use label::{
    FreshLabels, Label, Mark, Nameable, forget_stalls, has_stalls, waiting, waiting_for_a_turn, waiting_for_anyone,
    waiting_unlabelled,
};

/// Something that wants to be told of every event of a loop.
///
/// Set one with [`EventLoop::builder().observer(..)`](crate::Builder::observer). It is called on the
/// loop's thread, in the middle of things: it should note the event down and return. It must not
/// spawn, wake or block; a panic in it passes through whatever was under way.
pub trait Observer {
    /// Tells one event, at the moment it happens.
    fn event(&self, event: &Event<'_>);
}

/// The number of a task: 0 for the future given to `block_on`, then 1, 2, 3 in order of spawning.
///
/// A loop never uses a number twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(crate) u64);

/// Serial numbers above this one count down, and belong to the futures given to `block_on`: each has
/// a life of its own, so that what was meant for one of them never reaches the next.
const ROOTS: u64 = 1 << 61;

/// The serial number of the `n`th future given to `block_on`, from 1.
pub(crate) fn root_serial(n: u64) -> u64 {
    2 * ROOTS - n
}

impl TaskId {
    /// The task with this serial number.
    #[inline]
    pub(crate) fn of(serial: u64) -> TaskId {
        TaskId(if serial < ROOTS { serial } else { 0 })
    }

    /// The number itself.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

/// Who is acting: the cause of a wake or of a spawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Code outside any task: before `block_on`, or in a destructor at the loop's end.
    Outside,
    /// A task, during its poll.
    Task(TaskId),
    /// A timer that came due.
    Timer,
    /// A socket that became ready.
    Socket,
    /// Another thread.
    Thread,
    /// The loop itself, which asks a task what it waits for, because nothing happens any more or it has waited long.
    Loop,
}

impl Actor {
    /// The task, if it is one.
    pub fn task(self) -> Option<TaskId> {
        match self {
            Actor::Task(task) => Some(task),
            _ => None,
        }
    }
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Waits {
    /// Something this runtime did not make: its waker went elsewhere.
    #[default]
    Foreign,
    /// Its next turn, which it gave away.
    Turn,
    /// A deadline.
    Timer,
    /// A socket to become ready.
    Socket,
    /// A closure on the thread pool.
    Thread,
    /// Another task to finish.
    Task,
    /// The members of a gather or a group to finish.
    Children,
    /// A lock.
    Lock,
    /// Permits of a semaphore.
    Semaphore,
    /// An event to be set.
    Event,
    /// A condition to be notified.
    Condition,
    /// The other parties of a barrier.
    Barrier,
    /// An item in a queue, or room for one, or its work to be done.
    Queue,
    /// A value through a oneshot channel.
    Oneshot,
    /// A once-cell to be filled.
    OnceCell,
}

/// Who has what another one waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who took it.
    pub who: Actor,
    /// The line of the call that took it.
    pub site: &'static Location<'static>,
}

/// What stands between a waiter and the end of its wait, as far as the runtime knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behind<'a> {
    /// Whatever has to happen, the runtime cannot tell who will do it.
    Anyone,
    /// A moment of the loop's clock; [`Instant::FAR`] never comes.
    Deadline(Instant),
    /// Who has the lock now, or who took permits of a semaphore last, newest first.
    Holders(&'a [Holder]),
    /// A task that is not over.
    Task(TaskId),
    /// The members of this family (see [`Event::Member`]) that are not over.
    Members,
}

/// One primitive among all: a kind and a number, given out when it is first seen by an observer, or named.
///
/// Numbers and names are those of the thread that gave them: of a primitive that was moved to another thread later,
/// they may be another one's there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// What it is.
    pub kind: Waits,
    /// Which one of this thread: 1, 2, 3 in order of first use under an observer; 0 is unnumbered.
    pub number: u32,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With its output.
    Returned,
    /// By a panic.
    Panicked,
    /// By being cancelled.
    Cancelled,
}

/// When a closure of `to_thread` ran, and on which thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// By the machine's clock, whatever the loop's may be.
    pub began: Instant,
    /// Likewise.
    pub ended: Instant,
    /// The thread of the pool.
    pub thread: ThreadId,
}

impl Ran {
    /// On this thread, since `began`.
    pub(crate) fn until_now(began: Instant) -> Ran {
        Ran { began, ended: Instant::of_the_machine(), thread: thread::current().id() }
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A task was made.
    Spawned {
        /// The new task.
        task: TaskId,
        /// Its name, if it was given one.
        name: Option<&'a str>,
        /// The line that spawned it.
        site: &'static Location<'static>,
        /// Who spawned it.
        by: Actor,
    },
    /// A task went from waiting to ready. Wakes of a task that is ready already are not told.
    Woken {
        /// The task.
        task: TaskId,
        /// Who woke it.
        by: Actor,
    },
    /// A task's turn begins.
    PollStarted {
        /// The task.
        task: TaskId,
    },
    /// A task's turn is over.
    PollEnded {
        /// The task.
        task: TaskId,
        /// Whether it goes on waiting (or is finished).
        pending: bool,
    },
    /// A task joins the line for something.
    Waiting {
        /// Who waits.
        by: Actor,
        /// For what.
        resource: Resource,
        /// The line of the call, where the call can know it.
        site: Option<&'static Location<'static>>,
        /// What has to happen first.
        behind: Behind<'a>,
    },
    /// A lock or permits were taken.
    Acquired {
        /// Who took it.
        by: Actor,
        /// What was taken.
        resource: Resource,
        /// The line of the call.
        site: &'static Location<'static>,
    },
    /// A lock or permits were given back, or permits forgotten for good: nobody has them any more.
    Released {
        /// Who had taken it; whoever drops the guard, by a cancel or because it was given away.
        by: Actor,
        /// What he had.
        resource: Resource,
    },
    /// A task is over and its future is dropped.
    Finished {
        /// The task.
        task: TaskId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A task has ended with a panic that nobody will hear of: its handle was dropped.
    Unread {
        /// The task.
        task: TaskId,
        /// The line that spawned it.
        site: &'static Location<'static>,
        /// What the panic said.
        text: &'a str,
    },
    /// The end of a task is reported to a gather, a group or an `as_completed`.
    Member {
        /// What hears of it.
        family: Resource,
        /// The task.
        task: TaskId,
    },
    /// A socket was made.
    Opened {
        /// Which one.
        socket: Resource,
        /// Who made it.
        by: Actor,
    },
    /// A socket was closed.
    Closed {
        /// Which one.
        socket: Resource,
    },
    /// A closure was handed to the thread pool.
    Submitted {
        /// Which one.
        job: Resource,
        /// Who handed it over.
        by: Actor,
        /// The line of the call.
        site: &'static Location<'static>,
    },
    /// The result of such a closure has reached its handle.
    Answered {
        /// Which one.
        job: Resource,
        /// When and where it ran: known if somebody watched when it was handed over, and it was not called off.
        ran: Option<Ran>,
    },
    /// Somebody said something for whoever watches, by [`note`](crate::study::note); or the loop did, when it found
    /// itself deadlocked.
    Noted {
        /// Who said it.
        by: Actor,
        /// What was said.
        text: &'a str,
    },
    /// The loop has come to its end, and drops the tasks that are left.
    Closing,
    /// The loop goes to wait for the world.
    Parked {
        /// For how long at most; `None` is for ever.
        limit: Option<Duration>,
    },
    /// The loop is back.
    Unparked,
    /// Timers came due.
    Fired {
        /// How many.
        timers: usize,
    },
}

thread_local! {
    /// The serial number of the task whose turn it is, or who else acts, at the upper end: one word,
    /// because it is written at every turn and seldom read.
    static ACTOR: Cell<u64> = const { Cell::new(OUTSIDE) };
    static WAITS: Cell<Waits> = const { Cell::new(Waits::Foreign) };
    static STALLS: Cell<bool> = const { Cell::new(false) };
    static WATCH: Cell<u8> = const { Cell::new(NOBODY) };
    /// Without a destructor, so that it is there in those of other thread-locals; it holds something
    /// only while the thread is inside a loop.
    static OBSERVER: ManuallyDrop<RefCell<Option<Rc<dyn Observer>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// How much is told, as bits: whoever hears everything hears what a guard hears.
const NOBODY: u8 = 0;
const GUARD: u8 = 1;
const EVERYTHING: u8 = 2;

/// Somebody who is told of events.
#[derive(Clone)]
pub(crate) struct Watch {
    observer: Rc<dyn Observer>,
    level: u8,
}

impl Watch {
    /// It hears everything.
    pub(crate) fn of_everything(observer: Rc<dyn Observer>) -> Watch {
        Watch { observer, level: GUARD | EVERYTHING }
    }

    /// It wants what is told by [`tell_guards`], and must not mind the rest.
    pub(crate) fn guard(observer: Rc<dyn Observer>) -> Watch {
        Watch { observer, level: GUARD }
    }
}

/// Makes `watch` the one that this thread's events go to.
#[inline]
pub(crate) fn watch(watch: Option<Watch>) {
    if watch.is_some() || has_guards() {
        WATCH.set(watch.as_ref().map_or(NOBODY, |watch| watch.level));
        let before = OBSERVER.with(|current| current.replace(watch.map(|watch| watch.observer)));
        drop(before);
    }
}

/// Whether anybody watches who is more than a guard.
#[inline]
pub(crate) fn is_watched() -> bool {
    WATCH.get() & EVERYTHING != 0
}

/// Whether anybody hears what guards hear.
#[inline]
pub(crate) fn has_guards() -> bool {
    WATCH.get() != NOBODY
}

/// Tells an event, which is only put together if somebody watches.
#[inline]
pub(crate) fn tell<'a>(event: impl FnOnce() -> Event<'a>) {
    if is_watched() {
        pass_on(event);
    }
}

/// The same, and guards hear it, too.
#[inline]
pub(crate) fn tell_guards<'a>(event: impl FnOnce() -> Event<'a>) {
    if has_guards() {
        pass_on(event);
    }
}

// Out of line with all of the event's making, so that the quiet path stays short.
#[cold]
#[inline(never)]
fn pass_on<'a>(event: impl FnOnce() -> Event<'a>) {
    let observer = OBSERVER.with(|current| current.borrow().clone());
    if let Some(observer) = observer {
        observer.event(&event());
    }
}

const OUTSIDE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const SOCKET: u64 = u64::MAX - 2;
const THREAD: u64 = u64::MAX - 3;
const LOOP: u64 = u64::MAX - 4;

/// Who acts just now on this thread.
#[inline]
pub(crate) fn actor() -> Actor {
    actor_of(ACTOR.get())
}

#[inline]
fn actor_of(word: u64) -> Actor {
    match word {
        OUTSIDE => Actor::Outside,
        TIMER => Actor::Timer,
        SOCKET => Actor::Socket,
        THREAD => Actor::Thread,
        LOOP => Actor::Loop,
        serial => Actor::Task(TaskId::of(serial)),
    }
}

/// Says who acts from now on; returns who did.
#[inline]
pub(crate) fn set_actor(actor: Actor) -> Actor {
    let before = self::actor();
    ACTOR.set(match actor {
        Actor::Outside => OUTSIDE,
        Actor::Timer => TIMER,
        Actor::Socket => SOCKET,
        Actor::Thread => THREAD,
        Actor::Loop => LOOP,
        Actor::Task(task) => task.0,
    });
    before
}

/// Says that the task with this serial number acts from now on.
#[inline]
pub(crate) fn set_acting_task(serial: u64) {
    ACTOR.set(serial);
}

/// What the current task said last that it waits for; the next one begins with `Foreign`.
#[inline]
pub(crate) fn take_waits() -> Waits {
    WAITS.take()
}

/// Puts back what was taken by [`take_waits`].
#[inline]
pub(crate) fn put_waits(waits: Waits) {
    WAITS.set(waits);
}

/// One that stands for `all`; nobody if there are none.
pub(crate) fn all_of(mut all: Vec<Watch>) -> Option<Watch> {
    if all.len() > 1 {
        let level = all.iter().fold(NOBODY, |level, watch| level | watch.level);
        Some(Watch { observer: Rc::new(Several(all)), level })
    } else {
        all.pop()
    }
}

/// Tells every one, in order.
struct Several(Vec<Watch>);

impl Observer for Several {
    fn event(&self, event: &Event<'_>) {
        self.0.iter().for_each(|watch| watch.observer.event(event));
    }
}
