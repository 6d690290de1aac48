//! The answer: one result that crosses from one thread to another, to be awaited or waited for.
//!
//! ```text
//!   Answer  --give(result)-->  [ Open(work) | Given(result) | Taken ]  <--poll, or wait--  Asker
//!   dropped: "cancelled"                                                 dropped while open: Unasked
//!
//!   work:  Waiting --begin--> Running --stop_by(how)--> Stoppable
//!   stop:  called off         noted, for stop_by to see  stopped
//! ```
//!
//! Promises: an asker always gets its answer, if only that there will be none; work that was asked to
//! stop is called off, or stopped, or told so as soon as it says how; no lock is held while a waker, a
//! stop or a destructor runs.
//! Does not know: what is computed, or where.

use std::fmt;
use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::join_error::JoinError;
use crate::locks::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering, PoisonError};
use crate::quietly::quietly;

type Outcome<T> = Result<T, JoinError>;

/// The two ends of one answer.
pub(crate) fn answer<T>() -> (Answer<T>, Asker<T>) {
    answer_watched_by(None)
}

/// The same, with a third party that is woken when all is told, whoever awaits the answer or not.
pub(crate) fn answer_watched_by<T>(third: Option<(Waker, Told)>) -> (Answer<T>, Asker<T>) {
    let open = State::Open { work: Work::Waiting, waker: None, blocks: false };
    let shared = Arc::new(Shared { state: Mutex::new(open), given: Condvar::new(), third });
    (Answer { shared: Some(shared.clone()) }, Asker { shared })
}

struct Shared<T> {
    state: Mutex<State<T>>,
    given: Condvar,
    /// The waker is one of this runtime: what it does can neither panic nor wait.
    third: Option<(Waker, Told)>,
}

/// Whether an answer was given and whoever awaits it was woken. To be kept by a third party.
#[derive(Clone, Debug)]
pub(crate) struct Told(Arc<AtomicBool>);

impl Told {
    pub(crate) fn not_yet() -> Told {
        Told(Arc::new(AtomicBool::new(false)))
    }

    /// True only after the wake was done: who sees it finds the wake where wakes go.
    pub(crate) fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

enum State<T> {
    Open {
        work: Work,
        waker: Option<Waker>,
        /// Whether a thread waits.
        blocks: bool,
    },
    Given(Outcome<T>),
    /// The asker has had it, or has stopped the work and gone.
    Taken,
    /// The asker has gone away, and lets the work go on.
    Unasked,
}

/// How far the work has come, as far as stopping it goes.
enum Work {
    Waiting,
    Running,
    /// To be told so as soon as it says how it is stopped.
    Unwanted,
    Stoppable(Stop),
}

/// Stops work that is under way, from any thread.
pub(crate) type Stop = Box<dyn FnOnce() + Send>;

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No user code runs under this lock, so it is never left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, outcome: Outcome<T>, first: impl FnOnce(Option<&Waker>)) {
        let mut state = self.lock();
        let State::Open { waker, .. } = &*state else {
            // Nobody asks, or it was called off and whoever had the work lets it go now.
            drop(state);
            drop(outcome);
            return;
        };
        first(waker.as_ref());
        let before = mem::replace(&mut *state, State::Given(outcome));
        drop(state);
        self.tell(before);
    }

    /// After the answer was given: tells whoever waits for it.
    fn tell(&self, before: State<T>) {
        let State::Open { waker, blocks, .. } = before else { return };
        // To notify nobody takes a system call as well.
        if blocks {
            self.given.notify_all();
        }
        if let Some(waker) = waker {
            // It may be a foreign one, whose panic must not keep the rest from being told.
            quietly(|| waker.wake());
        }
        if let Some((third, told)) = &self.third {
            told.0.store(true, Ordering::Release);
            third.wake_by_ref();
        }
    }
}

/// The end that knows the result. Dropping it says that there will be none.
pub(crate) struct Answer<T> {
    shared: Option<Arc<Shared<T>>>,
}

impl<T> Answer<T> {
    /// Says that work begins, and asks whether it still should: nobody may be asking any more.
    pub(crate) fn begin(&self) -> bool {
        let Some(shared) = &self.shared else { return false };
        match &mut *shared.lock() {
            State::Open { work, .. } => {
                *work = Work::Running;
                true
            }
            _ => false,
        }
    }

