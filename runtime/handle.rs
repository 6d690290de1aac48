//! The handle: how other threads reach a loop, and how code written against futures-rs spawns on one.
//!
//! ```text
//!   another thread                                the loop's thread
//!   handle.spawn(future) --inbox, unpark--> becomes a task before the next turn
//!   remote.wait()  <------------- answer ----------- its result
//! ```
//!
//! Promises: a future sent to a loop becomes a task, or its handle says cancelled; it is dropped on
//! the loop's thread once it is a task there.
//! Does not know: how the loop runs.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn, SpawnError};

use crate::answer::{Answer, Asker, answer};
use crate::context;
use crate::event_loop::EventLoop;
use crate::home;
use crate::inbox::{Address, Errand};
use crate::join_error::JoinError;
use crate::spawn::spawn;
use crate::task::{Outsider, Tasks};

/// A loop as other threads hold it. It keeps nothing alive: once the loop is gone, it refuses. While one lives,
/// the loop waits for it where it would otherwise say that it is deadlocked.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let event_loop = roundel::EventLoop::new()?;
/// let handle = event_loop.handle();
/// let thread = std::thread::spawn(move || {
///     // The closure crosses over; the future it makes need not be `Send`.
///     let remote = handle.spawn_with(|| async {
///         roundel::sleep(std::time::Duration::from_millis(1)).await;
///         6 * 7
///     });
///     remote.wait()
/// });
/// let answer = event_loop.block_on(async { roundel::to_thread(move || thread.join()).await });
/// assert_eq!(answer.unwrap().unwrap().unwrap(), 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    address: Address,
    _outsider: Outsider,
}

/// Handles are equal if they reach the same loop.
impl PartialEq for Handle {
    fn eq(&self, other: &Handle) -> bool {
        self.address == other.address
    }
}

impl Eq for Handle {}

impl Handle {
    /// The loop this thread is inside of.
    ///
    /// # Panics
    ///
    /// Outside a running loop.
    #[track_caller]
    #[doc(alias = "get_running_loop")]
    pub fn current() -> Handle {
        let parts = context::current("Handle::current()");
        Handle::to(parts.scheduler.tasks())
    }

    fn to(tasks: &Tasks) -> Handle {
        Handle { address: tasks.address(), _outsider: tasks.outsider() }
    }

    /// Makes a task of `future` on the loop, from any thread, and wakes the loop if it sleeps.
    ///
    /// The future is sent, so it must be `Send`, and futures that sleep, lock or await tasks of this
    /// runtime are not: make those on the loop's thread by [`spawn_with`](Handle::spawn_with).
    ///
    /// Dropping the handle that is returned detaches the task. If the loop is gone, or goes before
    /// the task is done, the handle says cancelled.
    #[doc(alias = "run_coroutine_threadsafe")]
    pub fn spawn<F>(&self, future: F) -> RemoteHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(move || future)
    }

    /// As [`spawn`](Handle::spawn), for a future that is not `Send`: `make` is sent, and makes it on
    /// the loop's thread.
    #[doc(alias = "call_soon_threadsafe")]
    pub fn spawn_with<M, F>(&self, make: M) -> RemoteHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (answer, asker) = answer();
        let errand = move || {
            // An asker that has merely gone away leaves the task to run on.
            if answer.begin() || answer.is_unasked() {
                let work = answer.work();
                let task = spawn(run_and_answer(make, answer));
                let remote = task.cancel_handle();
                // Whoever called it off meanwhile found nothing yet to call it off by.
                if work.is_some_and(|work| !work.stop_by(Box::new(move || remote.cancel()))) {
                    task.cancel();
                }
            }
        };
        // A refused errand is dropped here, and its answer with it: "cancelled".
        let _ = home::send(self.address, Errand::Run(Box::new(errand)));
        RemoteHandle { asker }
    }

    /// Whether the loop still lives.
    pub fn is_alive(&self) -> bool {
        self.address.is_alive()
    }
}

