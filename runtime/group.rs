//! The task group: children that end before their parent goes on, and fall together.
//!
//! ```text
//!   open --a child or the body fails--> closed: siblings cancelled, spawn refused --all gone--> the errors
//!    |                                    ^
//!    `------- the group is dropped -------'
//!
//!   child ends --> arrivals --> the group's next look:  a value is kept, a failure closes the group,
//!                               a cancel is nothing, and in every case the child is forgotten
//! ```
//!
//! A group looks when it is awaited (`next`, `join`, `scope`), and at every `spawn`. So siblings that
//! were ready in the same round as the one that failed still have that turn, and may fail as well.
//!
//! Promises: no child outlives its group; when a group gives an error, every child and the body are
//! dropped; a child may add children; a finished child takes no room; no borrow is held while a
//! future is dropped.
//! Does not know: the loop's rounds, timers, sockets.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, Location};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use slab::Slab;

use crate::arrivals::Arrivals;
use crate::context;
use crate::join_handle::{CancelHandle, JoinHandle};
use crate::observer;
use crate::quietly::quietly;

/// Tasks that belong together: whoever holds the group waits for all, and the first to fail ends all.
///
/// Every child returns a `Result<T, E>`. When one returns an error or panics, its siblings are
/// cancelled at the group's next look, and no child can be added any more. A child that somebody
/// cancels by its [`CancelHandle`] is just gone. Dropping the group, or any of its futures that owns
/// it, cancels all children before the drop returns.
///
/// For children whose failures are independent, let them return `Ok(result)`, whatever the result is.
///
/// ```
/// # roundel::block_on(async {
/// let sizes = roundel::TaskGroup::scope(|group| async move {
///     for url in ["a", "bb"] {
///         group.spawn(async move { Ok::<usize, String>(url.len()) }).map_err(|closed| closed.to_string())?;
///     }
///     Ok("both begun")
/// });
/// assert_eq!(sizes.await, Ok(("both begun", vec![1, 2])));
/// # });
/// ```
#[must_use = "dropping the group cancels its children"]
#[doc(alias = "JoinSet")]
#[doc(alias = "nursery")]
pub struct TaskGroup<T: 'static, E: 'static> {
    members: Rc<Members<T, E>>,
}

impl<T, E> TaskGroup<T, E> {
    /// An empty group.
    pub fn new() -> TaskGroup<T, E> {
        TaskGroup { members: Rc::new(Members::new()) }
    }

    /// Runs `body` beside the children it spawns, and waits for all of them: asyncio's
    /// `async with TaskGroup() as group:`. Gives what the body returned, and the children's values in
    /// order of completion.
    ///
    /// When a child fails, the body is dropped at the await where it stands; when the body fails, the
    /// children are cancelled, and those that had no turn yet never run. In each turn the body is
    /// polled before the group looks at its children, as [`timeout`](crate::timeout) polls its future
    /// before the clock: if both fail, both errors are reported, the body's first.
    ///
    /// # Errors
    ///
    /// All errors of the body and the children, once every one of them is over.
    ///
    /// # Panics
    ///
    /// With the payload of the first child that panicked, once every child is over; errors are dropped then.
    pub async fn scope<R, F>(body: impl FnOnce(GroupHandle<T, E>) -> F) -> Result<(R, Vec<T>), GroupError<E>>
    where
        F: Future<Output = Result<R, E>>,
    {
        let group = TaskGroup::new();
        let body = body(group.handle());
        group.run(body).await
    }

    /// Adds a child. It first runs when the current task waits or yields.
    ///
    /// # Errors
    ///
    /// [`GroupClosed`] if a child has failed; `future` is dropped at once.
    ///
    /// # Panics
    ///
    /// Outside a running loop.
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn spawn(&self, future: impl Future<Output = Result<T, E>> + 'static) -> Result<CancelHandle, GroupClosed> {
        self.members.spawn(future, None, Location::caller())
    }