    /// Whether the asker merely went away, without calling the work off.
    pub(crate) fn is_unasked(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| matches!(*shared.lock(), State::Unasked))
    }

    /// For whoever starts the work: where to say how it is stopped.
    pub(crate) fn work(&self) -> Option<UnderWay<T>> {
        self.shared.clone().map(UnderWay)
    }

    pub(crate) fn give(self, outcome: Outcome<T>) {
        self.give_after(outcome, |_| ());
    }

    /// The same, but `first` runs before anybody can know the answer, under its lock: it is shown who will be
    /// woken. If nobody asks it does not run: the outcome is dropped instead, and a destructor may take its time.
    pub(crate) fn give_after(mut self, outcome: Outcome<T>, first: impl FnOnce(Option<&Waker>)) {
        if let Some(shared) = self.shared.take() {
            shared.give(outcome, first);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give(Err(JoinError::cancelled(None)), |_| ());
        }
    }
}

/// Work that has begun, and did not yet say how it can be stopped.
pub(crate) struct UnderWay<T>(Arc<Shared<T>>);

impl<T> UnderWay<T> {
    /// Says how the work is stopped. False if it is unwanted already: then the caller is to stop it.
    #[must_use]
    pub(crate) fn stop_by(self, stop: Stop) -> bool {
        let mut state = self.0.lock();
        match &mut *state {
            // Stopped, by an asker who is still there or who has gone since.
            State::Open { work: Work::Unwanted, .. } | State::Taken => false,
            State::Open { work, .. } => {
                *work = Work::Stoppable(stop);
                true
            }
            // An answer that is there, or that nobody asks for, leaves nothing to be stopped.
            State::Given(_) | State::Unasked => true,
        }
    }
}

/// The end that wants the result. Dropping it calls off work that has not begun.
pub(crate) struct Asker<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Asker<T> {
    /// The result, once; `None` in place of a second time.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Outcome<T>>> {
        // Cloned before the lock is taken: a foreign waker runs foreign code.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.shared.lock();
        if let State::Open { waker: current, .. } = &mut *state {
            mem::swap(current, &mut waker);
            drop(state);
            return Poll::Pending;
        }
        Poll::Ready(take(state))
    }

    /// Blocks this thread until the result is there, or `limit` has passed: then it is pending still.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Poll<Option<Outcome<T>>> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.shared.lock();
        while let State::Open { blocks, .. } = &mut *state {
            *blocks = true;
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.shared.given.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Poll::Pending,
                Some(left) => self.shared.given.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        Poll::Ready(take(state))
    }

    /// Calls the work off if it has not begun; the answer is then "cancelled". False if it has.
    pub(crate) fn call_off(&self) -> bool {
        let mut state = self.shared.lock();
        if !matches!(*state, State::Open { work: Work::Waiting, .. }) {
            return false;
        }
        let before = mem::replace(&mut *state, State::Given(Err(JoinError::cancelled(None))));
        drop(state);
        self.shared.tell(before);
        true
    }

    /// Calls the work off or, if it has begun, stops it, if need be as soon as it says how.
    pub(crate) fn stop(&self) {
        if self.call_off() {
            return;
        }
        let mut state = self.shared.lock();
        let State::Open { work, .. } = &mut *state else { return };
        let before = mem::replace(work, Work::Unwanted);
        drop(state);
        if let Work::Stoppable(stop) = before {
            stop();
        }
    }

    pub(crate) fn is_given(&self) -> bool {
        !matches!(*self.shared.lock(), State::Open { .. })
    }
}

/// The result, if it is there for the first time.
fn take<T>(mut state: MutexGuard<'_, State<T>>) -> Option<Outcome<T>> {
    let before = mem::replace(&mut *state, State::Taken);
    drop(state);
    match before {
        State::Given(outcome) => Some(outcome),
        _ => None,
    }
}

impl<T> Drop for Asker<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let after = match &*state {
            State::Open { work: Work::Unwanted, .. } | State::Given(_) | State::Taken => State::Taken,
            State::Open { .. } | State::Unasked => State::Unasked,
        };
        let before = mem::replace(&mut *state, after);
        drop(state);
        drop(before);
    }
}

impl<T> fmt::Debug for Asker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("given", &self.is_given()).finish()
    }
}
