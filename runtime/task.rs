//! The tasks of a loop: a boxed future each, with what is known of it, until its result is taken.
//!
//! ```text
//!   Alive(future) --turn--> Alive(-) --ready, or panic--> Finished(result) --handle takes it--> gone
//!        ^                     |                              ^
//!        `------ pending ------'         cancel: the future is dropped, Finished(cancelled)
//! ```
//!
//! Promises: a future is dropped once, on the loop's thread, before its result can be seen; a panic in
//! it, in its destructor or in its output's destructor ends this task only; no borrow is held while
//! any of them runs; a future that is cancelled from outside the loop is dropped inside it.
//! Does not know: who picks the next task, sockets, timers.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::arena::{Arena, Key, MAX_INDEX};
use crate::join_error::JoinError;
use crate::observer::{self, Event, Outcome, TaskId, Waits};
use crate::quietly::quietly;
use crate::task_queue::{self, TaskQueue};
use crate::waker;

/// All tasks of one loop, and the queue that they stand in.
#[derive(Debug)]
pub(crate) struct Tasks {
    queue: Rc<TaskQueue>,
    arena: RefCell<Arena<Task>>,
    current: Cell<Option<Key>>,
    /// How many futures `block_on` was given so far.
    roots: Cell<u64>,
    closed: Cell<bool>,
    /// Set when the loop is put together, for its rooms are above this one.
    doorway: OnceCell<Weak<dyn Doorway>>,
}

/// The way into the loop that the tasks belong to, for who ends one from outside it.
pub(crate) trait Doorway {
    /// The loop is around the caller for as long as what this returns lives.
    fn enter(self: Rc<Self>) -> Box<dyn Any>;
}

pub(crate) struct Task {
    stage: Stage,
    listener: Listener,
    site: &'static Location<'static>,
    name: Option<Box<str>>,
    polls: u32,
    waits: Waits,
    /// Nobody holds the handle: the result is dropped as soon as it is there.
    detached: bool,
    /// It was cancelled during its own poll, and is dropped at the end of it.
    doomed: bool,
}

enum Stage {
    /// What `block_on` was given: it stands in line like any task, but lives on the stack.
    Root,
    /// `None` while its future is in somebody's hands: being polled, or being dropped.
    Alive(Option<Body>),
    Finished(TaskResult),
}

/// The name of what `block_on` was given.
const ROOT_NAME: &str = "main";

pub(crate) type Body = Pin<Box<dyn AnyFuture>>;
pub(crate) type TaskResult = Result<Box<dyn Any>, JoinError>;

