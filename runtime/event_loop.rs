//! The event loop: takes turns until the future it was given is done.
//!
//! ```text
//!   block_on(root):  enter the loop; queue the root like any task
//!     repeat:        collect what other threads left
//!                    take turns: poll who is first in line     -> the root is done? return
//!                    nothing ready?      park until the next deadline
//!                                        none, and nothing comes? ask the tasks whether anything ever will
//!                    64 polls done?      look at the world, do not wait
//! ```
//!
//! Promises: a nested `block_on` is refused; the world is looked at every 64 polls, so that a spinning
//! task starves neither sockets nor timers; a loop that nothing can wake any more ends with the reason;
//! dropping the loop drops every task on this thread, inside the loop, before timers and sockets go.
//! Does not know: what tasks do.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::arena::Key;
use crate::clock::{Clock, Instant};
use crate::context::{self, Parts};
use crate::home;
use crate::join_handle::JoinHandle;
use crate::observer::{self, Event, Outcome, TaskId};
use crate::quietly::quietly;
use crate::scheduler::{PollRoot, Turns};
use crate::study::deadlock::Deadlock;
use crate::study::inquest::{self, Finding, Lookout};
use crate::task::{TaskInfo, Tasks};

/// Polls between two looks at the world: about 1 us of work at 20 ns a poll, beside a look that costs
/// a clock reading and, with sockets open, a system call.
const POLLS_PER_LOOK: usize = 64;

/// With no deadline set and no socket waited for, only another thread can make anything happen, or nobody can. To
/// find out which, the loop asks its tasks, by a poll each; but not before it has waited so long.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);

/// Each time the answer was that another thread may act, the patience doubles, up to this: who waits for
/// threads all day should not be asked all day.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// A single-threaded event loop with its tasks, timers, sockets and thread pool.
///
/// It is not `Send`, and the futures it runs need not be. Dropping it cancels what is left.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let event_loop = roundel::EventLoop::new()?;
/// let answer = event_loop.block_on(async { 6 * 7 });
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "Runtime")]
#[doc(alias = "LocalRuntime")]
#[doc(alias = "Runner")]
pub struct EventLoop {
    parts: Rc<Parts>,
    /// See [`FIRST_PATIENCE`].
    patience: Cell<Duration>,
    lookout: Lookout,
}

impl EventLoop {
    /// A loop of these parts; what is to watch it looks for circles by `lookout`.
    pub(crate) fn of(parts: Rc<Parts>, lookout: Lookout) -> EventLoop {
        // In a time of its own nothing takes time but other threads, and whoever waits for them says so when asked.
        let patience = if parts.driver.clock().is_real() { FIRST_PATIENCE } else { Duration::ZERO };
        EventLoop { parts, patience: Cell::new(patience), lookout }
    }

