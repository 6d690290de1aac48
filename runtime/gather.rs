//! Run many, collect what they give: `gather` and its kin.
//!
//! ```text
//!   gather([a, b, c])  -->  task a ---.
//!                           task b ----> arrivals: 1 2 0    each child is looked at once, when it ends
//!                           task c ---'
//!
//!                      a child panics      a child returns Err    dropped half-way
//!   gather, gather!    cancels the rest    (a value)              cancels all
//!   try_gather         cancels the rest    leaves the rest alone  cancels all
//!   gather_settled     a value             (a value)              cancels all
//! ```
//!
//! Promises: every child is a task, spawned at the call in the order of the arguments, at the caller's
//! line; results come in the order of the arguments; n children cost n steps; cancelled children are
//! dropped before the cancel returns.
//! Does not know: the loop's rounds, timers, sockets.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, Location};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::arrivals::Arrivals;
use crate::context;
use crate::join_error::JoinError;
use crate::join_handle::JoinHandle;
use crate::quietly::quietly;

/// Runs every future as a task of its own, and gives all their outputs, in the order of the futures.
///
/// The children are spawned by this call, not by the await. Without any, the result is there at once.
/// Dropping the `Gather` cancels the children that are not done. Given `JoinHandle`s, the children only
/// await those tasks, which run on. For a few futures of different types there is
/// [`gather!`](crate::gather!).
///
/// ```
/// # roundel::block_on(async {
/// let squares = roundel::gather((1..=4).map(|n| async move { n * n })).await;
/// assert_eq!(squares, [1, 4, 9, 16]);
/// # });
/// ```
///
/// # Panics
///
/// Outside a running loop. The await panics as soon as a child has panicked, with the same payload,
/// and also if somebody else cancelled a child, whose output cannot be had any more; the other
/// children are cancelled first. [`gather_settled`] takes both as values. It panics, too, when awaited
/// again after it has given its result.
#[track_caller]
pub fn gather<F>(futures: impl IntoIterator<Item = F>) -> Gather<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Gather(Family::of_many(futures, "gather()", Location::caller()))
}

/// Runs each of up to twelve futures as a task of its own, and gives a tuple of their outputs.
///
/// As [`gather`](fn@crate::gather), for futures of different types.
///
/// ```
/// # roundel::block_on(async {
/// let (word, number) = roundel::gather!(async { "six" }, async { 6 }).await;
/// assert_eq!((word, number), ("six", 6));
/// # });
/// ```
#[macro_export]
macro_rules! gather {
    ($($future:expr),+ $(,)?) => {
        $crate::for_macros::gather_tuple(($($future,)+))
    };
}

/// Runs every future as a task of its own, and gives all their values, or the first error at once.
///
/// As in asyncio, the siblings of a child that failed run on, detached: nobody sees what they return,
/// be it a value or another error. Use a [`TaskGroup`](crate::TaskGroup) to have them cancelled
/// instead. Dropping the `TryGather` half-way cancels the children.
///
/// ```
/// # roundel::block_on(async {
/// let parsed = roundel::try_gather(["1", "two"].map(|text| async { text.parse::<u8>() })).await;
/// assert!(parsed.is_err());
/// # });
/// ```
///
/// # Errors
///
/// The await gives the error of the child that was the first to return one.
///
/// # Panics
///
/// As [`gather`](fn@crate::gather): a panic cancels the siblings, unlike an error.
#[track_caller]
pub fn try_gather<F, T, E>(futures: impl IntoIterator<Item = F>) -> TryGather<T, E>
where
    F: Future<Output = Result<T, E>> + 'static,
    T: 'static,
    E: 'static,
{
    TryGather(Family::of_many(futures, "try_gather()", Location::caller()))
}

/// Runs every future as a task of its own, waits for all, and gives for each its output, or the
/// [`JoinError`] that says it panicked or was cancelled: asyncio's `gather(return_exceptions=True)`.
///
/// Dropping the `GatherSettled` half-way cancels the children.
///
/// # Panics
///
/// Outside a running loop; and when awaited again after it has given its result.
#[track_caller]
#[doc(alias = "return_exceptions")]
pub fn gather_settled<F>(futures: impl IntoIterator<Item = F>) -> GatherSettled<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    GatherSettled(Family::of_many(futures, "gather_settled()", Location::caller()))
}