    /// As [`spawn`](TaskGroup::spawn), with a name for whoever looks at the tasks.
    ///
    /// # Errors
    ///
    /// As [`spawn`](TaskGroup::spawn).
    ///
    /// # Panics
    ///
    /// As [`spawn`](TaskGroup::spawn).
    #[track_caller]
    pub fn spawn_named(
        &self,
        name: &str,
        future: impl Future<Output = Result<T, E>> + 'static,
    ) -> Result<CancelHandle, GroupClosed> {
        self.members.spawn(future, Some(name), Location::caller())
    }

    /// A handle for the children themselves, so that they can add children.
    pub fn handle(&self) -> GroupHandle<T, E> {
        GroupHandle { members: Rc::downgrade(&self.members) }
    }

    /// How many children are not over.
    pub fn len(&self) -> usize {
        self.members.look();
        self.members.running()
    }

    /// Whether every child is over.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the next child to finish returns; `None` when there are no children left. After a failure,
    /// first the values that were there before it, then, all children being dropped, each error.
    ///
    /// Dropping the future half-way loses no result. Children may be added between two calls.
    ///
    /// # Errors
    ///
    /// The error of a child that failed.
    ///
    /// # Panics
    ///
    /// With the payload of a child that panicked, once every child is over.
    #[doc(alias = "join_next")]
    #[doc(alias = "as_completed")]
    pub async fn next(&mut self) -> Option<Result<T, E>> {
        poll_fn(|cx| self.members.poll_next(cx)).await
    }

    /// Waits for all children, and gives their values, in order of completion. (For the order of the
    /// arguments see [`gather`](fn@crate::gather).) Values that [`next`](TaskGroup::next) gave out are
    /// not among them.
    ///
    /// Dropping the future half-way drops the group.
    ///
    /// # Errors
    ///
    /// All errors of the children, once every child is over. Where one is enough, as for `?` with an error
    /// type that is boxed or text: `.map_err(GroupError::into_first)`.
    ///
    /// # Panics
    ///
    /// With the payload of the first child that panicked, once every child is over; errors are dropped then.
    #[doc(alias = "join_all")]
    pub async fn join(self) -> Result<Vec<T>, GroupError<E>> {
        let ((), values) = self.run(async { Ok(()) }).await?;
        Ok(values)
    }

    async fn run<R>(self, body: impl Future<Output = Result<R, E>>) -> Result<(R, Vec<T>), GroupError<E>> {
        let members = &*self.members;
        let returned = match beside(members, body).await {
            Some(Err(error)) => {
                members.failures.borrow_mut().push_front(Failure::Error(error));
                members.abort();
                None
            }
            Some(Ok(value)) => Some(value),
            None => None,
        };
        poll_fn(|cx| members.poll_until(cx, || (members.running() == 0).then_some(()))).await;
        match (members.verdict(), returned) {
            (None, Some(value)) => Ok((value, members.done.take().into())),
            (Some(error), _) => Err(error),
            (None, None) => unreachable!("the body is only dropped after a failure"),
        }
    }
}

/// What the body returned; nothing if a child failed first. Either way the body is dropped by then.
async fn beside<T, E, R>(members: &Members<T, E>, body: impl Future<Output = R>) -> Option<R> {
    let mut body = pin!(body);
    poll_fn(|cx| {
        if let Poll::Ready(returned) = body.as_mut().poll(cx) {
            return Poll::Ready(Some(returned));
        }
        // What the body said it waits for tells more than "the children".
        let waits = observer::take_waits();
        let failed = members.poll_until(cx, || members.closed.get().then_some(None));
        observer::put_waits(waits);
        failed
    })
    .await
}

impl<T, E> Default for TaskGroup<T, E> {
    fn default() -> TaskGroup<T, E> {
        TaskGroup::new()
    }
}

impl<T, E> Drop for TaskGroup<T, E> {
    fn drop(&mut self) {
        self.members.abort();
        // A child that drops its own group is over at the end of its turn; nobody hears of it.
        drop(self.members.children.take());
    }
}

/// Adds children to a group from anywhere in its loop, as long as the group lives and none has failed.
pub struct GroupHandle<T: 'static, E: 'static> {
    members: Weak<Members<T, E>>,
}

