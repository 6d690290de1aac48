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
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync;
use std::task::{Context, Poll, Waker};

use crate::arena::Key;
use crate::arrivals::Arrivals;
use crate::inbox::{self, Address, Errand, Mail};
use crate::join_error::JoinError;
use crate::keep::keep;
use crate::observer::{self, Actor, Event, Outcome, TaskId, Waits};
use crate::quietly::quietly;
use crate::task_queue::TaskQueue;

mod roster;

pub(crate) use roster::Seen;
pub use roster::TaskInfo;

/// All tasks of one loop, and the line of the ready ones.
#[derive(Debug)]
pub(crate) struct Tasks {
    address: Address,
    queue: RefCell<TaskQueue<Task>>,
    /// By serial number, apart from the tasks: few have one.
    names: RefCell<HashMap<u64, Box<str>>>,
    /// The task whose turn it is; nowhere if it is nobody's.
    current: Cell<Key>,
    /// How many futures `block_on` was given so far.
    roots: Cell<u64>,
    closed: Cell<bool>,
    /// Set when the loop is put together, for its rooms are above this one.
    doorway: OnceCell<Weak<dyn Doorway>>,
    /// The door that every living handle holds open by which other threads reach the loop.
    door: RefCell<sync::Weak<Door>>,
    /// The vectors that the inbox gave last time, to be given back empty.
    spare: RefCell<Mail>,
}

/// The way into the loop that the tasks belong to, for who ends one from outside it.
pub(crate) trait Doorway {
    /// The loop is around the caller for as long as what this returns lives; it is already if that is nothing.
    fn enter(self: Rc<Self>) -> Option<Box<dyn Any>>;
}

