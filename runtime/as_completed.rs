//! `as_completed`: the results of tasks that are running already, in order of completion.
//!
//! ```text
//!   as_completed([a, b, c])     arrivals: 2 0 1     next: c, next: a, next: b
//! ```
//!
//! Promises: n tasks cost n steps; dropping it, or one of its `next` futures, loses no result and
//! cancels nothing.
//! Does not know: who spawned the tasks.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::arrivals::Arrivals;
use crate::join_error::JoinError;
use crate::join_handle::JoinHandle;

/// Waits for tasks that are running already, whichever ends first.
///
/// Dropping it detaches the tasks whose results were not given out: they run on.
///
/// ```
/// # use std::time::Duration;
/// # roundel::block_on(async {
/// let tasks = [3, 1, 2].map(|ms| {
///     roundel::spawn(async move {
///         roundel::sleep(Duration::from_millis(ms)).await;
///         ms
///     })
/// });
/// let mut done = roundel::as_completed(tasks);
/// while let Some(result) = done.next().await {
///     println!("{} ms", result.expect("nobody cancels them"));
/// }
/// # });
/// ```
#[doc(alias = "wait")]
#[doc(alias = "FIRST_COMPLETED")]
#[doc(alias = "FuturesUnordered")]
pub fn as_completed<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> AsCompleted<T> {
    let arrivals = Rc::default();
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    for (number, handle) in handles.iter().flatten().enumerate() {
        handle.report_to(&arrivals, number);
    }
    AsCompleted { left: handles.len(), handles, arrivals }
}

/// The results of many tasks in order of completion. Made by [`as_completed`].
#[must_use = "it gives nothing until next() is awaited"]
pub struct AsCompleted<T: 'static> {
    handles: Vec<Option<JoinHandle<T>>>,
    arrivals: Rc<Arrivals>,
    left: usize,
}

impl<T> AsCompleted<T> {
    /// The result of the next task to finish, of those that are left; `None` after the last.
    /// Dropping the future half-way loses no result.
    ///
    /// # Errors
    ///
    /// The [`JoinError`] of a task that was cancelled or panicked, in its place in the order.
    ///
    /// # Panics
    ///
    /// On a handle that has given its result before it was passed in.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](AsCompleted::next), for a future of your own. Only the last one who polled is woken.
    ///
    /// # Panics
    ///
    /// As [`next`](AsCompleted::next).
    #[track_caller]
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let number = ready!(self.arrivals.poll_next(cx));
        self.left -= 1;
        let mut handle = self.handles[number].take().expect("a task finishes once");
        let Some(result) = handle.try_join() else {
            panic!("a JoinHandle passed to as_completed() has given its result already: pass each only once");
        };
        Poll::Ready(Some(result))
    }

    /// How many results are still to come.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether every result has been given.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.left).finish_non_exhaustive()
    }
}