impl<T, E> GroupHandle<T, E> {
    /// Adds a child, as [`TaskGroup::spawn`] does.
    ///
    /// # Errors
    ///
    /// [`GroupClosed`] if a child or the body has failed, or the group is gone; `future` is dropped at once.
    ///
    /// # Panics
    ///
    /// Outside a running loop.
    #[track_caller]
    pub fn spawn(&self, future: impl Future<Output = Result<T, E>> + 'static) -> Result<CancelHandle, GroupClosed> {
        self.members.upgrade().ok_or(GroupClosed(()))?.spawn(future, None, Location::caller())
    }

    /// As [`spawn`](GroupHandle::spawn), with a name for whoever looks at the tasks.
    ///
    /// # Errors
    ///
    /// As [`spawn`](GroupHandle::spawn).
    ///
    /// # Panics
    ///
    /// As [`spawn`](GroupHandle::spawn).
    #[track_caller]
    pub fn spawn_named(
        &self,
        name: &str,
        future: impl Future<Output = Result<T, E>> + 'static,
    ) -> Result<CancelHandle, GroupClosed> {
        self.members.upgrade().ok_or(GroupClosed(()))?.spawn(future, Some(name), Location::caller())
    }
}

impl<T, E> Clone for GroupHandle<T, E> {
    fn clone(&self) -> GroupHandle<T, E> {
        GroupHandle { members: self.members.clone() }
    }
}

/// The children of a group and what has become of them.
struct Members<T: 'static, E: 'static> {
    /// The children that are not over, under the numbers by which they report.
    children: RefCell<Slab<JoinHandle<Result<T, E>>>>,
    arrivals: Rc<Arrivals>,
    /// Values nobody has taken yet, oldest first. (A million of type `()` take no room.)
    done: RefCell<VecDeque<T>>,
    failures: RefCell<VecDeque<Failure<E>>>,
    closed: Cell<bool>,
}

enum Failure<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