    /// Runs the loop until `future` is done, and gives its output. Tasks that are not done by then
    /// wait for the next `block_on`.
    ///
    /// The future need be neither `'static` nor `Send`. A panic in it comes out of here, and the loop
    /// can be used again; a panic in a task goes to that task's handle.
    ///
    /// # Panics
    ///
    /// Inside a running loop: await the future there instead. And if the loop is deadlocked, with the explanation
    /// that [`try_block_on`](EventLoop::try_block_on) gives as a value.
    #[track_caller]
    #[doc(alias = "run_until_complete")]
    #[doc(alias = "run")]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _inside = context::enter(&self.parts, "block_on()");
        match self.run_to_the_end(future, Location::caller()) {
            Ok(output) => output,
            Err(deadlock) => panic!("{deadlock}"),
        }
    }

    /// As [`block_on`](EventLoop::block_on), with a deadlock as a value. The tasks that are stuck stay in the loop.
    ///
    /// # Errors
    ///
    /// If nothing can ever make anything ready any more. That is so when no task is ready, no timer set, no socket
    /// waited for, no [`to_thread`](crate::to_thread) closure under way, and no [`Handle`](crate::Handle),
    /// [`CancelHandle`](crate::CancelHandle) or [`RemoteHandle`](crate::RemoteHandle) of the loop alive; and when
    /// each task, being asked by one more poll, says that it waits for something of this runtime, and nobody else
    /// keeps its waker. (A task that does not say so may be woken from anywhere, and then the loop waits. A foreign future
    /// beside one of ours has to keep the waker of the latest poll, as `Future` demands, or nobody knows of it.) On the
    /// real clock the loop asks when nothing has happened for a tenth of a second, and then less and less often.
    ///
    /// # Panics
    ///
    /// Inside a running loop.
    #[track_caller]
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, Deadlock> {
        let _inside = context::enter(&self.parts, "try_block_on()");
        self.run_to_the_end(future, Location::caller()).map_err(|deadlock| *deadlock)
    }

    #[inline]
    fn run_to_the_end<F: Future>(
        &self,
        future: F,
        site: &'static Location<'static>,
    ) -> Result<F::Output, Box<Deadlock>> {
        let (output, ran) = self.with_root(future, site, |poll_root| self.run(poll_root));
        ran.map(|()| output.expect("the loop runs until the root is done"))
    }

    /// Gives `future` its place among the tasks while `run` runs the loop, and gives its output, if it came to one.
    #[inline]
    fn with_root<F: Future, R>(
        &self,
        future: F,
        site: &'static Location<'static>,
        run: impl FnOnce(PollRoot<'_>) -> R,
    ) -> (Option<F::Output>, R) {
        let root = Root::enter(self.tasks(), site);
        let mut output = None;
        // A task is over when its future has been dropped: hence the block.
        let ran = {
            let mut future = pin!(future);
            run(&mut |cx| match future.as_mut().poll(cx) {
                Poll::Ready(value) => {
                    output = Some(value);
                    true
                }
                Poll::Pending => false,
            })
        };
        root.outcome.set(if output.is_some() { Outcome::Returned } else { Outcome::Cancelled });
        (output, ran)
    }

    /// One turn, without waiting: gives each ready task one poll, then looks at sockets and timers.
    /// Returns whether anything is ready for the next turn.
    ///
    /// For programs with a loop of their own, and for stepping through a run on a manual clock.
    ///
    /// # Panics
    ///
    /// Inside a running loop.
    #[track_caller]
    #[doc(alias = "run_once")]
    pub fn turn(&self) -> bool {
        let _inside = context::enter(&self.parts, "turn()");
        let Parts { scheduler, driver, .. } = &*self.parts;
        driver.look();
        scheduler.collect_mail();
        scheduler.round(&mut |_| false);
        driver.look();
        !self.tasks().is_idle() || self.tasks().address().has_mail()
    }

    /// Makes a task, to run when the loop next does.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        // So that an observer hears of it: it is listened to inside the loop only.
        let outside = !home::is(self.tasks().address());
        let _inside = outside.then(|| context::enter_anywhere(&self.parts));
        self.tasks().clone().spawn(future, None, Location::caller())
    }

    /// Every task that is not over, in order of spawning.
    pub fn all_tasks(&self) -> Vec<TaskInfo> {
        self.tasks().all()
    }

    /// The clock that this loop's timers go by.
    pub fn clock(&self) -> Clock {
        self.parts.driver.clock().clone()
    }

    fn run(&self, poll_root: PollRoot<'_>) -> Result<(), Box<Deadlock>> {
        let Parts { scheduler, driver, .. } = &*self.parts;
        let tasks = &**scheduler.tasks();
        let mut polls = 0;
        let mut quiet_since = driver.last_reading();
        loop {
            scheduler.collect_mail();
            let now = driver.last_reading();
            if self.lookout.is_due(now) && self.lookout.look(now, &self.parts, poll_root) {
                return Ok(());
            }
            match scheduler.take_turns(POLLS_PER_LOOK - polls, poll_root) {
                Turns::RootFinished => return Ok(()),
                // One at least: a storm of mail for tasks that are over must not keep the world waiting.
                Turns::Taken(0) => polls += 1,
                Turns::Taken(taken) => {
                    polls += taken;
                    quiet_since = now;
                }
            }
            if tasks.is_idle() {
                // Asked before the last look at the mail: who has given his answer by now has left mail.
                let may_jump = driver.may_jump();
                if tasks.address().settle() {
                    let in_vain = driver.park(may_jump, self.lookout.most(now), || self.patience_since(quiet_since));
                    tasks.address().rise();
                    polls = 0;
                    if in_vain && tasks.is_idle() && !tasks.address().has_mail() {
                        match self.ask_around(poll_root) {
                            Finding::RootFinished => return Ok(()),
                            Finding::Deadlock(deadlock) => {
                                inquest::tell(&deadlock);
                                return Err(deadlock);
                            }
                            Finding::SomethingMoves | Finding::Unknown => {}
                        }
                        quiet_since = driver.last_reading();
                    }
                    continue;
                }
            }
            if polls >= POLLS_PER_LOOK {
                driver.look();
                polls = 0;
            }
        }
    }

    /// How long the loop waits for nothing in particular before it asks what the tasks wait for. For ever, if
    /// something is to be expected that wakes it: whatever a task waits for that is not in the tasks' hands, or a
    /// handle, be it by its end.
    #[cold]
    fn patience_since(&self, quiet: Instant) -> Option<Duration> {
        let expects_nothing = !self.tasks().has_outsiders() && !self.tasks().waits_for_the_world();
        // Questions of an inspector come in between, and change nothing.
        expects_nothing.then(|| self.patience.get().saturating_sub(self.parts.driver.last_reading() - quiet))
    }

    /// Nothing has happened for as long as it takes to lose patience, and nothing is due: will anything ever?
    #[cold]
    fn ask_around(&self, poll_root: PollRoot<'_>) -> Finding {
        self.patience.set((self.patience.get() * 2).clamp(FIRST_PATIENCE, LAST_PATIENCE));
        if self.parts.driver.has_closures() {
            return Finding::Unknown;
        }
        match inquest::hold(&self.parts, poll_root) {
            // Being asked, a task may have set a timer, or sent for help.
            Finding::Deadlock(_) if self.parts.driver.expects_something() || self.tasks().has_outsiders() => {
                Finding::SomethingMoves
            }
            finding => finding,
        }
    }

    pub(crate) fn tasks(&self) -> &Rc<Tasks> {
        self.parts.scheduler.tasks()
    }

    /// As [`block_on`](EventLoop::block_on), with somebody else to say who is next: before each turn `steer` puts
    /// him first in line. Nothing comes out if it gives up before the future is done.
    pub(crate) fn steer<F: Future>(
        &self,
        future: F,
        site: &'static Location<'static>,
        steer: &mut dyn FnMut(&Parts, PollRoot<'_>) -> Steer,
    ) -> Option<F::Output> {
        let _inside = context::enter(&self.parts, "explore()");
        let steered = |poll_root: PollRoot<'_>| loop {
            self.parts.scheduler.collect_mail();
            match steer(&self.parts, poll_root) {
                Steer::TakeTurn => {}
                Steer::RootFinished | Steer::GiveUp => break,
            }
            if let Turns::RootFinished = self.parts.scheduler.take_turns(1, poll_root) {
                break;
            }
        };
        self.with_root(future, site, steered).0
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        // Destructors of futures may spawn, wake, and cancel timers: they find the loop around them.
        let _inside = context::enter_anywhere(&self.parts);
        observer::tell_guards(|| Event::Closing);
        self.tasks().close();
        self.parts.driver.close();
        // What other threads left and nobody took: their futures, dropped unbegun. Each by itself: of two
        // destructors that panic in one sweep, the second would abort the process.
        for unheard in self.tasks().address().close() {
            quietly(|| drop(unheard));
        }
    }
}