/// A future whose output is boxed where it appears, so that tasks of all types share one arena.
/// (The box of an output without size, such as `()`, needs no allocation.)
pub(crate) trait AnyFuture {
    fn poll_any(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Box<dyn Any>>;
}

impl<F> AnyFuture for F
where
    F: Future,
    F::Output: 'static,
{
    fn poll_any(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Box<dyn Any>> {
        self.poll(cx).map(|output| Box::new(output) as Box<dyn Any>)
    }
}

/// Who wants to hear that a task is finished.
enum Listener {
    Nobody,
    Waker(Waker),
    /// The number under which to report to a party that waits for many.
    Party(Rc<Arrivals>, usize),
}

/// A turn given to a task.
pub(crate) enum Turn {
    Root,
    Task(Body),
}

impl Tasks {
    pub(crate) fn new(queue: Rc<TaskQueue>) -> Tasks {
        Tasks {
            queue,
            arena: RefCell::new(Arena::new()),
            current: Cell::new(None),
            roots: Cell::new(0),
            closed: Cell::new(false),
            doorway: OnceCell::new(),
        }
    }

    pub(crate) fn set_doorway(&self, doorway: Weak<dyn Doorway>) {
        let _only_once = self.doorway.set(doorway);
    }

    pub(crate) fn queue(&self) -> &Rc<TaskQueue> {
        &self.queue
    }

    /// Makes a task and queues it. Once the loop has ended, the future is dropped at once and the task
    /// counts as cancelled.
    #[inline]
    pub(crate) fn add<F>(&self, future: F, name: Option<&str>, site: &'static Location<'static>) -> (Key, TaskId)
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        if self.closed.get() {
            let key = self.arena.borrow_mut().insert(Task::new(Stage::Alive(None), name, site));
            let id = self.id(key);
            quietly(|| drop(future));
            self.settle(key, Err(JoinError::cancelled(Some(id))));
            return (key, id);
        }
        let stage = Stage::Alive(Some(Box::pin(future)));
        let (key, id) = self.admit(Task::new(stage, name, site), None);
        announce(id, name, site);
        (key, id)
    }

    /// Makes a place in line for the future that `block_on` holds.
    pub(crate) fn admit_root(&self, site: &'static Location<'static>) -> Key {
        self.roots.set(self.roots.get() + 1);
        let serial = observer::root_serial(self.roots.get());
        self.admit(Task::new(Stage::Root, None, site), Some(serial)).0
    }

    pub(crate) fn announce_root(&self, site: &'static Location<'static>) {
        announce(TaskId(0), Some(ROOT_NAME), site);
    }

    /// Takes the root's place away again.
    pub(crate) fn dismiss_root(&self, key: Key) {
        self.queue.dismiss(key);
        self.arena.borrow_mut().remove(key);
    }

    fn admit(&self, task: Task, serial: Option<u64>) -> (Key, TaskId) {
        let mut arena = self.arena.borrow_mut();
        let serial = serial.unwrap_or_else(|| arena.next_serial());
        let key = arena.insert_as(serial, task);
        self.queue.admit(key, serial);
        (key, TaskId::of(serial))
    }

    pub(crate) fn id(&self, key: Key) -> TaskId {
        TaskId::of(self.arena.borrow().serial(key).unwrap_or(0))
    }

    /// Takes the future of a task out for its turn; nothing if the task has no turn to take.
    #[inline]
    pub(crate) fn begin_turn(&self, key: Key) -> Option<(Turn, TaskId)> {
        let mut arena = self.arena.borrow_mut();
        let id = TaskId::of(arena.serial(key)?);
        let task = arena.get_mut(key)?;
        let turn = match &mut task.stage {
            Stage::Alive(body) => Turn::Task(body.take()?),
            Stage::Root => Turn::Root,
            Stage::Finished(_) => return None,
        };
        task.polls = task.polls.wrapping_add(1);
        Some((turn, id))
    }

    /// Puts a pending future back, or finishes the task if it was cancelled meanwhile.
    #[inline]
    pub(crate) fn end_turn(&self, key: Key, body: Body, waits: Waits) {
        let mut arena = self.arena.borrow_mut();
        if let Some(task) = arena.get_mut(key) {
            task.waits = waits;
            if let Stage::Alive(home) = &mut task.stage
                && !task.doomed
            {
                *home = Some(body);
                return;
            }
        }
        drop(arena);
        self.finish_cancelled(key, body);
    }

    pub(crate) fn end_root_turn(&self, key: Key, waits: Waits) {
        if let Some(task) = self.arena.borrow_mut().get_mut(key) {
            task.waits = waits;
        }
    }

    pub(crate) fn set_current(&self, key: Option<Key>) {
        self.current.set(key);
    }

    /// Drops the future, keeps the result for the handle and tells whoever listens.
    pub(crate) fn finish(&self, key: Key, body: Body, result: TaskResult) {
        let result = match (dropped(body), result) {
            (Ok(()), result) => result,
            // The first panic is the one to tell.
            (Err(second), Err(first)) if first.is_panic() => {
                quietly(|| drop(second));
                Err(first)
            }
            // A panic of the future's destructor weighs more than its output: the task did not end well.
            (Err(panic), result) => {
                quietly(|| drop(result));
                Err(JoinError::panicked(Some(self.id(key)), panic))
            }
        };
        self.settle(key, result);
    }

    fn finish_cancelled(&self, key: Key, body: Body) {
        let id = self.id(key);
        self.finish(key, body, Err(JoinError::cancelled(Some(id))));
    }

    fn settle(&self, key: Key, result: TaskResult) {
        self.queue.dismiss(key);
        let mut arena = self.arena.borrow_mut();
        let id = TaskId::of(arena.serial(key).unwrap_or(0));
        let Some(task) = arena.get_mut(key) else { return };
        let outcome = match &result {
            Ok(_) => Outcome::Returned,
            Err(error) if error.is_panic() => Outcome::Panicked,
            Err(_) => Outcome::Cancelled,
        };
        let listener = mem::replace(&mut task.listener, Listener::Nobody);
        let unwanted = if task.detached {
            Some((arena.remove(key), result))
        } else {
            task.stage = Stage::Finished(result);
            None
        };
        drop(arena);
        observer::tell(|| Event::Finished { task: id, outcome });
        if unwanted.is_some() {
            quietly(|| drop(unwanted));
        }
        // The listener may be a foreign waker: its panic must not cost the loop its other tasks.
        quietly(|| listener.hear());
    }

    /// Drops the task's future now, or at the end of its own poll. False if it is over already.
    pub(crate) fn cancel(&self, key: Key) -> bool {
        let mut arena = self.arena.borrow_mut();
        let Some(task) = arena.get_mut(key) else { return false };
        let Stage::Alive(body) = &mut task.stage else { return false };
        let Some(body) = body.take() else {
            task.doomed = true;
            return true;
        };
        drop(arena);
        // First out of the line: a destructor that wakes its own task must not queue it again.
        self.queue.dismiss(key);
        let _inside = self.enter();
        self.finish_cancelled(key, body);
        true
    }

    /// Puts the loop around the caller, wherever that is, for as long as the guard lives: destructors find
    /// their own loop, not none or another, and whoever watches it hears of them.
    fn enter(&self) -> Option<Box<dyn Any>> {
        if task_queue::is_home(self.queue.address()) {
            return None;
        }
        Some(self.doorway.get()?.upgrade()?.enter())
    }

    /// Whether a task is over and its future dropped.
    pub(crate) fn is_finished(&self, key: Key) -> bool {
        self.arena.borrow().get(key).is_none_or(|task| matches!(task.stage, Stage::Finished(_)))
    }

    pub(crate) fn name(&self, key: Key) -> Option<Box<str>> {
        self.arena.borrow().get(key)?.name.clone()
    }

    /// Takes the result of a task out, if it is there; the slot is free then.
    pub(crate) fn take_result(&self, key: Key) -> Option<TaskResult> {
        let mut arena = self.arena.borrow_mut();
        if !matches!(arena.get(key)?.stage, Stage::Finished(_)) {
            return None;
        }
        let task = arena.remove(key)?;
        drop(arena);
        let Stage::Finished(result) = task.stage else { return None };
        Some(result)
    }

    /// The result of a task; until it is there, the task's end wakes the context's. The error says why
    /// it never will be.
    pub(crate) fn poll_result(&self, key: Key, cx: &mut Context<'_>) -> Result<Poll<TaskResult>, &'static str> {
        // Cloned before the look, for a foreign waker's clone is foreign code: it may even end the task.
        let mut listener = Listener::Waker(cx.waker().clone());
        let mut arena = self.arena.borrow_mut();
        match arena.get_mut(key) {
            Some(Task { stage: Stage::Finished(_), .. }) => {
                drop(arena);
                Ok(Poll::Ready(self.take_result(key).expect("a finished task has its result")))
            }
            Some(Task { stage: Stage::Alive(None), doomed: false, .. }) => {
                Err("a task awaits its own JoinHandle, which would never end: await it from another task")
            }
            Some(task) => {
                mem::swap(&mut task.listener, &mut listener);
                // The listener of before is dropped last, with the borrow let go.
                drop(arena);
                Ok(Poll::Pending)
            }
            None => Err("this JoinHandle has given its result already: await it only once"),
        }
    }

    /// Has a task's end reported to a party that waits for many, under `number`; at once if it is over.
    pub(crate) fn report(&self, key: Key, arrivals: &Rc<Arrivals>, number: usize) {
        let mut arena = self.arena.borrow_mut();
        if let Some(task) = arena.get_mut(key).filter(|task| !matches!(task.stage, Stage::Finished(_))) {
            let before = mem::replace(&mut task.listener, Listener::Party(arrivals.clone(), number));
            drop(arena);
            drop(before);
        } else {
            drop(arena);
            arrivals.report(number);
        }
    }

    /// Nobody wants the result any more.
    pub(crate) fn detach(&self, key: Key) {
        let mut arena = self.arena.borrow_mut();
        let Some(task) = arena.get_mut(key) else { return };
        task.detached = true;
        let listener = mem::replace(&mut task.listener, Listener::Nobody);
        let over = matches!(task.stage, Stage::Finished(_)).then(|| arena.remove(key));
        drop(arena);
        quietly(|| drop(listener));
        if over.is_some() {
            let _inside = self.enter();
            quietly(|| drop(over));
        }
    }

    /// Cancels the task only if it is the one with this serial number.
    pub(crate) fn cancel_exactly(&self, key: Key, serial: u64) {
        let found = self.arena.borrow().serial(key);
        if found == Some(serial) {
            self.cancel(key);
        }
    }

    /// The loop's end: cancels every task, in order of spawning, and lets none begin any more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let mut keys: Vec<(u64, Key)> = self.arena.borrow().iter().map(|(key, serial, _)| (serial, key)).collect();
        keys.sort_unstable_by_key(|&(serial, _)| serial);
        for (_, key) in keys {
            self.cancel(key);
        }
    }

    /// What is known of every task that is not over, in order of spawning.
    pub(crate) fn all(&self) -> Vec<TaskInfo> {
        let current = self.current.get();
        let arena = self.arena.borrow();
        let alive = arena.iter().filter(|(_, _, task)| !matches!(task.stage, Stage::Finished(_)));
        let mut all: Vec<TaskInfo> = alive.map(|(key, serial, task)| task.info(serial, current == Some(key))).collect();
        all.sort_unstable_by_key(|info| info.id);
        all
    }

    /// What is known of the task whose turn it is.
    pub(crate) fn current(&self) -> Option<TaskInfo> {
        let key = self.current.get()?;
        let arena = self.arena.borrow();
        Some(arena.get(key)?.info(arena.serial(key)?, true))
    }
}

/// Tells that a task was made, and that it is ready.
#[inline]
fn announce(task: TaskId, name: Option<&str>, site: &'static Location<'static>) {
    observer::tell(|| Event::Spawned { task, name, site, by: observer::actor() });
    observer::tell(|| Event::Woken { task, by: observer::actor() });
}

impl Task {
    #[inline]
    fn new(stage: Stage, name: Option<&str>, site: &'static Location<'static>) -> Task {
        let listener = Listener::Nobody;
        let name = name.map(Box::from);
        Task { stage, listener, site, name, polls: 0, waits: Waits::Turn, detached: false, doomed: false }
    }