/// Whoever may act on the loop from another thread: as long as one lives, nobody inside can be sure that nothing
/// will happen any more.
#[derive(Clone, Debug)]
pub(crate) struct Outsider(#[expect(dead_code, reason = "it is held, and no more")] sync::Arc<Door>);

#[derive(Debug)]
struct Door(Address);

impl Drop for Door {
    fn drop(&mut self) {
        // The last one has gone: a loop that waits for it has to look again.
        inbox::wake(self.0.number(), Key::NOWHERE);
    }
}

/// With its serial number and its neighbours in line it fills 72 bytes.
pub(crate) struct Task {
    stage: Stage,
    listener: Listener,
    site: &'static Location<'static>,
    polls: u32,
    waits: Waits,
    /// Nobody holds the handle: the result is dropped as soon as it is there.
    detached: bool,
    /// It was cancelled during its own poll, and is dropped at the end of it.
    doomed: bool,
    /// What whoever looks for stalled tasks made of it since its last turn.
    seen: Seen,
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
pub(crate) type TaskResult = Result<Box<dyn Any>, Box<JoinError>>;

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

/// Who wants to hear that a task is finished; the waker that wakes nobody if nobody does.
enum Listener {
    Waker(Waker),
    /// A party that waits for many. In a box of its own, for most tasks are awaited by one.
    Party(Box<Party>),
}

/// The number under which to report to a party.
struct Party(Rc<Arrivals>, usize);

/// A turn given to a task.
pub(crate) struct Turn {
    pub(crate) key: Key,
    pub(crate) serial: u64,
    pub(crate) of: TurnOf,
}

pub(crate) enum TurnOf {
    /// What `block_on` holds.
    Root,
    /// The future, to be polled and given back.
    Task(Body),
    /// A task whose future is in somebody's hands: an observer that panicked has lost it.
    Nobody,
}

impl Tasks {
    pub(crate) fn new(address: Address) -> Tasks {
        Tasks {
            address,
            queue: RefCell::new(TaskQueue::new()),
            names: RefCell::default(),
            current: Cell::new(Key::NOWHERE),
            roots: Cell::new(0),
            closed: Cell::new(false),
            doorway: OnceCell::new(),
            door: RefCell::default(),
            spare: RefCell::default(),
        }
    }

    pub(crate) fn set_doorway(&self, doorway: Weak<dyn Doorway>) {
        let _only_once = self.doorway.set(doorway);
    }

    /// What a handle holds by which other threads reach the loop.
    pub(crate) fn outsider(&self) -> Outsider {
        let mut door = self.door.borrow_mut();
        let open = door.upgrade().unwrap_or_else(|| sync::Arc::new(Door(self.address)));
        *door = sync::Arc::downgrade(&open);
        Outsider(open)
    }

    /// Whether any such handle lives.
    pub(crate) fn has_outsiders(&self) -> bool {
        self.door.borrow().strong_count() > 0
    }

    /// The loop's name among all loops.
    #[inline]
    pub(crate) fn address(&self) -> Address {
        self.address
    }

    /// Makes a task and puts it in line. Once the loop has ended, the future is dropped at once and the
    /// task counts as cancelled.
    #[inline]
    pub(crate) fn add<F>(&self, future: F, site: &'static Location<'static>) -> (Key, TaskId)
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        if self.closed.get() {
            let (key, task) = self.admit(None, site);
            quietly(|| drop(future));
            self.settle(key, Err(Box::new(JoinError::cancelled(Some(task)))));
            return (key, task);
        }
        self.admit(Some(Box::pin(future)), site)
    }

    /// Gives a task its name, before anybody hears of it.
    pub(crate) fn set_name(&self, task: TaskId, name: &str) {
        self.names.borrow_mut().insert(task.0, name.into());
    }

    /// Tells that a task was made, and that it is ready.
    #[inline]
    pub(crate) fn announce(&self, task: TaskId, name: Option<&str>, site: &'static Location<'static>) {
        if !self.closed.get() {
            announce(task, name, site);
        }
    }

    #[inline]
    fn admit(&self, body: Option<Body>, site: &'static Location<'static>) -> (Key, TaskId) {
        let mut queue = self.queue.borrow_mut();
        let serial = queue.next_serial();
        (queue.admit(serial, Task::new(Stage::Alive(body), site)), TaskId::of(serial))
    }

    /// Makes a place in line for the future that `block_on` holds.
    pub(crate) fn admit_root(&self, site: &'static Location<'static>) -> Key {
        self.roots.set(self.roots.get() + 1);
        let serial = observer::root_serial(self.roots.get());
        self.queue.borrow_mut().admit(serial, Task::new(Stage::Root, site))
    }

    pub(crate) fn announce_root(&self, site: &'static Location<'static>) {
        announce(TaskId(0), Some(ROOT_NAME), site);
    }

    /// Takes the root's place away again.
    pub(crate) fn dismiss_root(&self, key: Key) {
        self.queue.borrow_mut().remove(key);
    }

    pub(crate) fn id(&self, key: Key) -> TaskId {
        TaskId::of(self.queue.borrow().serial(key).unwrap_or(0))
    }

    /// Whether nobody is ready.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.borrow().is_idle()
    }

    /// Puts a task in line, if it is alive and stands in none. Whether it does so now.
    #[inline]
    pub(crate) fn enqueue(&self, key: Key) -> bool {
        self.queue.borrow_mut().wake(key)
    }

    /// Tells that a task was enqueued.
    #[cold]
    pub(crate) fn tell_woken(&self, key: Key) {
        observer::tell(|| Event::Woken { task: self.id(key), by: observer::actor() });
    }

    /// Takes what was left: queues the tasks that other threads woke, hands the errands to the caller.
    pub(crate) fn collect(&self) -> Vec<(Actor, Errand)> {
        let mut mail = self.spare.take();
        self.address.collect(&mut mail);
        let actor = observer::set_actor(Actor::Thread);
        for key in mail.wakes.drain(..) {
            if self.enqueue(key) {
                self.tell_woken(key);
            }
        }
        observer::set_actor(actor);
        let errands = mem::take(&mut mail.errands);
        self.spare.replace(mail);
        errands
    }

    /// Everyone who is ready now is of the round, and who becomes ready later is not. Gives how many that are.
    pub(crate) fn begin_round(&self) -> usize {
        let mut queue = self.queue.borrow_mut();
        queue.begin_round();
        queue.ready().count()
    }

    /// The turn of the next in line.
    #[inline(always)]
    pub(crate) fn next_turn(&self) -> Option<Turn> {
        let mut queue = self.queue.borrow_mut();
        let (key, serial, task) = queue.pop()?;
        Some(task.take_turn(key, serial))
    }

    /// Whether the next in line is of this round; to be asked before each of its turns.
    pub(crate) fn next_is_of_round(&self) -> bool {
        self.queue.borrow_mut().next_is_of_round()
    }

    /// Gives the next turn to the task at `position` among the ready ones, whichever round it is of.
    pub(crate) fn bring_forward(&self, position: usize) {
        self.queue.borrow_mut().bring_forward(position);
    }

    /// Every ready task, oldest first.
    pub(crate) fn ready(&self) -> Vec<TaskId> {
        self.queue.borrow().ready().map(TaskId::of).collect()
    }

    /// Puts a pending future back, or finishes the task if it was cancelled meanwhile.
    // Always: every turn ends here, also those few that are taken out of line.
    #[inline(always)]
    pub(crate) fn end_turn(&self, key: Key, future: Body, now_waits: Waits) {
        let mut queue = self.queue.borrow_mut();
        if let Some(Task { stage: Stage::Alive(body), waits, doomed: false, .. }) = queue.get_mut(key) {
            *waits = now_waits;
            *body = Some(future);
            return;
        }
        drop(queue);
        self.finish_cancelled(key, future);
    }

    pub(crate) fn end_root_turn(&self, key: Key, now_waits: Waits) {
        if let Some(task) = self.queue.borrow_mut().get_mut(key) {
            task.waits = now_waits;
        }
    }

    #[inline]
    pub(crate) fn set_current(&self, key: Key) {
        self.current.set(key);
    }

    /// Drops the future, keeps its output for the handle and tells whoever listens.
    // Out of line: a task has many turns, and one end.
    #[inline(never)]
    pub(crate) fn finish(&self, key: Key, body: Body, output: Box<dyn Any>) {
        match dropped(body) {
            Ok(()) => self.settle(key, Ok(output)),
            Err(panic) => self.finish_after_panic(key, panic, output),
        }
    }

    /// A panic of the future's destructor weighs more than its output: the task did not end well.
    #[cold]
    fn finish_after_panic(&self, key: Key, panic: Box<dyn Any + Send>, output: Box<dyn Any>) {
        quietly(|| drop(output));
        self.settle(key, Err(Box::new(JoinError::panicked(Some(self.id(key)), panic))));
    }

    /// Drops the future and keeps the error for the handle.
    #[cold]
    pub(crate) fn fail(&self, key: Key, body: Body, error: JoinError) {
        let error = match dropped(body) {
            Ok(()) => error,
            // The first panic is the one to tell.
            Err(second) if error.is_panic() => {
                quietly(|| drop(second));
                error
            }
            Err(panic) => JoinError::panicked(Some(self.id(key)), panic),
        };
        self.settle(key, Err(Box::new(error)));
    }

    fn finish_cancelled(&self, key: Key, body: Body) {
        let id = self.id(key);
        self.fail(key, body, JoinError::cancelled(Some(id)));
    }

    fn settle(&self, key: Key, result: TaskResult) {
        let outcome = match &result {
            Ok(_) => Outcome::Returned,
            Err(error) if error.is_panic() => Outcome::Panicked,
            Err(_) => Outcome::Cancelled,
        };
        let mut queue = self.queue.borrow_mut();
        let serial = queue.serial(key).unwrap_or(0);
        let Some(task) = queue.retire(key) else { return };
        let listener = mem::replace(&mut task.listener, Listener::nobody());
        let mut unwanted = None;
        if task.detached {
            unwanted = Some((queue.remove(key), result));
        } else {
            // Of the stage before, nothing is left to be dropped: the future is gone.
            task.stage = Stage::Finished(result);
        }
        drop(queue);
        observer::tell(move || Event::Finished { task: TaskId::of(serial), outcome });
        if let Some((task, result)) = unwanted {
            tell_unread(serial, task.as_ref().map(|task| task.site), &result);
            self.forget_name(serial);
            quietly(|| drop((task, result)));
        }
        // The listener may be a foreign waker: its panic must not cost the loop its other tasks.
        quietly(|| listener.hear());
    }

    /// A task has left its slot, and its name with it.
    #[inline]
    fn forget_name(&self, serial: u64) {
        let mut names = self.names.borrow_mut();
        if !names.is_empty() {
            names.remove(&serial);
        }
    }

    /// Drops the task's future now, or at the end of its own poll. False if it is over already.
    pub(crate) fn cancel(&self, key: Key) -> bool {
        let mut queue = self.queue.borrow_mut();
        let Some(Task { stage: Stage::Alive(body), doomed, .. }) = queue.get_mut(key) else { return false };
        let Some(body) = body.take() else {
            *doomed = true;
            return true;
        };
        // First out of the line: a destructor that wakes its own task must not queue it again.
        queue.retire(key);
        drop(queue);
        let _inside = self.enter();
        self.finish_cancelled(key, body);
        true
    }

    /// Puts the loop around the caller, wherever that is, for as long as the guard lives: destructors find
    /// their own loop, not none or another, and whoever watches it hears of them.
    fn enter(&self) -> Option<Box<dyn Any>> {
        self.doorway.get()?.upgrade()?.enter()
    }

    /// Whether a task is over and its future dropped.
    pub(crate) fn is_finished(&self, key: Key) -> bool {
        self.queue.borrow().get(key).is_none_or(|task| matches!(task.stage, Stage::Finished(_)))
    }

    pub(crate) fn name(&self, key: Key) -> Option<Box<str>> {
        let serial = self.queue.borrow().serial(key)?;
        self.names.borrow().get(&serial).cloned()
    }

    /// Takes the result of a task out, if it is there; the slot is free then.
    #[inline]
    pub(crate) fn take_result(&self, key: Key) -> Option<TaskResult> {
        let mut queue = self.queue.borrow_mut();
        let Some(Task { stage: Stage::Finished(_), .. }) = queue.get_mut(key) else { return None };
        let serial = queue.serial(key)?;
        let Some(Task { stage: Stage::Finished(result), listener, .. }) = queue.remove(key) else { return None };
        drop(queue);
        drop(listener);
        self.forget_name(serial);
        Some(result)
    }

    /// The result of a task that was not there at the last look; until it is, the task's end wakes the
    /// context's. The error says why it never will be.
    pub(crate) fn poll_result(&self, key: Key, cx: &mut Context<'_>) -> Result<Poll<TaskResult>, &'static str> {
        // A foreign waker's clone is foreign code, which may even end the task: hence another look.
        let mut listener = Listener::Waker(keep(cx.waker()));
        let mut queue = self.queue.borrow_mut();
        match queue.get_mut(key) {
            Some(Task { stage: Stage::Finished(_), .. }) => {
                drop(queue);
                Ok(Poll::Ready(self.take_result(key).expect("a finished task has its result")))
            }
            Some(Task { stage: Stage::Alive(None), doomed: false, .. }) => {
                Err("a task awaits its own JoinHandle, which would never end: await it from another task")
            }
            Some(task) => {
                mem::swap(&mut task.listener, &mut listener);
                // The listener of before is dropped last, with the borrow let go.
                drop(queue);
                Ok(Poll::Pending)
            }
            None => Err("this JoinHandle has given its result already: await it only once"),
        }
    }

    /// Has a task's end reported to a party that waits for many, under `number`; at once if it is over.
    pub(crate) fn report(&self, key: Key, arrivals: &Rc<Arrivals>, number: usize) {
        let mut queue = self.queue.borrow_mut();
        if let Some(task) = queue.get_mut(key).filter(|task| !matches!(task.stage, Stage::Finished(_))) {
            let party = Box::new(Party(arrivals.clone(), number));
            let before = mem::replace(&mut task.listener, Listener::Party(party));
            drop(queue);
            drop(before);
            arrivals.tell_member(self.id(key));
        } else {
            drop(queue);
            arrivals.report(number);
        }
    }

    /// Nobody wants the result any more.
    pub(crate) fn detach(&self, key: Key) {
        let mut queue = self.queue.borrow_mut();
        let Some(task) = queue.get_mut(key) else { return };
        let listener = mem::replace(&mut task.listener, Listener::nobody());
        task.detached = true;
        if !matches!(task.stage, Stage::Finished(_)) {
            drop(queue);
            return quietly(|| drop(listener));
        }
        let serial = queue.serial(key).unwrap_or(0);
        let over = queue.remove(key);
        drop(queue);
        quietly(|| drop(listener));
        let _inside = self.enter();
        if let Some(Task { stage: Stage::Finished(result), site, .. }) = &over {
            tell_unread(serial, Some(site), result);
        }
        self.forget_name(serial);
        quietly(|| drop(over));
    }

    /// Cancels the task only if it is the one with this serial number.
    pub(crate) fn cancel_exactly(&self, key: Key, serial: u64) {
        let found = self.queue.borrow().serial(key);
        if found == Some(serial) {
            self.cancel(key);
        }
    }

    /// The loop's end: cancels every task, in order of spawning, and lets none begin any more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        for (_, key) in self.roll() {
            self.cancel(key);
        }
    }
}

