//! The handle: the result of one task, to be awaited, and the means to cancel it.
//!
//! ```text
//!   JoinHandle ----- await ----> Tasks: is it over?  its result : "wake me at its end"
//!   CancelHandle --- message --> the loop's inbox, from any thread
//! ```
//!
//! Promises: a handle gives its result once, also after its loop's end; dropping it lets the task run on.
//! Does not know: how tasks are polled.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::arena::Key;
use crate::arrivals::Arrivals;
use crate::home;
use crate::inbox::{Address, Errand};
use crate::join_error::JoinError;
use crate::observer::{self, Behind, TaskId, Waits};
use crate::task::{Outsider, TaskResult, Tasks};

impl Tasks {
    /// Makes a task, queues it, and gives the handle to its result.
    #[inline]
    pub(crate) fn spawn<F>(
        self: Rc<Self>,
        future: F,
        name: Option<&str>,
        site: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let (key, id) = self.add(future, site);
        if let Some(name) = name {
            self.set_name(id, name);
        }
        self.announce(id, name, site);
        JoinHandle { tasks: self, key, id, output: PhantomData }
    }
}

/// The result of a task, to be awaited, and the means to cancel it.
///
/// Awaiting it gives what the task returned, or a [`JoinError`] if it was cancelled or panicked.
/// Dropping it detaches the task, which runs on. It may be awaited under another executor of the same
/// thread, and after its loop is gone: tasks that were not finished by then count as cancelled.
///
/// # Panics
///
/// Awaiting it panics inside the very task it belongs to, which would wait for ever, and after it has
/// given its result.
#[must_use = "dropping the handle lets the task run on unobserved: await it, or say `drop(..)` or `let _detached = ..`"]
#[doc(alias = "Task")]
pub struct JoinHandle<T> {
    tasks: Rc<Tasks>,
    /// Nowhere once it has given its result: the slot may have another tenant by then.
    key: Key,
    id: TaskId,
    output: PhantomData<T>,
}

impl<T> Unpin for JoinHandle<T> {}

impl<T: 'static> JoinHandle<T> {
    /// Cancels the task: its future is dropped before this returns, at the await where it stands.
    /// Inside the task's own poll it takes effect at the next await that has to wait.
    ///
    /// Returns false, and changes nothing, if the task is finished already.
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.tasks.cancel(self.key)
    }

    /// What cancels the task when called, for those who must let go of the handle's borrow first.
    pub(crate) fn canceller(&self) -> impl FnOnce() + use<T> {
        let (tasks, key) = (self.tasks.clone(), self.key);
        move || {
            tasks.cancel(key);
        }
    }

    /// Something that can cancel the task from any thread, at any time.
    #[doc(alias = "abort_handle")]
    pub fn cancel_handle(&self) -> CancelHandle {
        let _outsider = self.tasks.outsider();
        CancelHandle { address: self.tasks.address(), key: self.key, id: self.id, _outsider }
    }

    /// Whether the task is over and its future dropped.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.tasks.is_finished(self.key)
    }

    /// The task's number in its loop.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name given by `spawn_named`.
    pub fn name(&self) -> Option<Box<str>> {
        self.tasks.name(self.key)
    }

    /// Has the task's end reported to a party that waits for many, under `number`; at once if it is over.
    pub(crate) fn report_to(&self, arrivals: &Rc<Arrivals>, number: usize) {
        self.tasks.report(self.key, arrivals, number);
    }

    /// The result, if it is there.
    pub(crate) fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        let result = self.tasks.take_result(self.key)?;
        self.key = Key::NOWHERE;
        Some(unboxed(result))
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.try_join() {
            return Poll::Ready(result);
        }
        match self.tasks.poll_result(self.key, cx) {
            Ok(Poll::Ready(result)) => {
                self.key = Key::NOWHERE;
                Poll::Ready(unboxed(result))
            }
            Ok(Poll::Pending) => {
                let site = Some(Location::caller());
                observer::waiting_unlabelled(Waits::Task, site, |tell| tell(Behind::Task(self.id)));
                Poll::Pending
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

fn unboxed<T: 'static>(result: TaskResult) -> Result<T, JoinError> {
    match result {
        Ok(output) => Ok(*output.downcast().expect("a task's output has the type of its handle")),
        Err(error) => Err(*error),
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.key != Key::NOWHERE {
            self.tasks.detach(self.key);
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Cancels one task, from any thread, at any time: also after the task's end, or its loop's.
///
/// The cancellation is a message. The loop drops the future on its own thread, before its next turn.
#[derive(Clone, Debug)]
#[doc(alias = "AbortHandle")]
pub struct CancelHandle {
    address: Address,
    key: Key,
    id: TaskId,
    _outsider: Outsider,
}

impl CancelHandle {
    /// Asks the loop to cancel the task. Nothing happens if the task, or the loop, is over.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        // A loop that is gone has cancelled everything.
        let _ = home::send(self.address, Errand::Cancel(self.key, self.id.0));
    }

    /// The number of the task it cancels.
    pub fn id(&self) -> TaskId {
        self.id
    }
}
