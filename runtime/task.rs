//! The tasks of a loop: a boxed future each, with what is known of it, and the handle to its result.
//!
//! ```text
//!   Alive(future) --turn--> Alive(-) --ready, or panic--> Finished(result) --handle takes it--> gone
//!        ^                     |                              ^
//!        `------ pending ------'         cancel: the future is dropped, Finished(cancelled)
//! ```
//!
//! Promises: a future is dropped once, on the loop's thread, before its result can be seen; a panic in
//! it, in its destructor or in its output's destructor ends this task only; no borrow is held while
//! any of them runs.
//! Does not know: who picks the next task, sockets, timers.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::arena::{Arena, Key};
use crate::observer::{self, Event, Outcome, TaskId, Waits};
use crate::task_queue::{Address, Errand, TaskQueue};
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
        }
    }

    pub(crate) fn queue(&self) -> &Rc<TaskQueue> {
        &self.queue
    }

    /// Makes a task, queues it, and gives the handle to its result. Once the loop has ended, the
    /// future is dropped at once and the handle says cancelled.
    pub(crate) fn spawn<F>(
        self: &Rc<Self>,
        future: F,
        name: Option<&str>,
        site: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let (key, id) = if self.closed.get() {
            let key = self.arena.borrow_mut().insert(Task::new(Stage::Alive(None), name, site));
            let id = self.id(key);
            quietly(|| drop(future));
            self.settle(key, Err(JoinError::cancelled(Some(id))));
            (key, id)
        } else {
            let stage = Stage::Alive(Some(Box::pin(future)));
            let (key, id) = self.admit(Task::new(stage, name, site), None);
            announce(id, name, site);
            (key, id)
        };
        JoinHandle { tasks: self.clone(), key, id, output: PhantomData }
    }

    /// Makes a place in line for the future that `block_on` holds.
    pub(crate) fn admit_root(&self, site: &'static Location<'static>) -> Key {
        self.roots.set(self.roots.get() + 1);
        let serial = observer::root_serial(self.roots.get());
        let (key, id) = self.admit(Task::new(Stage::Root, None, site), Some(serial));
        announce(id, Some(ROOT_NAME), site);
        key
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
        self.finish_cancelled(key, body);
        true
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

    #[inline]
    fn into_result<T: 'static>(self) -> Option<Result<T, JoinError>> {
        let Stage::Finished(result) = self.stage else { return None };
        Some(result.map(|output| *output.downcast().expect("a task's output has the type of its handle")))
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

/// Runs destructors whose panics nobody is there to hear (the panic hook has printed them).
pub(crate) fn quietly(drop: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(drop)) {
        // The payload's own destructor may panic too; then it is leaked rather than fatal.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| mem::drop(payload))).map_err(mem::forget);
    }
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

/// The result of a task, to be awaited, and the means to cancel it.
///
/// Awaiting it gives what the task returned, or a [`JoinError`] if it was cancelled or panicked.
/// Dropping it detaches the task, which runs on. It may be awaited under another executor of the same
/// thread, and after its loop is gone: tasks that were not finished by then count as cancelled.
///
/// # Panics
///
/// Awaiting it panics inside the very task it belongs to, which would wait for ever, and after it has
/// given its result.
#[must_use = "dropping the handle lets the task run on unobserved: await it, or say `drop(..)` or `let _detached = ..`"]
#[doc(alias = "Task")]
pub struct JoinHandle<T> {
    tasks: Rc<Tasks>,
    key: Key,
    id: TaskId,
    output: PhantomData<T>,
}

impl<T> Unpin for JoinHandle<T> {}

impl<T: 'static> JoinHandle<T> {
    /// Cancels the task: its future is dropped before this returns, at the await where it stands.
    /// Inside the task's own poll it takes effect at the next await that has to wait.
    ///
    /// Returns false, and changes nothing, if the task is finished already.
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.tasks.cancel(self.key)
    }

    /// What cancels the task when called, for those who must let go of the handle's borrow first.
    pub(crate) fn canceller(&self) -> impl FnOnce() + use<T> {
        let (tasks, key) = (self.tasks.clone(), self.key);
        move || {
            tasks.cancel(key);
        }
    }

    /// Something that can cancel the task from any thread, at any time.
    #[doc(alias = "abort_handle")]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle { address: self.tasks.queue.address(), key: self.key, id: self.id }
    }

    /// Whether the task is over and its future dropped.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        let arena = self.tasks.arena.borrow();
        arena.get(self.key).is_none_or(|task| matches!(task.stage, Stage::Finished(_)))
    }

    /// The task's number in its loop.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name given by `spawn_named`.
    pub fn name(&self) -> Option<Box<str>> {
        self.tasks.arena.borrow().get(self.key)?.name.clone()
    }

    /// Has the task's end reported to a party that waits for many, under `number`; at once if it is over.
    pub(crate) fn report_to(&self, arrivals: &Rc<Arrivals>, number: usize) {
        let mut arena = self.tasks.arena.borrow_mut();
        if let Some(task) = arena.get_mut(self.key).filter(|task| !matches!(task.stage, Stage::Finished(_))) {
            let before = mem::replace(&mut task.listener, Listener::Party(arrivals.clone(), number));
            drop(arena);
            drop(before);
        } else {
            drop(arena);
            arrivals.report(number);
        }
    }

    /// The result, if it is there.
    pub(crate) fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        let mut arena = self.tasks.arena.borrow_mut();
        if !matches!(arena.get(self.key)?.stage, Stage::Finished(_)) {
            return None;
        }
        let task = arena.remove(self.key)?;
        drop(arena);
        task.into_result()
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before the look, for a foreign waker's clone is foreign code: it may even end the task.
        let mut listener = Listener::Waker(cx.waker().clone());
        let mut arena = self.tasks.arena.borrow_mut();
        let refusal = match arena.get_mut(self.key) {
            Some(Task { stage: Stage::Finished(_), .. }) => {
                let task = arena.remove(self.key);
                drop(arena);
                return Poll::Ready(task.and_then(Task::into_result).expect("a finished task has its result"));
            }
            Some(Task { stage: Stage::Alive(None), doomed: false, .. }) => {
                "a task awaits its own JoinHandle, which would never end: await it from another task"
            }
            Some(task) => {
                mem::swap(&mut task.listener, &mut listener);
                drop(arena);
                observer::waiting_for(Waits::Task, Some(Location::caller()));
                return Poll::Pending;
            }
            None => "this JoinHandle has given its result already: await it only once",
        };
        // Only now, with the borrow let go: the panic hook, too, is other people's code.
        drop(arena);
        panic!("{refusal}");
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let mut arena = self.tasks.arena.borrow_mut();
        let Some(task) = arena.get_mut(self.key) else { return };
        task.detached = true;
        let listener = mem::replace(&mut task.listener, Listener::Nobody);
        let over = matches!(task.stage, Stage::Finished(_)).then(|| arena.remove(self.key));
        drop(arena);
        quietly(|| drop((listener, over)));
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Cancels one task, from any thread, at any time: also after the task's end, or its loop's.
///
/// The cancellation is a message. The loop drops the future on its own thread, at its next round.
#[derive(Clone, Debug)]
#[doc(alias = "AbortHandle")]
pub struct CancelHandle {
    address: Address,
    key: Key,
    id: TaskId,
}

