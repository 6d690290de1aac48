//! A recording: what a loop did, as plain data that can be kept, sent and read back.
//!
//! ```text
//!   Recorder --recording()--> Recording { clock, lost, tasks, threads, resources, steps }
//!                                           steps: [ { at: 10000000, event: "woken", task: 1, by: "timer" }, .. ]
//! ```
//!
//! It mirrors [`observer::Event`](crate::Event), with two additions: a wake also names what the task waited for,
//! and a thread's work has a beginning and an end. Times are nanoseconds since the recording began, on the
//! loop's clock.
//!
//! Promises: as JSON and back it is the same value; under a virtual clock it holds nothing of the machine's time.
//! Does not know: the loop; how it is drawn.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a loop did, from first to last. Made by a `Recorder`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// What it shows, in a line; may be empty.
    #[serde(default)]
    pub title: String,
    /// The clock that its times are of.
    pub clock: ClockKind,
    /// How many older steps fell out of the ring.
    pub lost: u64,
    /// Every task that the steps name, by number.
    pub tasks: Vec<Task>,
    /// Every thread that the steps name, by number.
    pub threads: Vec<Thread>,
    /// Every resource that the steps name, by kind and number.
    pub resources: Vec<Resource>,
    /// What happened, oldest first.
    pub steps: Vec<Step>,
}

/// A loop's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// The machine's.
    #[default]
    Real,
    /// One that jumps, or is moved by hand: it stands still while tasks run.
    Virtual,
}

/// A task of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its number; 0 is the future given to `block_on`.
    pub id: u64,
    /// The name it was given.
    pub name: Option<String>,
    /// The line that spawned it; unknown if that was before the recording.
    pub site: Option<Site>,
}

/// A thread of a recording: one of the pool, or one that reports by a lane of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// 1, 2, 3 in order of their first work.
    pub id: u32,
    /// What it is called.
    pub name: String,
}

/// A lock, a socket, a closure: whatever is waited for, with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Which one; 0 is unnumbered.
    pub number: u32,
    /// The name it was given.
    pub name: Option<String>,
}

/// A line of a program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The source file, as the compiler was given it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// One thing that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Nanoseconds since the recording began, on the loop's clock.
    pub at: u64,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What happened: an [`observer::Event`](crate::Event) without its borrows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// A task was made.
    Spawned {
        /// The new task.
        task: u64,
        /// Its name, if it was given one.
        name: Option<String>,
        /// The line that spawned it.
        site: Site,
        /// Who spawned it.
        by: Actor,
    },
    /// A task went from waiting to ready.
    Woken {
        /// The task.
        task: u64,
        /// Who woke it.
        by: Actor,
        /// What it had waited for, where that is beyond doubt: the timer, socket or closure for a wake by one of
        /// these; for a wake by a task, the only thing that it waited for and that a task can give.
        cause: Option<Which>,
    },
    /// A task's turn begins.
    PollStarted {
        /// The task.
        task: u64,
    },
    /// A task's turn is over.
    PollEnded {
        /// The task.
        task: u64,
        /// Whether it goes on waiting (or is finished).
        pending: bool,
    },
    /// A task joins the line for something.
    Waiting {
        /// Who waits.
        by: Actor,
        /// For what.
        resource: Which,
        /// The line of the call, where the call can know it.
        site: Option<Site>,
        /// What has to happen first.
        behind: Behind,
    },
    /// A lock or permits were taken.
    Acquired {
        /// Who took it.
        by: Actor,
        /// What was taken.
        resource: Which,
        /// The line of the call.
        site: Site,
    },
    /// A lock or permits were given back.
    Released {
        /// Who had it.
        by: Actor,
        /// What he had.
        resource: Which,
    },
    /// A task is over and its future is dropped.
    Finished {
        /// The task.
        task: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A task has ended with a panic that nobody will hear of.
    Unread {
        /// The task.
        task: u64,
        /// The line that spawned it.
        site: Site,
        /// What the panic said.
        text: String,
    },
    /// The end of a task is reported to a gather, a group or an `as_completed`.
    Member {
        /// What hears of it.
        family: Which,
        /// The task.
        task: u64,
    },
    /// A socket was made.
    Opened {
        /// Which one.
        socket: Which,
        /// Who made it.
        by: Actor,
    },
    /// A socket was closed.
    Closed {
        /// Which one.
        socket: Which,
    },
    /// A closure was handed to the thread pool.
    Submitted {
        /// Which one.
        job: Which,
        /// Who handed it over.
        by: Actor,
        /// The line of the call.
        site: Site,
    },
    /// The result of such a closure has reached its handle.
    Answered {
        /// Which one.
        job: Which,
    },
    /// A thread begins some work.
    Began {
        /// The thread.
        thread: u32,
        /// The closure, if it is one of `to_thread`.
        job: Option<Which>,
        /// What a lane said it does; empty for a closure.
        text: String,
    },
    /// A thread has ended the work that it began last.
    Ended {
        /// The thread.
        thread: u32,
        /// The closure, if it is one of `to_thread`.
        job: Option<Which>,
    },
    /// Somebody said something for whoever watches.
    Noted {
        /// Who said it.
        by: Actor,
        /// What was said.
        text: String,
    },
    /// The loop has come to its end, and drops the tasks that are left.
    Closing,
    /// The loop goes to wait for the world.
    Parked {
        /// For how many nanoseconds at most; nothing is for ever.
        limit: Option<u64>,
    },
    /// The loop is back.
    Unparked,
    /// Timers came due.
    Fired {
        /// How many.
        timers: u64,
    },
    /// Something of a later version, which this one has no words for.
    #[serde(other)]
    Unknown,
}

