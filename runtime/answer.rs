//! The answer: one result that crosses from one thread to another, to be awaited or waited for.
//!
//! ```text
//!   Answer  --give(result)-->  [ Open | Given(result) | Taken ]  <--poll, or wait--  Asker
//!   dropped: "cancelled"                                          dropped: nobody asks any more
//! ```
//!
//! Promises: an asker always gets its answer, if only that there will be none; no lock is held while a
//! waker or a destructor runs.
//! Does not know: what is computed, or where.

use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::join_error::JoinError;

type Outcome<T> = Result<T, JoinError>;

/// The two ends of one answer.
pub(crate) fn answer<T>() -> (Answer<T>, Asker<T>) {
    let shared =
        Arc::new(Shared { state: Mutex::new(State::Open { begun: false, waker: None }), given: Condvar::new() });
    (Answer { shared: Some(shared.clone()) }, Asker { shared })
}

struct Shared<T> {
    state: Mutex<State<T>>,
    given: Condvar,
}

enum State<T> {
    Open {
        begun: bool,
        waker: Option<Waker>,
    },
    Given(Outcome<T>),
    /// The asker has it, or has gone.
    Taken,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No user code runs under this lock, so it is never left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, outcome: Outcome<T>) {
        let mut state = self.lock();
        if matches!(*state, State::Taken) {
            drop(state);
            drop(outcome);
            return;
        }
        let before = mem::replace(&mut *state, State::Given(outcome));
        drop(state);
        self.given.notify_all();
        if let State::Open { waker: Some(waker), .. } = before {
            waker.wake();
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
            State::Open { begun, .. } => {
                *begun = true;
                true
            }
            _ => false,
        }
    }

    /// Whether the work was called off; not so if the asker merely went away.
    pub(crate) fn is_called_off(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| matches!(*shared.lock(), State::Given(_)))
    }

    pub(crate) fn give(mut self, outcome: Outcome<T>) {
        if let Some(shared) = self.shared.take() {
            shared.give(outcome);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give(Err(JoinError::cancelled(None)));
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
        let state_before = mem::replace(&mut *state, State::Taken);
        drop(state);
        match state_before {
            State::Given(outcome) => Poll::Ready(Some(outcome)),
            _ => Poll::Ready(None),
        }
    }

    /// Blocks this thread until the result is there, or `limit` has passed.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Option<Outcome<T>> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.shared.lock();
        while matches!(*state, State::Open { .. }) {
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.shared.given.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => self.shared.given.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        match mem::replace(&mut *state, State::Taken) {
            State::Given(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Calls the work off if it has not begun; the answer is then "cancelled". False if it has.
    pub(crate) fn call_off(&self) -> bool {
        let mut state = self.shared.lock();
        let State::Open { begun: false, waker } = &mut *state else { return false };
        let waker = waker.take();
        *state = State::Given(Err(JoinError::cancelled(None)));
        drop(state);
        self.shared.given.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(crate) fn is_given(&self) -> bool {
        !matches!(*self.shared.lock(), State::Open { .. })
    }
}

impl<T> Drop for Asker<T> {
    fn drop(&mut self) {
        let before = mem::replace(&mut *self.shared.lock(), State::Taken);
        drop(before);
    }
}

impl<T> fmt::Debug for Asker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("given", &self.is_given()).finish()
    }
}