/// Tells that a task was made, and that it is ready.
#[inline]
fn announce(task: TaskId, name: Option<&str>, site: &'static Location<'static>) {
    observer::tell(|| Event::Spawned { task, name, site, by: observer::actor() });
    observer::tell(|| Event::Woken { task, by: observer::actor() });
}

/// Tells of a panic that nobody will hear of.
fn tell_unread(serial: u64, site: Option<&'static Location<'static>>, result: &TaskResult) {
    if let (Err(error), Some(site)) = (result, site)
        && error.is_panic()
        && observer::has_guards()
    {
        let (task, text) = (TaskId::of(serial), error.to_string());
        observer::tell_guards(|| Event::Unread { task, site, text: &text });
    }
}

impl Task {
    #[inline]
    fn new(stage: Stage, site: &'static Location<'static>) -> Task {
        let listener = Listener::nobody();
        Task { stage, listener, site, polls: 0, waits: Waits::Turn, detached: false, doomed: false, seen: Seen::No }
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Finished(_))
    }

    /// Out of the line, and into its turn.
    #[inline]
    fn take_turn(&mut self, key: Key, serial: u64) -> Turn {
        self.polls = self.polls.wrapping_add(1);
        self.seen = Seen::No;
        let of = match &mut self.stage {
            Stage::Alive(body) => body.take().map_or(TurnOf::Nobody, TurnOf::Task),
            Stage::Root => TurnOf::Root,
            Stage::Finished(_) => TurnOf::Nobody,
        };
        Turn { key, serial, of }
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
        f.debug_struct("Task").field("site", &self.site).field("stage", &stage).finish_non_exhaustive()
    }
}

impl Listener {
    #[inline]
    fn nobody() -> Listener {
        Listener::Waker(Waker::noop().clone())
    }

    #[inline]
    fn hear(self) {
        match self {
            Listener::Waker(waker) => waker.wake(),
            Listener::Party(party) => party.0.report(party.1),
        }
    }
}

/// Drops a future; the payload if that panics.
fn dropped(body: Body) -> Result<(), Box<dyn Any + Send>> {
    panic::catch_unwind(AssertUnwindSafe(|| drop(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_takes_seven_words() {
        assert_eq!(size_of::<Task>(), 56, "with a serial number and two neighbours it is 72");
    }
}
