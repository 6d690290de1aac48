//! The pool: threads that run closures which would block the loop.
//!
//! ```text
//!   submit ---> jobs: [ a ][ b ] ---> a thread that is about to look, an idle one, or a new one while
//!                                     there are fewer than the limit
//! ```
//!
//! Threads start when there is work and no free thread, and go home after ten idle seconds. A thread
//! is free from when its job says so: who is told a result and has more to do then finds that thread, still
//! warm, and neither wakes another nor starts one. (On one processor that takes a third off the price of a trip.)
//!
//! Promises: no more threads than the limit; jobs that are submitted one after another, each when the one
//! before has answered, are run by one thread; a job that was accepted runs once, or is dropped unrun if
//! the pool is closed first; closing waits for nobody: jobs under way finish by themselves.
//! Does not know: tasks, loops, wakers.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::locks::{Arc, Condvar, Mutex, MutexGuard, PoisonError, ThreadBuilder};

/// Longer than most pauses between bursts, short enough not to hold an idle program's memory.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// What a thread is to do. It is given a function to call once the work is done and only the telling is
/// left, which may not wait for another job.
pub(crate) type Job = Box<dyn FnOnce(&dyn Fn()) + Send>;

/// A bounded set of threads, shared with them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    limit: Option<usize>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that sleep until they are notified.
    idle: usize,
    /// Threads that have worked, tell of it, and look for the next job after that.
    coming: usize,
    closed: bool,
}

impl Pool {
    /// At most `limit` threads, of which none is started yet. `None` is four more than there are
    /// processors, and 32 at most: asyncio's figure.
    pub(crate) fn new(limit: Option<usize>) -> Pool {
        let shared = Shared { limit, state: Mutex::new(State::default()), work: Condvar::new() };
        Pool { shared: Arc::new(shared) }
    }

    /// Queues a job for the next free thread.
    ///
    /// # Errors
    ///
    /// If the OS refuses the very first thread. With at least one running, the job waits for that one.
    pub(crate) fn submit(&self, job: Job) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            return Err(io::Error::other("the event loop of this to_thread() is gone"));
        }
        state.jobs.push_back(job);
        if state.coming >= state.jobs.len() {
            return Ok(());
        }
        if state.coming + state.idle >= state.jobs.len() {
            drop(state);
            self.shared.work.notify_one();
            return Ok(());
        }
        if state.threads >= self.shared.limit() {
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let shared = self.shared.clone();
        let started = ThreadBuilder::new().name("roundel-pool".into()).spawn(move || shared.work());
        let Err(error) = started else { return Ok(()) };
        let mut state = self.shared.lock();
        state.threads -= 1;
        let abandoned = if state.threads == 0 { state.jobs.pop_back() } else { None };
        drop(state);
        // With other threads about, the job is theirs; without, nobody would ever run it.
        if abandoned.is_none() {
            return Ok(());
        }
        // What the system says, "temporarily unavailable", does not say what.
        Err(io::Error::new(error.kind(), format!("the system gave no thread: {error}")))
    }

    /// Lets idle threads go, and gives the jobs that have not begun, to be dropped by the caller.
    pub(crate) fn close(&self) -> VecDeque<Job> {
        let mut state = self.shared.lock();
        state.closed = true;
        let unrun = std::mem::take(&mut state.jobs);
        let idle = state.idle;
        drop(state);
        // To notify nobody takes a system call as well.
        if idle > 0 {
            self.shared.work.notify_all();
        }
        unrun
    }

    /// Whether a job waits or is under way.
    pub(crate) fn is_busy(&self) -> bool {
        let state = self.shared.lock();
        !state.jobs.is_empty() || state.threads > state.idle + state.coming
    }

    pub(crate) fn threads(&self) -> usize {
        self.shared.lock().threads
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limit", &self.shared.limit).field("threads", &self.threads()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under this lock, so it is never left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> usize {
        // Asked for at the first job and not before: it takes longer than all else a loop is made of.
        static PROCESSORS: OnceLock<usize> = OnceLock::new();
        let processors = || *PROCESSORS.get_or_init(|| available_parallelism().map_or(1, |n| n.get()));
        self.limit.map_or_else(|| (processors() + 4).min(32), |limit| limit.max(1))
    }

    /// The life of one thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                let coming = Cell::new(false);
                let worked = || {
                    self.lock().coming += 1;
                    coming.set(true);
                };
                // A job catches its own panics; what still comes out must not cost the pool a thread.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| job(&worked)));
                state = self.lock();
                state.coming -= usize::from(coming.get());
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (back, waited) = self.work.wait_timeout(state, IDLE_LIMIT).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}