/// Who is acting: `"timer"`, or `{"task": 3}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Code outside any task.
    Outside,
    /// A task, during its poll.
    Task(u64),
    /// A timer that came due.
    Timer,
    /// A socket that became ready.
    Socket,
    /// Another thread.
    Thread,
    /// A thread that reports by a lane of its own, by its number among [`Recording::threads`].
    Lane(u32),
    /// The loop itself.
    Loop,
}

/// One resource among all. Its name stands in [`Recording::resources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Which {
    /// What it is.
    pub kind: Kind,
    /// Which one; 0 is unnumbered.
    pub number: u32,
}

/// What stands between a waiter and the end of its wait: `"anyone"`, `{"deadline": 10000000}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Behind {
    /// The runtime cannot tell who will do it.
    Anyone,
    /// A moment, in nanoseconds since the recording began; nothing never comes.
    Deadline(Option<u64>),
    /// Who has the lock now, or who took permits last, newest first.
    Holders(Vec<Holder>),
    /// A task that is not over.
    Task(u64),
    /// The members of the family that are not over.
    Members,
}

/// Who has what another one waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Who took it.
    pub who: Actor,
    /// The line of the call that took it.
    pub site: Site,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With its output.
    Returned,
    /// By a panic.
    Panicked,
    /// By being cancelled.
    Cancelled,
}

/// What can be waited for; the same as [`Waits`](crate::Waits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Kind {
    Foreign,
    Turn,
    Timer,
    Socket,
    Thread,
    Task,
    Children,
    Lock,
    Semaphore,
    Event,
    Condition,
    Barrier,
    Queue,
    Oneshot,
    OnceCell,
}

impl Recording {
    /// The task of this number.
    pub fn task(&self, id: u64) -> Option<&Task> {
        // Mostly they are numbered one after another; in a recording from elsewhere, who knows.
        let first = self.tasks.first()?.id;
        let guess = id.checked_sub(first).and_then(|at| self.tasks.get(usize::try_from(at).ok()?));
        guess.filter(|task| task.id == id).or_else(|| self.tasks.iter().find(|task| task.id == id))
    }

    /// The thread of this number.
    pub fn thread(&self, id: u32) -> Option<&Thread> {
        self.threads.iter().find(|thread| thread.id == id)
    }

    /// What to call this task: its name, else `main` or `task 3`.
    pub fn task_label(&self, id: u64) -> String {
        match self.task(id).and_then(|task| task.name.as_deref()) {
            Some(name) => name.to_owned(),
            None if id == 0 => "main".to_owned(),
            None => format!("task {id}"),
        }
    }

    /// What to call this resource: `Lock "a"`, or `Lock 3`, or `Timer`; a closure of `to_thread` is a `closure 7`.
    pub fn resource_label(&self, which: Which) -> String {
        let kind = if which.kind == Kind::Thread { "closure".to_owned() } else { which.kind.to_string() };
        let named =
            self.resources.iter().find(|resource| (resource.kind, resource.number) == (which.kind, which.number));
        match (named.and_then(|resource| resource.name.as_deref()), which.number) {
            (Some(name), _) => format!("{kind} \"{name}\""),
            (None, 0) => kind,
            (None, number) => format!("{kind} {number}"),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Actor {
    /// The task, if it is one.
    pub fn task(self) -> Option<u64> {
        match self {
            Actor::Task(task) => Some(task),
            _ => None,
        }
    }
}