impl<T, E> Members<T, E> {
    fn new() -> Members<T, E> {
        Members {
            children: RefCell::default(),
            arrivals: Rc::default(),
            done: RefCell::default(),
            failures: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    #[track_caller]
    fn spawn(
        &self,
        future: impl Future<Output = Result<T, E>> + 'static,
        name: Option<&str>,
        site: &'static Location<'static>,
    ) -> Result<CancelHandle, GroupClosed> {
        self.look();
        if self.closed.get() {
            return Err(GroupClosed(()));
        }
        let parts = context::current("TaskGroup::spawn()");
        let handle = parts.scheduler.tasks().clone().spawn(future, name, site);
        if handle.is_finished() {
            // The loop is at its end and has dropped the future.
            return Err(GroupClosed(()));
        }
        let cancel = handle.cancel_handle();
        // A child that is not over does not report now, so nothing runs under this borrow.
        let mut children = self.children.borrow_mut();
        let place = children.vacant_entry();
        handle.report_to(&self.arrivals, place.key());
        place.insert(handle);
        Ok(cancel)
    }

    /// Takes in who has finished since the last look.
    fn look(&self) {
        while let Some(number) = self.arrivals.try_next() {
            self.take_in(number);
        }
        let failed = !self.failures.borrow().is_empty();
        if failed {
            self.abort();
        }
    }

    fn take_in(&self, number: usize) {
        let child = self.children.borrow_mut().try_remove(number);
        let Some(result) = child.and_then(|mut child| child.try_join()) else { return };
        let failure = match result {
            Ok(Ok(value)) => return self.done.borrow_mut().push_back(value),
            Ok(Err(error)) => Failure::Error(error),
            Err(join_error) => match join_error.into_panic() {
                Ok(payload) => Failure::Panic(payload),
                Err(_cancelled) => return,
            },
        };
        self.failures.borrow_mut().push_back(failure);
    }

    fn running(&self) -> usize {
        self.children.borrow().len()
    }

    /// Lets no child begin any more, and cancels those that are there, in order of spawning.
    fn abort(&self) {
        if self.closed.replace(true) {
            return;
        }
        let children = self.children.borrow();
        let mut cancels: Vec<_> = children.iter().map(|(_, child)| (child.id(), child.canceller())).collect();
        drop(children);
        cancels.sort_unstable_by_key(|&(id, _)| id);
        for (_, cancel) in cancels {
            cancel();
        }
        // They arrive as any other: now or, if this is the turn of one of them, at the end of it.
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        self.poll_until(cx, || {
            let value = self.done.borrow_mut().pop_front();
            if let Some(value) = value {
                return Some(Some(Ok(value)));
            }
            if self.running() > 0 {
                return None;
            }
            self.resume_panic();
            let failure = self.failures.borrow_mut().pop_front();
            Some(failure.and_then(Failure::into_error).map(Err))
        })
    }

    /// Looks, and waits for further children to finish, until there is an answer.
    fn poll_until<A>(&self, cx: &mut Context<'_>, answer: impl Fn() -> Option<A>) -> Poll<A> {
        loop {
            self.look();
            if let Some(answer) = answer() {
                return Poll::Ready(answer);
            }
            let number = ready!(self.arrivals.poll_next(cx));
            self.take_in(number);
        }
    }

    /// The errors of a group whose children are all over.
    fn verdict(&self) -> Option<GroupError<E>> {
        self.closed.set(true);
        self.resume_panic();
        let mut errors = self.failures.take().into_iter().filter_map(Failure::into_error);
        let first = errors.next()?;
        Some(GroupError { first, others: errors.collect() })
    }

    /// Panics if a child did. What else there is is dropped first, as nobody will ask for it.
    fn resume_panic(&self) {
        let panicked = self.failures.borrow().iter().any(|failure| matches!(failure, Failure::Panic(_)));
        if !panicked {
            return;
        }
        let mut first = None;
        for failure in self.failures.take() {
            match failure {
                Failure::Panic(payload) if first.is_none() => first = Some(payload),
                other => quietly(|| drop(other)),
            }
        }
        self.drop_outputs();
        panic::resume_unwind(first.expect("there was one a moment ago"));
    }

    /// One by one: of two destructors that panic in one sweep, the second would abort the process.
    fn drop_outputs(&self) {
        for output in self.done.take() {
            quietly(|| drop(output));
        }
    }
}

/// What nobody asked for: values beside an error, or all of it when the group is dropped.
impl<T, E> Drop for Members<T, E> {
    fn drop(&mut self) {
        self.drop_outputs();
        for failure in self.failures.take() {
            quietly(|| drop(failure));
        }
    }
}

impl<E> Failure<E> {
    fn into_error(self) -> Option<E> {
        match self {
            Failure::Error(error) => Some(error),
            Failure::Panic(_) => None,
        }
    }
}

/// The group takes no more children: one has failed, or the group is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupClosed(());

impl fmt::Display for GroupClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task group takes no more children: one has failed, or the group is over")
    }
}

impl std::error::Error for GroupClosed {}

/// Why a group failed: at least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "ExceptionGroup")]
pub struct GroupError<E> {
    first: E,
    others: Vec<E>,
}

impl<E> GroupError<E> {
    /// The error that ended the group.
    pub fn first(&self) -> &E {
        &self.first
    }

    /// The errors of those who failed in the same turn, in order.
    pub fn others(&self) -> &[E] {
        &self.others
    }

    /// The error that ended the group, to keep.
    pub fn into_first(self) -> E {
        self.first
    }

    /// All errors, the first one first.
    pub fn into_all(self) -> Vec<E> {
        let mut all = self.others;
        all.insert(0, self.first);
        all
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        match self.others.len() {
            0 => Ok(()),
            1 => write!(f, " (and one more error in the same group)"),
            more => write!(f, " (and {more} more errors in the same group)"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.first)
    }
}

impl<T, E> fmt::Debug for TaskGroup<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.members.show(f, "TaskGroup")
    }
}

impl<T, E> fmt::Debug for GroupHandle<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.members.upgrade() {
            Some(members) => members.show(f, "GroupHandle"),
            None => f.write_str("GroupHandle(of a group that is over)"),
        }
    }
}

impl<T, E> Members<T, E> {
    fn show(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name)
            .field("running", &self.running())
            .field("closed", &self.closed.get())
            .finish_non_exhaustive()
    }
}