async fn run_and_answer<M, F>(make: M, answer: Answer<F::Output>)
where
    M: FnOnce() -> F,
    F: Future,
{
    // In a block of its own: the future is dropped before its result can be seen.
    let result = {
        match panic::catch_unwind(AssertUnwindSafe(make)) {
            Err(payload) => Err(payload),
            Ok(future) => {
                let mut future = pin!(future);
                poll_fn(|cx| match panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                    Err(payload) => Poll::Ready(Err(payload)),
                })
                .await
            }
        }
    };
    answer.give(result.map_err(|payload| JoinError::panicked(None, payload)));
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("loop", &self.address.number()).field("alive", &self.is_alive()).finish()
    }
}

impl EventLoop {
    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        Handle::to(self.tasks())
    }
}

/// The result of a future sent to a loop: awaited under any executor, or waited for by a thread.
///
/// Dropping it detaches the task.
///
/// # Panics
///
/// When awaited again after it has given its result.
#[must_use = "dropping the handle lets the task run on unobserved: wait for it, or await it"]
pub struct RemoteHandle<T> {
    asker: Asker<T>,
}

impl<T> RemoteHandle<T> {
    /// Blocks this thread until the task is done.
    ///
    /// On the loop's own thread that would wait for ever: await the handle there.
    ///
    /// # Errors
    ///
    /// If the task was cancelled or panicked, or the loop is gone.
    ///
    /// # Panics
    ///
    /// Inside a running loop; and if the result was given already, to an await.
    #[track_caller]
    #[doc(alias = "result")]
    pub fn wait(self) -> Result<T, JoinError> {
        if context::try_current().is_some() {
            panic!(
                "RemoteHandle::wait() was called inside a running loop, which would stop that loop: await the handle instead"
            );
        }
        let Poll::Ready(result) = self.asker.wait(None) else {
            unreachable!("a wait without limit ends with the result")
        };
        once(result)
    }

    /// As [`wait`](RemoteHandle::wait), for so long at most: then the handle comes back, to wait again or to cancel.
    ///
    /// # Errors
    ///
    /// The handle, if the time was up.
    ///
    /// # Panics
    ///
    /// As [`wait`](RemoteHandle::wait).
    #[track_caller]
    pub fn wait_timeout(self, limit: Duration) -> Result<Result<T, JoinError>, RemoteHandle<T>> {
        if context::try_current().is_some() {
            panic!(
                "RemoteHandle::wait_timeout() was called inside a running loop, which would stop that loop: use timeout() there"
            );
        }
        match self.asker.wait(Some(limit)) {
            Poll::Ready(result) => Ok(once(result)),
            Poll::Pending => Err(self),
        }
    }

    /// Asks the loop to cancel the task, from any thread. Nothing happens if it is over.
    pub fn cancel(&self) {
        self.asker.stop();
    }

    /// Whether the result is there.
    pub fn is_finished(&self) -> bool {
        self.asker.is_given()
    }
}

impl<T> Future for RemoteHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(result) = self.asker.poll(cx) else { return Poll::Pending };
        Poll::Ready(once(result))
    }
}

#[track_caller]
fn once<T>(result: Option<Result<T, JoinError>>) -> Result<T, JoinError> {
    result.expect("a RemoteHandle gives its result once: await it only once, or wait for it")
}

impl<T> fmt::Debug for RemoteHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

// From any thread; the error says that the loop is gone.
impl Spawn for Handle {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        let errand = Errand::Run(Box::new(move || drop(spawn(future))));
        home::send(self.address, errand).map_err(|_| SpawnError::shutdown())
    }

    fn status(&self) -> Result<(), SpawnError> {
        if self.is_alive() { Ok(()) } else { Err(SpawnError::shutdown()) }
    }
}

// Only inside the loop: a local future cannot be sent to it.
impl LocalSpawn for Handle {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.status_local()?;
        drop(spawn(future));
        Ok(())
    }

    fn status_local(&self) -> Result<(), SpawnError> {
        if home::is(self.address) && self.is_alive() { Ok(()) } else { Err(SpawnError::shutdown()) }
    }
}

impl Spawn for EventLoop {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        drop(self.spawn(future));
        Ok(())
    }
}

impl LocalSpawn for EventLoop {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        drop(self.spawn(future));
        Ok(())
    }
}