    fn info(&self, serial: u64, running: bool) -> TaskInfo {
        TaskInfo {
            id: TaskId::of(serial),
            name: if matches!(self.stage, Stage::Root) { Some(ROOT_NAME.into()) } else { self.name.clone() },
            site: self.site,
            polls: self.polls,
            waits_for: if running { None } else { Some(self.waits) },
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Root => "Root",
            Stage::Alive(Some(_)) => "Alive",
            Stage::Alive(None) => "Alive, being polled",
            Stage::Finished(_) => "Finished",
        };
        f.debug_struct("Task").field("name", &self.name).field("stage", &stage).finish_non_exhaustive()
    }
}

impl Listener {
    fn hear(self) {
        match self {
            Listener::Nobody => {}
            Listener::Waker(waker) => waker.wake(),
            Listener::Party(arrivals, number) => arrivals.report(number),
        }
    }
}

/// Drops a future; the payload if that panics.
fn dropped(body: Body) -> Result<(), Box<dyn Any + Send>> {
    panic::catch_unwind(AssertUnwindSafe(|| drop(body)))
}

/// What [`all_tasks`](crate::all_tasks) and [`current_task`](crate::current_task) know of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it was given one. The future given to `block_on` is called `main`.
    pub name: Option<Box<str>>,
    /// The line that spawned it.
    pub site: &'static Location<'static>,
    /// How many turns it has had.
    pub polls: u32,
    /// What it waits for; `None` while it has its turn.
    pub waits_for: Option<Waits>,
}

