//! `spawn`: makes tasks of the loop this thread is inside of, and tells what tasks there are.
//!
//! Promises: a task does not run before its spawner gives its turn away.

use std::future::Future;
use std::panic::Location;

use crate::context;
use crate::home;
use crate::join_handle::JoinHandle;
use crate::task::TaskInfo;

/// Makes a task of `future`. It first runs when the current task waits or yields.
///
/// The future need not be `Send`. Dropping the handle detaches the task; see [`JoinHandle`].
///
/// ```
/// # roundel::block_on(async {
/// let task = roundel::spawn(async { "done" });
/// assert_eq!(task.await.unwrap(), "done");
/// # });
/// ```
///
/// # Panics
///
/// Outside a running loop.
#[track_caller]
#[doc(alias = "create_task")]
#[doc(alias = "ensure_future")]
#[doc(alias = "spawn_local")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    context::tasks("spawn()").spawn(future, None, Location::caller())
}

/// As [`spawn`], with a name for whoever looks at the tasks.
///
/// # Panics
///
/// Outside a running loop.
#[track_caller]
pub fn spawn_named<F>(name: &str, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    context::tasks("spawn_named()").spawn(future, Some(name), Location::caller())
}

/// Every task of this loop that is not over, in order of spawning.
///
/// # Panics
///
/// Outside a running loop.
#[track_caller]
pub fn all_tasks() -> Vec<TaskInfo> {
    context::tasks("all_tasks()").all()
}

/// The task whose turn it is; `None` outside any task.
pub fn current_task() -> Option<TaskInfo> {
    home::tasks()?.current()
}
