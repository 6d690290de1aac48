//! Warnings while the loop runs: a poll that takes too long, and what got lost at the end.
//!
//! ```text
//!   PollStarted  note the time              Unread    a panic that nobody will read: say so
//!   PollEnded    over the limit? say whose  Closing   who never ran, who still waits: say so, once
//!   hangs on?    the watchdog says so, from a thread of its own
//! ```
//!
//! The time is the loop's own: on a virtual clock no poll takes any, so there nothing depends on the machine. And on
//! a clock that is moved by hand a poll may move it, so there nobody warns who was not asked to.
//!
//! Promises: each fault is told once; no memory per task, and none per poll or spawn; where nothing is to be warned
//! of, nobody listens. A teller that panics harms nobody.
//! Does not know: what a task does.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, Instant};
use crate::home;
use crate::locks::Arc;
use crate::observer::{Event, Observer, TaskId, Watch};
use crate::quietly::quietly;
use crate::study::deadlock::{Deadlock, TellCircle};
use crate::study::watchdog::{Busy, Watchdog};
use crate::study::words::{place, roughly, what, who};
use crate::task::TaskInfo;

/// What a loop warns of, and whom: given to [`Builder::warnings`](crate::Builder::warnings).
///
/// By [`Warnings::default`], which holds for every loop that is not told otherwise, a loop warns on stderr of tasks
/// that wait for each other in a circle, and a debug build also of slow polls, of tasks that never ran and of panics
/// that nobody read. Tasks that still wait when their loop ends are reported only if asked for, by
/// [`Warnings::new`]: to cancel what is left is what [`block_on`](crate::block_on) is for, and a program with a task
/// in the background is no faulty program.
///
/// ```
/// use std::time::Duration;
/// use roundel::{EventLoop, study::{Warning, Warnings}};
///
/// # fn main() -> std::io::Result<()> {
/// let warnings = Warnings::new().slow_poll(Duration::from_millis(20)).to(|warning| match warning {
///     Warning::StillWaiting { .. } => {} // this program means to leave them
///     other => eprintln!("{other}"),
/// });
/// let event_loop = EventLoop::builder().warnings(warnings).build()?;
/// # event_loop.block_on(async {});
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "warnings do nothing until they are given to EventLoop::builder().warnings()"]
pub struct Warnings {
    slow_poll: Option<Duration>,
    /// Nobody has asked for it: then only where a poll takes the time of others.
    slow_poll_in_real_time_only: bool,
    watchdog: Option<Duration>,
    never_ran: bool,
    still_waiting: bool,
    unread: bool,
    circles: bool,
    tell: Teller,
}

/// How long a poll may take if nobody says otherwise: what asyncio's debug mode allows. A server that answers within
/// a tenth of a second seems to answer at once.
const SLOW: Duration = Duration::from_millis(100);

/// So many tasks are named in one report: more are a flood, not a hint.
const FEW: usize = 5;

impl Warnings {
    /// All but the watchdog: polls that take more than 100 ms, tasks that had never run, or still waited, when the
    /// loop ended, panics that nobody read, and tasks that wait for each other in a circle while others run on.
    pub fn new() -> Warnings {
        Warnings {
            slow_poll: Some(SLOW),
            slow_poll_in_real_time_only: false,
            watchdog: None,
            never_ran: true,
            still_waiting: true,
            unread: true,
            circles: true,
            tell: Teller(None),
        }
    }

    /// No warnings; to begin with for whoever wants one kind only, such as `Warnings::none().watchdog(limit)`.
    pub fn none() -> Warnings {
        Warnings {
            slow_poll: None,
            never_ran: false,
            still_waiting: false,
            unread: false,
            circles: false,
            ..Warnings::new()
        }
    }

    /// Warns of every poll that takes more than `limit` of the loop's clock, when it is over.
    #[doc(alias = "slow_callback_duration")]
    pub fn slow_poll(mut self, limit: Duration) -> Warnings {
        self.slow_poll = Some(limit);
        self.slow_poll_in_real_time_only = false;
        self
    }

    /// Warns of a poll that has taken `limit` of real time and goes on: from a thread of its own, once for each.
    ///
    /// The thread sleeps while the loop does. It costs each poll two uncontended locks.
    pub fn watchdog(mut self, limit: Duration) -> Warnings {
        self.watchdog = Some(limit);
        self
    }

    /// Calls `tell` with each warning, in place of printing it on stderr.
    ///
    /// It is called on the loop's thread, or on the watchdog's, in the middle of things: it should note the warning
    /// down and return. It must not spawn, wake or block; if it panics, nobody but the panic hook hears of it.
    pub fn to(mut self, tell: impl Fn(&Warning) + Send + Sync + 'static) -> Warnings {
        self.tell = Teller(Some(Arc::new(tell)));
        self
    }

