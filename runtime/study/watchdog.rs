//! The watchdog: says so while a poll hangs, from a thread of its own; and the pulse that it feels.
//!
//! ```text
//!   the loop's thread                    the pulse                        the watchdog's thread
//!   PollStarted --- who, since when ---> [ busy: task 3 since 12:00:01 ]
//!   PollEnded   ------------------------> [ idle ]              <-------- over the limit? say so, once
//!               --- wakes it, if it sleeps for want of a poll -->         idle? sleep until a poll begins
//! ```
//!
//! Promises: a poll that hangs is told once; the thread sleeps while the loop does, and is woken once in a limit
//! at most; it ends with the loop, and nobody waits for it.
//! Does not know: why the poll hangs.

use std::fmt;
use std::io;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::home;
use crate::locks::{Arc, Condvar, Mutex, MutexGuard, PoisonError, ThreadBuilder};
use crate::observer::{Event, TaskId};

/// Whose poll is under way on a loop's thread, and since when, for other threads to see.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// A poll has begun, or the loop has ended.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    poll: Option<Poll>,
    /// The name of the task whose poll it is, if it has one: kept apart, so that its room is used again.
    name: String,
    /// Somebody sleeps until a poll begins.
    asleep: bool,
    closed: bool,
}

#[derive(Clone, Copy)]
struct Poll {
    task: TaskId,
    named: bool,
    site: &'static Location<'static>,
    since: Instant,
    /// Somebody has complained of it.
    told: bool,
}

/// A poll that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Busy {
    pub(crate) task: TaskId,
    pub(crate) name: Option<Box<str>>,
    pub(crate) site: &'static Location<'static>,
    /// How long it has been so.
    pub(crate) so_far: Duration,
}

impl Pulse {
    pub(crate) fn new() -> Pulse {
        Pulse(Arc::new(Shared { state: Mutex::default(), moved: Condvar::new() }))
    }

    /// To be told what a guard is told.
    pub(crate) fn event(&self, event: &Event<'_>) {
        match *event {
            Event::PollStarted { task } => self.begin(task),
            Event::PollEnded { .. } => self.lock().poll = None,
            // The end of the root's poll is not told if that panics, but its own is.
            Event::Finished { task, .. } if task.number() == 0 => self.lock().poll = None,
            Event::Closing => self.close(),
            _ => {}
        }
    }

    fn begin(&self, task: TaskId) {
        let Some(tasks) = home::tasks() else { return };
        let mut state = self.lock();
        tasks.show_current(|name, site| {
            state.name.clear();
            state.name += name.unwrap_or_default();
            state.poll = Some(Poll { task, named: name.is_some(), site, since: Instant::now(), told: false });
        });
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.0.moved.notify_all();
        }
    }

    /// Whether both are of one loop.
    pub(crate) fn is(&self, other: &Pulse) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The poll that is under way, if there is one.
    pub(crate) fn busy(&self) -> Option<Busy> {
        self.lock().busy()
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.0.moved.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits for a poll that has taken `limit` and of which nobody was told; `None` when the loop has ended.
    fn next_hang(&self, limit: Duration) -> Option<Busy> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let left = match &state.poll {
                Some(poll) if !poll.told => Some(limit.saturating_sub(poll.since.elapsed())),
                _ => None,
            };
            state = match left {
                Some(Duration::ZERO) => {
                    let busy = state.busy();
                    state.poll.iter_mut().for_each(|poll| poll.told = true);
                    return busy;
                }
                Some(left) => self.0.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => {
                    state.asleep = true;
                    self.0.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave it half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn busy(&self) -> Option<Busy> {
        let Poll { task, named, site, since, .. } = self.poll?;
        Some(Busy { task, name: named.then(|| self.name.as_str().into()), site, so_far: since.elapsed() })
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("busy", &self.busy()).finish()
    }
}

/// Feels the pulse of one loop. Its thread ends when the loop does, or when this is dropped.
pub(crate) struct Watchdog(Pulse);

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has none.
    pub(crate) fn start(limit: Duration, tell: impl Fn(Busy) + Send + 'static) -> io::Result<Watchdog> {
        let pulse = Pulse::new();
        let watchdog = Watchdog(pulse.clone());
        ThreadBuilder::new().name("roundel watchdog".to_owned()).spawn(move || {
            while let Some(busy) = pulse.next_hang(limit) {
                tell(busy);
            }
        })?;
        Ok(watchdog)
    }

    pub(crate) fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.close();
    }
}