/// The future of [`gather`](fn@crate::gather).
#[must_use = "dropping it cancels the children: await it"]
#[doc(alias = "join_all")]
pub struct Gather<T: 'static>(Family<Vec<Child<T, T>>>);

impl<T> Future for Gather<T> {
    type Output = Vec<T>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<T>> {
        let family = &mut self.0;
        while let Some(number) = ready!(family.poll_next(cx)) {
            if let Err(error) = family.children()[number].settle() {
                family.fail(error);
            }
        }
        Poll::Ready(family.release().into_iter().map(Child::into_value).collect())
    }
}

/// The future of [`try_gather`].
#[must_use = "dropping it cancels the children: await it"]
#[doc(alias = "try_join_all")]
pub struct TryGather<T: 'static, E: 'static>(Family<Vec<Child<Result<T, E>, T>>>);

impl<T, E> Future for TryGather<T, E> {
    type Output = Result<Vec<T>, E>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let family = &mut self.0;
        while let Some(number) = ready!(family.poll_next(cx)) {
            let child = &mut family.children()[number];
            match child.join() {
                Ok(Ok(value)) => *child = Child::Done(Kept(Some(value))),
                Err(error) => family.fail(error),
                Ok(Err(error)) => {
                    family.release().into_iter().for_each(Child::detach);
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(family.release().into_iter().map(Child::into_value).collect()))
    }
}

/// The future of [`gather_settled`].
#[must_use = "dropping it cancels the children: await it"]
pub struct GatherSettled<T: 'static>(Family<Vec<Child<T, Result<T, JoinError>>>>);

impl<T> Future for GatherSettled<T> {
    type Output = Vec<Result<T, JoinError>>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let family = &mut self.0;
        while let Some(number) = ready!(family.poll_next(cx)) {
            let child = &mut family.children()[number];
            *child = Child::Done(Kept(Some(child.join())));
        }
        Poll::Ready(family.release().into_iter().map(Child::into_value).collect())
    }
}

/// Children that were spawned together, in a vector or in a tuple, and who of them has finished.
struct Family<C> {
    /// Nothing once the result was given.
    children: Option<C>,
    arrivals: Rc<Arrivals>,
    running: usize,
    site: &'static Location<'static>,
}

/// A child, until its value is given to the parent. Dropping it cancels its task.
enum Child<T: 'static, V> {
    Running(Leash<T>),
    Done(Kept<V>),
}

impl<C> Unpin for Family<C> {}

impl<T, V> Family<Vec<Child<T, V>>> {
    #[track_caller]
    fn of_many<F>(futures: impl IntoIterator<Item = F>, what: &str, site: &'static Location<'static>) -> Self
    where
        F: Future<Output = T> + 'static,
    {
        let parts = context::current(what);
        let mut family = Family::new(Vec::new(), site);
        // The iterator is the caller's code: if it panics, the children made so far are cancelled.
        for future in futures {
            let handle = parts.scheduler.tasks().clone().spawn(future, None, site);
            let child = family.adopt(handle);
            family.children().push(child);
        }
        family
    }
}

impl<C> Family<C> {
    fn new(children: C, site: &'static Location<'static>) -> Family<C> {
        Family { children: Some(children), arrivals: Rc::default(), running: 0, site }
    }

    fn with<D>(self, children: D) -> Family<D> {
        Family { children: Some(children), arrivals: self.arrivals, running: self.running, site: self.site }
    }

    fn adopt<T, V>(&mut self, handle: JoinHandle<T>) -> Child<T, V> {
        handle.report_to(&self.arrivals, self.running);
        self.running += 1;
        Child::Running(Leash(Some(handle)))
    }

    /// The number of the next child that is over; `None` after the last.
    #[track_caller]
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        assert!(self.children.is_some(), "this gather has given its result already: await it only once");
        if self.running == 0 {
            return Poll::Ready(None);
        }
        let number = ready!(self.arrivals.poll_next(cx));
        self.running -= 1;
        Poll::Ready(Some(number))
    }

    fn children(&mut self) -> &mut C {
        self.children.as_mut().expect("the children stay until the result is given")
    }

    fn release(&mut self) -> C {
        self.children.take().expect("the children stay until the result is given")
    }

    /// Cancels the siblings of a child that gave no output, and panics in its stead.
    #[track_caller]
    fn fail(&mut self, error: JoinError) -> ! {
        let children = self.release();
        quietly(|| drop(children));
        match error.into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            Err(cancelled) => {
                panic!("{cancelled}, but the gather at {} needs its output: gather_settled() does not", self.site)
            }
        }
    }
}

