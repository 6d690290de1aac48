//! The join error: why there is no output.
//!
//! Promises: a panic's payload is kept, to be looked at or resumed.
//! Does not know: tasks; it names one by its number.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::io;

use crate::locks::{Mutex, PoisonError};
use crate::observer::TaskId;

/// Why a task, or a closure on the thread pool, gave no output.
pub struct JoinError {
    /// `None` for a closure on the thread pool.
    task: Option<TaskId>,
    cause: Cause,
}

enum Cause {
    Cancelled,
    /// In a box of its own: every task has room for its error, and few panic.
    Panicked(Box<Panic>),
    Refused(io::Error),
}

struct Panic {
    text: Cow<'static, str>,
    /// Behind a lock that is never taken: that makes the error `Sync`, as `Box<dyn Error + Send + Sync>` and
    /// the libraries around it ask.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl JoinError {
    pub(crate) fn cancelled(task: Option<TaskId>) -> JoinError {
        JoinError { task, cause: Cause::Cancelled }
    }

    pub(crate) fn panicked(task: Option<TaskId>, payload: Box<dyn Any + Send>) -> JoinError {
        let panic = Panic { text: panic_text(&*payload), payload: Mutex::new(payload) };
        JoinError { task, cause: Cause::Panicked(Box::new(panic)) }
    }

    /// The system gave no thread to run it on.
    pub(crate) fn refused(error: io::Error) -> JoinError {
        JoinError { task: None, cause: Cause::Refused(error) }
    }

    /// The number of the task; `None` for a closure of [`to_thread`](crate::to_thread), and for a
    /// future that never became a task.
    pub fn id(&self) -> Option<TaskId> {
        self.task
    }

    /// Whether it was cancelled, by hand or by its loop's end.
    #[doc(alias = "CancelledError")]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// Whether it panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(..))
    }

    /// What the panic carried, for [`std::panic::resume_unwind`]; the error itself if there was none.
    ///
    /// # Errors
    ///
    /// If it did not panic.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        match self.cause {
            Cause::Panicked(panic) => Ok(panic.payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            _ => Err(self),
        }
    }
}

/// What a panic said, as far as it said it in words.
pub(crate) fn panic_text(payload: &dyn Any) -> Cow<'static, str> {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => Cow::Borrowed(text),
        (_, Some(text)) => Cow::Owned(text.clone()),
        _ => Cow::Borrowed("with a payload that is no text"),
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "{task}")?,
            None => f.write_str("the work for another thread")?,
        }
        match &self.cause {
            Cause::Cancelled => f.write_str(" was cancelled"),
            Cause::Panicked(panic) => write!(f, " panicked: {}", panic.text),
            Cause::Refused(error) => write!(f, " could not start: {error}"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}