impl CancelHandle {
    /// Asks the loop to cancel the task. Nothing happens if the task, or the loop, is over.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        // A loop that is gone has cancelled everything.
        let _ = self.address.send(Errand::Cancel(self.key, self.id.0));
    }

    /// The number of the task it cancels.
    pub fn id(&self) -> TaskId {
        self.id
    }
}

/// Why a task, or a closure on the thread pool, gave no output.
pub struct JoinError {
    /// `None` for a closure on the thread pool.
    task: Option<TaskId>,
    cause: Cause,
}

enum Cause {
    Cancelled,
    Panicked(Box<dyn Any + Send>),
    Refused(io::Error),
}

impl JoinError {
    pub(crate) fn cancelled(task: Option<TaskId>) -> JoinError {
        JoinError { task, cause: Cause::Cancelled }
    }

    pub(crate) fn panicked(task: Option<TaskId>, payload: Box<dyn Any + Send>) -> JoinError {
        JoinError { task, cause: Cause::Panicked(payload) }
    }

    /// The system gave no thread to run it on.
    pub(crate) fn refused(error: io::Error) -> JoinError {
        JoinError { task: None, cause: Cause::Refused(error) }
    }

    /// The number of the task; `None` for a closure of [`to_thread`](crate::to_thread), and for a
    /// future that never became a task.
    pub fn id(&self) -> Option<TaskId> {
        self.task
    }

    /// Whether it was cancelled, by hand or by its loop's end.
    #[doc(alias = "CancelledError")]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// Whether it panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// What the panic carried, for [`std::panic::resume_unwind`]; the error itself if there was none.
    ///
    /// # Errors
    ///
    /// If it did not panic.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        match self.cause {
            Cause::Panicked(payload) => Ok(payload),
            _ => Err(self),
        }
    }
}

/// What a panic said, as far as it said it in words.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("with a payload that is no text")
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "{task}")?,
            None => f.write_str("the work for another thread")?,
        }
        match &self.cause {
            Cause::Cancelled => f.write_str(" was cancelled"),
            Cause::Panicked(payload) => write!(f, " panicked: {}", panic_text(&**payload)),
            Cause::Refused(error) => write!(f, " could not start: {error}"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

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
        if let Some(number) = self.try_next() {
            return Poll::Ready(number);
        }
        observer::waiting_for(Waits::Children, None);
        let waker = cx.waker().clone();
        let before = self.waker.borrow_mut().replace(waker);
        drop(before);
        Poll::Pending
    }
}

/// The waker of a task of this loop.
#[inline]
pub(crate) fn waker_of(tasks: &Tasks, key: Key) -> Waker {
    waker::waker(tasks.queue.address().number(), key)
}