    /// Whom to tell of tasks that wait for each other in a circle, if that is wanted.
    pub(crate) fn about_circles(&self) -> Option<TellCircle> {
        let tell = self.tell.clone();
        self.circles.then(|| Box::new(move |circle| tell.tell(&Warning::Circle(circle))) as TellCircle)
    }

    /// Who listens to a loop with this clock; nobody if there is nothing to be warned of.
    ///
    /// # Errors
    ///
    /// If the system has no thread for the watchdog.
    pub(crate) fn watch(mut self, clock: &Clock) -> io::Result<Option<Watch>> {
        self.slow_poll.take_if(|_| self.slow_poll_in_real_time_only && !clock.is_real());
        if !(self.slow_poll.is_some() || self.watchdog.is_some() || self.never_ran || self.still_waiting || self.unread)
        {
            return Ok(None);
        }
        let tell = self.tell.clone();
        let start = |limit| Watchdog::start(limit, move |busy| tell.tell(&Warning::hanging(busy)));
        let watchdog = self.watchdog.map(start).transpose()?;
        let guard = Guard { warnings: self, watchdog, clock: clock.clone(), begun: Cell::new(clock.now()) };
        Ok(Some(Watch::guard(Rc::new(guard))))
    }
}

/// In a debug build all of [`new`](Warnings::new), but for the tasks that still wait at the loop's end, and for slow
/// polls on a clock that is not the real one; in a release build nothing but circles. The build that counts is this
/// library's.
impl Default for Warnings {
    fn default() -> Warnings {
        if cfg!(debug_assertions) {
            Warnings { slow_poll_in_real_time_only: true, still_waiting: false, ..Warnings::new() }
        } else {
            Warnings { circles: true, ..Warnings::none() }
        }
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warnings")
            .field("slow_poll", &self.slow_poll)
            .field("watchdog", &self.watchdog)
            .field("never_ran", &self.never_ran)
            .field("still_waiting", &self.still_waiting)
            .field("unread", &self.unread)
            .field("circles", &self.circles)
            .finish_non_exhaustive()
    }
}

/// Where warnings go: stderr if nowhere else.
#[derive(Clone)]
struct Teller(Option<Arc<Tell>>);

type Tell = dyn Fn(&Warning) + Send + Sync;

impl Teller {
    fn tell(&self, warning: &Warning) {
        // Printing may fail, and a teller is foreign code: what is under way must go on.
        quietly(|| match &self.0 {
            Some(tell) => tell(warning),
            None => eprintln!("roundel: {warning}"),
        });
    }
}

/// Something that is probably not meant so. Its text says what, where it comes from, and what to do about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Warning {
    /// A poll took longer than the limit: nobody else ran meanwhile.
    SlowPoll {
        /// Whose poll it was.
        task: TaskInfo,
        /// How long it took, by the loop's clock.
        took: Duration,
        /// What was allowed.
        limit: Duration,
    },
    /// A poll takes longer than the watchdog's limit, and is not over.
    Hanging {
        /// Whose poll it is.
        task: TaskId,
        /// Its name, if it has one.
        name: Option<Box<str>>,
        /// The line that spawned it.
        site: &'static Location<'static>,
        /// How long it has taken so far, in real time.
        so_far: Duration,
    },
    /// Tasks were dropped at the loop's end that had not had a turn yet.
    NeverRan {
        /// The first few, in order of spawning.
        tasks: Vec<TaskInfo>,
        /// How many more there were.
        more: usize,
    },
    /// Tasks were dropped at the loop's end that were not done.
    StillWaiting {
        /// The first few, in order of spawning.
        tasks: Vec<TaskInfo>,
        /// How many more there were.
        more: usize,
    },
    /// Tasks wait for each other in a circle, by locks and handles, while others run on. They go on only if a guard was
    /// given to another task that drops it, or if somebody cancels one of them. Found five to ten seconds after it has
    /// closed, by the loop's clock; on a virtual clock, which jumps, at the turn after that.
    Circle(Deadlock),
    /// A task panicked, and its handle was dropped unread.
    Unread {
        /// The task.
        task: TaskId,
        /// The line that spawned it.
        site: &'static Location<'static>,
        /// What it said.
        text: Box<str>,
    },
}