impl<C> Family<C> {
    fn show(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name).field("running", &self.running).finish_non_exhaustive()
    }
}

impl<T, V> Child<T, V> {
    /// What became of a child that is over.
    fn join(&mut self) -> Result<T, JoinError> {
        let Child::Running(leash) = self else { unreachable!("a child is over once") };
        let mut handle = leash.0.take().expect("the handle stays until the child is over");
        handle.try_join().expect("who has arrived is over")
    }

    fn into_value(self) -> V {
        match self {
            Child::Done(mut kept) => kept.0.take().expect("a value is kept until it is given"),
            Child::Running(_) => unreachable!("every child has arrived"),
        }
    }

    /// Lets the task run on.
    fn detach(self) {
        if let Child::Running(mut leash) = self {
            leash.0 = None;
        }
    }
}

impl<T> Child<T, T> {
    /// Keeps the output of a child that is over.
    fn settle(&mut self) -> Result<(), JoinError> {
        *self = Child::Done(Kept(Some(self.join()?)));
        Ok(())
    }
}

/// A value that waits for its siblings. Each is dropped by itself: two whose destructors panic must not
/// meet in one sweep, which would abort the process.
struct Kept<V>(Option<V>);

impl<V> Drop for Kept<V> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            quietly(|| drop(value));
        }
    }
}

/// A handle that cancels its task when dropped.
struct Leash<T: 'static>(Option<JoinHandle<T>>);

impl<T> Drop for Leash<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.cancel();
        }
    }
}

/// What [`gather!`](crate::gather!) expands to; not for direct use.
pub mod for_macros {
    use super::*;

    /// Up to twelve futures in a tuple.
    #[diagnostic::on_unimplemented(message = "gather! takes one to twelve futures, each `'static`")]
    pub trait Futures {
        /// Their outputs, in a tuple.
        type Outputs;

        /// Spawns them, and gives all the outputs.
        #[track_caller]
        fn gather(self) -> impl Future<Output = Self::Outputs>;
    }

    /// The body of [`gather!`](crate::gather!).
    #[track_caller]
    pub fn gather_tuple<F: Futures>(futures: F) -> impl Future<Output = F::Outputs> {
        futures.gather()
    }

    macro_rules! futures_in_a_tuple {
        ($($F:ident $future:ident $number:tt)+) => {
            impl<$($F),+> Futures for ($($F,)+)
            where
                $($F: Future + 'static, $F::Output: 'static,)+
            {
                type Outputs = ($($F::Output,)+);

                #[track_caller]
                fn gather(self) -> impl Future<Output = Self::Outputs> {
                    let site = Location::caller();
                    let parts = context::current("gather!()");
                    let tasks = parts.scheduler.tasks();
                    let ($($future,)+) = self;
                    let mut family = Family::new((), site);
                    let children = ($(family.adopt(tasks.clone().spawn($future, None, site)),)+);
                    let mut family = family.with(children);
                    poll_fn(move |cx| {
                        while let Some(number) = ready!(family.poll_next(cx)) {
                            let settled = match number {
                                $($number => family.children().$number.settle(),)+
                                _ => unreachable!("the tuple has no more children"),
                            };
                            if let Err(error) = settled {
                                family.fail(error);
                            }
                        }
                        let children = family.release();
                        Poll::Ready(($(children.$number.into_value(),)+))
                    })
                }
            }
        };
    }

    futures_in_a_tuple!(A a 0);
    futures_in_a_tuple!(A a 0 B b 1);
    futures_in_a_tuple!(A a 0 B b 1 C c 2);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4 F f 5);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4 F f 5 G g 6);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4 F f 5 G g 6 H h 7);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4 F f 5 G g 6 H h 7 I i 8);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4 F f 5 G g 6 H h 7 I i 8 J j 9);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4 F f 5 G g 6 H h 7 I i 8 J j 9 K k 10);
    futures_in_a_tuple!(A a 0 B b 1 C c 2 D d 3 E e 4 F f 5 G g 6 H h 7 I i 8 J j 9 K k 10 L l 11);
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "Gather")
    }
}

impl<T, E> fmt::Debug for TryGather<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "TryGather")
    }
}

impl<T> fmt::Debug for GatherSettled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "GatherSettled")
    }
}