// A panic that leaves through `block_on` leaves the loop as whole as before: see there.
impl UnwindSafe for EventLoop {}
impl RefUnwindSafe for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("tasks", &self.all_tasks().len())
            .field("clock", &self.clock())
            .finish_non_exhaustive()
    }
}

/// What [`steer`](EventLoop::steer) is told to do.
pub(crate) enum Steer {
    /// Whoever is first in line has a turn.
    TakeTurn,
    /// The future given to it was polled meanwhile, and is done.
    RootFinished,
    GiveUp,
}

/// The root's place among the tasks, given up when `block_on` is left, by whatever way.
struct Root<'a> {
    tasks: &'a Tasks,
    key: Key,
    outcome: Cell<Outcome>,
}

impl Root<'_> {
    fn enter<'a>(tasks: &'a Tasks, site: &'static Location<'static>) -> Root<'a> {
        // If it leaves by a panic, nobody comes to say so.
        let root = Root { tasks, key: tasks.admit_root(site), outcome: Cell::new(Outcome::Panicked) };
        // Told when the guard is there: an observer that panics leaves no root behind.
        tasks.announce_root(site);
        root
    }
}

impl Drop for Root<'_> {
    fn drop(&mut self) {
        self.tasks.dismiss_root(self.key);
        let outcome = self.outcome.get();
        let tell = || observer::tell_guards(|| Event::Finished { task: TaskId(0), outcome });
        // On the way out of one panic, an observer's own would end the process.
        if outcome == Outcome::Panicked { quietly(tell) } else { tell() }
    }
}

/// Runs `future` on a loop of its own, to its end, and cancels whatever tasks it left.
///
/// Every future here lives on one thread: neither this one nor those it spawns need be `Send`.
///
/// ```
/// let sum = roundel::block_on(async {
///     let two = roundel::spawn(async { 2 });
///     40 + two.await.expect("nobody cancels it")
/// });
/// assert_eq!(sum, 42);
/// ```
///
/// # Panics
///
/// Inside a running loop, and if the system refuses the descriptors that a loop needs
/// ([`EventLoop::new`] gives that as an error).
#[track_caller]
#[doc(alias = "run")]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match EventLoop::new() {
        Ok(event_loop) => event_loop.block_on(future),
        Err(error) => panic!("block_on() cannot make an event loop: {error}"),
    }
}
