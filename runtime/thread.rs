//! `to_thread`: runs a blocking closure beside the loop and gives its result to a task.
//!
//! ```text
//!   task: to_thread(f).await ...................... result
//!   pool:        `---> a thread runs f ---> answer ---^ (wakes the task, unparks the loop)
//! ```
//!
//! Promises: the loop goes on meanwhile; a panic in the closure reaches the handle; a closure whose
//! handle is dropped before it began never runs.
//! Does not know: how many threads there are.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::answer::{Asker, Told, answer_watched_by};
use crate::arena::Key;
use crate::clock::Instant;
use crate::context;
use crate::driver::Driver;
use crate::join_error::JoinError;
use crate::observer::{self, Event, Label, Ran, Resource, Waits};
use crate::waker::{is_ours, waker_of_nobody};

/// Runs `closure` on the loop's thread pool; awaiting the handle gives its result.
///
/// The closure is handed over at this call, not at the first await. The pool has a bounded number of
/// threads ([`Builder::threads`](crate::Builder::threads)); further closures wait for one to be free.
/// A closure that has begun cannot be stopped: when its handle is dropped, or the loop, it runs to its
/// end and the result is dropped.
///
/// ```
/// # roundel::block_on(async {
/// let sum: u64 = roundel::to_thread(|| (1..=1000).sum()).await.unwrap();
/// assert_eq!(sum, 500_500);
/// # });
/// ```
///
/// # Errors
///
/// The handle gives a [`JoinError`] if the closure panicked, was cancelled before it began, or if the
/// system gave no thread to run it on.
///
/// # Panics
///
/// Outside a running loop.
#[track_caller]
#[doc(alias = "run_in_executor")]
#[doc(alias = "spawn_blocking")]
pub fn to_thread<T, F>(closure: F) -> ThreadHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let parts = context::current("to_thread()");
    let driver = &parts.driver;
    // In virtual time the loop itself looks out for the answer, whoever awaits it.
    let looks_out = driver.clock().is_virtual();
    let third = looks_out.then(|| (waker_of_nobody(parts.scheduler.tasks().address().number()), Told::not_yet()));
    let expected = third.as_ref().map(|(_, told)| (driver.clone(), driver.look_out_for(told.clone())));
    let (answer, asker) = answer_watched_by(third);
    let watched = observer::is_watched();
    let job = move |worked: &dyn Fn()| {
        if answer.begin() {
            let began = watched.then(Instant::of_the_machine);
            let result = panic::catch_unwind(AssertUnwindSafe(closure));
            let ran = began.map(|began| Box::new(Ran::until_now(began)));
            // A foreign waker may take its time, and even wait for another closure.
            let first = |waker: Option<&Waker>| {
                if waker.is_none_or(is_ours) {
                    worked()
                }
            };
            answer.give_after(Ok((result.map_err(|payload| JoinError::panicked(None, payload)), ran)), first);
        }
    };
    let refused = driver.pool().submit(Box::new(job)).err();
    let handle = ThreadHandle { asker, refused, expected, label: Label::new(), site: Location::caller() };
    observer::tell(|| Event::Submitted { job: handle.job(), by: observer::actor(), site: handle.site });
    handle
}

/// What the closure came to, and for whoever watches, when it ran.
type Report<T> = (Result<T, JoinError>, Option<Box<Ran>>);

/// The result of a closure on the thread pool, to be awaited. Made by [`to_thread`].
///
/// Dropping it calls the closure off if it has not begun.
///
/// # Panics
///
/// When awaited again after it has given its result.
#[must_use = "dropping the handle calls the closure off if it has not begun: await it"]
pub struct ThreadHandle<T> {
    asker: Asker<Report<T>>,
    refused: Option<io::Error>,
    /// The loop in virtual time that looks out for this result, until it is here.
    expected: Option<(Rc<Driver>, Key)>,
    label: Label,
    site: &'static Location<'static>,
}

impl<T> ThreadHandle<T> {
    /// Calls the closure off if it has not begun; the handle then gives a cancelled `JoinError`.
    /// Returns false, and changes nothing, if it has begun: a running closure cannot be stopped.
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.asker.call_off()
    }

    /// Whether the result is there.
    pub fn is_finished(&self) -> bool {
        self.refused.is_some() || self.asker.is_given()
    }

    fn job(&self) -> Resource {
        self.label.resource(Waits::Thread)
    }

    fn expect_no_more(&mut self) {
        if let Some((driver, job)) = self.expected.take() {
            driver.look_out_no_more(job);
        }
    }
}

impl<T> Unpin for ThreadHandle<T> {}

impl<T> Future for ThreadHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let report = match self.refused.take() {
            Some(error) => Some(Err(JoinError::refused(error))),
            None => match self.asker.poll(cx) {
                Poll::Ready(report) => report,
                Poll::Pending => {
                    observer::waiting_for_anyone(Waits::Thread, &self.label, Some(self.site));
                    return Poll::Pending;
                }
            },
        };
        self.expect_no_more();
        let report = report.expect("a to_thread() handle gives its result once: await it only once");
        let (result, ran) = report.unwrap_or_else(|never_run| (Err(never_run), None));
        observer::tell(|| Event::Answered { job: self.job(), ran: ran.map(|ran| *ran) });
        Poll::Ready(result)
    }
}

impl<T> Drop for ThreadHandle<T> {
    fn drop(&mut self) {
        self.expect_no_more();
    }
}

impl<T> fmt::Debug for ThreadHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}