/// Who has finished, of many: the numbers in order of finishing, and one waker to hear of it.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    finished: RefCell<VecDeque<usize>>,
    waker: RefCell<Option<Waker>>,
}

impl Arrivals {
    fn report(&self, number: usize) {
        self.finished.borrow_mut().push_back(number);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next number in order of finishing, if there is one.
    pub(crate) fn try_next(&self) -> Option<usize> {
        self.finished.borrow_mut().pop_front()
    }

    /// The next number in order of finishing. With none there, the context's task will be woken.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<usize> {
        // Cloned before the look: a foreign waker's clone may be what finishes a task.
        let waker = cx.waker().clone();
        if let Some(number) = self.try_next() {
            return Poll::Ready(number);
        }
        observer::waiting_for(Waits::Children, None);
        let before = self.waker.borrow_mut().replace(waker);
        drop(before);
        Poll::Pending
    }
}

impl Tasks {
    /// A waker that ends the loop's sleep, and no more: it names the last slot, before any life in it.
    pub(crate) fn waker_of_nobody(&self) -> Waker {
        waker_of(self, Key { index: MAX_INDEX, life: 0 })
    }
}

/// The waker of a task of this loop.
#[inline]
pub(crate) fn waker_of(tasks: &Tasks, key: Key) -> Waker {
    waker::waker(tasks.queue.address().number(), key)
}