impl Warning {
    fn hanging(Busy { task, name, site, so_far }: Busy) -> Warning {
        Warning::Hanging { task, name, site, so_far }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::SlowPoll { task, took, limit } => {
                write!(f, "{} kept the loop for {} in one poll", origin(task), roughly(*took))?;
                write!(f, ", and nobody else ran meanwhile; {} are allowed. {LONG_WORK}", roughly(*limit))
            }
            Warning::Hanging { task, name, site, so_far } => {
                let who = who(*task, name.as_deref());
                write!(f, "{who} (spawned at {}) has kept the loop for {}", place(site), roughly(*so_far))?;
                write!(f, " in one poll, which goes on, and nobody else runs meanwhile. {LONG_WORK}")
            }
            Warning::NeverRan { tasks, more } => {
                write!(f, "the loop ended, and dropped {} that never ran:", count(tasks.len() + more))?;
                list(f, tasks, *more, origin)?;
                f.write_str("\n  Await the handle of a task before the end, if it is to do its work.")
            }
            Warning::StillWaiting { tasks, more } => {
                write!(f, "the loop ended, and dropped {} that had not finished:", count(tasks.len() + more))?;
                let with_reason = |task: &TaskInfo| match task.waits_for {
                    Some(waits) => format!("{} waits for {}", origin(task), what(waits)),
                    None => origin(task),
                };
                list(f, tasks, *more, with_reason)?;
                f.write_str("\n  Await the handle of a task before the end, or cancel it if it is to stop there.")
            }
            Warning::Circle(circle) => {
                write!(
                    f,
                    "{circle}\n  Unless a guard was given away, or one of them is cancelled, none of them goes on."
                )
            }
            Warning::Unread { task: _, site, text } => {
                write!(f, "{text}; nobody will read it, for the handle was dropped (spawned at {}). ", place(site))?;
                f.write_str("Await the handle, which gives the panic as an error.")
            }
        }
    }
}

const LONG_WORK: &str = "Give long work to to_thread(), or let others run by yield_now().await.";

/// `task 3 "reader" (spawned at src/main.rs:10)`.
fn origin(task: &TaskInfo) -> String {
    format!("{} (spawned at {})", who(task.id, task.name.as_deref()), place(task.site))
}

fn count(tasks: usize) -> String {
    if tasks == 1 { "a task".to_owned() } else { format!("{tasks} tasks") }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    tasks: &[TaskInfo],
    more: usize,
    line: impl Fn(&TaskInfo) -> String,
) -> fmt::Result {
    for task in tasks {
        write!(f, "\n  {}", line(task))?;
    }
    if more > 0 { write!(f, "\n  and {more} more") } else { Ok(()) }
}

/// Listens to one loop.
struct Guard {
    warnings: Warnings,
    watchdog: Option<Watchdog>,
    clock: Clock,
    /// When the poll began that is under way, or was the last.
    begun: Cell<Instant>,
}

impl Observer for Guard {
    fn event(&self, event: &Event<'_>) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.event(event);
        }
        match *event {
            Event::PollStarted { .. } if self.warnings.slow_poll.is_some() => self.begun.set(self.clock.now()),
            Event::PollEnded { task, .. } => self.poll_ended(task),
            Event::Unread { task, site, text } if self.warnings.unread => {
                self.warnings.tell.tell(&Warning::Unread { task, site, text: text.into() });
            }
            // A program that ends by a panic has not forgotten its tasks.
            Event::Closing if !thread::panicking() => self.closing(),
            _ => {}
        }
    }
}

impl Guard {
    fn poll_ended(&self, task: TaskId) {
        let Some(limit) = self.warnings.slow_poll else { return };
        let took = self.clock.now() - self.begun.get();
        if took > limit {
            self.report_slow(task, took, limit);
        }
    }

    #[cold]
    fn report_slow(&self, task: TaskId, took: Duration, limit: Duration) {
        // It is told while the task still has its turn; so only now is looked up who that is.
        let current = home::tasks().and_then(|tasks| tasks.current());
        if let Some(task) = current.filter(|current| current.id == task) {
            self.warnings.tell.tell(&Warning::SlowPoll { task, took, limit });
        }
    }

    fn closing(&self) {
        let left = home::tasks().map_or_else(Vec::new, |tasks| tasks.all());
        let (begun, unbegun): (Vec<TaskInfo>, Vec<TaskInfo>) = left.into_iter().partition(|task| task.polls > 0);
        if self.warnings.never_ran && !unbegun.is_empty() {
            let (tasks, more) = first_few(unbegun);
            self.warnings.tell.tell(&Warning::NeverRan { tasks, more });
        }
        if self.warnings.still_waiting && !begun.is_empty() {
            let (tasks, more) = first_few(begun);
            self.warnings.tell.tell(&Warning::StillWaiting { tasks, more });
        }
    }
}

fn first_few(mut tasks: Vec<TaskInfo>) -> (Vec<TaskInfo>, usize) {
    let more = tasks.len().saturating_sub(FEW);
    tasks.truncate(FEW);
    (tasks, more)
}
